//! One connection from its first byte to its last.
//!
//! What must stay true: one task decides what the client may have, and everything else of the connection is a
//! task that ends with it: sessions hang up their processes, listeners close, sockets and cookies go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hop_model::Permissions;
use hop_ssh::connection::{ChannelKind, GlobalRequest, Limits as EngineLimits};
use hop_ssh::driver::{Arrivals, Connection, Driver, Incoming as Arrival, IncomingOpen};
use hop_ssh::message::{DisconnectReason, OpenFailure};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::access::Admission;
use crate::clock::Clock;
use crate::config::EndpointConfig;
use crate::context::Context;
use crate::environment::Addresses;
use crate::forwarding::{Listeners, direct_streamlocal, direct_tcpip};
use crate::gateway;
use crate::limits::LoginDoor;
use crate::listener::{ByteStream, Incoming};
use crate::login::{LoggedIn, log_in};
use crate::opening::arrive;
use crate::session;

/// How often a far expiry date is looked at again: the wall clock may be set meanwhile.
const EXPIRY_CHECK: Duration = Duration::from_secs(60);
/// How long forwarded connections may take to be rid of what was received for them before the end.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// Serves one connection to its end. `stop` asks it to drain: what runs may go on for the configured time, nothing
/// new begins, then it is cut.
pub(crate) async fn serve(
    incoming: Incoming,
    config: Arc<EndpointConfig>,
    door: LoginDoor,
    stop: CancellationToken,
) {
    match incoming {
        Incoming::Site(stream) => {
            let received = gateway::receive(stream, &config);
            if let Some(Some(brought)) = stop.run_until_cancelled(received).await {
                let (entered, ended) = brought.into_parts();
                let connection = entered.connection.clone();
                let farewell = async {
                    connection.disconnect(DisconnectReason::ByApplication, &ended.await);
                    std::future::pending().await
                };
                tokio::select! {
                    () = serve_guest(entered, config, stop) => {}
                    () = farewell => {}
                }
            }
        }
        direct @ (Incoming::Tcp { .. }
        | Incoming::Unix(_)
        | Incoming::HandOver(_)
        | Incoming::Stdio
        | Incoming::WebSocket { .. }) => {
            let logged_in = knock(direct, &config, door);
            if let Some(Some(entered)) = stop.run_until_cancelled(logged_in).await {
                serve_guest(entered, config, stop).await;
            }
        }
    }
}

/// Somebody who is in, by a login of their own or by the gateway's word, and the connection they came on.
pub(crate) struct Entered<IO> {
    pub(crate) guest: Guest,
    pub(crate) connection: Connection,
    pub(crate) arrivals: Arrivals,
    pub(crate) driver: Driver<IO>,
}

/// Who came, and what they may do.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) user: String,
    pub(crate) addresses: Option<Addresses>,
    pub(crate) permissions: Permissions,
    /// Variables that the gateway puts in sessions.
    pub(crate) injected: Vec<(String, Vec<u8>)>,
    /// The identification line of the client.
    pub(crate) software: String,
    pub(crate) not_after: Option<u64>,
    /// By what right; for the log.
    pub(crate) reason: String,
}

/// What a connection may cost the engine.
pub(crate) fn engine_limits(config: &EndpointConfig) -> EngineLimits {
    EngineLimits {
        channels: config.limits.sessions + config.limits.forwarded + 1,
        keepalive: config.limits.keepalive,
        keepalive_most: config.limits.keepalive_misses,
        push: config.limits.push,
        ..EngineLimits::default()
    }
}

/// Lets a client log in; `None` when it did not.
async fn knock(incoming: Incoming, config: &EndpointConfig, door: LoginDoor) -> Option<Entered<ByteStream>> {
    let (stream, addresses, opening) = match arrive(incoming, config).await {
        Ok(arrived) => arrived,
        Err(error) => {
            tracing::warn!(%error, "connection lost before it began");
            return None;
        }
    };
    let from = addresses.map(|Addresses { client, .. }| client);
    let place = match door.enter().await {
        Ok(place) => place,
        Err(error) => {
            tracing::warn!(from = from.map(display), %error, "connection turned away");
            return None;
        }
    };
    let opened = opening.pass(stream, config).await;
    let stream =
        opened.inspect_err(|error| tracing::info!(from = from.map(display), %error, "no WebSocket")).ok()?;
    let logged_in = log_in(stream, config, from.map(|from| from.ip().to_canonical())).await;
    drop(place);
    let LoggedIn { server, admission, user, software } =
        logged_in.inspect_err(|error| tracing::info!(from = from.map(display), %error, "no login")).ok()?;
    let Admission { permissions, not_after, reason, word, token: _ } = admission;
    let guest = match word {
        // Who the client is and where it comes from, the gateway knows; what it may do, both say.
        Some(word) => Guest { permissions, not_after, reason, ..gateway::guest(*word) },
        None => Guest { user, addresses, permissions, injected: Vec::new(), software, not_after, reason },
    };
    let (connection, arrivals, driver) = server.serve(engine_limits(config));
    Some(Entered { guest, connection, arrivals, driver })
}

