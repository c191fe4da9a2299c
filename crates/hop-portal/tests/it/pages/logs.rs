//! What the log says, and what it never does.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hop_keys::{KeyAlgorithm, PrivateKey};
use tracing_subscriber::fmt::MakeWriter;

use crate::served::Served;
use crate::site::{PASSWORD, operator};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_reaches_the_log() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    // Of this thread, on which everything in this test runs.
    let _logging = tracing::subscriber::set_default(subscriber);
    let served = Served::new().await;
    let (ada, _) = served.site.account("ada").await;
    let link =
        served.site.operations.make_sign_in_link(&operator(), ada, Duration::from_secs(60)).await.unwrap();
    let secret = link.token.expose_secret();
    let mut visit = served.visit();
    visit.get(&format!("/sign-in/{secret}")).await;
    visit.post(&format!("/sign-in/{secret}"), &[]).await;
    visit.post(&format!("/sign-in/{secret}"), &[]).await;
    let first = visit.cookie.clone().unwrap();
    visit.post("/account/password", &[("new", PASSWORD), ("again", PASSWORD)]).await;
    let second = visit.cookie.clone().unwrap();
    visit.post("/sign-in", &[("name", "ada\nroot signed in"), ("password", "wrong horse battery")]).await;
    let file = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().to_openssh("mine");
    visit.post("/keys", &[("key", &file)]).await;
    let headers = visit.headers(&[("User-Agent", "evil agent"), ("Referer", "https://secret.example/")]);
    visit.ask("GET", "/keys?secret=query", &headers, "").await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("answered") && text.contains("/sign-in/{token}"), "{text}");
    let tokens = [&first, &second].map(|cookie| cookie.split_once('=').unwrap().1);
    let body = file.lines().nth(1).unwrap();
    for never in
        [&*secret, tokens[0], tokens[1], PASSWORD, "wrong horse", body, "root signed in", "secret=query"]
    {
        assert!(!text.contains(never), "{never:?} is in the log:\n{text}");
    }
}
