//! Where connections come from: TCP, a Unix socket, a WebSocket on either, or the standard input and output of this
//! process.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hop_link::{Door, Keepalive, WebSocket};
use hop_ssh::driver::{QuickAck, prepare_tcp};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{getpeername, getsockname};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::descriptor::Descriptor;
use crate::environment::Addresses;
use crate::socket::{UnixSocketFile, listen_tcp, recover};

/// A source of connections.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// Where clients must ask for a WebSocket first.
    door: Option<Door>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixSocketFile),
    HandOver(UnixSocketFile),
    Inherited(UnixListener),
}

/// What a listener is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerAddress {
    /// With the port that was chosen, if 0 was asked.
    Tcp(SocketAddr),
    /// A path.
    Unix(PathBuf),
    /// A descriptor that this process was given.
    Inherited,
}

/// A place that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {place}: {source}{}", hint(source))]
pub struct BindError {
    /// As asked.
    pub place: String,
    /// What the system said.
    pub source: io::Error,
}

impl BindError {
    /// Whether the place is taken now (and may be free later), rather than wrong.
    pub fn is_taken(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "\nhint: something listens there already; port 0 takes any free port",
        io::ErrorKind::PermissionDenied => "\nhint: ports below 1024 need root or CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "\nhint: the address must be one of this machine's",
        io::ErrorKind::NotFound => "\nhint: the directory must exist",
        _ => "",
    }
}

impl Listener {
    /// Listens on an address; port 0 takes any.
    pub fn tcp(address: SocketAddr) -> Result<Self, BindError> {
        let listener = listen_tcp(address);
        let listener = listener.map_err(|source| BindError { place: address.to_string(), source })?;
        Ok(Self { socket: Socket::Tcp(listener), door: None })
    }

    /// Listens on a Unix socket that only this user can connect to.
    pub fn unix(path: &Path) -> Result<Self, BindError> {
        let file = UnixSocketFile::bind(path);
        let file = file.map_err(|source| BindError { place: path.display().to_string(), source })?;
        Ok(Self { socket: Socket::Unix(file), door: None })
    }

    /// Listens on a Unix socket on which a program of this user hands over connections whose WebSocket was asked for.
    pub fn hand_over(path: &Path) -> Result<Self, BindError> {
        let file = UnixSocketFile::bind(path);
        let file = file.map_err(|source| BindError { place: path.display().to_string(), source })?;
        Ok(Self { socket: Socket::HandOver(file), door: None })
    }

    /// Takes a Unix listener that the site which started this process has made. What connects there is the
    /// site's gateway: it speaks the bare transport and vouches for its clients.
    pub fn inherited(listener: StdUnixListener) -> Result<Self, BindError> {
        let register = |listener: StdUnixListener| {
            listener.set_nonblocking(true)?;
            UnixListener::from_std(listener)
        };
        let listener = register(listener);
        let listener =
            listener.map_err(|source| BindError { place: "the inherited socket".into(), source })?;
        Ok(Self { socket: Socket::Inherited(listener), door: None })
    }

    /// Takes WebSockets only, at this path; SSH is in their binary frames.
    #[must_use]
    pub fn websocket(mut self, path: &str) -> Self {
        self.door = Some(Door { path: Some(path.to_owned()) });
        self
    }

    /// The path at which WebSockets are taken, if they are.
    pub fn websocket_path(&self) -> Option<&str> {
        self.door.as_ref()?.path.as_deref()
    }

    /// What it is bound to.
    pub fn address(&self) -> io::Result<ListenerAddress> {
        Ok(match &self.socket {
            Socket::Tcp(listener) => ListenerAddress::Tcp(listener.local_addr()?),
            Socket::Unix(file) | Socket::HandOver(file) => ListenerAddress::Unix(file.path().to_owned()),
            Socket::Inherited(_) => ListenerAddress::Inherited,
        })
    }

    /// Whether clients that come here exchange keys: a site's gateway does not.
    pub(crate) fn speaks_ssh(&self) -> bool {
        !matches!(self.socket, Socket::Inherited(_))
    }

    /// The next connection. Cancel-safe.
    pub async fn accept(&self) -> io::Result<Incoming> {
        let carrier = self.accept_bare().await?;
        Ok(match &self.door {
            None => carrier,
            Some(door) => Incoming::WebSocket { carrier: Box::new(carrier), door: door.clone() },
        })
    }

