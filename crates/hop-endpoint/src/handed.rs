//! Connections that another program of this user took and read a WebSocket's request from, given on as descriptors.
//!
//! The other side connects to our socket and sends one message: the connection's descriptor (SCM_RIGHTS) and a line with the
//! request's Sec-WebSocket-Key and the milliseconds between signs of life. It hears one byte when the descriptor is ours.
//!
//! What must stay true: nothing has been answered and nothing read behind the request; so the answer is ours, and no byte
//! is lost.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpStream as StdTcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use hop_ssh::driver::{QuickAck, prepare_tcp};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, getsockname, recvmsg, send,
};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use crate::listener::ByteStream;

/// A key has 24 bytes, a number at most 20.
const LONGEST: usize = 64;

/// A connection that was handed over.
#[derive(Debug)]
pub(crate) struct Handed {
    /// The connection itself.
    pub(crate) stream: ByteStream,
    /// What the client's request wants to be answered.
    pub(crate) key: String,
    /// How often something is said on it.
    pub(crate) beat: Duration,
}

/// Nothing usable was handed over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandedError {
    /// The system refused.
    #[error("cannot take over a connection: {0}")]
    Io(#[from] io::Error),
    /// No descriptor, or several, or no line of that kind.
    #[error("what was handed over is no connection with its WebSocket's key")]
    Message,
    /// A datagram socket, a pipe.
    #[error("what was handed over is no stream of TCP or of a Unix socket")]
    Kind,
}

/// Takes what is sent on a connection to our socket. Give it a time limit.
pub(crate) async fn receive(from: StdUnixStream) -> Result<Handed, HandedError> {
    let from = UnixStream::from_std(from)?;
    let (descriptor, line) = from.async_io(Interest::READABLE, || receive_now(&from)).await?;
    let (key, beat) = line.trim_end().split_once(' ').ok_or(HandedError::Message)?;
    let beat = beat.parse().map(Duration::from_millis).map_err(|_| HandedError::Message)?;
    let stream = stream(descriptor.ok_or(HandedError::Message)?)?;
    // Whoever gave it may be gone; the connection is ours all the same.
    let _heard = send(&from, b"y", rustix::net::SendFlags::NOSIGNAL);
    Ok(Handed { stream, key: key.to_owned(), beat })
}

fn receive_now(from: &UnixStream) -> io::Result<(Option<OwnedFd>, String)> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut room);
    let mut line = [0; LONGEST];
    let received = recvmsg(from, &mut [IoSliceMut::new(&mut line)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let line = line.get(..received.bytes).unwrap_or_default();
    Ok((descriptor, String::from_utf8_lossy(line).into_owned()))
}

fn stream(descriptor: OwnedFd) -> Result<ByteStream, HandedError> {
    if rustix::net::sockopt::socket_type(&descriptor).ok() != Some(rustix::net::SocketType::STREAM) {
        return Err(HandedError::Kind);
    }
    match getsockname(&descriptor).map_err(io::Error::from)?.address_family() {
        AddressFamily::UNIX => {
            let stream = StdUnixStream::from(descriptor);
            stream.set_nonblocking(true)?;
            Ok(ByteStream::Unix(UnixStream::from_std(stream)?))
        }
        AddressFamily::INET | AddressFamily::INET6 => {
            let stream = StdTcpStream::from(descriptor);
            stream.set_nonblocking(true)?;
            let stream = TcpStream::from_std(stream)?;
            if let Err(error) = prepare_tcp(&stream) {
                tracing::debug!(%error, "socket options not set");
            }
            Ok(ByteStream::Tcp(QuickAck::new(stream)))
        }
        _ => Err(HandedError::Kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::io::{IoSlice, Read};
    use std::os::fd::AsFd;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn give(to: &StdUnixStream, what: &impl AsFd, line: &[u8]) {
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut room);
        let descriptors = [what.as_fd()];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(to, &[IoSlice::new(line)], &mut ancillary, SendFlags::empty()).unwrap();
    }

    fn pair() -> (StdUnixStream, StdUnixStream) {
        let (here, there) = StdUnixStream::pair().unwrap();
        there.set_nonblocking(true).unwrap();
        (here, there)
    }

    #[tokio::test]
    async fn a_connection_changes_hands() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut here, there) = pair();
        give(&here, &listener.accept().unwrap().0, b"dGhlIHNhbXBsZSBub25jZQ== 1500\n");
        let mut handed = receive(there).await.unwrap();
        assert_eq!(
            (handed.key.as_str(), handed.beat),
            ("dGhlIHNhbXBsZSBub25jZQ==", Duration::from_millis(1500))
        );
        let mut heard = String::new();
        here.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "y");
        handed.stream.write_all(b"it goes on").await.unwrap();
        drop(handed);
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "it goes on");
    }

    #[tokio::test]
    async fn what_is_no_connection_is_not_taken() {
        let (stream, _other) = StdUnixStream::pair().unwrap();
        for line in [&b"\n"[..], b"dGhlIHNhbXBsZSBub25jZQ==\n", b"dGhlIHNhbXBsZSBub25jZQ== soon\n", b"\xff"] {
            let (here, there) = pair();
            give(&here, &stream, line);
            assert!(matches!(receive(there).await, Err(HandedError::Message)), "{line:?}");
        }
        let (here, there) = pair();
        io::Write::write_all(&mut &here, b"dGhlIHNhbXBsZSBub25jZQ== 1500\n").unwrap();
        assert!(matches!(receive(there).await, Err(HandedError::Message)));
        let (here, there) = pair();
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        give(&here, &datagrams, b"dGhlIHNhbXBsZSBub25jZQ== 1500\n");
        assert!(matches!(receive(there).await, Err(HandedError::Kind)));
        let (here, there) = pair();
        give(&here, &std::fs::File::open("/dev/null").unwrap(), b"dGhlIHNhbXBsZSBub25jZQ== 1500\n");
        assert!(matches!(receive(there).await, Err(HandedError::Kind)));
    }
}
