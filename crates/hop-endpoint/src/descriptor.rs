//! One end of a pipe, or the master side of a pty, without blocking.
//!
//! Reads and writes take `&self`, so that one task can wait for both directions of a pty. Both are
//! cancel-safe: they move bytes only when they complete.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

use crate::readiness::register;

/// A pipe that has moved this much is worth a larger one.
const GROW_AFTER: usize = 256 * 1024;
/// What a busy pipe grows to that a program reads. The kernel lets a user have 64 of these before its soft limit
/// (fs.pipe-user-pages-soft), which is why idle sessions keep the default 64 KiB.
const GROWN_INPUT: usize = 1024 * 1024;
/// What a busy pipe grows to that a program writes: what cat, tar and their like write at once, so that we find it all
/// and do not stand in one another's way. A larger one costs more processor time (measured with 1 MiB: a sixth of
/// a download's, for us and the program): its pages are out of the cache when they are used again, and both sides wait
/// for the pipe's lock.
pub(crate) const GROWN_OUTPUT: usize = 128 * 1024;
/// A pipe in packet mode (O_DIRECT, which a program may set) gives at most this much to one read, however much it has.
const LARGEST_PIPE_PACKET: usize = 4096;

/// A nonblocking descriptor registered with the runtime of the current thread.
#[derive(Debug)]
pub struct Descriptor {
    inner: AsyncFd<OwnedFd>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Bytes moved so far, until the pipe was grown.
    Pipe(AtomicUsize),
    PtyMaster,
}

impl Descriptor {
    /// Our end of a pipe. Sets O_NONBLOCK, which the other end does not share.
    pub(crate) fn pipe(end: OwnedFd) -> io::Result<Self> {
        Self::new(end, Kind::Pipe(AtomicUsize::new(0)))
    }

    /// The descriptor itself, which nobody here waits for any more.
    pub(crate) fn into_inner(self) -> OwnedFd {
        self.inner.into_inner()
    }

    /// The master side of a pty.
    pub(crate) fn pty_master(master: OwnedFd) -> io::Result<Self> {
        Self::new(master, Kind::PtyMaster)
    }

    fn new(descriptor: OwnedFd, kind: Kind) -> io::Result<Self> {
        fcntl_setfl(&descriptor, fcntl_getfl(&descriptor)? | OFlags::NONBLOCK)?;
        Ok(Self { inner: register(descriptor, Interest::READABLE | Interest::WRITABLE)?, kind })
    }

    /// Reads some bytes; 0 is the end of the stream.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.async_io(Interest::READABLE, |inner| self.read_now(inner, buffer)).await?;
        self.moved(read, GROWN_OUTPUT);
        Ok(read)
    }

    /// Reads what is there at this moment: `None` when nothing is, `Some(0)` at the end of the stream.
    /// It asks the kernel, not the runtime's idea of readiness, which may be older than a child's last words.
    pub fn read_available(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.read_now(self.inner.get_ref(), buffer) {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes some bytes.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written =
            self.inner.async_io(Interest::WRITABLE, |inner| Ok(rustix::io::write(inner, bytes)?)).await?;
        self.moved(written, GROWN_INPUT);
        Ok(written)
    }

    /// Writes all of `bytes`. Not cancel-safe: how much was written is lost.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.write(bytes).await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    fn read_now(&self, inner: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
        match rustix::io::read(inner, buffer) {
            // Linux says EIO on a master whose last slave was closed and drained: that is its end of file.
            Err(Errno::IO) if matches!(self.kind, Kind::PtyMaster) => Ok(0),
            other => Ok(other?),
        }
    }

    /// Whether a read of so many bytes says that no more is there (epoll(7), "Edge-triggered"): then another one, which
    /// would only hear so, and wait for a writer that is just at it, can be spared. A terminal's says nothing.
    fn is_drained_by(&self, read: usize, room: usize) -> bool {
        matches!(self.kind, Kind::Pipe(_)) && read > LARGEST_PIPE_PACKET && read < room
    }

    fn moved(&self, bytes: usize, grown: usize) {
        let Kind::Pipe(total) = &self.kind else { return };
        let before = total.load(Ordering::Relaxed);
        if before > GROW_AFTER {
            return;
        }
        total.store(before.saturating_add(bytes), Ordering::Relaxed);
        if before.saturating_add(bytes) > GROW_AFTER {
            // Refused beyond the user's limit; the pipe then goes on as it is.
            let _refused = rustix::pipe::fcntl_setpipe_size(self.inner.get_ref(), grown);
        }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.inner.get_ref().as_fd()
    }
}

