//! Listeners that a carried client wants at the host (RFC 4254 section 7.1, OpenSSH PROTOCOL 2.4): forwardings of the
//! master to a socket of ours, and a channel to the client for each connection.
//!
//! Must stay true: the broker opens and closes them, so that they end with this process however it ends; the client hears
//! the address as it asked for it.

use super::admission::{Admission, FerryError};
use super::{Fare, flow};
use crate::protocol::Request;
use hop_connect::mux::forward::{Direction, End, Forward};
use hop_endpoint::private_dir::PrivateDir;
use hop_ssh::connection::{ChannelKind, GlobalRequest, TcpEnds};
use hop_ssh::driver::{Connection, IncomingGlobalRequest};
use std::collections::HashMap;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// Listeners of one client.
const MOST: usize = 64;

/// Where a client asked to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Tcp(String, u32),
    Unix(Vec<u8>),
}

/// The listeners of a client. All end with it.
#[derive(Debug, Default)]
pub(super) struct Remotes(HashMap<Asked, Serving>);

/// Dropped, it stops, and the forwarding is closed.
#[derive(Debug)]
struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Remotes {
    /// Answers a global request.
    pub(super) async fn take(
        &mut self,
        fare: &Fare,
        connection: &Connection,
        request: IncomingGlobalRequest,
    ) {
        let asked = match request.request() {
            GlobalRequest::TcpipForward { address, port } => Asked::Tcp(address.clone(), *port),
            GlobalRequest::StreamlocalForward { path } => Asked::Unix(path.clone()),
            GlobalRequest::CancelTcpipForward { address, port } => {
                return self.cancel(&Asked::Tcp(address.clone(), *port), request);
            }
            GlobalRequest::CancelStreamlocalForward { path } => {
                return self.cancel(&Asked::Unix(path.clone()), request);
            }
            GlobalRequest::NoMoreSessions | GlobalRequest::HostKeys(_) | GlobalRequest::Other { .. } => {
                return request.refuse();
            }
        };
        if self.0.len() >= MOST || self.0.contains_key(&asked) {
            return request.refuse();
        }
        match Listening::open(fare, &asked).await {
            Ok(listening) => {
                let (known, reply) = match (&asked, listening.port) {
                    (Asked::Tcp(address, 0), Some(port)) => {
                        (Asked::Tcp(address.clone(), port.into()), u32::from(port).to_be_bytes().to_vec())
                    }
                    _ => (asked, Vec::new()),
                };
                request.accept(&reply);
                let serving = tokio::spawn(listening.run(connection.clone(), known.clone()));
                self.0.insert(known, Serving(serving));
            }
            Err(error) => {
                tracing::info!(%error, "a listener was not opened for a client");
                request.refuse();
            }
        }
    }

    fn cancel(&mut self, asked: &Asked, request: IncomingGlobalRequest) {
        match self.0.remove(asked) {
            Some(_serving) => request.accept(&[]),
            None => request.refuse(),
        }
    }
}

/// A forwarding that is open.
struct Listening {
    listener: UnixListener,
    port: Option<u16>,
    /// The forwarding ends with it.
    _admission: Admission,
    _folder: PrivateDir,
}

impl Listening {
    async fn open(fare: &Fare, asked: &Asked) -> Result<Self, FerryError> {
        let failed = |source| FerryError::System { step: "make a socket", source };
        let unfit = || failed(std::io::ErrorKind::InvalidInput.into());
        let folder = PrivateDir::create(fare.sockets.path()).map_err(|error| failed(error.source))?;
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let listen = match asked {
            // For a client of SSH, an empty address is all of them; for the master, it is loopback.
            Asked::Tcp(address, port) => End::Tcp {
                host: if address.is_empty() { "*".to_owned() } else { address.clone() },
                port: u16::try_from(*port).map_err(|_| unfit())?,
            },
            Asked::Unix(path) => End::Unix { path: String::from_utf8(path.clone()).map_err(|_| unfit())? },
        };
        let connect = Some(End::Unix { path: path.to_string_lossy().into_owned() });
        let forward = Forward { direction: Direction::Remote, listen, connect };
        let mut admission = Admission::connect(&fare.sockets).await?;
        admission.admitted(fare, false, &mut |_| {}).await?;
        let alias = fare.alias.clone();
        let port = admission.forwarded(&Request::Forward { alias, forward, stays: false }).await?;
        Ok(Self { listener, port, _admission: admission, _folder: folder })
    }

    async fn run(self, connection: Connection, asked: Asked) {
        let mut tasks = JoinSet::new();
        while let Ok((stream, _)) = self.listener.accept().await {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(pass_on(connection.clone(), kind(&asked), stream));
        }
    }
}

/// Where a connection came from, the master does not tell.
fn kind(asked: &Asked) -> ChannelKind {
    match asked {
        Asked::Tcp(address, port) => ChannelKind::ForwardedTcpip(TcpEnds {
            host: address.clone(),
            port: *port,
            originator: "127.0.0.1".to_owned(),
            originator_port: 0,
        }),
        Asked::Unix(path) => ChannelKind::ForwardedStreamlocal { path: path.clone() },
    }
}

async fn pass_on(connection: Connection, kind: ChannelKind, stream: UnixStream) {
    match connection.open(kind).await {
        Ok(channel) => {
            let (output, input) = stream.into_split();
            flow::between(&channel, input, output).await;
        }
        Err(error) => tracing::debug!(%error, "a client did not take a connection"),
    }
}
