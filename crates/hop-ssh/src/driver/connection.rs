//! Handles on a running connection.

use super::channel::Channel;
use super::pump::{Driver, Traffic};
use crate::connection::{Arrival, ChannelKind, Engine, GlobalRequest, Limits, OpenRefused, Ticket};
use crate::error::Error;
use crate::leg::Leg;
use crate::message::{DisconnectReason, OpenFailure};
use crate::transport::HOSTKEYS_PROVE;
use crate::wire::Put;
use hop_keys::PublicKey;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

/// The state that a driver and its handles share.
pub(crate) struct Shared {
    engine: Mutex<Engine>,
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Engine> {
        // The engine does not panic; if it did, its state would still be no less true than before.
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an operation; an error ends the connection, since the protocol's state is then unknown.
    pub(super) fn with<T>(&self, operation: impl FnOnce(&mut Engine) -> Result<T, Error>) -> Option<T> {
        let mut engine = self.lock();
        match operation(&mut engine) {
            Ok(value) => Some(value),
            Err(error) => {
                engine.end(error);
                None
            }
        }
    }
}

/// Starts the connection protocol on an authenticated leg.
pub(super) fn start<IO: AsyncRead + AsyncWrite + Unpin>(
    io: IO,
    leg: Leg,
    limits: Limits,
    now: Instant,
) -> (Connection, Arrivals, Driver<IO>) {
    let shared = Arc::new(Shared {
        engine: Mutex::new(Engine::new(leg, limits, now)),
        received: AtomicU64::new(0),
        sent: AtomicU64::new(0),
    });
    shared.with(Engine::announce_host_keys);
    let connection = Connection { shared: shared.clone() };
    (connection, Arrivals { shared: shared.clone() }, Driver::new(io, shared))
}

/// A connection. Cheap to clone; the connection does not end when handles are dropped.
#[derive(Clone)]
pub struct Connection {
    pub(super) shared: Arc<Shared>,
}

/// Why a channel could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The peer refused.
    #[error(transparent)]
    Refused(#[from] OpenRefused),
    /// The connection has ended.
    #[error("the connection has ended")]
    Ended,
    /// Too many channels are open on our side.
    #[error("too many channels are open on this connection")]
    TooMany,
}

impl Connection {
    /// Opens a channel.
    ///
    /// # Cancel safety
    /// Cancel safe: a channel that the peer then grants is closed at once.
    pub async fn open(&self, kind: ChannelKind) -> Result<Channel, OpenError> {
        let (caller, answer) = oneshot::channel();
        let opened = self.shared.with(|engine| engine.open(&kind, caller)).ok_or(OpenError::Ended)?;
        let local = match opened {
            Some(local) => local,
            None if self.ended().is_some() => return Err(OpenError::Ended),
            None => return Err(OpenError::TooMany),
        };
        answer.await.map_err(|_| OpenError::Ended)??;
        Ok(Channel::new(self.shared.clone(), local))
    }

    /// Whether pipes of its channels are lent to a relay, which moves their bytes.
    pub fn lends(&self) -> bool {
        self.shared.lock().is_lending()
    }

    /// Makes a global request that wants a reply: the data of a success, or `None` for a failure.
    pub async fn request(&self, request: &GlobalRequest) -> Option<Vec<u8>> {
        let mut data = Vec::new();
        request.write(&mut data);
        let (caller, answer) = oneshot::channel();
        self.shared.with(|engine| engine.request_global(request.name(), &data, Some(caller)))?;
        answer.await.ok()?.ok()
    }

    /// Makes a global request that wants no reply.
    pub fn notify(&self, request: &GlobalRequest) {
        let mut data = Vec::new();
        request.write(&mut data);
        self.shared.with(|engine| engine.request_global(request.name(), &data, None));
    }

