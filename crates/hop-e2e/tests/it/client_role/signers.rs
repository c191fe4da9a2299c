//! Keys that an ssh-agent holds: whatever kind, restricted to destinations, and lent to the far side.

use hop_e2e::sshd::Release;
use hop_e2e::{Identity, Scratch};
use hop_keys::SignatureAlgorithm;
use hop_keys::agent::AgentResponse;
use hop_ssh::Error;
use hop_ssh::auth::Offer;
use hop_ssh::connection::{ChannelKind, ChannelRequest, Limits, Stream};
use hop_ssh::driver::{Arrivals, Incoming};
use tokio::io::copy;
use tokio::net::UnixStream;

use super::agent::Agent;
use super::client::{Client, Person, connect, finish, log_in, run};
use super::servers::both_releases;
use super::sshd::{Setup, Sshd};

both_releases![
    logs_in_with_what_the_agent_holds,
    uses_a_restricted_key_on_a_bound_connection_only,
    lends_the_agent_to_the_far_side,
];

/// What an agent signs, and how: the touch of a security key is simulated.
fn logs_in_with_what_the_agent_holds(release: Release) {
    let kinds: [(&str, &[&str], SignatureAlgorithm); 5] = [
        ("ed25519", &[], SignatureAlgorithm::Ed25519),
        ("ecdsa", &["-b", "384"], SignatureAlgorithm::EcdsaNistp384),
        ("rsa", &["-b", "2048"], SignatureAlgorithm::RsaSha512),
        ("ed25519-sk", &[], SignatureAlgorithm::SkEd25519),
        ("ecdsa-sk", &[], SignatureAlgorithm::SkEcdsaNistp256),
    ];
    let keys = Scratch::new();
    let setup = Setup::new(release);
    let mut made = Vec::new();
    let mut allowing = setup;
    for (n, (kind, options, signature)) in kinds.iter().enumerate() {
        let key = Identity::generate(&keys, &format!("key{n}"), kind, options);
        allowing = allowing.allow(&key);
        made.push((key, *signature));
    }
    let server = allowing.start();
    run(async {
        for (key, signature) in made {
            let agent = Agent::start();
            agent.add(&key, &[]);
            let mut signer = agent.client().await;
            let offers = signer.offers().await;
            assert_eq!(offers.len(), 1);
            let mut person = Person { agent: Some(signer), ..Person::default() };
            let client = log_in(server.address, server.config(), &server.user, offers, &mut person).await;
            let client = client.unwrap_or_else(|e| panic!("{}: {e}", key.public));
            assert_eq!(client.exec("echo in", b"").await.success(), "in\n");
            assert_eq!(person.signed, [signature]);
        }
    });
}

/// Logs in with all that the agent shows; bound to the server first, if so wished.
async fn log_in_by(server: &Sshd, agent: &Agent, bind: bool) -> Result<Client, Error> {
    let login = connect(server.address, server.config()).await?;
    let mut signer = agent.client().await;
    if bind {
        assert_eq!(signer.bind(login.transport(), false).await, AgentResponse::Success);
    }
    let offers: Vec<Offer> = signer.offers().await;
    let mut person = Person { agent: Some(signer), ..Person::default() };
    let (connection, arrivals, driver) =
        login.log_in(&server.user, offers, &mut person, Limits::default()).await?;
    Ok(Client { connection, arrivals, driver: tokio::task::spawn_local(driver.run()) })
}

fn uses_a_restricted_key_on_a_bound_connection_only(release: Release) {
    let keys = Scratch::new();
    let key = Identity::ed25519(&keys, "key");
    let (first, second) = (Setup::new(release).allow(&key).start(), Setup::new(release).allow(&key).start());
    let agent = Agent::start();
    let host = |name: &str, server: &Sshd| format!("{name} {}\n", server.host_key.public_without_comment());
    let known = keys.write("known_hosts", host("first", &first) + &host("second", &second));
    agent.add(&key, &["-H", &known.to_string_lossy(), "-h", "first"]);
    run(async {
        let client = log_in_by(&first, &agent, true).await.unwrap();
        assert_eq!(client.exec("echo in", b"").await.success(), "in\n");
        for (server, bind) in [(&first, false), (&second, true), (&second, false)] {
            let refused = log_in_by(server, &agent, bind).await.err().unwrap();
            assert!(matches!(refused, Error::AuthenticationRefused { .. }), "{refused}");
        }
    });
}

/// Joins every agent channel that the server opens to the real agent.
async fn lend(mut arrivals: Arrivals, socket: std::path::PathBuf) {
    while let Some(incoming) = arrivals.next().await {
        let Incoming::Open(open) = incoming else { continue };
        assert_eq!(*open.kind(), ChannelKind::AuthAgent);
        let channel = open.accept();
        let mut agent = UnixStream::connect(&socket).await.unwrap();
        tokio::task::spawn_local(async move {
            let (mut from_agent, mut to_agent) = agent.split();
            let (mut reader, mut writer) = (channel.reader(Stream::Data), channel.writer(Stream::Data));
            // Whichever side hangs up first.
            tokio::select! {
                _ = copy(&mut reader, &mut to_agent) => {}
                _ = copy(&mut from_agent, &mut writer) => {}
            }
        });
    }
}

fn lends_the_agent_to_the_far_side(release: Release) {
    let keys = Scratch::new();
    let key = Identity::ed25519(&keys, "key");
    let server = Setup::new(release).allow(&key).start();
    let agent = Agent::start();
    agent.add(&key, &[]);
    run(async {
        let Client { connection, arrivals, .. } = log_in_by(&server, &agent, false).await.unwrap();
        tokio::task::spawn_local(lend(arrivals, agent.socket()));
        let channel = connection.open(ChannelKind::Session).await.unwrap();
        assert!(channel.request(&ChannelRequest::AuthAgent).await);
        assert!(channel.request(&ChannelRequest::Exec(b"ssh-add -L".to_vec())).await);
        channel.send_eof();
        assert_eq!(finish(&channel).await.success(), format!("{}\n", key.public));
    });
}
