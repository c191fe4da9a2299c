//! Runs a relay between two byte streams.

use super::passing::{self, BringsDescriptors};
use super::wire::{Farewell, GOODBYE, now, poll_read, poll_write};
use crate::buffer::InBuf;
use crate::error::Error;
use crate::message::DisconnectReason;
use crate::relay::{OpenPipes, Relay, RelayError, Side};
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;

/// How long what one side sent before it left may take to reach the other.
const DELIVERY: Duration = Duration::from_secs(5);
/// How many rounds before other tasks get their turn.
const ROUNDS_PER_TURN: usize = 8;

/// A running relay. Dropping it cuts both sides.
pub struct RelayDriver<C, S> {
    relay: Relay,
    client: C,
    server: S,
    timer: Pin<Box<Sleep>>,
    meter: Arc<RelayMeter>,
    /// Reads the server's stream with the descriptors that it brings, where pipes are wanted.
    bring: Option<Bring<S>>,
}

/// Reads once into the buffer; how many bytes, 0 at the end of the stream.
type Bring<S> = fn(Pin<&mut S>, &mut Context<'_>, &mut InBuf, &mut Vec<OwnedFd>) -> Poll<io::Result<usize>>;

/// How much a running relay has moved, for whoever watches it.
#[derive(Debug, Default)]
pub struct RelayMeter {
    from_client: AtomicU64,
    from_server: AtomicU64,
    carried: AtomicU64,
}

impl RelayMeter {
    /// Bytes of payload that crossed, from a side.
    pub fn crossed(&self, from: Side) -> u64 {
        match from {
            Side::Client => self.from_client.load(Ordering::Relaxed),
            Side::Server => self.from_server.load(Ordering::Relaxed),
        }
    }

    /// Bytes of channel data, both ways: it stands still while a connection is idle, keepalives or not.
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    fn read(&self, relay: &Relay) {
        self.from_client.store(relay.crossed(Side::Client), Ordering::Relaxed);
        self.from_server.store(relay.crossed(Side::Server), Ordering::Relaxed);
        let carried = relay.carried(Side::Client).saturating_add(relay.carried(Side::Server));
        self.carried.store(carried, Ordering::Relaxed);
    }
}

impl<C, S> RelayDriver<C, S>
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Takes the streams that the relay's legs run on.
    pub fn new(relay: Relay, client: C, server: S) -> Self {
        let timer = Box::pin(tokio::time::sleep(GOODBYE));
        Self { relay, client, server, timer, meter: Arc::default(), bring: None }
    }

    /// Where the figures can be read while it runs.
    pub fn meter(&self) -> Arc<RelayMeter> {
        self.meter.clone()
    }

    /// The relay, to ask it for its figures.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Runs until one side leaves or fails, or `stop` says why to end it; then both are ended in order.
    ///
    /// Returns which side ended it (`None` for `stop`) and how.
    pub async fn run(
        &mut self,
        stop: impl Future<Output = (DisconnectReason, String)>,
    ) -> (Option<Side>, Error) {
        let ended = {
            let mut stop = std::pin::pin!(stop);
            poll_fn(|cx| {
                if let Poll::Ready((reason, description)) = stop.as_mut().poll(cx) {
                    return Poll::Ready((None, Error::Disconnecting { reason, description }));
                }
                match self.poll(cx) {
                    Err(RelayError { side, error }) => Poll::Ready((Some(side), error)),
                    Ok(()) => Poll::Pending,
                }
            })
            .await
        };
        self.finish(ended.0, &ended.1).await;
        ended
    }

    /// Runs until `pause` is ready *and* neither leg exchanges keys, nor is a pipe lent: then the relay can be
    /// [exported](Relay::export), by way of [`into_parts`](Self::into_parts). `Some` if a side left or
    /// failed before; both have been ended then.
    pub async fn run_until(&mut self, pause: impl Future<Output = ()>) -> Option<(Side, Error)> {
        let ended = {
            let mut pause = std::pin::pin!(pause);
            let mut wanted = false;
            poll_fn(|cx| {
                wanted = wanted || pause.as_mut().poll(cx).is_ready();
                if let Err(RelayError { side, error }) = self.poll(cx) {
                    return Poll::Ready(Some((side, error)));
                }
                let exchanging =
                    [Side::Client, Side::Server].map(|side| self.relay.leg(side).is_exchanging());
                if wanted && exchanging == [false, false] && !self.relay.has_loans() {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                }
            })
            .await
        };
        let (side, error) = ended?;
        self.finish(Some(side), &error).await;
        Some((side, error))
    }

    /// The relay and its streams, for another process.
    pub fn into_parts(self) -> (Relay, C, S) {
        (self.relay, self.client, self.server)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), RelayError> {
        let moved = self.poll_rounds(cx);
        self.meter.read(&self.relay);
        moved
    }

    fn poll_rounds(&mut self, cx: &mut Context<'_>) -> Result<(), RelayError> {
        for _round in 0..ROUNDS_PER_TURN {
            let moved = self.relay.poll_move(cx, now())?;
            let wrote = self.send(cx, Side::Client)? | self.send(cx, Side::Server)?;
            let read = self.receive(cx, Side::Client)? | self.receive(cx, Side::Server)?;
            if !moved && !wrote && !read {
                return self.poll_timer(cx);
            }
        }
        // Nobody can put off what is due by never being quiet.
        if self.relay.deadline().is_some_and(|deadline| deadline <= now()) {
            self.poll_timer(cx)?;
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn send(&mut self, cx: &mut Context<'_>, side: Side) -> Result<bool, RelayError> {
        let Self { relay, client, server, .. } = self;
        let mut wrote = false;
        loop {
            let output = relay.leg(side).output();
            if output.is_empty() {
                return Ok(wrote);
            }
            let written = match side {
                Side::Client => poll_write(Pin::new(&mut *client), cx, output),
                Side::Server => poll_write(Pin::new(&mut *server), cx, output),
            };
            match written {
                Poll::Ready(Ok(_)) => wrote = true,
                Poll::Ready(Err(error)) => return Err(RelayError { side, error: error.into() }),
                Poll::Pending => return Ok(wrote),
            }
        }
    }

    fn receive(&mut self, cx: &mut Context<'_>, side: Side) -> Result<bool, RelayError> {
        if !self.relay.wants_read(side) {
            return Ok(false);
        }
        let mut brought = Vec::new();
        let input = self.relay.leg(side).input();
        let read = match (side, self.bring) {
            (Side::Client, _) => poll_read(Pin::new(&mut self.client), cx, input),
            (Side::Server, None) => poll_read(Pin::new(&mut self.server), cx, input),
            (Side::Server, Some(bring)) => bring(Pin::new(&mut self.server), cx, input, &mut brought),
        };
        self.relay.bring(brought)?;
        match read {
            Poll::Ready(Ok(0)) => Err(RelayError { side, error: Error::Closed }),
            Poll::Ready(Ok(_)) => Ok(true),
            Poll::Ready(Err(error)) => Err(RelayError { side, error: error.into() }),
            Poll::Pending => Ok(false),
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Result<(), RelayError> {
        while let Some(deadline) = self.relay.deadline() {
            let deadline = tokio::time::Instant::from_std(deadline);
            if self.timer.deadline() != deadline {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            self.relay.on_time(now())?;
            self.send(cx, Side::Client)?;
            self.send(cx, Side::Server)?;
        }
        Ok(())
    }

    /// Delivers what the leaving side had sent, then says goodbye to both.
    async fn finish(&mut self, side: Option<Side>, error: &Error) {
        // What one side sent before it left still reaches the other, within bounds.
        let delivery = poll_fn(|cx| self.poll_delivery(cx, side));
        let _ = tokio::time::timeout(DELIVERY, delivery).await;
        for leg in [Side::Client, Side::Server] {
            let goodbye = match side {
                Some(at_fault) if at_fault != leg => Some(far_end_left(error)),
                _ => error.disconnect(),
            };
            if let Some((reason, description)) = goodbye {
                // If it does not fit, closing the socket says it too.
                let _ = self.relay.leg(leg).send_disconnect(reason, &description);
            }
        }
        let (mut to_client, mut to_server) = (Farewell::default(), Farewell::default());
        let goodbyes = poll_fn(|cx| {
            let client = to_client.poll(cx, &mut self.client, self.relay.leg(Side::Client).output());
            let server = to_server.poll(cx, &mut self.server, self.relay.leg(Side::Server).output());
            if client.is_ready() && server.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = tokio::time::timeout(GOODBYE, goodbyes).await;
    }

    fn poll_delivery(&mut self, cx: &mut Context<'_>, left: Option<Side>) -> Poll<()> {
        let Some(left) = left else { return Poll::Ready(()) };
        loop {
            let more = self.relay.process(now()).is_ok() && !self.relay.wants_read(left);
            let wrote = match self.send(cx, left.other()) {
                Ok(wrote) => wrote,
                Err(_) => return Poll::Ready(()),
            };
            if self.relay.leg(left.other()).output().is_empty() && !more {
                return Poll::Ready(());
            }
            if !wrote {
                return Poll::Pending;
            }
        }
    }
}

impl<C, S: BringsDescriptors> RelayDriver<C, S> {
    /// Takes pipes that the far side lends.
    pub fn borrowing(mut self, opener: Box<dyn OpenPipes>) -> Self {
        self.relay.borrow_pipes(opener);
        self.bring = Some(passing::poll_read);
        self
    }
}

/// What the remaining side is told when the other one left.
fn far_end_left(error: &Error) -> (DisconnectReason, String) {
    match error {
        Error::Disconnected { reason, description } => (*reason, description.clone()),
        Error::Closed | Error::Io(_) => {
            (DisconnectReason::ConnectionLost, "the other end of the connection is gone".to_owned())
        }
        other => (DisconnectReason::ByApplication, format!("the other end failed: {other}")),
    }
}

#[cfg(test)]
mod tests;
