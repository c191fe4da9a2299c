//! Handles on one channel: streams for its data, requests in both directions.

use super::connection::Shared;
use super::wire::now;
use crate::connection::{ChannelRequest, Read, Stream, Ticket, Written};
use crate::lending::Flow;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// A channel. Cheap to clone; it is closed (after what was written has left) when the last handle on it,
/// of any kind, is dropped.
#[derive(Clone)]
pub struct Channel {
    held: Arc<Held>,
}

struct Held {
    shared: Arc<Shared>,
    local: u32,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.with(|engine| engine.abandon(self.local));
    }
}

impl Channel {
    pub(super) fn new(shared: Arc<Shared>, local: u32) -> Self {
        Self { held: Arc::new(Held { shared, local }) }
    }

    /// Reads what the peer sends on a stream. Have one reader per stream at a time.
    pub fn reader(&self, stream: Stream) -> ChannelReader {
        ChannelReader { held: self.held.clone(), stream }
    }

    /// Writes to a stream of the peer. Have one writer per stream at a time.
    pub fn writer(&self, stream: Stream) -> ChannelWriter {
        ChannelWriter { held: self.held.clone(), stream }
    }

    /// The peer's requests. Have one of these at a time.
    pub fn requests(&self) -> ChannelRequests {
        ChannelRequests { held: self.held.clone() }
    }

    /// Makes a request that wants a reply, in its place behind what was written; whether it was granted.
    pub async fn request(&self, request: &ChannelRequest) -> bool {
        let (caller, answer) = oneshot::channel();
        self.held.shared.lock().request(self.held.local, request, Some(caller));
        answer.await.unwrap_or(false)
    }

    /// Makes a request that wants no reply, in its place behind what was written.
    pub fn notify(&self, request: &ChannelRequest) {
        self.held.shared.lock().request(self.held.local, request, None);
    }

    /// Ends our data after what was written; the peer may go on sending.
    pub fn send_eof(&self) {
        self.held.shared.lock().send_eof(self.held.local);
    }

    /// Closes the channel in both directions after what was written, without waiting for other handles.
    pub fn close(&self) {
        self.held.shared.with(|engine| {
            engine.close(self.held.local);
            Ok(())
        });
    }

    /// Says that nobody will read the channel any more: what comes is thrown away, and the peer's window
    /// stays open, so that a peer that only writes does not stand still.
    pub fn discard_input(&self) {
        self.held.shared.with(|engine| engine.discard(self.held.local, now()));
    }
}

/// Reads one stream of a channel. Credit goes to the peer as bytes are taken from here.
pub struct ChannelReader {
    held: Arc<Held>,
    stream: Stream,
}

impl ChannelReader {
    /// Offers the pipe that this reader's bytes go to, so that they need not pass through here: whether that could be
    /// done now. Go on reading: what still comes belongs into the pipe, and a reader that has taken everything waits
    /// while others write.
    pub fn lend(&mut self, pipe: impl FnOnce() -> io::Result<OwnedFd>) -> bool {
        let Held { shared, local } = &*self.held;
        shared.with(|engine| engine.lend(*local, Flow::Input, || Ok(vec![pipe()?]))).unwrap_or(false)
    }
}

impl AsyncRead for ChannelReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Held { shared, local } = &*self.held;
        let room = buf.initialize_unfilled();
        let read = shared.with(|engine| engine.read(*local, self.stream, room, cx.waker(), now()));
        match read {
            Some(Read::Bytes(count)) => {
                buf.advance(count);
                Poll::Ready(Ok(()))
            }
            Some(Read::Pending) => Poll::Pending,
            Some(Read::End) | None => Poll::Ready(Ok(())),
        }
    }
}

/// Writes one stream of a channel. Shutting it down ends our data (EOF).
pub struct ChannelWriter {
    held: Arc<Held>,
    stream: Stream,
}

impl ChannelWriter {
    /// Offers the pipes whose bytes go to this channel, standard output and perhaps standard error, so that they need not
    /// pass through here: whether that could be done now. All that was read from them must have been
    /// [flushed](AsyncWrite::poll_flush); read no more until they are [returned](Self::poll_returned).
    pub fn lend(&mut self, pipes: impl FnOnce() -> io::Result<Vec<OwnedFd>>) -> bool {
        let Held { shared, local } = &*self.held;
        shared.with(|engine| engine.lend(*local, Flow::Output, pipes)).unwrap_or(false)
    }

    /// Waits while pipes are lent.
    pub fn poll_returned(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Held { shared, local } = &*self.held;
        shared.lock().poll_output_returned(*local, cx.waker())
    }
}

impl AsyncWrite for ChannelWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Held { shared, local } = &*self.held;
        match shared.with(|engine| engine.write(*local, self.stream, bytes, cx.waker())) {
            Some(Written::Bytes(count)) => Poll::Ready(Ok(count)),
            Some(Written::Pending) => Poll::Pending,
            Some(Written::Broken) | None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Waits until what was written has left the channel's queue (the peer's window allowing).
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Held { shared, local } = &*self.held;
        if shared.lock().is_flushed(*local, self.stream, cx.waker()) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held.shared.lock().send_eof(self.held.local);
        Poll::Ready(Ok(()))
    }
}

/// The peer's requests on a channel, in order.
pub struct ChannelRequests {
    held: Arc<Held>,
}

impl ChannelRequests {
    /// The next request; `None` once the peer has closed the channel.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<IncomingChannelRequest> {
        let held = &self.held;
        let incoming =
            std::future::poll_fn(|cx| match held.shared.lock().poll_request(held.local, cx.waker()) {
                Some(incoming) => Poll::Ready(incoming),
                None => Poll::Pending,
            })
            .await?;
        Some(IncomingChannelRequest {
            held: self.held.clone(),
            request: incoming.request,
            reply: incoming.reply,
        })
    }
}

/// A request of the peer on a channel. Dropped undecided, it fails.
pub struct IncomingChannelRequest {
    held: Arc<Held>,
    request: ChannelRequest,
    reply: Option<Ticket>,
}

impl IncomingChannelRequest {
    /// What it asks for.
    pub fn request(&self) -> &ChannelRequest {
        &self.request
    }

    /// Grants it.
    pub fn accept(mut self) {
        self.decide(true);
    }

    /// Refuses it.
    pub fn refuse(mut self) {
        self.decide(false);
    }

    fn decide(&mut self, accepted: bool) {
        if let Some(ticket) = self.reply.take() {
            let Held { shared, local } = &*self.held;
            shared.with(|engine| engine.reply(*local, ticket, accepted));
        }
    }
}

impl Drop for IncomingChannelRequest {
    fn drop(&mut self) {
        self.decide(false);
    }
}
