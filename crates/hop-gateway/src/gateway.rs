//! The gateway as a whole: accepts, bounds what strangers cost, and carries each login through.

use crate::door::Entrance;
use crate::follow::follow;
use crate::judge::{Access, Judge, UserCa};
use crate::limits::Limits;
use crate::login::{self, Proven};
use crate::origin::Origin;
use crate::penalties::Penalties;
use crate::pipes::Pipes;
use crate::sessions::{End, Sessions};
use crate::stream::{ClientStream, VisitorStream};
use crate::unrecorded::Unrecorded;
use crate::{jump, project, proxied};
use hop_env::Environments;
use hop_keys::SourceAddresses;
use hop_ssh::ServerConfig;
use hop_ssh::driver::{QuickAck, prepare_tcp};
use hop_store::{EndCause, GatewayId, ProjectId, SshSessionId, Store, StoreError, Timestamp};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that says what this says.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Ten random bytes at a time, for ids.
pub type Random = Arc<dyn Fn() -> [u8; 10] + Send + Sync>;

/// What a gateway is told. The clock and chance are parameters.
#[derive(Clone)]
pub struct GatewayConfig {
    /// Host keys, algorithms, identification.
    pub ssh: Arc<ServerConfig>,
    /// The site's records.
    pub store: Store,
    /// Where projects run.
    pub environments: Environments,
    /// Whose user certificates count.
    pub user_ca: UserCa,
    /// The time.
    pub clock: Clock,
    /// For ids.
    pub random: Random,
    /// This run of the gateway, in the records.
    pub gateway: GatewayId,
    /// Whether this gateway takes the connections that are made inside projects. One of a site does.
    pub project_doors: bool,
    /// Earlier runs that are over for certain: what they left open is closed as lost when this one starts.
    pub earlier: EarlierRuns,
    /// Load balancers: from these networks a header of the PROXY protocol (1 or 2) is required and believed.
    pub proxies: Option<SourceAddresses>,
    /// How much peers may cost.
    pub limits: Limits,
}

/// Which runs of a gateway in the records are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlierRuns {
    /// All but this one: no other gateway uses the store.
    All,
    /// This one, if any; others may be at work.
    One(Option<GatewayId>),
}

/// What all connections of a gateway share.
pub(crate) struct Shared {
    pub(crate) config: GatewayConfig,
    pub(crate) judge: Judge,
    pub(crate) sessions: Sessions,
    pub(crate) unrecorded: Unrecorded,
    entrance: Entrance,
    penalties: Mutex<Penalties>,
    pub(crate) pipes: Pipes,
    /// Connections, whichever way they came.
    tasks: TaskTracker,
}

impl Shared {
    pub(crate) fn penalties(&self) -> MutexGuard<'_, Penalties> {
        self.penalties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn new_session(&self) -> SshSessionId {
        SshSessionId::new(self.config.clock.now(), (self.config.random)())
    }
}

/// The SSH front door of a site.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

