//! Pipes of programs that a project's endpoint lends, so that bulk data do not pass through it.
//!
//! What must stay true: whatever a project passes, and whatever it does with its own descriptors of the same pipe (others
//! share its flags, so O_NONBLOCK means nothing here), no read and no write of ours waits; and what all projects together
//! can have lent is bounded.

#![expect(unsafe_code, reason = "tokio's registration asks its caller for what OwnedFd already promises")]

use hop_ssh::relay::{OpenPipes, Sink, Source};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev2};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pipes that are read, of all sessions: a descriptor each.
const MOST_SOURCES: usize = 512;
/// Pipes that are written: up to [`LARGEST_INPUT`](hop_ssh::LARGEST_INPUT) of memory each, 128 MiB in all.
const MOST_SINKS: usize = 64;
/// A pipe in packet mode (O_DIRECT) gives at most this much to one read, however much it has.
const LARGEST_PIPE_PACKET: usize = 4096;

/// What can be lent to a gateway. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Pipes {
    sources: Arc<Semaphore>,
    sinks: Arc<Semaphore>,
    /// The kernel can say of a pipe that it would wait (RWF_NOWAIT, since Linux 6.4).
    works: bool,
}

impl Default for Pipes {
    fn default() -> Self {
        Self {
            sources: Arc::new(Semaphore::new(MOST_SOURCES)),
            sinks: Arc::new(Semaphore::new(MOST_SINKS)),
            works: says_that_it_would_wait(),
        }
    }
}

impl Pipes {
    fn open(
        &self,
        pipe: OwnedFd,
        places: &Arc<Semaphore>,
        mode: OFlags,
        interest: Interest,
    ) -> io::Result<Pipe> {
        let is_pipe = FileType::from_raw_mode(fstat(&pipe)?.st_mode) == FileType::Fifo;
        if !self.works || !is_pipe || fcntl_getfl(&pipe)? & OFlags::RWMODE != mode {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let place = Arc::clone(places).try_acquire_owned().map_err(io::Error::other)?;
        // SAFETY: an OwnedFd stays open and names the same open file until it is dropped, and AsyncFd owns it; its
        // as_raw_fd is a field access.
        let inner = unsafe { AsyncFd::register_with_interest(pipe, interest) }.map_err(io::Error::from)?;
        Ok(Pipe { inner, _place: place })
    }
}

impl OpenPipes for Pipes {
    fn source(&mut self, pipe: OwnedFd) -> io::Result<Source> {
        Ok(Box::new(self.open(pipe, &self.sources, OFlags::RDONLY, Interest::READABLE)?))
    }

