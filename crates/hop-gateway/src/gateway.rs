//! The gateway as a whole: accepts, bounds what strangers cost, and carries each login through.

use crate::login;
use crate::relayed;
use crate::sessions::{End, Sessions};
use hop_env::Environments;
use hop_ssh::ServerConfig;
use hop_ssh::driver::prepare_tcp;
use hop_ssh::relay::RelayKeepalive;
use hop_store::{EndCause, GatewayId, Project, SshSessionId, Store, StoreError, Timestamp};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How much peers may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time from the first byte to a proven key.
    pub login_grace: Duration,
    /// Failed signatures of one connection.
    pub login_attempts: u32,
    /// Connections that have not proved a key; more wait in the listener's backlog.
    pub unauthenticated: usize,
    /// Time that a project's environment has to start.
    pub start_timeout: Duration,
    /// When silent legs are asked for a sign of life.
    pub keepalive: Option<RelayKeepalive>,
    /// How long open sessions go on when the store cannot be reached.
    pub revocation_grace: Duration,
    /// How long sessions may go on when the gateway stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_grace: Duration::from_secs(60),
            login_attempts: 6,
            unauthenticated: 200,
            start_timeout: Duration::from_secs(20),
            keepalive: Some(RelayKeepalive { every: Duration::from_secs(60), most: 3 }),
            revocation_grace: Duration::from_secs(60),
            drain: Duration::from_secs(5),
        }
    }
}

/// Where a project's files are and who it runs as.
pub type Place = Arc<dyn Fn(&Project) -> Option<hop_env::Project> + Send + Sync>;

/// The time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a gateway is told. The clock and chance are parameters.
#[derive(Clone)]
pub struct GatewayConfig {
    /// Host keys, algorithms, identification.
    pub ssh: Arc<ServerConfig>,
    /// The site's records.
    pub store: Store,
    /// Where projects run.
    pub environments: Environments,
    /// Where a project's files are and who it runs as; `None` when it has no place on this machine.
    pub place: Place,
    /// The time.
    pub clock: Clock,
    /// Ten random bytes, for ids.
    pub random: Arc<dyn Fn() -> [u8; 10] + Send + Sync>,
    /// This run of the gateway, in the records.
    pub gateway: GatewayId,
    /// How much peers may cost.
    pub limits: Limits,
}

impl GatewayConfig {
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// The SSH front door of a site.
#[derive(Clone)]
pub struct Gateway {
    config: Arc<GatewayConfig>,
    sessions: Sessions,
    door: Arc<Semaphore>,
}

impl Gateway {
    /// A gateway with this configuration.
    pub fn new(config: GatewayConfig) -> Self {
        let door = Arc::new(Semaphore::new(config.limits.unauthenticated));
        Self { config: Arc::new(config), sessions: Sessions::default(), door }
    }

    /// Accepts until `stop` is cancelled; then ends the sessions, with a reason, and waits for them.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) -> Result<(), StoreError> {
        let config = &self.config;
        let after = config.store.revocations().last_seq().await?;
        let follower = self.sessions.clone().follow(
            config.store.clone(),
            after,
            config.limits.revocation_grace,
            config.clock.clone(),
        );
        let tasks = TaskTracker::new();
        let accepting = async {
            loop {
                // A place first: who finds none waits in the backlog, not in our memory.
                let Ok(place) = self.door.clone().acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, client)) => {
                        let gateway = self.clone();
                        tasks.spawn(async move { gateway.connection(stream, client, place).await });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "accepting failed");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        };
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            () = accepting => Ok(()),
            followed = follower => followed,
        };
        let words = "the gateway is stopping".to_owned();
        self.sessions.end_all(&End { cause: EndCause::Stopped, words });
        tasks.close();
        // Those who do not end in time are cut with the runtime.
        let _in_time = tokio::time::timeout(config.limits.drain, tasks.wait()).await;
        ended
    }

    async fn connection(
        &self,
        stream: TcpStream,
        client: SocketAddr,
        place: tokio::sync::OwnedSemaphorePermit,
    ) {
        let config = &self.config;
        let Ok(server) = prepare_tcp(&stream).and_then(|()| stream.local_addr()) else { return };
        let proving = login::prove(stream, config);
        let mut proven = match tokio::time::timeout(config.limits.login_grace, proving).await {
            Ok(Ok(proven)) => proven,
            Ok(Err(error)) => return tracing::info!(%client, %error, "no login"),
            Err(_) => return tracing::info!(%client, "no login within the grace time"),
        };
        drop(place);
        let id = SshSessionId::new(config.now(), (config.random)());
        match login::start(&mut proven, config, id, (client, server)).await {
            Ok(far) => relayed::serve(proven, far, config, &self.sessions, id, client).await,
            Err(failure) => {
                tracing::warn!(%client, %failure, "a project cannot be entered");
                let description =
                    "the project could not be started; its owner finds the reason in the site's log"
                        .to_owned();
                let reason = hop_ssh::message::DisconnectReason::ByApplication;
                proven.login.refuse(hop_ssh::Error::Disconnecting { reason, description }).await;
            }
        }
    }
}
