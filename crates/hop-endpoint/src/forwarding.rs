//! Forwardings of one connection: what the client wants reached (`-L`, `-D`, `-W`) and where it wants us to listen
//! (`-R`). Permissions are asked with host and port as the client wrote them, as sshd does.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hop_ssh::connection::{ChannelKind, GlobalRequest, TcpEnds};
use hop_ssh::driver::{IncomingGlobalRequest, IncomingOpen};
use hop_ssh::message::OpenFailure;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::dial::{dial_tcp, dial_unix};
use crate::forward::{TcpForward, UnixForward};

/// Answers a direct-tcpip open and carries the connection to its end.
pub(crate) async fn direct_tcpip(context: Arc<Context>, open: IncomingOpen, ends: TcpEnds) {
    let permitted = |port: &u16| context.permissions.may_open(&ends.host, *port);
    let Some(port) = u16::try_from(ends.port).ok().filter(permitted) else {
        return prohibit(open, "this login may not open connections to that host and port");
    };
    let Some(permit) = permit(&context) else { return exhausted(open) };
    let dial = dial_tcp(&ends.host, port, context.config.limits.dial);
    match context.ended.run_until_cancelled(dial).await {
        Some(Ok(stream)) => carry(&context, open, stream, permit).await,
        Some(Err(error)) => fail(open, &error),
        None => {}
    }
}

/// Answers a direct-streamlocal open and carries the connection to its end.
pub(crate) async fn direct_streamlocal(context: Arc<Context>, open: IncomingOpen, path: Vec<u8>) {
    if !context.permissions.may_stream_local() {
        return prohibit(open, "this login may not open connections to sockets");
    }
    let Some(permit) = permit(&context) else { return exhausted(open) };
    let dial = dial_unix(Path::new(OsStr::from_bytes(&path)), context.config.limits.dial);
    match context.ended.run_until_cancelled(dial).await {
        Some(Ok(stream)) => carry(&context, open, stream, permit).await,
        Some(Err(error)) => fail(open, &error),
        None => {}
    }
}

async fn carry<S>(context: &Context, open: IncomingOpen, stream: S, permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let channel = open.accept();
    context.join(&channel, stream).await;
    drop(permit);
}

fn permit(context: &Context) -> Option<OwnedSemaphorePermit> {
    Arc::clone(&context.forwarded).try_acquire_owned().ok()
}

fn prohibit(open: IncomingOpen, reason: &str) {
    tracing::info!(kind = open.kind().name(), reason, "forwarding refused");
    open.refuse(OpenFailure::AdministrativelyProhibited, reason);
}

fn exhausted(open: IncomingOpen) {
    open.refuse(OpenFailure::ResourceShortage, "too many forwarded connections are open");
}

fn fail(open: IncomingOpen, error: &dyn Display) {
    open.refuse(OpenFailure::ConnectFailed, &error.to_string());
}

/// The `-R` listeners of one connection.
#[derive(Debug)]
pub(crate) struct Listeners {
    context: Arc<Context>,
    tcp: HashMap<(String, u16), Listening>,
    unix: HashMap<PathBuf, Listening>,
}

/// A task that accepts, and its off switch.
#[derive(Debug)]
struct Listening {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Why there is no such listener; for the log.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("this login may not listen there")]
    Prohibited,
    #[error("this connection has as many listeners as it may")]
    TooMany,
    #[error("it listens there already")]
    Twice,
    #[error("there is no such listener")]
    Unknown,
    #[error(transparent)]
    Failed(#[from] crate::forward::ListenError),
}

