//! The life of a connection: signs of life, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use hop_e2e::foreign::Software;
use hop_e2e::sshd::Release;
use hop_e2e::{Foreign, Identity};
use hop_ssh::connection::{ChannelKind, GlobalRequest, Limits, OpenRefused};
use hop_ssh::driver::{ClientLogin, OpenError};
use hop_ssh::message::DisconnectReason;
use hop_ssh::{Error, RekeyLimits};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use super::client::{Client, Person, config_for, connect, log_in, private, run};
use super::servers::{against, both_releases};
use super::sshd::{Setup, Sshd};

against! {
    sshd_9_2 = Software::Sshd(Release::V9_2) => [stays_up_by_its_keepalives, gives_up_a_dead_server];
    sshd_10_0 = Software::Sshd(Release::V10_0) => [stays_up_by_its_keepalives, gives_up_a_dead_server];
    dropbear = Software::Dropbear => [stays_up_by_its_keepalives, gives_up_a_dead_server];
    tinysshd = Software::Tinysshd => [stays_up_by_its_keepalives, gives_up_a_dead_server];
}

/// Gives up after some 400 ms of silence.
fn impatient() -> Limits {
    Limits { keepalive: Some(Duration::from_millis(100)), keepalive_most: 3, ..Limits::default() }
}

/// A quiet command of ten times our patience: every answer of the server to a keepalive counts, also "unknown".
fn stays_up_by_its_keepalives(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let login = connect(server.address, config_for(&server)).await.unwrap();
        let mut person = Person::with(private(&server.user_key));
        let offers = person.offers();
        let (connection, arrivals, driver) =
            login.log_in(&server.user, offers, &mut person, impatient()).await.unwrap();
        let client = Client { connection, arrivals, driver: tokio::task::spawn_local(driver.run()) };
        assert_eq!(client.exec("sleep 4; echo still", b"").await.success(), "still\n");
    });
}

/// The network between us and the server swallows everything from some moment on.
fn gives_up_a_dead_server(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let (near, mut inner) = tokio::io::duplex(1 << 16);
        let mut outer = TcpStream::connect(server.address).await.unwrap();
        let (cut, when_cut) = tokio::sync::oneshot::channel::<()>();
        tokio::task::spawn_local(async move {
            tokio::select! {
                _ = copy_bidirectional(&mut inner, &mut outer) => panic!("one side left before the cut"),
                _ = when_cut => {}
            }
            // Both ends stay open, and nobody moves a byte.
            std::future::pending::<()>().await;
            drop((inner, outer));
        });
        let login = ClientLogin::connect(near, Arc::new(config_for(&server))).await.unwrap();
        let mut person = Person::with(private(&server.user_key));
        let offers = person.offers();
        let (connection, arrivals, driver) =
            login.log_in(&server.user, offers, &mut person, impatient()).await.unwrap();
        let client = Client { connection, arrivals, driver: tokio::task::spawn_local(driver.run()) };
        let session = client.start("sleep 60").await;
        cut.send(()).unwrap();
        let ended = client.driver.await.unwrap();
        assert!(matches!(&*ended, Error::TimedOut { .. }), "{ended}");
        // Whoever waits on the connection hears of it.
        assert!(session.requests().next().await.is_none());
        let refused = client.connection.open(ChannelKind::Session).await.err().unwrap();
        assert!(matches!(refused, OpenError::Ended));
    });
}

/// Logs in to an sshd with these lines in its configuration.
async fn log_in_to_configured(release: Release, lines: &str) -> (Sshd, Client) {
    let setup = Setup::new(release);
    let key = Identity::ed25519(&setup.scratch, "user_key");
    let server = setup.line(lines).allow(&key).start();
    let mut person = Person::with(private(&key));
    let offers = person.offers();
    let mut config = server.config();
    config.rekey = RekeyLimits::default();
    let client = log_in(server.address, config, &server.user, offers, &mut person).await.unwrap();
    (server, client)
}

both_releases![
    answers_the_servers_keepalives,
    takes_its_leave,
    a_session_too_many_is_refused,
    no_session_comes_after_no_more_sessions,
];

/// The server hears the reason, although it is saying something itself at that moment.
fn takes_its_leave(release: Release) {
    run(async {
        let (server, client) = log_in_to_configured(release, "").await;
        client.connection.disconnect(DisconnectReason::ByApplication, "that was all");
        let ended = client.driver.await.unwrap();
        assert!(matches!(&*ended, Error::Disconnecting { .. }), "{ended}");
        server.wait_for_log("that was all");
    });
}

/// sshd asks every second whether we are there and would leave after two silent ones.
fn answers_the_servers_keepalives(release: Release) {
    run(async {
        let (_server, client) =
            log_in_to_configured(release, "ClientAliveInterval 1\nClientAliveCountMax 2").await;
        assert_eq!(client.exec("sleep 5; echo still", b"").await.success(), "still\n");
    });
}

fn a_session_too_many_is_refused(release: Release) {
    run(async {
        let (_server, client) = log_in_to_configured(release, "MaxSessions 1").await;
        let first = client.start("read line").await;
        let refused = client.connection.open(ChannelKind::Session).await.err().unwrap();
        let OpenError::Refused(OpenRefused { description, .. }) = &refused else { panic!("{refused:?}") };
        assert_eq!(description, "open failed");
        // Once the first is over there is room again.
        first.close();
        assert!(first.requests().next().await.is_none());
        drop(first);
        assert_eq!(client.exec("echo room", b"").await.success(), "room\n");
    });
}

fn no_session_comes_after_no_more_sessions(release: Release) {
    run(async {
        let (_server, client) = log_in_to_configured(release, "").await;
        let first = client.start("cat").await;
        client.connection.notify(&GlobalRequest::NoMoreSessions);
        let refused = client.connection.open(ChannelKind::Session).await.err().unwrap();
        assert!(matches!(refused, OpenError::Ended), "{refused:?}");
        let ended = client.driver.await.unwrap();
        assert!(
            matches!(&*ended, Error::Disconnected { description, .. } if description.contains("Possible attack")),
            "{ended}"
        );
        drop(first);
    });
}