/// Both directions of a pty are waited for in one task through shared references, each by one waiter.
impl AsyncRead for &Descriptor {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.inner.poll_read_ready(context))?;
            let room = buffer.remaining();
            let result = ready.try_io(|inner| self.read_now(inner.get_ref(), buffer.initialize_unfilled()));
            if let Ok(result) = result {
                let read = result?;
                if self.is_drained_by(read, room) {
                    ready.clear_ready_matching(Ready::READABLE);
                }
                buffer.advance(read);
                self.moved(read, GROWN_OUTPUT);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for &Descriptor {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.inner.poll_write_ready(context))?;
            if let Ok(result) = ready.try_io(|inner| Ok(rustix::io::write(inner.get_ref(), bytes)?)) {
                let written = result?;
                self.moved(written, GROWN_INPUT);
                return Poll::Ready(Ok(written));
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Closing is dropping: a descriptor has no half that could be shut alone.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Descriptor {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_read(context, buffer)
    }
}

impl AsyncWrite for Descriptor {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_shutdown(context)
    }
}

/// What can be read at this moment, as a stream that ends there.
pub(crate) struct Available<'a>(pub(crate) &'a Descriptor);

impl AsyncRead for Available<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.0.read_available(buffer.initialize_unfilled())?.unwrap_or(0);
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use rustix::pipe::{PipeFlags, fcntl_getpipe_size, pipe_with};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pipe() -> (Descriptor, Descriptor) {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        (Descriptor::pipe(read).unwrap(), Descriptor::pipe(write).unwrap())
    }

    #[tokio::test]
    async fn an_idle_pipe_stays_small_and_a_busy_one_grows() {
        let (read, write) = pipe();
        let small = fcntl_getpipe_size(&read.inner).unwrap();
        let sent = vec![7_u8; 3 * GROW_AFTER];
        let receive = async {
            let mut received = Vec::new();
            let mut buffer = vec![0; 32 * 1024];
            while received.len() < sent.len() {
                let read = read.read(&mut buffer).await.unwrap();
                received.extend_from_slice(&buffer[..read]);
            }
            received
        };
        write.write_all(b"").await.unwrap();
        assert_eq!(fcntl_getpipe_size(&read.inner).unwrap(), small);
        let (written, received) = tokio::join!(write.write_all(&sent), receive);
        written.unwrap();
        assert!(received == sent);
        assert!(fcntl_getpipe_size(&read.inner).unwrap() > small);
    }

    /// What a short read cannot know: a pipe in packet mode has more.
    #[tokio::test]
    async fn packets_do_not_wait_behind_a_short_read() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::DIRECT).unwrap();
        let mut read = Descriptor::pipe(read).unwrap();
        for packet in [&[1; 4096][..], b"two"] {
            rustix::io::write(&write, packet).unwrap();
        }
        let mut received = [0; 8192];
        let (mut count, all) = (0, 4096 + 3);
        while count < all {
            count += AsyncReadExt::read(&mut read, &mut received[count..]).await.unwrap();
        }
        assert_eq!(count, all);
    }

    #[tokio::test]
    async fn available_tells_nothing_yet_from_the_end() {
        let (read, write) = pipe();
        let mut buffer = [0; 8];
        assert_eq!(read.read_available(&mut buffer).unwrap(), None);
        write.write_all(b"abc").await.unwrap();
        assert_eq!(read.read_available(&mut buffer).unwrap(), Some(3));
        drop(write);
        assert_eq!(read.read_available(&mut buffer).unwrap(), Some(0));
    }

    #[tokio::test]
    async fn works_as_tokio_streams() {
        let (mut read, mut write) = pipe();
        write.write_all(b"abc").await.unwrap();
        AsyncWriteExt::shutdown(&mut write).await.unwrap();
        drop(write);
        let mut all = Vec::new();
        read.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"abc");
    }

    #[tokio::test]
    async fn a_reader_that_left_is_an_error_and_not_a_signal() {
        let (read, write) = pipe();
        drop(read);
        assert_eq!(write.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