async fn serve_guest<IO>(entered: Entered<IO>, config: Arc<EndpointConfig>, stop: CancellationToken)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Entered { guest, connection, arrivals, driver } = entered;
    let Guest { user, addresses, permissions, injected, software, not_after, reason } = guest;
    let from = addresses.map(|Addresses { client, .. }| client);
    tracing::info!(%user, from = from.map(display), by = %reason, software = %software.escape_debug(), "login");
    let started = Instant::now();
    let openssh_client = software.starts_with("SSH-2.0-OpenSSH");
    let clock = config.clock.clone();
    let context = Context::new(config, connection, permissions, addresses, injected, openssh_client);
    let serving = Serving {
        listeners: Listeners::new(Arc::clone(&context)),
        context: Arc::clone(&context),
        arrivals,
        sessions: Sessions::Admitted,
    };
    // The driver has a task of its own: moving bytes must not wake what decides about requests.
    let mut driver = tokio::spawn(driver.run());
    let reason = tokio::select! {
        ended = &mut driver => ended.map_or_else(|error| error.to_string(), |error| error.to_string()),
        why = serving.until_over(stop, clock, not_after) => {
            context.connection.0.disconnect(DisconnectReason::ByApplication, why);
            let _ended = driver.await;
            why.to_owned()
        }
    };
    let traffic = context.connection.0.traffic();
    tracing::info!(
        %user, from = from.map(display), %reason, received = traffic.received, sent = traffic.sent,
        seconds = started.elapsed().as_secs_f64(), "connection ended"
    );
    wind_up(&context).await;
}

/// Ends everything that belongs to the connection. What was received for a forwarded connection may still be
/// written, for a moment; sessions hang up their processes.
async fn wind_up(context: &Context) {
    context.ended.cancel();
    context.channels.close();
    context.listeners.close();
    context.listeners.wait().await;
    if tokio::time::timeout(LAST_BYTES, context.channels.wait()).await.is_err() {
        context.cut.cancel();
        context.channels.wait().await;
    }
}

/// Whether session channels are granted (OpenSSH PROTOCOL 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sessions {
    Admitted,
    NoMore,
}

/// The deciding part of a connection.
struct Serving {
    context: Arc<Context>,
    arrivals: Arrivals,
    listeners: Listeners,
    sessions: Sessions,
}

impl Serving {
    /// Decides until the connection must end from our side; says why. Does not return when the client ends it.
    async fn until_over(
        mut self,
        stop: CancellationToken,
        clock: Clock,
        not_after: Option<u64>,
    ) -> &'static str {
        let context = Arc::clone(&self.context);
        let limits = &context.config.limits;
        tokio::select! {
            () = self.decide() => std::future::pending().await,
            () = context.idle_for(limits.idle) => "idle for too long",
            () = expired(&clock, not_after) => "the key or certificate has expired",
            () = async {
                stop.cancelled().await;
                context.channels.close();
                let _in_time = tokio::time::timeout(limits.drain, context.channels.wait()).await;
            } => "the server is stopping",
        }
    }

    /// Answers what the client wants until the connection has ended.
    async fn decide(&mut self) {
        while let Some(arrival) = self.arrivals.next().await {
            match arrival {
                Arrival::Open(open) => self.open(open),
                Arrival::Request(request) if *request.request() == GlobalRequest::NoMoreSessions => {
                    self.sessions = Sessions::NoMore;
                    request.accept(&[]);
                }
                Arrival::Request(request) => self.listeners.answer(request).await,
            }
        }
    }

    fn open(&mut self, open: IncomingOpen) {
        let context = Arc::clone(&self.context);
        if context.channels.is_closed() {
            return open.refuse(OpenFailure::ResourceShortage, "the server is stopping");
        }
        match open.kind().clone() {
            ChannelKind::Session => self.open_session(open),
            ChannelKind::DirectTcpip(ends) => {
                self.context.channels.spawn(direct_tcpip(context, open, ends));
            }
            ChannelKind::DirectStreamlocal { path } => {
                self.context.channels.spawn(direct_streamlocal(context, open, path));
            }
            // Only a server opens these.
            ChannelKind::ForwardedTcpip(_)
            | ChannelKind::ForwardedStreamlocal { .. }
            | ChannelKind::X11 { .. }
            | ChannelKind::AuthAgent => {
                open.refuse(
                    OpenFailure::AdministrativelyProhibited,
                    "a client cannot open this kind of channel",
                );
            }
            ChannelKind::Other { .. } => {
                open.refuse(OpenFailure::UnknownChannelType, "this kind of channel is not known");
            }
        }
    }

    fn open_session(&mut self, open: IncomingOpen) {
        if self.sessions == Sessions::NoMore {
            return open.refuse(OpenFailure::AdministrativelyProhibited, "no more sessions were wanted");
        }
        match Arc::clone(&self.context.sessions).try_acquire_owned() {
            Ok(permit) => {
                let context = Arc::clone(&self.context);
                let channel = open.accept();
                self.context.channels.spawn(async move {
                    session::serve(context, channel).await;
                    drop(permit);
                });
            }
            Err(_) => open.refuse(OpenFailure::ResourceShortage, "too many sessions on this connection"),
        }
    }
}

/// Returns when the login's time is over; never without an end.
async fn expired(clock: &Clock, not_after: Option<u64>) {
    let Some(not_after) = not_after else { return std::future::pending().await };
    loop {
        let now = clock.read().now;
        if now > not_after {
            return;
        }
        // One second more: the last second still counts.
        let left = Duration::from_secs((not_after - now).saturating_add(1));
        tokio::time::sleep(left.min(EXPIRY_CHECK)).await;
    }
}
