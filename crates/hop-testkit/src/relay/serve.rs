//! Accepts clients, logs them in, and relays.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use hop_endpoint::access::{Access, Applicant};
use hop_endpoint::clock::Clock;
use hop_ssh::auth::{Question, VerifiedKey};
use hop_ssh::driver::{RelayDriver, ServerLogin, prepare_tcp};
use hop_ssh::relay::Relay;
use hop_ssh::{Leg, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::RelayError;
use super::config::{RelayConfig, RelayEvent};
use super::handover;
use super::metered::Metered;
use super::policy::RefuseByName;
use super::second_leg::{self, Near, SecondLeg};

/// Failed signatures before a client is cut off.
const ATTEMPTS: u32 = 6;

/// What all connections share.
struct Setup<R> {
    config: RelayConfig,
    server: Arc<ServerConfig>,
    access: Access,
    clock: Clock,
    report: R,
}

/// Serves for ever on an address that the system chooses, and reports what happens.
pub async fn serve<R>(config: RelayConfig, report: R) -> Result<(), RelayError>
where
    R: Fn(RelayEvent) + Send + Sync + 'static,
{
    let _endpoint = second_leg::start_endpoint(&config.target)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    report(RelayEvent::Listening { address: listener.local_addr()? });
    let access = Access {
        users: config.users.clone(),
        authorized_keys: config.authorized_keys.clone(),
        trusted_user_cas: config.trusted_user_cas.clone(),
        revoked_keys: None,
    };
    let server = Arc::new(config.server()?);
    let setup = Arc::new(Setup { config, server, access, clock: Clock::system(), report });
    loop {
        let (stream, from) = listener.accept().await?;
        let setup = Arc::clone(&setup);
        tokio::spawn(async move {
            let how = match serve_one(stream, from, &setup).await {
                Ok(how) => how,
                Err(error) => error.to_string(),
            };
            (setup.report)(RelayEvent::Ended { how });
        });
    }
}

/// Serves one connection to its end; how it ended.
async fn serve_one<R: Fn(RelayEvent)>(
    stream: TcpStream,
    from: SocketAddr,
    setup: &Setup<R>,
) -> Result<String, RelayError> {
    prepare_tcp(&stream)?;
    let server = stream.local_addr()?;
    let mut login =
        ServerLogin::accept(stream, Arc::clone(&setup.server), ATTEMPTS).await.map_err(RelayError::Login)?;
    let key = admissible(&mut login, from, setup).await.map_err(RelayError::Login)?;
    let identification = login.peer_identification().to_owned();
    let near = Near {
        user: key.user(),
        identification: &identification,
        fingerprint: key.identity().key().fingerprint().to_string(),
        address: from,
        server,
    };
    let second = match second_leg::open(&setup.config, &near).await {
        Ok(second) => second,
        Err(RelayError::Target(error)) => {
            let told = hop_ssh::Error::Disconnecting {
                reason: hop_ssh::message::DisconnectReason::ByApplication,
                description: format!("the target cannot be reached: {error}"),
            };
            return Err(RelayError::Target(login.refuse(told).await));
        }
        Err(error) => return Err(error),
    };
    let (stream, transport, _) = login.admit(key).await.map_err(RelayError::Login)?.into_parts();
    (setup.report)(RelayEvent::Relaying { software: identification.clone() });
    match second {
        SecondLeg::Ssh(far, leg) => {
            let relay = relay(setup, transport, *leg)?;
            let Some(bytes) = setup.config.hand_over_after else {
                return Ok(to_the_end(RelayDriver::new(relay, stream, far)).await);
            };
            let (stream, reached) = Metered::new(stream, bytes);
            let mut driver = RelayDriver::new(relay, stream, far);
            let pause = async {
                // It is never dropped before it has told.
                let _ = reached.await;
            };
            if let Some((side, error)) = driver.run_until(pause).await {
                return Ok(ending(Some(side), &error));
            }
            let (relay, stream, far) = driver.into_parts();
            let process =
                handover::hand_over(&setup.config, &identification, relay, stream.into_inner(), far).await?;
            (setup.report)(RelayEvent::HandedOver { process });
            // Nothing of the connection is left in this process; to prove it, nor is the process.
            std::process::exit(0);
        }
        SecondLeg::Bare(far, leg) => {
            let relay = relay(setup, transport, leg)?;
            Ok(to_the_end(RelayDriver::new(relay, stream, far)).await)
        }
    }
}

/// The first key that may log in and was proved.
async fn admissible<R>(
    login: &mut ServerLogin<TcpStream>,
    from: SocketAddr,
    setup: &Setup<R>,
) -> Result<VerifiedKey, hop_ssh::Error> {
    loop {
        let question = login.next_question().await?;
        let (user, identity) = match &question {
            Question::Probe(query) => (query.user.as_str(), &query.identity),
            Question::Login(key) => (key.user(), key.identity()),
        };
        let moment = setup.clock.read();
        let applicant = Applicant {
            user,
            identity,
            address: Some(from.ip()),
            now: moment.now,
            utc_offset: moment.utc_offset,
        };
        let admission = setup.access.judge(&applicant);
        match (question, admission) {
            (Question::Login(key), Ok(admission)) if admission.token.check(key.signature()).is_ok() => {
                return Ok(key);
            }
            (Question::Probe(_), Ok(_)) => login.encourage().await?,
            _ => login.reject().await?,
        }
    }
}

fn relay<R>(setup: &Setup<R>, client: impl Into<Leg>, server: impl Into<Leg>) -> Result<Relay, RelayError> {
    let policy = Box::new(RefuseByName(setup.config.refuse.clone()));
    Ok(Relay::new(client, server, policy, setup.config.keepalive(), Instant::now())?)
}

/// Runs a relay until one side leaves; how it ended.
pub(super) async fn to_the_end<C, S>(mut driver: RelayDriver<C, S>) -> String
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (side, error) = driver.run(std::future::pending()).await;
    ending(side, &error)
}

fn ending(side: Option<hop_ssh::relay::Side>, error: &hop_ssh::Error) -> String {
    match side {
        Some(side) => format!("{side:?}: {error}"),
        None => error.to_string(),
    }
}
