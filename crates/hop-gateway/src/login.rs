//! From a TCP connection to an admitted client with the environment's leg already there.

use crate::gateway::GatewayConfig;
use crate::grant::{Grant, authorize};
use hop_env::EnterError;
use hop_keys::Identity;
use hop_model::{Permissions, Word};
use hop_ssh::auth::{Question, VerifiedKey};
use hop_ssh::driver::{ServerLogin, give_word};
use hop_ssh::message::DisconnectReason;
use hop_ssh::{BareTransport, Error};
use hop_store::{SshSessionId, StoreError};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};

/// How often a client that waits for its environment hears that it is still being started.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client whose key was proved and who may enter, not admitted yet.
pub(crate) struct Proven {
    pub(crate) login: ServerLogin<TcpStream>,
    pub(crate) key: VerifiedKey,
    pub(crate) grant: Grant,
}

/// Why a login did not come about; for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error(transparent)]
    Protocol(#[from] Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Exchanges keys and answers questions about keys until one is proved that opens the project.
pub(crate) async fn prove(stream: TcpStream, config: &GatewayConfig) -> Result<Proven, LoginError> {
    let attempts = config.limits.login_attempts;
    let mut login = ServerLogin::accept(stream, config.ssh.clone(), attempts).await?;
    loop {
        match login.next_question().await? {
            Question::Probe(query) => match judge(config, &query.user, &query.identity).await {
                Ok(Some(_)) => login.encourage().await?,
                Ok(None) => login.reject().await?,
                Err(error) => return Err(unreachable_store(login, error).await),
            },
            Question::Login(key) => match judge(config, key.user(), key.identity()).await {
                Ok(Some(grant)) => return Ok(Proven { login, key, grant }),
                Ok(None) => login.reject().await?,
                Err(error) => return Err(unreachable_store(login, error).await),
            },
        }
    }
}

/// The same steps and the same answer for unknown projects, unknown keys and strangers.
async fn judge(
    config: &GatewayConfig,
    project: &str,
    identity: &Identity,
) -> Result<Option<Grant>, StoreError> {
    let fingerprint = identity.key().fingerprint();
    let now = config.now();
    let facts = config.store.access().by_key(project, fingerprint, now).await?;
    match authorize(&facts, fingerprint, now) {
        // Certificates of the site's CA will name an account; a stored key inside somebody else's does not count.
        Ok(_) if identity.as_certificate().is_some() => Ok(None),
        Ok(grant) => Ok(Some(grant)),
        Err(denied) => {
            tracing::debug!(project = %project.escape_debug(), %fingerprint, %denied, "not let in");
            Ok(None)
        }
    }
}

async fn unreachable_store(login: ServerLogin<TcpStream>, error: StoreError) -> LoginError {
    let told = Error::Disconnecting {
        reason: DisconnectReason::ByApplication,
        description: "the site's records cannot be reached now; try again in a minute".to_owned(),
    };
    login.refuse(told).await;
    error.into()
}

/// The environment's leg, with our word taken.
pub(crate) struct FarLeg {
    pub(crate) stream: UnixStream,
    pub(crate) transport: BareTransport,
}

/// Why an environment is not entered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartFailure {
    #[error("this project has no place on this machine")]
    NoPlace,
    #[error(transparent)]
    Enter(#[from] EnterError),
    #[error("the environment did not take the login: {0}")]
    Word(Error),
    #[error("the environment did not answer within {} s", .0.as_secs())]
    TooSlow(Duration),
}

/// Starts the project's environment if need be and hands the client over to it by our word. The client hears by
/// banners why it waits.
pub(crate) async fn start(
    proven: &mut Proven,
    config: &GatewayConfig,
    session: SshSessionId,
    (client, server): (SocketAddr, SocketAddr),
) -> Result<FarLeg, StartFailure> {
    let grant = &proven.grant;
    let project = (config.place)(grant.project()).ok_or(StartFailure::NoPlace)?;
    let mut word = Word::new(&session.to_string(), &project.id, client, server, Permissions::all());
    word.account = grant.account().to_string();
    word.account_name = grant.account_name().to_owned();
    word.key_fingerprint = grant.fingerprint().to_string();
    word.key_title = grant.title().to_owned();
    word.client_identification = proven.login.peer_identification().to_owned();
    word.not_after = grant.expires().map(|end| end.as_seconds());
    let running = config.environments.is_running(&project.id).await;
    let entering = async {
        let stream = config.environments.enter(&project).await?;
        let (stream, transport) = give_word(stream, &word).await.map_err(StartFailure::Word)?;
        Ok(FarLeg { stream, transport })
    };
    let limit = config.limits.start_timeout;
    let entering =
        async { tokio::time::timeout(limit, entering).await.unwrap_or(Err(StartFailure::TooSlow(limit))) };
    let mut entering = std::pin::pin!(entering);
    let title = grant.project().title.as_str().escape_debug().to_string();
    if !running {
        // A client that is gone is noticed when it is admitted.
        let _ = proven.login.banner(&format!("Starting {title} ...\r\n")).await;
    }
    loop {
        tokio::select! {
            entered = &mut entering => return entered,
            () = tokio::time::sleep(PATIENCE) => {
                let _ = proven.login.banner(&format!("Still starting {title} ...\r\n")).await;
            }
        }
    }
}
