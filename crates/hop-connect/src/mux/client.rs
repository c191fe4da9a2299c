//! One conversation with a master over its control socket.
//!
//! Must stay true: nothing here waits longer than it was told to. A master that was stopped (SIGSTOP), or whose machine
//! sleeps, still has its socket; connecting to it and writing to it may block for ever, so neither does.

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

/// A session that runs; dropping it closes it.
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
        let mut client = Self { stream, decoder: Decoder::default(), next_request: 0 };
        client.send(&ToMaster::Hello { version: VERSION })?;
        match client.receive()? {
            FromMaster::Hello { version: VERSION } => Ok(client),
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
        self.send(&ToMaster::AliveCheck { request })?;
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
        self.send(&ToMaster::Terminate { request })?;
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
        self.send(&ToMaster::StopListening { request })?;
        self.acknowledged(request, "stop listening")
    }

    /// Opens a session on these descriptors: standard input, output and error of the command. With a terminal, its
    /// size and modes are read from the first.
    ///
    /// # Errors
    /// [`MuxError::Refused`] when the server takes no more sessions.
    pub fn open_session(
        mut self,
        session: &NewSession,
        descriptors: [BorrowedFd<'_>; 3],
    ) -> Result<OpenSession, MuxError> {
        let request = self.request();
        self.send(&ToMaster::NewSession { request, session: session.clone() })?;
        for descriptor in descriptors {
            self.pass(descriptor)?;
        }
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
            other => Err(unexpected("a new session", other)),
        }
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

    fn send(&mut self, message: &ToMaster) -> Result<(), MuxError> {
        self.stream.write_all(&message.encode()).map_err(broken)
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
    /// Waits for its end. `on_no_terminal` is called when the server gave none although one was asked for.
    ///
    /// # Errors
    /// When the master says what is no message.
    pub fn wait(mut self, mut on_no_terminal: impl FnMut()) -> Result<Ended, MuxError> {
        let mut status = Ended::WithoutStatus;
        loop {
            match self.client.receive() {
                Ok(FromMaster::ExitMessage { session, status: code }) if session == self.session => {
                    // Output may still be on its way; the master closes when all of it is written.
                    status = Ended::Exit(code);
                }
                Ok(FromMaster::TtyAllocFail { session }) if session == self.session => on_no_terminal(),
                Ok(other) => return Err(unexpected("waiting for the end of a session", other)),
                Err(MuxError::Closed) => return Ok(status),
                Err(MuxError::Io(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(status);
                }
                Err(error) => return Err(error),
            }
        }
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
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    /// A master that answers each read with the next of these.
    fn master(answers: Vec<FromMaster>) -> (tempfile::TempDir, std::path::PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
                stream.write_all(&answer.encode()).unwrap();
            }
            // Stays open until the client has gone.
            while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
        });
        (scratch, path)
    }

    #[test]
    fn a_living_master_tells_its_process() {
        let (_scratch, path) =
            master(vec![FromMaster::Hello { version: 4 }, FromMaster::Alive { request: 1, pid: 77 }]);
        assert_eq!(MuxClient::connect(&path).unwrap().alive_check().unwrap(), 77);
    }

    #[test]
    fn another_version_and_another_answer_are_said() {
        let (_scratch, path) = master(vec![FromMaster::Hello { version: 9 }]);
        assert!(matches!(MuxClient::connect(&path), Err(MuxError::Version(9))));
        let (_scratch, path) = master(vec![FromMaster::Hello { version: 4 }, FromMaster::Ok { request: 1 }]);
        let error = MuxClient::connect(&path).unwrap().alive_check().unwrap_err().to_string();
        assert_eq!(error, "the connection answered Ok { request: 1 } to an alive check");
    }

    #[test]
    fn silence_ends_after_its_limit_and_absence_at_once() {
        let (_scratch, path) = master(vec![]);
        let before = Instant::now();
        assert!(matches!(MuxClient::connect(&path), Err(MuxError::Silent)));
        assert!(before.elapsed() < LIMIT * 3);
        let gone = path.with_file_name("gone");
        assert!(matches!(MuxClient::connect(&gone), Err(MuxError::Absent { .. })));
    }

    #[test]
    fn a_full_queue_is_silence_not_waiting() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("s");
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let _first = UnixStream::connect(&path).unwrap();
        let before = Instant::now();
        assert!(matches!(MuxClient::connect(&path), Err(MuxError::Silent)));
        assert!(before.elapsed() < LIMIT * 3);
    }
}
