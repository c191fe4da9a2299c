//! Clients of SSH that cannot ride on a control socket by themselves, carried over it: an SSH server whose sessions and
//! connections are the held connection's.
//!
//! Must stay true: who it serves was known or authenticated before; nothing is opened on the held connection beyond what
//! the client asked for; everything of a client ends with it; a session for which the host has no room waits in line at
//! the broker, and its client is told.

mod admission;
mod flow;
mod keys;
mod port;
mod remote;
mod session;
mod tunnel;

pub use admission::{Admission, FerryError};
pub use keys::{KeysError, StateDirectory};
pub use port::{Port, PortError};

use hop_connect::{Alias, SocketDirectory};
use hop_ssh::Error;
use hop_ssh::connection::{ChannelKind, Limits};
use hop_ssh::driver::{Arrivals, Connection, Driver, Incoming};
use hop_ssh::message::OpenFailure;
use remote::Remotes;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tunnel::Target;

/// For whom a client is carried, and where to.
#[derive(Clone, Debug)]
pub struct Fare {
    /// Where the broker is.
    pub sockets: SocketDirectory,
    /// The host.
    pub alias: Alias,
    /// Who it is, for people.
    pub purpose: String,
    /// What of the client's environment a login may need.
    pub environment: Vec<(String, String)>,
}

/// A client that may open channels, as [`hop_ssh::driver`] hands it over.
pub type Client<IO> = (Connection, Arrivals, Driver<IO>);

/// What one client may cost. A master takes a few hundred channels in all.
#[must_use]
pub fn limits() -> Limits {
    Limits { channels: 256, ..Limits::default() }
}

/// Serves a client until it goes; why it went.
pub async fn serve<IO: AsyncRead + AsyncWrite + Unpin>(fare: Fare, client: Client<IO>) -> Arc<Error> {
    let (connection, arrivals, driver) = client;
    tokio::select! {
        ended = driver.run() => ended,
        never = take(Arc::new(fare), connection, arrivals) => never,
    }
}

/// Takes what the client asks for, for as long as it is polled.
async fn take(fare: Arc<Fare>, connection: Connection, mut arrivals: Arrivals) -> Arc<Error> {
    // Dropped with this future: nothing of a client outlives it.
    let (mut tasks, mut remotes) = (JoinSet::new(), Remotes::default());
    while let Some(incoming) = arrivals.next().await {
        while tasks.try_join_next().is_some() {}
        let fare = fare.clone();
        match incoming {
            Incoming::Open(open) => match open.kind().clone() {
                ChannelKind::Session => {
                    let channel = open.accept();
                    tasks.spawn(async move { session::serve(&fare, channel).await });
                }
                ChannelKind::DirectTcpip(ends) => {
                    tasks.spawn(async move {
                        tunnel::serve(&fare, open, Target::Tcp(ends.host, ends.port)).await
                    });
                }
                ChannelKind::DirectStreamlocal { path } => match String::from_utf8(path) {
                    Ok(path) => {
                        tasks.spawn(async move { tunnel::serve(&fare, open, Target::Unix(path)).await });
                    }
                    Err(_) => open.refuse(OpenFailure::ConnectFailed, "the socket's path is not UTF-8"),
                },
                ChannelKind::ForwardedTcpip(_)
                | ChannelKind::ForwardedStreamlocal { .. }
                | ChannelKind::X11 { .. }
                | ChannelKind::AuthAgent
                | ChannelKind::Other { .. } => {
                    open.refuse(OpenFailure::UnknownChannelType, "not served here");
                }
            },
            Incoming::Request(request) => remotes.take(&fare, &connection, request).await,
        }
    }
    // The connection has ended; its driver says why.
    std::future::pending().await
}
