//! A client whose server does not wait for it: a scripted server on a stream in memory.

use super::*;
use crate::config::HostKey;
use crate::wire::Put;
use hop_keys::{KeyAlgorithm, PrivateKey};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::Notify;

/// Answers every question with "secret", once it is told to; keeps what it was shown.
struct Slow<'a> {
    go: &'a Notify,
    shown: Vec<String>,
}

impl Answers for Slow<'_> {
    async fn sign(&mut self, _: &Identity, _: SignatureAlgorithm, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
    async fn answer(&mut self, request: &InfoRequest) -> Option<Vec<String>> {
        self.go.notified().await;
        Some(vec!["secret".to_owned(); request.prompts.len()])
    }
    async fn banner(&mut self, text: &str) {
        self.shown.push(text.to_owned());
    }
}

/// A server up to the first question of a keyboard-interactive login.
async fn question(io: DuplexStream) -> Wire<DuplexStream> {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let config = Arc::new(ServerConfig::new(vec![HostKey::new(key)]));
    let mut wire = Wire::new(io, Transport::server(config, now()).unwrap());
    wire.handshake().await.unwrap();
    assert_eq!(wire.next().await.unwrap()[0], message::SERVICE_REQUEST);
    let mut accept = vec![message::SERVICE_ACCEPT];
    accept.put_string("ssh-userauth");
    wire.send(&accept).await.unwrap();
    assert_eq!(wire.next().await.unwrap()[0], message::USERAUTH_REQUEST);
    wire.send(&failure("keyboard-interactive")).await.unwrap();
    assert_eq!(wire.next().await.unwrap()[0], message::USERAUTH_REQUEST);
    let mut info = vec![message::USERAUTH_INFO_REQUEST];
    info.put_string("");
    info.put_string("");
    info.put_string("");
    info.put_uint32(1);
    // Latin-1, as modules say it that know nothing of UTF-8.
    info.put_string(b"Schl\xfcssel: ");
    info.put_boolean(false);
    wire.send(&info).await.unwrap();
    wire
}

fn failure(methods: &str) -> Vec<u8> {
    let mut payload = vec![message::USERAUTH_FAILURE];
    payload.put_string(methods);
    payload.put_boolean(false);
    payload
}

/// Lets the client read what was sent.
async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

async fn log_in(io: DuplexStream, person: &mut Slow<'_>) -> Result<(), Error> {
    let config = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
    let login = ClientLogin::connect(io, Arc::new(config)).await.unwrap();
    login.authenticate("alice", [Offer::KeyboardInteractive], person).await.map(drop)
}

#[tokio::test]
async fn a_banner_that_comes_during_a_question_does_not_take_its_answer() {
    let (near, far) = duplex(1 << 16);
    let go = Notify::new();
    let mut person = Slow { go: &go, shown: Vec::new() };
    let server = async {
        let mut wire = question(far).await;
        wire.send(&crate::auth::banner("hurry up")).await.unwrap();
        settle().await;
        go.notify_one();
        let response = wire.next().await.unwrap();
        assert_eq!(response[0], message::USERAUTH_INFO_RESPONSE);
        assert!(response.ends_with(b"secret"));
        wire.send(&[message::USERAUTH_SUCCESS]).await.unwrap();
        wire
    };
    let (result, _wire) = tokio::join!(log_in(near, &mut person), server);
    result.unwrap();
    assert_eq!(person.shown, ["hurry up"]);
}

#[tokio::test]
async fn an_answer_is_not_given_to_a_server_that_has_gone_on() {
    let (near, far) = duplex(1 << 16);
    let go = Notify::new();
    let mut person = Slow { go: &go, shown: Vec::new() };
    let server = async {
        let mut wire = question(far).await;
        wire.send(&failure("publickey")).await.unwrap();
        settle().await;
        go.notify_one();
        // The only message that the client may send now is its goodbye.
        assert!(matches!(wire.next().await, Err(Error::Disconnected { .. })));
    };
    let (result, ()) = tokio::join!(log_in(near, &mut person), server);
    assert!(matches!(result, Err(Error::AuthenticationRefused { remaining }) if remaining == "publickey"));
}

#[tokio::test]
async fn a_question_ends_with_the_connection() {
    let (near, far) = duplex(1 << 16);
    let go = Notify::new();
    let mut person = Slow { go: &go, shown: Vec::new() };
    let server = async { drop(question(far).await) };
    let (result, ()) = tokio::join!(log_in(near, &mut person), server);
    assert!(matches!(result, Err(Error::Closed)));
}