impl Gateway {
    /// A gateway with this configuration.
    pub fn new(config: GatewayConfig) -> Self {
        let judge = Judge {
            store: config.store.clone(),
            user_ca: config.user_ca.clone(),
            clock: config.clock.clone(),
        };
        let shared = Shared {
            sessions: Sessions::new(judge.clone()),
            unrecorded: Unrecorded::default(),
            entrance: Entrance::new(config.limits.door),
            penalties: Mutex::new(Penalties::new(config.limits.penalties)),
            pipes: Pipes::default(),
            tasks: TaskTracker::new(),
            judge,
            config,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Accepts from all listeners until `stop` is cancelled; then ends the sessions, with a reason, and waits for them.
    ///
    /// # Errors
    /// The store, when it cannot be read at the start.
    pub async fn serve(
        &self,
        listeners: Vec<TcpListener>,
        stop: CancellationToken,
    ) -> Result<(), StoreError> {
        let Shared { config, sessions, unrecorded, .. } = &*self.shared;
        self.close_lost().await?;
        let after = config.store.revocations().last_seq().await?;
        let grace = config.limits.revocation_grace;
        let follower = follow(sessions.clone(), config.store.clone(), after, grace);
        let tasks = self.shared.tasks.clone();
        let closing = CancellationToken::new();
        for listener in listeners {
            let accepting = self.clone().accept(listener, tasks.clone());
            tasks.spawn(closing.clone().run_until_cancelled_owned(accepting));
        }
        if config.project_doors {
            let accepting = self.clone().accept_doors(tasks.clone());
            tasks.spawn(closing.clone().run_until_cancelled_owned(accepting));
        }
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            followed = follower => followed,
            never = unrecorded.keep_writing(&config.store) => match never {},
        };
        closing.cancel();
        let words = "the gateway is stopping".to_owned();
        sessions.close(End { cause: EndCause::Stopped, words });
        tasks.close();
        // Those who do not end in time are cut with the runtime.
        let _in_time = tokio::time::timeout(config.limits.drain, async {
            tasks.wait().await;
            unrecorded.write_all(&config.store).await
        })
        .await;
        ended
    }

    /// Closes what earlier runs left open.
    async fn close_lost(&self) -> Result<(), StoreError> {
        let config = &self.shared.config;
        let rows = config.store.ssh_sessions();
        let over = |gateway: &GatewayId| match config.earlier {
            EarlierRuns::All => *gateway != config.gateway,
            EarlierRuns::One(earlier) => earlier == Some(*gateway),
        };
        for gateway in rows.list_gateways().await?.into_iter().filter(over) {
            let count = rows.close_lost(gateway, config.clock.now()).await?;
            tracing::info!(%gateway, count, "sessions of an earlier run are lost");
        }
        Ok(())
    }

    async fn accept(self, listener: TcpListener, tasks: TaskTracker) {
        loop {
            match listener.accept().await {
                Ok((stream, client)) => {
                    let Ok(server) = prepare_tcp(&stream).and_then(|()| stream.local_addr()) else {
                        continue;
                    };
                    tasks.spawn(self.clone().arrival(stream, client, server));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Takes the connections that processes inside projects make, from a keeper that may come and go.
    async fn accept_doors(self, tasks: TaskTracker) {
        loop {
            let why = match self.shared.config.environments.doors().await {
                Ok(mut doors) => loop {
                    match doors.next().await {
                        Ok(Some((key, stream))) => match ProjectId::parse(key.as_str()) {
                            Some(project) => {
                                let origin = Origin::Project(project);
                                tasks.spawn(self.clone().connection(
                                    ClientStream::Door(stream),
                                    origin,
                                    None,
                                ));
                            }
                            None => tracing::warn!(%key, "a door of no project"),
                        },
                        Ok(None) => break "the keeper gave them to somebody else, or ended".to_owned(),
                        Err(error) => break error.to_string(),
                    }
                },
                Err(error) => error.to_string(),
            };
            tracing::warn!(%why, "connections from inside projects are not taken now");
            tokio::time::sleep(DOORS_AGAIN).await;
        }
    }

    /// Finds out whose a connection is, and serves it.
    async fn arrival(self, mut stream: TcpStream, client: SocketAddr, server: SocketAddr) {
        let proxies = self.shared.config.proxies.as_ref();
        match proxied::origin(&mut stream, proxies, (client, server)).await {
            Ok(origin) => self.connection(ClientStream::Tcp(QuickAck::new(stream)), origin, None).await,
            Err(error) => tracing::warn!(balancer = %client, %error, "turned away"),
        }
    }

    /// Takes a connection that came by another way than its own listeners, with the same checks, limits and records.
    /// Logins on it may give `only` as user name, nothing else. Needs a runtime.
    pub fn take<S>(&self, stream: S, client: SocketAddr, server: SocketAddr, only: String)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stream = ClientStream::Visitor(VisitorStream::new(stream));
        let origin = Origin::Network { client, server };
        self.shared.tasks.spawn(self.clone().connection(stream, origin, Some(only)));
    }

    async fn connection(self, stream: ClientStream, origin: Origin, only: Option<String>) {
        let shared = &self.shared;
        let source = origin.source();
        let is_penalised = shared.penalties().is_over(source, std::time::Instant::now());
        let place = match shared.entrance.enter(source, is_penalised).await {
            Ok(place) => place,
            Err(error) => return tracing::info!(%origin, %error, "turned away"),
        };
        let Proven { login, key, access } =
            match login::prove(stream, shared, &origin, only.as_deref(), place).await {
                Ok(proven) => proven,
                Err(error) => return tracing::info!(%origin, %error, "no login"),
            };
        match access {
            Access::Project(grant) => project::serve(shared, login, key, grant, origin).await,
            Access::Jump(grant) => jump::serve(&self.shared, login, key, grant, origin).await,
        }
    }
}

/// From losing the projects' doors to asking for them again.
const DOORS_AGAIN: Duration = Duration::from_secs(1);
