//! The one task of a connection: moves bytes between the stream and the protocol.
//!
//! Must stay true: reads never wait for writes of the same connection; after the end the goodbye gets
//! its chance to leave, but not for long.

use super::connection::Shared;
use super::passing;
use super::wire::{Farewell, GOODBYE, now, poll_read, poll_write};
use crate::buffer::OutBuf;
use crate::connection::Engine;
use crate::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::time::Sleep;

/// How many reads in a row before other tasks get their turn.
const READS_PER_TURN: usize = 4;

/// Runs one connection until it ends. Dropping it cuts the connection.
#[must_use = "a connection does nothing until its driver runs"]
pub struct Driver<IO> {
    io: IO,
    shared: Arc<Shared>,
    timer: Pin<Box<Sleep>>,
    /// Writes what has descriptors with it, where the stream can.
    pass: Option<Pass<IO>>,
}

/// Writes once from an output whose next byte has descriptors with it; how many bytes.
type Pass<IO> = fn(&mut IO, &mut Context<'_>, &mut OutBuf) -> Poll<io::Result<usize>>;

/// How many bytes a connection has moved, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Driver<IO> {
    pub(super) fn new(io: IO, shared: Arc<Shared>) -> Self {
        Self { io, shared, timer: Box::pin(tokio::time::sleep(GOODBYE)), pass: None }
    }

    /// Runs the connection to its end, and says why it ended.
    pub async fn run(mut self) -> Arc<Error> {
        // What came together with the end of the login is already in the buffer.
        self.shared.with(|engine| engine.process(now()));
        let ended = std::future::poll_fn(|cx| self.poll(cx)).await;
        // The goodbye is in the output; the peer has a moment to take it.
        let mut farewell = Farewell::default();
        let (io, shared) = (&mut self.io, &self.shared);
        let said = std::future::poll_fn(|cx| farewell.poll(cx, io, shared.lock().leg().output()));
        let _ = tokio::time::timeout(GOODBYE, said).await;
        ended
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Arc<Error>> {
        let shared = self.shared.clone();
        let mut engine = shared.lock();
        engine.set_driver(cx.waker());
        if let Err(error) = self.poll_io(cx, &mut engine) {
            engine.end(error);
        }
        match engine.ended() {
            Some(ended) => Poll::Ready(ended.clone()),
            None => Poll::Pending,
        }
    }

    /// Moves what can be moved. Returns with wakers registered for the rest.
    fn poll_io(&mut self, cx: &mut Context<'_>, engine: &mut Engine) -> Result<(), Error> {
        for turn in 0.. {
            self.poll_send(cx, engine)?;
            if engine.ended().is_some() {
                return Ok(());
            }
            match poll_read(Pin::new(&mut self.io), cx, engine.leg().input()) {
                Poll::Ready(Ok(0)) => return Err(Error::Closed),
                Poll::Ready(Ok(count)) => {
                    self.shared.received.fetch_add(count as u64, Ordering::Relaxed);
                    engine.process(now())?;
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => {
                    // What the reads brought about (replies, credit) leaves before we sleep.
                    self.poll_send(cx, engine)?;
                    return self.poll_timer(cx, engine);
                }
            }
            if turn >= READS_PER_TURN {
                self.poll_send(cx, engine)?;
                // Nobody can put off what is due by never being quiet.
                if engine.deadline().is_some_and(|deadline| deadline <= now()) {
                    self.poll_timer(cx, engine)?;
                }
                cx.waker().wake_by_ref();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Fills the output and writes it until the stream takes no more or nothing is left.
    fn poll_send(&mut self, cx: &mut Context<'_>, engine: &mut Engine) -> Result<(), Error> {
        loop {
            engine.fill()?;
            let output = engine.leg().output();
            if output.is_empty() {
                return match Pin::new(&mut self.io).poll_flush(cx) {
                    Poll::Ready(Err(error)) => Err(error.into()),
                    Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
                };
            }
            let written = match self.pass {
                Some(pass) if !output.passed().is_empty() => pass(&mut self.io, cx, output),
                _ => poll_write(Pin::new(&mut self.io), cx, output),
            };
            match written {
                Poll::Ready(Ok(count)) => {
                    self.shared.sent.fetch_add(count as u64, Ordering::Relaxed);
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => return Ok(()),
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, engine: &mut Engine) -> Result<(), Error> {
        while let Some(deadline) = engine.deadline() {
            let deadline = tokio::time::Instant::from_std(deadline);
            if self.timer.deadline() != deadline {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                break;
            }
            engine.on_time(now())?;
            engine.process(now())?;
            self.poll_send(cx, engine)?;
        }
        Ok(())
    }
}

impl Driver<UnixStream> {
    /// Lets channels lend their programs' pipes.
    pub(super) fn lending(mut self) -> Self {
        self.pass = Some(|stream, cx, output| passing::poll_write(stream, cx, output));
        self.shared.lock().set_lends();
        self
    }
}

impl<IO> Drop for Driver<IO> {
    fn drop(&mut self) {
        // Handles must not wait for a connection that nobody runs.
        self.shared.lock().end(Error::Closed);
    }
}