    async fn accept_bare(&self) -> io::Result<Incoming> {
        loop {
            let accepted = match &self.socket {
                Socket::Tcp(listener) => match listener.accept().await {
                    Ok((stream, client)) => Ok(Incoming::Tcp { stream: stream.into_std()?, client }),
                    Err(error) => Err(error),
                },
                Socket::Unix(file) => return Ok(Incoming::Unix(file.accept().await?.into_std()?)),
                Socket::HandOver(file) => return Ok(Incoming::HandOver(file.accept().await?.into_std()?)),
                Socket::Inherited(listener) => match listener.accept().await {
                    Ok((stream, _)) => Ok(Incoming::Site(stream.into_std()?)),
                    Err(error) => Err(error),
                },
            };
            match accepted {
                Ok(incoming) => return Ok(incoming),
                Err(error) => recover(error).await?,
            }
        }
    }
}

/// A connection that no runtime holds yet, so that any thread can take it.
#[derive(Debug)]
pub enum Incoming {
    /// From a network.
    Tcp {
        /// The socket, nonblocking.
        stream: std::net::TcpStream,
        /// Where it comes from.
        client: SocketAddr,
    },
    /// From this machine.
    Unix(StdUnixStream),
    /// From a program of this user that hands over what others have opened.
    HandOver(StdUnixStream),
    /// From the gateway of the site that started this process.
    Site(StdUnixStream),
    /// Standard input and output.
    Stdio,
    /// One of these, on which a WebSocket is to be asked for.
    WebSocket {
        /// The connection itself.
        carrier: Box<Incoming>,
        /// Where.
        door: Door,
    },
}

