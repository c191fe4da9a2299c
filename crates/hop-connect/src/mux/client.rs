//! One conversation with a master over its control socket.
//!
//! Must stay true: nothing here waits longer than it was told to. A master that was stopped (SIGSTOP), or whose machine
//! sleeps, still has its socket; connecting to it and writing to it may block for ever, so neither does.

use super::forward::Forward;
use super::message::{Decoder, FromMaster, MalformedMessage, NewSession, ToMaster, VERSION};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a healthy master may take for an answer that needs no network.
pub const LIMIT: Duration = Duration::from_secs(1);
/// How long opening a session may take: it goes to the server and back, and some servers log a user in for it.
const OPENING: Duration = Duration::from_secs(60);

/// Why a master did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum MuxError {
    /// Nothing listens: the master is gone.
    #[error("no connection behind {path}")]
    Absent {
        /// The control socket.
        path: std::path::PathBuf,
    },
    /// It is there and says nothing.
    #[error("the connection does not answer")]
    Silent,
    /// The socket broke.
    #[error("talking to the connection failed: {0}")]
    Io(#[source] io::Error),
    /// It ended the conversation.
    #[error("the connection ended")]
    Closed,
    /// Not PROTOCOL.mux, version 4.
    #[error("the connection speaks version {0} of the multiplexing protocol, not 4")]
    Version(u32),
    /// Not a message.
    #[error("the connection sent what is no message: {0}")]
    Malformed(#[from] MalformedMessage),
    /// A message that answers something else.
    #[error("the connection answered {got:?} to {asked}")]
    Unexpected {
        /// What was asked.
        asked: &'static str,
        /// What came.
        got: Box<FromMaster>,
    },
    /// The master or the server said no. `Session open refused by peer` is a server's MaxSessions.
    #[error("refused: {reason}")]
    Refused {
        /// In the master's words.
        reason: String,
    },
}

/// A conversation after both sides have said hello.
#[derive(Debug)]
pub struct MuxClient {
    stream: UnixStream,
    decoder: Decoder,
    next_request: u32,
}

/// A session or connection that runs; dropping it closes it.
#[derive(Debug)]
pub struct OpenSession {
    client: MuxClient,
    session: u32,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With the command's exit status.
    Exit(u32),
    /// Without one: the command died by a signal, or the connection broke.
    WithoutStatus,
}

impl MuxClient {
    /// Connects and says hello.
    ///
    /// # Errors
    /// When nothing listens, nothing answers within [`LIMIT`], or it is no master.
    pub fn connect(socket: &Path) -> Result<Self, MuxError> {
        let mut client = Self::reach(socket)?;
        client.send(&[ToMaster::Hello { version: VERSION }])?;
        client.hear_hello()?;
        Ok(client)
    }

    fn reach(socket: &Path) -> Result<Self, MuxError> {
        let stream = connect_without_waiting(socket).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                MuxError::Absent { path: socket.to_owned() }
            }
            // The queue of connections is full: nobody has accepted for a while.
            io::ErrorKind::WouldBlock => MuxError::Silent,
            _ => MuxError::Io(error),
        })?;
        stream.set_read_timeout(Some(LIMIT)).map_err(MuxError::Io)?;
        stream.set_write_timeout(Some(LIMIT)).map_err(MuxError::Io)?;
        Ok(Self { stream, decoder: Decoder::default(), next_request: 0 })
    }

    fn hear_hello(&mut self) -> Result<(), MuxError> {
        match self.receive()? {
            FromMaster::Hello { version: VERSION } => Ok(()),
            FromMaster::Hello { version } => Err(MuxError::Version(version)),
            other => Err(unexpected("hello", other)),
        }
    }

    /// Asks whether the master lives; its process id.
    ///
    /// # Errors
    /// When no answer comes within [`LIMIT`].
    pub fn alive_check(&mut self) -> Result<u32, MuxError> {
        let request = self.request();
        self.send(&[ToMaster::AliveCheck { request }])?;
        match self.receive()? {
            FromMaster::Alive { request: answered, pid } if answered == request => Ok(pid),
            other => Err(unexpected("an alive check", other)),
        }
    }

    /// Asks the master to end at once, with all its sessions.
    ///
    /// # Errors
    /// When it refuses or does not answer.
    pub fn terminate(&mut self) -> Result<(), MuxError> {
        let request = self.request();
        self.send(&[ToMaster::Terminate { request }])?;
        match self.acknowledged(request, "terminate") {
            // It may be gone before its answer is.
            Err(MuxError::Closed) => Ok(()),
            result => result,
        }
    }

    /// Asks the master to take no more sessions and to end with the last.
    ///
    /// # Errors
    /// When it refuses or does not answer.
    pub fn stop_listening(&mut self) -> Result<(), MuxError> {
        let request = self.request();
        self.send(&[ToMaster::StopListening { request }])?;
        self.acknowledged(request, "stop listening")
    }

    /// Opens a session on these descriptors: standard input, output and error of the command. With a terminal, its
    /// size and modes are read from the first.
    ///
    /// # Errors
    /// As [`Self::connect`], and [`MuxError::Refused`] when the server takes no more sessions.
    pub fn open_session(
        socket: &Path,
        session: NewSession,
        descriptors: [BorrowedFd<'_>; 3],
    ) -> Result<OpenSession, MuxError> {
        let mut client = Self::reach(socket)?;
        let request = client.request();
        client.opened(request, ToMaster::NewSession { request, session }, &descriptors)
    }

    /// Opens a connection from the host to an address, on these descriptors: what goes there, and what comes back.
    ///
    /// # Errors
    /// As [`Self::connect`], and [`MuxError::Refused`] when the host does not connect, or does not forward.
    pub fn open_connection(
        socket: &Path,
        host: &str,
        port: u32,
        descriptors: [BorrowedFd<'_>; 2],
    ) -> Result<OpenSession, MuxError> {
        let mut client = Self::reach(socket)?;
        let request = client.request();
        client.opened(
            request,
            ToMaster::NewStdioForward { request, host: host.to_owned(), port },
            &descriptors,
        )
    }

    /// The hello, the request and its descriptors go out together: a master reads each of them when it has answered the one
    /// before, and takes not a byte more (`read_mux` of OpenSSH's channels.c), so that no descriptor is read as data.
    fn opened(
        mut self,
        request: u32,
        wanted: ToMaster,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<OpenSession, MuxError> {
        self.send(&[ToMaster::Hello { version: VERSION }, wanted])?;
        for descriptor in descriptors {
            self.pass(*descriptor)?;
        }
        self.hear_hello()?;
        self.stream.set_read_timeout(Some(OPENING)).map_err(MuxError::Io)?;
        match self.receive()? {
            FromMaster::SessionOpened { request: answered, session } if answered == request => {
                // A session may take days.
                self.stream.set_read_timeout(None).map_err(MuxError::Io)?;
                Ok(OpenSession { client: self, session })
            }
            FromMaster::Failure { reason, .. } | FromMaster::PermissionDenied { reason, .. } => {
                Err(MuxError::Refused { reason })
            }
            other => Err(unexpected("a new session or connection", other)),
        }
    }

    /// Opens a forwarding; it stays until it is closed or the master ends. The port that the host chose, if it did.
    ///
    /// # Errors
    /// [`MuxError::Refused`] when it cannot be listened there, or the host does not forward.
    pub fn open_forward(&mut self, forward: &Forward) -> Result<Option<u16>, MuxError> {
        let request = self.request();
        self.send(&[ToMaster::OpenForward { request, forward: forward.clone() }])?;
        self.stream.set_read_timeout(Some(OPENING)).map_err(MuxError::Io)?;
        match self.receive()? {
            FromMaster::Ok { request: answered } if answered == request => Ok(None),
            FromMaster::RemotePort { request: answered, port } if answered == request => {
                Ok(u16::try_from(port).ok())
            }
            FromMaster::Failure { reason, .. } | FromMaster::PermissionDenied { reason, .. } => {
                Err(MuxError::Refused { reason })
            }
            other => Err(unexpected("a forwarding", other)),
        }
    }

    /// Closes a forwarding that was opened by the same value.
    ///
    /// # Errors
    /// When there is none, or the master does not answer.
    pub fn close_forward(&mut self, forward: &Forward) -> Result<(), MuxError> {
        let request = self.request();
        self.send(&[ToMaster::CloseForward { request, forward: forward.clone() }])?;
        self.acknowledged(request, "close a forwarding")
    }

    fn acknowledged(&mut self, request: u32, asked: &'static str) -> Result<(), MuxError> {
        match self.receive()? {
            FromMaster::Ok { request: answered } if answered == request => Ok(()),
            FromMaster::Failure { reason, .. } | FromMaster::PermissionDenied { reason, .. } => {
                Err(MuxError::Refused { reason })
            }
            other => Err(unexpected(asked, other)),
        }
    }

    fn request(&mut self) -> u32 {
        self.next_request = self.next_request.wrapping_add(1);
        self.next_request
    }

    fn send(&mut self, messages: &[ToMaster]) -> Result<(), MuxError> {
        let bytes: Vec<u8> = messages.iter().flat_map(ToMaster::encode).collect();
        self.stream.write_all(&bytes).map_err(broken)
    }

    /// Each descriptor travels with one byte of its own (OpenSSH's `mm_send_fd`).
    fn pass(&self, descriptor: BorrowedFd<'_>) -> Result<(), MuxError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let passed = [descriptor];
        let fits = control.push(SendAncillaryMessage::ScmRights(&passed));
        debug_assert!(fits, "the space is made for one descriptor");
        rustix::net::sendmsg(&self.stream, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL)
            .map_err(|error| broken(error.into()))?;
        Ok(())
    }

    fn receive(&mut self) -> Result<FromMaster, MuxError> {
        let mut bytes = [0; 1024];
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(message);
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(MuxError::Closed),
                Ok(count) => self.decoder.push(bytes.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(error)),
            }
        }
    }
}