    fn sink(&mut self, pipe: OwnedFd) -> io::Result<Sink> {
        Ok(Box::new(self.open(pipe, &self.sinks, OFlags::WRONLY, Interest::WRITABLE)?))
    }
}

/// One end of a pipe.
struct Pipe {
    inner: AsyncFd<OwnedFd>,
    _place: OwnedSemaphorePermit,
}

/// Asks the kernel, with a pipe of our own: what it says of a project's (a named one, say) is no answer for all.
fn says_that_it_would_wait() -> bool {
    let Ok((read, _write)) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK) else { return false };
    let mut room = [0];
    let asked = preadv2(&read, &mut [IoSliceMut::new(&mut room)], u64::MAX, ReadWriteFlags::NOWAIT);
    asked == Err(Errno::AGAIN)
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &*self;
        loop {
            let mut ready = ready!(this.inner.poll_read_ready(cx))?;
            let room = buffer.remaining();
            let read = ready.try_io(|inner| {
                let mut slices = [IoSliceMut::new(buffer.initialize_unfilled())];
                Ok(preadv2(inner, &mut slices, u64::MAX, ReadWriteFlags::NOWAIT)?)
            });
            if let Ok(read) = read {
                let read = read?;
                if read > LARGEST_PIPE_PACKET && read < room {
                    // It is empty: another read would only hear so (epoll(7), "Edge-triggered").
                    ready.clear_ready_matching(Ready::READABLE);
                }
                buffer.advance(read);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &*self;
        loop {
            let mut ready = ready!(this.inner.poll_write_ready(cx))?;
            let write = |inner: &AsyncFd<OwnedFd>| {
                Ok(pwritev2(inner, &[IoSlice::new(bytes)], u64::MAX, ReadWriteFlags::NOWAIT)?)
            };
            if let Ok(written) = ready.try_io(write) {
                return Poll::Ready(written);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Closing is dropping.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, fcntl_setfl, mknodat};
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn pipe() -> (OwnedFd, OwnedFd) {
        pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap()
    }

    #[tokio::test]
    async fn what_is_no_pipe_of_the_right_way_is_not_taken() {
        let mut pipes = Pipes::default();
        let (read, write) = pipe();
        assert!(pipes.source(write.try_clone().unwrap()).is_err());
        assert!(pipes.sink(read.try_clone().unwrap()).is_err());
        let (socket, _other) = UnixStream::pair().unwrap();
        assert!(pipes.source(socket.into()).is_err());
        assert!(pipes.sink(std::fs::File::create("/dev/null").unwrap().into()).is_err());
        assert!(pipes.source(std::fs::File::open("/dev/zero").unwrap().into()).is_err());
        // One that can be waited for.
        assert!(pipes.source(std::fs::File::open("/proc/self/mounts").unwrap().into()).is_err());
        assert!(pipes.source(read).is_ok() && pipes.sink(write).is_ok());
    }

    /// It may not be able to say that it would wait. Then it is not waited for, and others are as good as before.
    #[tokio::test]
    async fn a_pipe_with_a_name_holds_nobody_up() {
        let folder = tempfile::TempDir::new().unwrap();
        let name = folder.path().join("pipe");
        mknodat(CWD, &name, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let both = std::fs::File::options().read(true).write(true).open(&name).unwrap();
        let read = std::fs::File::open(&name).unwrap();
        let mut pipes = Pipes::default();
        if let Ok(mut source) = pipes.source(read.into()) {
            let reading = source.read_u8();
            let waited = tokio::time::timeout(std::time::Duration::from_millis(50), reading).await;
            eprintln!("a named pipe that is empty: {waited:?}");
        }
        drop(both);
        let (read, write) = pipe();
        let mut source = pipes.source(read).unwrap();
        std::fs::File::from(write).write_all(b"x").unwrap();
        assert_eq!(source.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn so_many_are_taken_and_more_when_some_went_back() {
        let mut pipes = Pipes::default();
        let (_read, write) = pipe();
        let mut sinks: Vec<Sink> =
            (0..MOST_SINKS).map(|_| pipes.sink(write.try_clone().unwrap()).unwrap()).collect();
        assert!(pipes.clone().sink(write.try_clone().unwrap()).is_err());
        sinks.pop();
        assert!(pipes.sink(write).is_ok());
    }

    /// The other side holds the same open file, and can make it block at any time.
    #[tokio::test]
    async fn a_pipe_that_is_made_to_block_does_not_hold_us_up() {
        let (read, write) = pipe();
        let (theirs_read, theirs_write) = (read.try_clone().unwrap(), write.try_clone().unwrap());
        let mut pipes = Pipes::default();
        let (mut source, mut sink) = (pipes.source(read).unwrap(), pipes.sink(write).unwrap());
        let block = || {
            for end in [&theirs_read, &theirs_write] {
                fcntl_setfl(end, fcntl_getfl(end).unwrap() & !OFlags::NONBLOCK).unwrap();
            }
        };
        block();
        // As much as fits, and then it is told to wait.
        let mut sent = 0;
        let bytes = [7; 50_000];
        while let Ok(written) =
            tokio::time::timeout(std::time::Duration::from_millis(50), sink.write(&bytes)).await
        {
            sent += written.unwrap();
            block();
        }
        assert!(sent >= 4096);
        let mut got = vec![0; sent];
        source.read_exact(&mut got).await.unwrap();
        let mut more = [0];
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(50), source.read(&mut more));
        assert!(nothing.await.is_err());
        drop((theirs_read, source));
        assert!(sink.write(&bytes).await.is_err());
    }

    #[tokio::test]
    async fn bytes_come_and_then_the_end() {
        let (read, write) = pipe();
        let mut source = Pipes::default().source(read).unwrap();
        let mut write = std::fs::File::from(write);
        write.write_all(&[1; 30_000]).unwrap();
        drop(write);
        let mut got = Vec::new();
        source.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, [1; 30_000]);
    }
}
