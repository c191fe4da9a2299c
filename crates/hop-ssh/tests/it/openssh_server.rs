//! Our client against OpenSSH's sshd.

use crate::support::{Keys, Sshd, TempDir, key, run};
use hop_keys::{Identity, KeyAlgorithm};
use hop_ssh::auth::Offer;
use hop_ssh::connection::{ChannelKind, ChannelRequest, Limits, Stream};
use hop_ssh::driver::{ClientLogin, Connection};
use hop_ssh::{ClientConfig, Error, RekeyLimits};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Logs in to a new sshd; the connection, and what must stay alive with it.
async fn log_in(
    dir: &TempDir,
    algorithm: KeyAlgorithm,
    rekey: RekeyLimits,
    more: &str,
) -> (Sshd, Connection) {
    let host = key(KeyAlgorithm::Ed25519);
    let user = key(algorithm);
    let (sshd, stream) = Sshd::start(dir, &host, &user, more);
    let expected = host.public().clone();
    let mut config = ClientConfig::new(Arc::new(move |offered: &Identity| {
        if *offered.key() == expected { Ok(()) } else { Err("another key".to_owned()) }
    }));
    config.rekey = rekey;
    let login = ClientLogin::connect(stream, Arc::new(config)).await.unwrap();
    let name = nix_user();
    let offers = [Offer::Key(Identity::Key(user.public().clone()))];
    let (connection, _arrivals, driver) =
        login.log_in(&name, offers, &mut Keys(vec![user]), Limits::default()).await.unwrap();
    tokio::task::spawn_local(driver.run());
    (sshd, connection)
}

fn nix_user() -> String {
    let output = std::process::Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn exec(connection: &Connection, command: &str, input: &[u8]) -> (Vec<u8>, Option<u32>) {
    let channel = connection.open(ChannelKind::Session).await.unwrap();
    assert!(channel.request(&ChannelRequest::Exec(command.as_bytes().to_vec())).await);
    let mut writer = channel.writer(Stream::Data);
    let feed = input.to_vec();
    let feeder = tokio::task::spawn_local(async move {
        writer.write_all(&feed).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut output = Vec::new();
    channel.reader(Stream::Data).read_to_end(&mut output).await.unwrap();
    feeder.await.unwrap();
    let mut requests = channel.requests();
    let mut status = None;
    while let Some(request) = requests.next().await {
        if let ChannelRequest::ExitStatus(code) = request.request() {
            status = Some(*code);
        }
    }
    (output, status)
}

#[test]
fn our_client_runs_commands_with_every_kind_of_key() {
    for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::EcdsaNistp384, KeyAlgorithm::Rsa] {
        run(async {
            let dir = TempDir::new(&format!("sshd-{}", algorithm.name()));
            let (_sshd, connection) = log_in(&dir, algorithm, RekeyLimits::default(), "").await;
            assert_eq!(exec(&connection, "echo hello; exit 7", b"").await, (b"hello\n".to_vec(), Some(7)));
            let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
            let (got, status) = exec(&connection, "cat", &sent).await;
            assert!(got == sent && status == Some(0));
        });
    }
}

#[test]
fn our_client_replaces_keys_while_data_flows() {
    run(async {
        let dir = TempDir::new("sshd-rekey");
        let rekey = RekeyLimits { bytes: Some(2 << 20), ..Default::default() };
        let (_sshd, connection) = log_in(&dir, KeyAlgorithm::Ed25519, rekey, "RekeyLimit 3M").await;
        let sent = vec![9; 30_000_000];
        let (got, status) = exec(&connection, "cat", &sent).await;
        assert!(got == sent && status == Some(0));
    });
}

#[test]
fn a_refused_key_is_an_error_that_says_what_would_do() {
    run(async {
        let dir = TempDir::new("sshd-refused");
        let (_sshd, stream) = Sshd::start(&dir, &key(KeyAlgorithm::Ed25519), &key(KeyAlgorithm::Ed25519), "");
        let config = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
        let login = ClientLogin::connect(stream, Arc::new(config)).await.unwrap();
        let other = key(KeyAlgorithm::Ed25519);
        let offers = [Offer::Key(Identity::Key(other.public().clone()))];
        let refused = login.authenticate(&nix_user(), offers, &mut Keys(vec![other])).await.err().unwrap();
        assert!(
            matches!(&refused, Error::AuthenticationRefused { remaining } if remaining.contains("publickey"))
        );
    });
}
