//! A connection that a carried client wants made at the host (RFC 4254 section 7.2, OpenSSH PROTOCOL 2.4).

use super::Fare;
use super::admission::{Admission, FerryError};
use super::flow;
use hop_connect::mux::client::OpenSession;
use hop_connect::mux::forward::{Direction, End, Forward};
use hop_connect::mux::{MuxClient, MuxError};
use hop_endpoint::private_dir::PrivateDir;
use hop_ssh::driver::{Channel, IncomingOpen};
use hop_ssh::message::OpenFailure;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// Where to.
pub(super) enum Target {
    /// A host as the held host knows it, and a port.
    Tcp(String, u32),
    /// A Unix socket of the held host.
    Unix(String),
}

/// Connects, and serves the channel to its end.
pub(super) async fn serve(fare: &Fare, open: IncomingOpen, target: Target) {
    let connected = match target {
        Target::Tcp(host, port) => connect(fare, host, port).await.map(Tunnel::Pipes),
        Target::Unix(path) => connect_to_socket(fare, path).await.map(Tunnel::Socket),
    };
    match connected {
        Ok(tunnel) => tunnel.run(&open.accept()).await,
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().next().unwrap_or_default();
            open.refuse(OpenFailure::ConnectFailed, reason);
        }
    }
}

enum Tunnel {
    Pipes(Pipes),
    Socket(Socket),
}

/// What a master joined to a connection (PROTOCOL.mux section 3).
struct Pipes {
    /// It is a use of the connection for as long as it lasts.
    _admission: Admission,
    opened: OpenSession,
    input: pipe::Sender,
    output: pipe::Receiver,
}

/// A connection through a forwarding of its own.
struct Socket {
    _admission: Admission,
    stream: UnixStream,
}

async fn connect(fare: &Fare, host: String, port: u32) -> Result<Pipes, FerryError> {
    let mut admission = Admission::connect(&fare.sockets).await?;
    let admitted = admission.admitted(fare, false, &mut |_| {}).await?;
    let (input, output) = (flow::to_master()?, flow::from_master()?);
    let (stdin, stdout) = (input.theirs, output.theirs);
    let opened = off_thread(fare, move || {
        MuxClient::open_connection(&admitted.socket, &host, port, [stdin.as_fd(), stdout.as_fd()])
    });
    Ok(Pipes { opened: opened.await?, _admission: admission, input: input.ours, output: output.ours })
}

/// PROTOCOL.mux's section 3 takes no path before OpenSSH 9.4; a forwarding does, so there is one for as long as it takes
/// to connect to it.
async fn connect_to_socket(fare: &Fare, path: String) -> Result<Socket, FerryError> {
    let mut admission = Admission::connect(&fare.sockets).await?;
    let admitted = admission.admitted(fare, false, &mut |_| {}).await?;
    let failed = |source| FerryError::System { step: "make a socket", source };
    let folder = PrivateDir::create(fare.sockets.path()).map_err(|error| failed(error.source))?;
    let listen = folder.path().join("s");
    let stream = off_thread(fare, move || through_forward(&admitted.socket, listen, path)).await?;
    stream.set_nonblocking(true).map_err(failed)?;
    Ok(Socket { _admission: admission, stream: UnixStream::from_std(stream).map_err(failed)? })
}

fn through_forward(
    master: &Path,
    listen: PathBuf,
    path: String,
) -> Result<std::os::unix::net::UnixStream, MuxError> {
    let forward = Forward {
        direction: Direction::Local,
        listen: End::Unix { path: listen.to_string_lossy().into_owned() },
        connect: Some(End::Unix { path }),
    };
    MuxClient::connect(master)?.open_forward(&forward)?;
    let stream = std::os::unix::net::UnixStream::connect(&listen).map_err(MuxError::Io);
    // The master takes what waits on a listener before it looks at us again.
    let closed = MuxClient::connect(master).and_then(|mut client| client.close_forward(&forward));
    stream.and_then(|stream| closed.map(|()| stream))
}

async fn off_thread<T: Send + 'static>(
    fare: &Fare,
    ask: impl FnOnce() -> Result<T, MuxError> + Send + 'static,
) -> Result<T, FerryError> {
    let asked = tokio::task::spawn_blocking(ask).await;
    asked
        .unwrap_or_else(|error| Err(MuxError::Io(io::Error::other(error))))
        .map_err(|source| FerryError::Master { alias: fare.alias.clone(), source })
}

impl Tunnel {
    async fn run(self, channel: &Channel) {
        match self {
            Self::Pipes(pipes) => {
                let ended = pipes.opened.ended(|| ());
                let _ = tokio::join!(flow::between(channel, pipes.input, pipes.output), ended);
            }
            Self::Socket(socket) => {
                let (output, input) = socket.stream.into_split();
                flow::between(channel, input, output).await;
            }
        }
    }
}
