//! A client's side of the broker's socket, without a runtime: commands are short, and `ensure` must be quick.

use crate::protocol::{Event, LONGEST_LINE, Request, VERSION};
use hop_connect::SocketDirectory;
use rustix::net::sockopt::socket_peercred;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use zeroize::Zeroize;

/// A broker answers from memory; a stopped one must not stop every `ssh`.
const HELLO_LIMIT: Duration = Duration::from_secs(2);

/// Why a broker could not be talked to.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// None runs.
    #[error("no broker is running\nhint: hop login HOST starts it")]
    Absent,
    /// The socket.
    #[error("talking to the broker failed: {0}")]
    Io(#[source] io::Error),
    /// It ended.
    #[error("the broker ended the conversation")]
    Closed,
    /// Somebody else listens there.
    #[error("another user's process listens on the broker's socket")]
    Stranger,
    /// An older or newer one.
    #[error(
        "the broker speaks version {0}, this program version {VERSION}\nhint: hop daemon stop, then try again"
    )]
    Version(u32),
    /// Not its protocol.
    #[error("the broker said what is no event: {0}")]
    Malformed(#[source] serde_json::Error),
    /// Not to be understood.
    #[error("the broker said more than {LONGEST_LINE} bytes in a line")]
    TooLong,
}

/// A broker that has been reached, before it has said which version it speaks. What is asked now is on its way meanwhile:
/// one wait less, for commands that a script runs thousands of times. A broker that does not understand it says so.
#[derive(Debug)]
pub struct Reached(UnixStream);

/// A conversation with the broker.
#[derive(Debug)]
pub struct Conversation {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// The broker's process.
    pub broker: u32,
}

impl Reached {
    /// Connects to the broker that runs.
    ///
    /// # Errors
    /// [`ConversationError::Absent`] when none does.
    pub fn connect(sockets: &SocketDirectory) -> Result<Self, ConversationError> {
        let stream = UnixStream::connect(sockets.broker_socket()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ConversationError::Absent,
            _ => ConversationError::Io(error),
        })?;
        let peer = socket_peercred(&stream).map_err(|error| ConversationError::Io(error.into()))?;
        if peer.uid != rustix::process::geteuid() {
            return Err(ConversationError::Stranger);
        }
        Ok(Self(stream))
    }

    /// Says something.
    ///
    /// # Errors
    /// When the broker is gone.
    pub fn send(&mut self, request: &Request) -> Result<(), ConversationError> {
        write(&mut self.0, request)
    }

    /// Waits for the broker's hello.
    ///
    /// # Errors
    /// [`ConversationError::Version`] when it speaks another version.
    pub fn hello(self) -> Result<Conversation, ConversationError> {
        self.0.set_read_timeout(Some(HELLO_LIMIT)).map_err(ConversationError::Io)?;
        let mut conversation = Conversation { stream: self.0, buffer: Vec::new(), broker: 0 };
        match conversation.next()? {
            Event::Hello { version: VERSION, pid } => conversation.broker = pid,
            Event::Hello { version, .. } => return Err(ConversationError::Version(version)),
            _ => return Err(ConversationError::Version(0)),
        }
        conversation.stream.set_read_timeout(None).map_err(ConversationError::Io)?;
        Ok(conversation)
    }
}

impl Conversation {
    /// Connects to the broker that runs and hears its hello.
    ///
    /// # Errors
    /// [`ConversationError::Absent`] when none does.
    pub fn connect(sockets: &SocketDirectory) -> Result<Self, ConversationError> {
        Reached::connect(sockets)?.hello()
    }

    /// Says something.
    ///
    /// # Errors
    /// When the broker is gone.
    pub fn send(&mut self, request: &Request) -> Result<(), ConversationError> {
        write(&mut self.stream, request)
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// When the broker is gone or says what is no event.
    #[expect(clippy::should_implement_trait, reason = "an end is an error here")]
    pub fn next(&mut self) -> Result<Event, ConversationError> {
        loop {
            if let Some(event) = self.buffered()? {
                return Ok(event);
            }
            self.read_more()?;
        }
    }

    /// An event that has come already; reads nothing.
    ///
    /// # Errors
    /// When it is none.
    pub fn buffered(&mut self) -> Result<Option<Event>, ConversationError> {
        let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
            if self.buffer.len() > LONGEST_LINE {
                return Err(ConversationError::TooLong);
            }
            return Ok(None);
        };
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        let event = serde_json::from_slice(&line).map_err(ConversationError::Malformed);
        line.zeroize();
        event.map(Some)
    }

    /// Reads once, waiting if need be.
    ///
    /// # Errors
    /// When the broker is gone.
    pub fn read_more(&mut self) -> Result<(), ConversationError> {
        let mut bytes = [0; 4096];
        let count = loop {
            match self.stream.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ConversationError::Io(error)),
                Ok(0) => return Err(ConversationError::Closed),
                Ok(count) => break count,
            }
        };
        self.buffer.extend_from_slice(bytes.get(..count).unwrap_or_default());
        bytes.zeroize();
        Ok(())
    }

    /// Stops waiting after this time; `None` waits for ever.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_limit(&self, limit: Option<Duration>) -> Result<(), ConversationError> {
        self.stream.set_read_timeout(limit).map_err(ConversationError::Io)
    }
}

fn write(stream: &mut UnixStream, request: &Request) -> Result<(), ConversationError> {
    let mut line = serde_json::to_vec(request).map_err(ConversationError::Malformed)?;
    line.push(b'\n');
    let written = stream.write_all(&line);
    line.zeroize();
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => ConversationError::Closed,
        _ => ConversationError::Io(error),
    })
}

impl AsFd for Conversation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_request_is_on_its_way_before_the_hello() {
        let scratch = tempfile::tempdir().unwrap();
        let sockets = SocketDirectory::at(scratch.path().join("s"));
        sockets.prepare().unwrap();
        let listener = UnixListener::bind(sockets.broker_socket()).unwrap();
        let mut broker = Reached::connect(&sockets).unwrap();
        broker.send(&Request::Status).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(HELLO_LIMIT)).unwrap();
        assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
        stream.write_all(b"{\"event\":\"hello\",\"version\":0,\"pid\":7}\n").unwrap();
        assert!(matches!(broker.hello(), Err(ConversationError::Version(0))));
    }
}