impl OpenSession {
    /// Waits for its end without holding a thread. `on_no_terminal` as for [`Self::wait`].
    ///
    /// # Errors
    /// When the master says what is no message.
    ///
    /// # Cancel safety
    /// Not cancel safe: the session is closed.
    pub async fn ended(self, mut on_no_terminal: impl FnMut()) -> Result<Ended, MuxError> {
        let MuxClient { stream, mut decoder, .. } = self.client;
        stream.set_nonblocking(true).map_err(MuxError::Io)?;
        let stream = tokio::net::UnixStream::from_std(stream).map_err(MuxError::Io)?;
        let mut status = Ended::WithoutStatus;
        let mut bytes = [0; 1024];
        loop {
            while let Some(message) = decoder.next()? {
                match said(self.session, message)? {
                    Said::Ended(code) => status = Ended::Exit(code),
                    Said::NoTerminal => on_no_terminal(),
                }
            }
            stream.readable().await.map_err(MuxError::Io)?;
            match stream.try_read(&mut bytes) {
                Ok(0) => return Ok(status),
                Ok(count) => decoder.push(bytes.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(status),
                Err(error) => return Err(MuxError::Io(error)),
            }
        }
    }

    /// Waits for its end. `on_no_terminal` is called when the server gave none although one was asked for.
    ///
    /// # Errors
    /// When the master says what is no message.
    pub fn wait(mut self, mut on_no_terminal: impl FnMut()) -> Result<Ended, MuxError> {
        let mut status = Ended::WithoutStatus;
        loop {
            match self.client.receive() {
                // Output may still be on its way; the master closes when all of it is written.
                Ok(message) => match said(self.session, message)? {
                    Said::Ended(code) => status = Ended::Exit(code),
                    Said::NoTerminal => on_no_terminal(),
                },
                Err(MuxError::Closed) => return Ok(status),
                Err(MuxError::Io(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(status);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What a master says of a session that runs.
enum Said {
    Ended(u32),
    NoTerminal,
}

fn said(running: u32, message: FromMaster) -> Result<Said, MuxError> {
    match message {
        FromMaster::ExitMessage { session, status } if session == running => Ok(Said::Ended(status)),
        FromMaster::TtyAllocFail { session } if session == running => Ok(Said::NoTerminal),
        other => Err(unexpected("waiting for the end of a session", other)),
    }
}

impl MuxError {
    /// The server takes no more sessions (its MaxSessions), in the master's words.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Refused { reason } if reason.contains("refused by peer"))
    }

    /// The master is gone, or as good as gone.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self, Self::Silent | Self::Absent { .. } | Self::Closed)
    }
}

fn unexpected(asked: &'static str, got: FromMaster) -> MuxError {
    MuxError::Unexpected { asked, got: Box::new(got) }
}

fn broken(error: io::Error) -> MuxError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => MuxError::Silent,
        io::ErrorKind::BrokenPipe => MuxError::Closed,
        _ => MuxError::Io(error),
    }
}

/// `connect` of a Unix socket waits while the listener's queue is full; a socket that does not block says so.
fn connect_without_waiting(path: &Path) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(socket.as_fd(), &address)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
