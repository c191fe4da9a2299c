//! Moves bytes one way between a channel and a pipe, terminal or socket.
//!
//! A pump that waits owns no buffer: bytes pass through one that all pumps of a thread share, and only what a
//! sink would not take at once is kept. Thousands of idle sessions therefore cost no buffers.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::descriptor::GROWN_OUTPUT;
use crate::limits::Activity;

/// One read by default: two of the largest packets, or a whole small pipe. What a sink does not take of it is kept.
const READ: usize = 64 * 1024;
/// One read of what goes to the peer: a whole large pipe, and more room than it can fill, since only a read that is
/// not filled says that nothing is left.
const READ_FOR_PEER: usize = GROWN_OUTPUT + 4096;
/// Bytes in a row before the other tasks of the thread get their turn: as much as a connection's output takes, so that
/// they can be sealed where they will be sent from and wait in no queue.
const TURN: usize = 128 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Why a pump stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Everything there was has been written: the source ended, or failed, which says the same.
    SourceEnded,
    /// The sink takes nothing more; some bytes may be lost.
    SinkClosed,
}

/// One direction of a flow.
#[derive(Debug)]
pub(crate) struct Pump {
    rest: Vec<u8>,
    written: usize,
    /// What one read may bring.
    read: usize,
    moved: u64,
}

impl Default for Pump {
    fn default() -> Self {
        Self { rest: Vec::new(), written: 0, read: READ, moved: 0 }
    }
}

impl Pump {
    /// A pump from a program to the peer. (From a socket the larger reads gain nothing, and there may be a thousand.)
    pub(crate) fn to_peer() -> Self {
        Self { read: READ_FOR_PEER, ..Self::default() }
    }

    /// Moves bytes until one side ends. Cancel-safe: a cancelled run goes on where it was, with the same ends.
    pub(crate) async fn run<R, W>(&mut self, source: &mut R, sink: &mut W, activity: &Activity) -> Stopped
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        std::future::poll_fn(|context| self.poll(context, source, sink, activity)).await
    }

    /// How many bytes it has read.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// One turn of [`run`](Self::run).
    pub(crate) fn poll<R, W>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        activity: &Activity,
    ) -> Poll<Stopped>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut scratch = SCRATCH.take();
        scratch.resize(READ_FOR_PEER.max(READ), 0);
        let polled = self.poll_turn(context, Pin::new(source), Pin::new(sink), activity, &mut scratch);
        SCRATCH.set(scratch);
        polled
    }

    fn poll_turn<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        mut source: Pin<&mut R>,
        mut sink: Pin<&mut W>,
        activity: &Activity,
        scratch: &mut [u8],
    ) -> Poll<Stopped> {
        let mut moved = 0;
        while moved < TURN {
            if let Err(stopped) = ready!(self.poll_rest(context, sink.as_mut())) {
                return Poll::Ready(stopped);
            }
            let mut buffer = ReadBuf::new(scratch.get_mut(..self.read).unwrap_or_default());
            match source.as_mut().poll_read(context, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Stopped::SourceEnded),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    return Poll::Ready(Stopped::SourceEnded);
                }
                Poll::Ready(Ok(())) => {}
            }
            activity.touch();
            let mut bytes = buffer.filled();
            moved += bytes.len();
            self.moved += bytes.len() as u64;
            while !bytes.is_empty() {
                match sink.as_mut().poll_write(context, bytes) {
                    Poll::Ready(Ok(count @ 1..)) => bytes = bytes.get(count..).unwrap_or_default(),
                    Poll::Ready(Ok(_) | Err(_)) => return Poll::Ready(Stopped::SinkClosed),
                    Poll::Pending => {
                        self.rest = bytes.to_vec();
                        self.written = 0;
                        return Poll::Pending;
                    }
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what the sink would not take earlier.
    pub(crate) fn poll_rest<W: AsyncWrite>(
        &mut self,
        context: &mut Context<'_>,
        mut sink: Pin<&mut W>,
    ) -> Poll<Result<(), Stopped>> {
        while let Some(rest) = self.rest.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(sink.as_mut().poll_write(context, rest)) {
                Ok(count @ 1..) => self.written += count,
                Ok(_) | Err(_) => return Poll::Ready(Err(Stopped::SinkClosed)),
            }
        }
        self.rest = Vec::new();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn everything_arrives_through_a_narrow_sink() {
        let sent: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
        let (mut far_source, mut source) = duplex(100_000);
        let (mut sink, mut far_sink) = duplex(7_000);
        let activity = Activity::start();
        let mut pump = Pump::default();
        let feed = async {
            far_source.write_all(&sent).await.unwrap();
            drop(far_source);
        };
        let run = async {
            let stopped = pump.run(&mut source, &mut sink, &activity).await;
            drop(sink);
            stopped
        };
        let mut received = Vec::new();
        let (_, stopped, _) = tokio::join!(feed, run, far_sink.read_to_end(&mut received));
        assert_eq!(stopped, Stopped::SourceEnded);
        assert!(received == sent);
        assert_eq!(pump.rest.capacity(), 0, "an idle pump holds no buffer");
    }

    #[tokio::test]
    async fn a_cancelled_run_loses_nothing() {
        let (mut far_source, mut source) = duplex(1000);
        let (mut sink, mut far_sink) = duplex(10);
        let activity = Activity::start();
        let mut pump = Pump::default();
        far_source.write_all(b"0123456789abcdefghij").await.unwrap();
        drop(far_source);
        tokio::select! {
            biased;
            _ = pump.run(&mut source, &mut sink, &activity) => panic!("the sink is narrower"),
            () = std::future::ready(()) => {}
        }
        let mut received = Vec::new();
        let run = async {
            pump.run(&mut source, &mut sink, &activity).await;
            drop(sink);
        };
        let (_, read) = tokio::join!(run, far_sink.read_to_end(&mut received));
        read.unwrap();
        assert_eq!(received, b"0123456789abcdefghij");
    }

    #[tokio::test]
    async fn a_closed_sink_is_told() {
        let (mut far_source, mut source) = duplex(10);
        let (mut sink, far_sink) = duplex(10);
        drop(far_sink);
        far_source.write_all(b"x").await.unwrap();
        let stopped = Pump::default().run(&mut source, &mut sink, &Activity::start()).await;
        assert_eq!(stopped, Stopped::SinkClosed);
    }
}