    /// Asks the server to prove that it holds host keys that it announced ([`GlobalRequest::HostKeys`];
    /// OpenSSH PROTOCOL 2.5): those that it does hold, in the given order. Keys of kinds that we do not know
    /// are left out. `None` when the server does not prove them, or the connection has ended.
    pub async fn prove_host_keys(&self, announced: &[Vec<u8>]) -> Option<Vec<PublicKey>> {
        let known: Vec<Vec<u8>> =
            announced.iter().filter(|blob| PublicKey::from_blob(blob).is_ok()).cloned().collect();
        if known.is_empty() {
            return Some(Vec::new());
        }
        let mut data = Vec::new();
        known.iter().for_each(|blob| data.put_string(blob));
        let proofs = self.request(&GlobalRequest::Other { name: HOSTKEYS_PROVE.to_owned(), data }).await?;
        self.shared.lock().leg().transport()?.proven_host_keys(&known, &proofs)
    }

    /// Ends the connection: the peer is told why.
    pub fn disconnect(&self, reason: DisconnectReason, description: &str) {
        self.shared.lock().disconnect(reason, description);
    }

    /// Why the connection has ended, if it has.
    pub fn ended(&self) -> Option<Arc<Error>> {
        self.shared.lock().ended().cloned()
    }

    /// How many channels are open, in both directions.
    pub fn channel_count(&self) -> usize {
        self.shared.lock().channel_count()
    }

    /// The bytes moved so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            received: self.shared.received.load(Ordering::Relaxed),
            sent: self.shared.sent.load(Ordering::Relaxed),
        }
    }
}

/// What the peer wants, in the order it came. Nothing else may take it: there is one of these.
pub struct Arrivals {
    shared: Arc<Shared>,
}

/// Something that the peer wants.
pub enum Incoming {
    /// A channel.
    Open(IncomingOpen),
    /// Something of the connection.
    Request(IncomingGlobalRequest),
}

impl Arrivals {
    /// The next thing that the peer wants; `None` when the connection has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Incoming> {
        let arrival = std::future::poll_fn(|cx| match self.shared.lock().poll_arrival(cx.waker()) {
            Some(arrival) => Poll::Ready(arrival),
            None => Poll::Pending,
        })
        .await?;
        let shared = self.shared.clone();
        Some(match arrival {
            Arrival::Open { channel, kind } => {
                Incoming::Open(IncomingOpen { shared, channel, kind, decided: false })
            }
            Arrival::Global { request, reply } => {
                Incoming::Request(IncomingGlobalRequest { shared, request, reply })
            }
        })
    }
}

/// A channel that the peer asks for. Dropped undecided, it is refused.
pub struct IncomingOpen {
    shared: Arc<Shared>,
    channel: u32,
    kind: ChannelKind,
    decided: bool,
}

impl IncomingOpen {
    /// What kind of channel.
    pub fn kind(&self) -> &ChannelKind {
        &self.kind
    }

    /// Grants it.
    pub fn accept(mut self) -> Channel {
        self.decided = true;
        self.shared.with(|engine| engine.accept_open(self.channel));
        Channel::new(self.shared.clone(), self.channel)
    }

    /// Refuses it; the description is shown to the person by most clients.
    pub fn refuse(mut self, reason: OpenFailure, description: &str) {
        self.decided = true;
        self.shared.with(|engine| engine.refuse_open(self.channel, reason, description));
    }
}

impl Drop for IncomingOpen {
    fn drop(&mut self) {
        if !self.decided {
            let (channel, reason) = (self.channel, OpenFailure::AdministrativelyProhibited);
            self.shared.with(|engine| engine.refuse_open(channel, reason, "refused"));
        }
    }
}

/// A global request of the peer. Dropped undecided, it fails.
pub struct IncomingGlobalRequest {
    shared: Arc<Shared>,
    request: GlobalRequest,
    reply: Option<Ticket>,
}

impl IncomingGlobalRequest {
    /// What it asks for.
    pub fn request(&self) -> &GlobalRequest {
        &self.request
    }

    /// Grants it, with the data that the request's reply carries (an allocated port; else nothing).
    pub fn accept(mut self, data: &[u8]) {
        if let Some(ticket) = self.reply.take() {
            self.shared.with(|engine| engine.reply_global(ticket, Ok(data.to_vec())));
        }
    }

    /// Refuses it.
    pub fn refuse(self) {}
}

impl Drop for IncomingGlobalRequest {
    fn drop(&mut self) {
        if let Some(ticket) = self.reply.take() {
            self.shared.with(|engine| engine.reply_global(ticket, Err(())));
        }
    }
}