impl Listeners {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context, tcp: HashMap::new(), unix: HashMap::new() }
    }

    /// Answers a forwarding request; anything else fails, as RFC 4254 section 4 wants it.
    pub(crate) async fn answer(&mut self, incoming: IncomingGlobalRequest) {
        let done = match incoming.request() {
            GlobalRequest::TcpipForward { address, port } => self.listen_tcp(address, *port).await,
            GlobalRequest::CancelTcpipForward { address, port } => self.cancel_tcp(address, *port).await,
            GlobalRequest::StreamlocalForward { path } => self.listen_unix(path),
            GlobalRequest::CancelStreamlocalForward { path } => self.cancel_unix(path).await,
            GlobalRequest::NoMoreSessions | GlobalRequest::HostKeys(_) | GlobalRequest::Other { .. } => {
                return incoming.refuse();
            }
        };
        match done {
            Ok(reply) => incoming.accept(&reply),
            Err(refused) => {
                tracing::info!(request = incoming.request().name(), %refused, "forwarding refused");
                incoming.refuse();
            }
        }
    }

    async fn listen_tcp(&mut self, address: &str, port: u32) -> Result<Vec<u8>, Refused> {
        let permitted = |port: &u16| self.context.permissions.may_listen(address, *port);
        let port = u16::try_from(port).ok().filter(permitted).ok_or(Refused::Prohibited)?;
        self.check_room()?;
        if self.tcp.contains_key(&(address.to_owned(), port)) {
            return Err(Refused::Twice);
        }
        let forward = TcpForward::listen(address, port, self.context.config.gateway_ports).await?;
        let bound = forward.port();
        // The client finds its forwarding by the very address that it asked for (RFC 4254 section 7.2).
        let asked = address.to_owned();
        let context = Arc::clone(&self.context);
        let listening = self.spawn(async move {
            while let Ok((stream, from)) = forward.accept().await {
                let kind = ChannelKind::ForwardedTcpip(TcpEnds {
                    host: asked.clone(),
                    port: u32::from(bound),
                    originator: from.ip().to_string(),
                    originator_port: u32::from(from.port()),
                });
                context.offer(stream, kind).await;
            }
        });
        self.tcp.insert((address.to_owned(), bound), listening);
        // The port is told only to who let us choose it (RFC 4254 section 7.1).
        Ok(if port == 0 { u32::from(bound).to_be_bytes().to_vec() } else { Vec::new() })
    }

    fn listen_unix(&mut self, path: &[u8]) -> Result<Vec<u8>, Refused> {
        if !self.context.permissions.may_listen_stream_local() {
            return Err(Refused::Prohibited);
        }
        self.check_room()?;
        let asked = path.to_vec();
        let path = PathBuf::from(OsStr::from_bytes(path));
        if self.unix.contains_key(&path) {
            return Err(Refused::Twice);
        }
        let forward = UnixForward::listen(&path)?;
        let context = Arc::clone(&self.context);
        let listening = self.spawn(async move {
            while let Ok(stream) = forward.accept().await {
                context.offer(stream, ChannelKind::ForwardedStreamlocal { path: asked.clone() }).await;
            }
        });
        self.unix.insert(path, listening);
        Ok(Vec::new())
    }

    async fn cancel_tcp(&mut self, address: &str, port: u32) -> Result<Vec<u8>, Refused> {
        let port = u16::try_from(port).map_err(|_| Refused::Unknown)?;
        let listening = self.tcp.remove(&(address.to_owned(), port)).ok_or(Refused::Unknown)?;
        listening.close().await;
        Ok(Vec::new())
    }

    async fn cancel_unix(&mut self, path: &[u8]) -> Result<Vec<u8>, Refused> {
        let listening = self.unix.remove(Path::new(OsStr::from_bytes(path))).ok_or(Refused::Unknown)?;
        listening.close().await;
        Ok(Vec::new())
    }

    fn check_room(&self) -> Result<(), Refused> {
        let room = self.tcp.len() + self.unix.len() < self.context.config.limits.listeners;
        if room { Ok(()) } else { Err(Refused::TooMany) }
    }

    fn spawn(&self, accept: impl Future<Output = ()> + Send + 'static) -> Listening {
        let stop = self.context.ended.child_token();
        let until_stopped = stop.clone().run_until_cancelled_owned(accept);
        let task = self.context.listeners.spawn(async move { until_stopped.await.unwrap_or_default() });
        Listening { stop, task }
    }
}

impl Listening {
    /// Returns when the port or path is free again: the client may ask for it at once.
    async fn close(self) {
        self.stop.cancel();
        // A task that panicked holds nothing any more either.
        let _joined = self.task.await;
    }
}