/// Standard input and output cannot carry a connection.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// A terminal or a file; they would have to be polled by a thread.
    #[error("standard {0} is neither a pipe nor a socket")]
    NotAStream(&'static str),
    /// The system refused.
    #[error("cannot use standard input and output: {0}")]
    Io(#[from] io::Error),
}

impl Incoming {
    /// Where a WebSocket is to be asked for, if that comes first.
    pub(crate) fn door(&self) -> Option<Door> {
        match self {
            Self::WebSocket { door, .. } => Some(door.clone()),
            Self::Tcp { .. } | Self::Unix(_) | Self::HandOver(_) | Self::Site(_) | Self::Stdio => None,
        }
    }

    /// Registers the connection with the runtime of this thread. Of one for a WebSocket this is the stream below.
    pub fn register(self) -> Result<(ByteStream, Option<Addresses>), StdioError> {
        match self {
            Self::Tcp { stream, client } => {
                let server = stream.local_addr()?;
                let stream = TcpStream::from_std(stream)?;
                if let Err(error) = prepare_tcp(&stream) {
                    tracing::debug!(%error, "socket options not set");
                }
                Ok((ByteStream::Tcp(QuickAck::new(stream)), Some(Addresses { client, server })))
            }
            Self::Unix(stream) | Self::HandOver(stream) | Self::Site(stream) => {
                Ok((ByteStream::Unix(UnixStream::from_std(stream)?), None))
            }
            Self::WebSocket { carrier, .. } => carrier.register(),
            Self::Stdio => {
                let input = own_stream(io::stdin().as_fd(), "input")?;
                let output = own_stream(io::stdout().as_fd(), "output")?;
                let addresses = socket_addresses(io::stdin().as_fd());
                Ok((ByteStream::Stdio { input, output }, addresses))
            }
        }
    }
}

/// A nonblocking copy of one of the standard descriptors.
fn own_stream(standard: BorrowedFd<'_>, name: &'static str) -> Result<Descriptor, StdioError> {
    use rustix::fs::FileType;
    let mode = rustix::fs::fstat(standard).map_err(io::Error::from)?.st_mode;
    if !matches!(FileType::from_raw_mode(mode), FileType::Fifo | FileType::Socket) {
        return Err(StdioError::NotAStream(name));
    }
    let copy = fcntl_dupfd_cloexec(standard, 3).map_err(io::Error::from)?;
    Ok(Descriptor::pipe(copy)?)
}

/// Under inetd, standard input is the connection itself.
fn socket_addresses(standard: BorrowedFd<'_>) -> Option<Addresses> {
    let client = getpeername(standard).ok()??.try_into().ok()?;
    let server = getsockname(standard).ok()?.try_into().ok()?;
    Some(Addresses { client, server })
}

/// The bytes of one connection.
#[derive(Debug)]
#[expect(missing_docs, reason = "the variants say it")]
pub enum ByteStream {
    Tcp(QuickAck),
    Unix(UnixStream),
    Stdio { input: Descriptor, output: Descriptor },
    WebSocket(Box<WebSocket<ByteStream>>),
}

/// Proxies on the way cut what is silent for a minute. A client that does not answer is found by SSH's own keepalive.
pub(crate) const BEAT: Duration = Duration::from_secs(25);

impl ByteStream {
    /// The same as a WebSocket, whose handshake is over.
    pub(crate) fn websocket(socket: WebSocket<Self>, beat: Duration) -> Self {
        Self::WebSocket(Box::new(socket.keep_alive(Keepalive::Beat { every: beat })))
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Stdio { input, .. } => Pin::new(input).poll_read(context, buffer),
            Self::WebSocket(socket) => Pin::new(socket).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Stdio { output, .. } => Pin::new(output).poll_write(context, bytes),
            Self::WebSocket(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Stdio { output, .. } => Pin::new(output).poll_flush(context),
            Self::WebSocket(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Stdio { output, .. } => Pin::new(output).poll_shutdown(context),
            Self::WebSocket(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::private_dir::PrivateDir;

    async fn exchange(mut ours: ByteStream, mut theirs: impl AsyncRead + AsyncWrite + Unpin) {
        theirs.write_all(b"ping").await.unwrap();
        let mut heard = [0; 4];
        ours.read_exact(&mut heard).await.unwrap();
        ours.write_all(&heard).await.unwrap();
        ours.shutdown().await.unwrap();
        let mut answer = Vec::new();
        theirs.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"ping");
    }

    #[tokio::test]
    async fn tcp_knows_both_ends_and_does_not_dawdle() {
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let ListenerAddress::Tcp(address) = listener.address().unwrap() else { panic!("not TCP") };
        let theirs = TcpStream::connect(address).await.unwrap();
        let (ours, addresses) = listener.accept().await.unwrap().register().unwrap();
        assert_eq!(addresses, Some(Addresses { client: theirs.local_addr().unwrap(), server: address }));
        let ByteStream::Tcp(stream) = &ours else { panic!("not TCP") };
        assert!(stream.get_ref().nodelay().unwrap());
        exchange(ours, theirs).await;
    }

    #[tokio::test]
    async fn unix_sockets_carry_connections() {
        let directory = PrivateDir::create(&std::env::temp_dir()).unwrap();
        let path = directory.path().join("endpoint");
        let listener = Listener::unix(&path).unwrap();
        assert_eq!(listener.address().unwrap(), ListenerAddress::Unix(path.clone()));
        let theirs = UnixStream::connect(&path).await.unwrap();
        let (ours, addresses) = listener.accept().await.unwrap().register().unwrap();
        assert_eq!(addresses, None);
        exchange(ours, theirs).await;
    }

    #[tokio::test]
    async fn an_inherited_listener_is_taken_over() {
        let directory = PrivateDir::create(&std::env::temp_dir()).unwrap();
        let path = directory.path().join("given");
        let listener = Listener::inherited(StdUnixListener::bind(&path).unwrap()).unwrap();
        assert_eq!(listener.address().unwrap(), ListenerAddress::Inherited);
        let theirs = UnixStream::connect(&path).await.unwrap();
        let (ours, _) = listener.accept().await.unwrap().register().unwrap();
        exchange(ours, theirs).await;
    }

    #[tokio::test]
    async fn places_that_do_not_work_are_told_with_a_hint() {
        let taken = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let ListenerAddress::Tcp(address) = taken.address().unwrap() else { panic!("not TCP") };
        let error = Listener::tcp(address).unwrap_err();
        assert!(error.is_taken());
        assert!(error.to_string().contains("port 0 takes any"), "{error}");
        let error = Listener::tcp("192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert!(!error.is_taken());
        assert!(error.to_string().contains("one of this machine's"), "{error}");
        let error = Listener::unix(Path::new("/nonexistent/socket")).unwrap_err();
        assert!(error.to_string().contains("the directory must exist"), "{error}");
    }

    #[tokio::test]
    async fn files_are_no_streams() {
        let file = std::fs::File::open("/").unwrap();
        assert!(matches!(own_stream(file.as_fd(), "input").unwrap_err(), StdioError::NotAStream("input")));
        let (a, _b) = StdUnixStream::pair().unwrap();
        own_stream(a.as_fd(), "input").unwrap();
        assert_eq!(socket_addresses(a.as_fd()), None);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let addresses = socket_addresses(stream.as_fd()).unwrap();
        assert_eq!(addresses.client, listener.local_addr().unwrap());
    }
}
