//! The byte streams that a gateway holds: towards a client, and towards an environment that may still be starting.

use hop_ssh::driver::{BringsDescriptors, QuickAck};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

/// What a client sent before its environment is there is held up to here; a client that is not answered has no
/// reason to say more.
pub(crate) const MOST_HELD: usize = 64 * 1024;

/// A client's bytes.
#[derive(Debug)]
pub(crate) enum ClientStream {
    Tcp(QuickAck),
    /// Through a project's own door.
    Door(UnixStream),
    /// Through a door that somebody else keeps, such as a site's web address.
    Visitor(VisitorStream),
}

/// A stream of whatever kind.
pub(crate) struct VisitorStream(Box<dyn Duplex>);

impl VisitorStream {
    pub(crate) fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Box::new(stream))
    }
}

impl std::fmt::Debug for VisitorStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VisitorStream")
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Door(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Visitor(stream) => Pin::new(&mut stream.0).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Door(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Visitor(stream) => Pin::new(&mut stream.0).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Door(stream) => Pin::new(stream).poll_flush(cx),
            Self::Visitor(stream) => Pin::new(&mut stream.0).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Door(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Visitor(stream) => Pin::new(&mut stream.0).poll_shutdown(cx),
        }
    }
}

/// The way to an environment, or the promise of one.
#[derive(Debug)]
pub(crate) enum FarStream {
    /// It is there.
    There(UnixStream),
    /// It is being started.
    Coming(oneshot::Receiver<UnixStream>),
    /// It will not come. Whoever promised it knows why not, and has ended the session before letting go.
    Never,
}

impl FarStream {
    fn poll_there(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut UnixStream>>> {
        if let Self::Coming(coming) = self {
            let come = ready!(Pin::new(coming).poll(cx));
            *self = come.map_or(Self::Never, Self::There);
        }
        match self {
            Self::There(stream) => Poll::Ready(Ok(Pin::new(stream))),
            Self::Coming(_) => Poll::Pending,
            Self::Never => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl AsyncRead for FarStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.get_mut().poll_there(cx))?.poll_read(cx, buffer)
    }
}

impl BringsDescriptors for FarStream {
    fn poll_read_with_descriptors(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut [u8],
        brought: &mut Vec<OwnedFd>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_there(cx))?.poll_read_with_descriptors(cx, room, brought)
    }
}

impl AsyncWrite for FarStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut().poll_there(cx) {
            Poll::Ready(stream) => stream?.poll_write(cx, bytes),
            Poll::Pending if bytes.len() > MOST_HELD => {
                Poll::Ready(Err(io::Error::other("the client sent too much before the project was there")))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.get_mut().poll_there(cx))?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().poll_there(cx) {
            Poll::Ready(stream) => stream?.poll_shutdown(cx),
            // There is nobody to tell.
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_is_held_is_bounded_and_arrives() {
        let (sender, coming) = oneshot::channel();
        let mut far = FarStream::Coming(coming);
        assert!(far.write_all(&vec![0; MOST_HELD + 1]).await.is_err());
        let (never, coming_never) = oneshot::channel();
        drop(never);
        let mut gone = FarStream::Coming(coming_never);
        for _ in 0..2 {
            assert!(gone.read(&mut [0]).await.is_err() && gone.write(&[0]).await.is_err());
        }
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let writing = tokio::spawn(async move {
            far.write_all(b"held").await.unwrap();
            far
        });
        sender.send(ours).unwrap();
        let mut heard = [0; 4];
        theirs.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"held");
        theirs.write_all(b"back").await.unwrap();
        writing.await.unwrap().read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"back");
    }
}
