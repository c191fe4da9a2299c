//! What the tasks of one connection share: the handle on it, what it may do, and what it has only once.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hop_model::Permissions;
use hop_ssh::connection::ChannelKind;
use hop_ssh::driver::{Channel, Connection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::{AgentError, AgentSocket};
use crate::bridge::bridge;
use crate::config::EndpointConfig;
use crate::environment::Addresses;
use crate::limits::Activity;
use crate::private_dir::{PrivateDir, PrivateDirError};

/// One connection after its login.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Arc<EndpointConfig>,
    pub(crate) connection: ConnectionHandle,
    pub(crate) permissions: Permissions,
    pub(crate) addresses: Option<Addresses>,
    /// Variables of the gateway's word.
    pub(crate) injected: Vec<(String, Vec<u8>)>,
    /// Whether the client says that it is OpenSSH: only those understand eow@openssh.com.
    pub(crate) openssh_client: bool,
    pub(crate) activity: Activity,
    /// Sessions and forwarded connections: a server that stops waits for them.
    pub(crate) channels: TaskTracker,
    /// Tasks that accept: they end with the connection.
    pub(crate) listeners: TaskTracker,
    /// Cancelled when the connection has ended.
    pub(crate) ended: CancellationToken,
    /// Cancelled when what was still to be written after that has had its time.
    pub(crate) cut: CancellationToken,
    /// One permit for each session.
    pub(crate) sessions: Arc<Semaphore>,
    /// One permit for each forwarded connection.
    pub(crate) forwarded: Arc<Semaphore>,
    once: Mutex<Once>,
}

/// Things of which a connection has at most one, made when first asked for.
#[derive(Debug, Default)]
struct Once {
    directory: Option<Arc<PrivateDir>>,
    agent: Option<PathBuf>,
}

/// The engine's handle has no Debug.
#[derive(Clone)]
pub(crate) struct ConnectionHandle(pub(crate) Connection);

impl std::fmt::Debug for ConnectionHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Connection")
    }
}

/// The agent cannot be forwarded.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) enum AgentUnavailable {
    Directory(#[from] PrivateDirError),
    Socket(#[from] AgentError),
}

impl Context {
    pub(crate) fn new(
        config: Arc<EndpointConfig>,
        connection: Connection,
        permissions: Permissions,
        addresses: Option<Addresses>,
        injected: Vec<(String, Vec<u8>)>,
        openssh_client: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            sessions: Arc::new(Semaphore::new(config.limits.sessions)),
            forwarded: Arc::new(Semaphore::new(config.limits.forwarded)),
            activity: Activity::start().counted_by(&config.activity),
            config,
            connection: ConnectionHandle(connection),
            permissions,
            addresses,
            injected,
            openssh_client,
            channels: TaskTracker::new(),
            listeners: TaskTracker::new(),
            ended: CancellationToken::new(),
            cut: CancellationToken::new(),
            once: Mutex::new(Once::default()),
        })
    }

    /// Waits until no channel data have gone by for this long, here or through what is lent to the gateway (which gives
    /// back what is idle).
    pub(crate) async fn idle_for(&self, limit: Option<Duration>) {
        self.activity.idle_for(limit).await;
        while self.connection.0.lends() {
            self.activity.touch();
            self.activity.idle_for(limit).await;
        }
    }

    /// The connection's private directory.
    pub(crate) fn directory(&self) -> Result<Arc<PrivateDir>, PrivateDirError> {
        let mut once = self.once.lock().unwrap_or_else(PoisonError::into_inner);
        Self::directory_of(&mut once, &self.config.temporary)
    }

    fn directory_of(once: &mut Once, parent: &Path) -> Result<Arc<PrivateDir>, PrivateDirError> {
        if let Some(directory) = &once.directory {
            return Ok(Arc::clone(directory));
        }
        let directory = Arc::new(PrivateDir::create(parent)?);
        once.directory = Some(Arc::clone(&directory));
        Ok(directory)
    }

    /// The connection's agent socket: made for the first session that asks, shared by all.
    pub(crate) fn agent(self: &Arc<Self>) -> Result<PathBuf, AgentUnavailable> {
        let mut once = self.once.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &once.agent {
            return Ok(path.clone());
        }
        let directory = Self::directory_of(&mut once, &self.config.temporary)?;
        let socket = AgentSocket::listen(&directory)?;
        let path = socket.path().to_owned();
        once.agent = Some(path.clone());
        let context = Arc::clone(self);
        self.listeners.spawn(self.ended.clone().run_until_cancelled_owned(async move {
            while let Ok(stream) = socket.accept().await {
                context.offer(stream, ChannelKind::AuthAgent).await;
            }
        }));
        Ok(path)
    }

    /// Opens a channel to the client for a connection that a listener of ours took, and bridges the two in a
    /// task of its own. Waits while too many are open, so that the rest waits in the listener's backlog.
    pub(crate) async fn offer<S>(self: &Arc<Self>, stream: S, kind: ChannelKind)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(permit) = Arc::clone(&self.forwarded).acquire_owned().await else { return };
        let context = Arc::clone(self);
        self.channels.spawn(async move {
            context.carry(stream, kind).await;
            drop(permit);
        });
    }

    /// Opens the channel and bridges it to the end. Counts in no limit.
    pub(crate) async fn carry<S>(&self, stream: S, kind: ChannelKind)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.connection.0.open(kind).await {
            Ok(channel) => self.join(&channel, stream).await,
            Err(error) => tracing::debug!(%error, "the client takes no such channel"),
        }
    }

    /// Bridges a channel and a socket, to the end or until the connection is cut.
    pub(crate) async fn join<S>(&self, channel: &Channel, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.cut.run_until_cancelled(bridge(channel, stream, &self.activity)).await.unwrap_or_default();
    }
}
