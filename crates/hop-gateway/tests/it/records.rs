//! What the records say while sessions last, and what happens when there are none to be had.

use crate::site::{FIRST, Options, Site, change, ended, first_line, now, random, said, text};
use hop_e2e::Postgres;
use hop_gateway::{EarlierRuns, Limits};
use hop_keys::Fingerprint;
use hop_store::{EndCause, GatewayId, NewSshSession, SessionFilter, SshSessionId};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

#[tokio::test]
async fn an_idle_tunnel_ends_and_lets_its_project_stop() {
    let limits = Limits { max_idle: Some(Duration::from_millis(1500)), ..Limits::default() };
    let site = Site::start_with(Options {
        limits,
        idle_stop: Some(Duration::from_millis(300)),
        ..Options::default()
    })
    .await;
    let to = format!("{FIRST}@gateway");
    // Keepalives of the client are no use of the tunnel.
    let idle = site.running("ssh", &site.ada, &["-N", "-o", "ServerAliveInterval=1", &to]);
    let busy = "echo kept > file; while :; do echo x; sleep 0.3; done";
    let mut busy = site.running("ssh", &site.ada, &[&to, busy]);
    let (_, output) = first_line(&mut busy).await;
    // Read on, so that what it says does not stop in the pipe.
    let reading = std::thread::spawn(move || std::io::copy(&mut { output }, &mut std::io::sink()));
    let (status, heard, took) = ended(idle).await;
    eprintln!("an idle tunnel ended after {} ms", took.as_millis());
    assert_eq!(status.code(), Some(255));
    assert!(heard.contains("idle: nothing has passed for 1 s"), "{heard}");
    assert!(busy.try_wait().unwrap().is_none(), "a session in use was ended");
    // Its bytes are noted while it lasts.
    let live = site.store.ssh_sessions().list_live(SessionFilter::Project(site.first), 10).await.unwrap();
    assert!(live.iter().any(|session| session.bytes_to_client > 0), "{live:?}");
    busy.kill().unwrap();
    busy.wait().unwrap();
    reading.join().unwrap().unwrap();
    let causes: Vec<_> =
        site.sessions_of(site.first).await.into_iter().map(|s| s.end.unwrap().cause).collect();
    assert!(causes.contains(&EndCause::Idle) && causes.contains(&EndCause::Client), "{causes:?}");
    let start = Instant::now();
    while site.is_running(site.first).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(start.elapsed() < Duration::from_secs(10), "the environment does not stop");
    }
    let output = site.ssh(&site.ada, FIRST, &["cat file"]).await;
    assert_eq!(text(&output.stdout), "kept\n", "{}", text(&output.stderr));
}

#[tokio::test]
async fn what_an_earlier_run_left_open_is_closed_as_lost() {
    let site = Site::start().await;
    let row = NewSshSession {
        id: SshSessionId::new(now(), random()),
        gateway: GatewayId::new(now(), random()),
        account: site.ada.account,
        project: site.first,
        source_project: None,
        key: Some(site.ada.key),
        key_fingerprint: Fingerprint::parse("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU").unwrap(),
        key_title: "gone".to_owned(),
        client: "192.0.2.1:1".parse().unwrap(),
        started: now(),
    };
    for earlier in [EarlierRuns::One(Some(row.gateway)), EarlierRuns::All] {
        let row = NewSshSession { id: SshSessionId::new(now(), random()), ..row.clone() };
        site.store.ssh_sessions().open(&row).await.unwrap();
        // One of several knows nothing of the others' sessions.
        site.second_gateway(EarlierRuns::One(None)).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(site.live(site.first).await, 1);
        site.second_gateway(earlier).await;
        let sessions = site.sessions_of(site.first).await;
        assert_eq!(sessions.first().unwrap().end.as_ref().unwrap().cause, EndCause::Lost);
    }
}

fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(Postgres::shared)
}

/// Runs SQL with the database's own tools.
fn sql(text: &str) {
    let mut psql = Command::new("/usr/lib/postgresql/15/bin/psql");
    psql.args(["-q", "-U", "hop", "-d", "postgres", "-c", text, "-h"]).arg(server().folder());
    let output = psql.output().expect("install the Debian package postgresql");
    assert!(output.status.success(), "{}", crate::site::text(&output.stderr));
}

/// A database that goes with the value.
struct Database(String);

impl Database {
    fn make() -> Self {
        let name = format!("gateway_{}_{}", std::process::id(), now().as_micros());
        sql(&format!("CREATE DATABASE {name}"));
        Self(name)
    }

    fn url(&self) -> String {
        server().url(&self.0)
    }

    fn cut(&self) {
        sql(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", self.0));
        sql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", self.0));
    }

    fn mend(&self) {
        sql(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.0));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        sql(&format!("DROP DATABASE {} WITH (FORCE)", self.0));
    }
}

#[tokio::test]
async fn without_records_nobody_comes_in_and_sessions_end_after_a_while() {
    let database = Database::make();
    let limits = Limits { revocation_grace: Duration::from_secs(2), ..Limits::default() };
    let options = Options { limits, database: Some(database.url()), ..Options::default() };
    let site = Site::start_with(options).await;
    let to = format!("{FIRST}@gateway");
    let mut client = site.running("ssh", &site.ada, &[&to, "echo in; sleep 1000"]);
    let (line, _output) = first_line(&mut client).await;
    assert_eq!(line, "in\n");
    database.cut();
    let start = Instant::now();
    let output = site.ssh(&site.ada, FIRST, &["true"]).await;
    assert!(text(&output.stderr).contains("records cannot be reached now"), "{}", text(&output.stderr));
    let (status, heard, _) = ended(client).await;
    eprintln!("without records: ended after {} ms, of a grace of 2000", start.elapsed().as_millis());
    assert_eq!(status.code(), Some(255));
    assert!(heard.contains("access cannot be checked"), "{heard}");
    assert!(start.elapsed() > Duration::from_millis(1900));
    database.mend();
    let start = Instant::now();
    loop {
        let output = site.ssh(&site.ada, FIRST, &["echo in"]).await;
        if text(&output.stdout) == "in\n" {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{}", text(&output.stderr));
    }
}

#[tokio::test]
async fn several_gateways_on_one_database_hear_of_the_same_endings() {
    let database = Database::make();
    let site = Site::start_with(Options { database: Some(database.url()), ..Options::default() }).await;
    let second = site.second_gateway(EarlierRuns::One(None)).await.port().to_string();
    let to = format!("{FIRST}@gateway");
    let mut clients = Vec::new();
    for words in [&[&to, "echo in; sleep 1000"][..], &["-p", &second, &to, "echo in; sleep 1000"]] {
        let words: Vec<&str> = words.iter().map(|word| &**word).collect();
        let mut client = site.running("ssh", &site.bob, &words);
        let (line, output) = first_line(&mut client).await;
        assert_eq!(line, "in\n");
        clients.push((client, output));
    }
    let store = site.other_process().await;
    let mut change = change(&store).await;
    change.keys().remove(site.bob.key).await.unwrap();
    change.commit().await.unwrap();
    let start = Instant::now();
    for (mut client, _output) in clients {
        said(&mut client, "the key \"bob's laptop\" was removed").await;
        eprintln!("PostgreSQL: a session ended after {} ms", start.elapsed().as_millis());
        client.wait().unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(6));
}
