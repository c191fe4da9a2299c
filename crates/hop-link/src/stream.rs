//! A WebSocket as a byte stream.
//!
//! What must stay true:
//! - a peer that does not read holds back whoever writes: one frame of ours waits at most, and one pong;
//! - nothing is held of what a peer sends but what fits into one read;
//! - an end is told apart from a loss: [`WebSocket::end`];
//! - a frame leaves by whoever waits for the socket: the writer, if there is one, else the reader.

use crate::close::{Close, CloseCode};
use crate::frame::{FrameError, Opcode};
use crate::protocol::{ControlPayload, LONGEST_CONTROL, MOST_PAYLOAD, Random, Receiver, Role, Sender, Step};
use crate::pulse::{Keepalive, Pulse};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// How much is read at once.
const READ: usize = 64 * 1024;

/// How a WebSocket ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The peer said goodbye.
    Closed(Close),
    /// The bytes ended without a goodbye: something on the way was cut off.
    Lost,
    /// The peer broke the protocol.
    Broken(FrameError),
    /// No sign of life for so long.
    Silent(Duration),
}

/// What went through as data; pings are not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

/// A byte stream in binary frames over another byte stream.
///
/// Shutting it down sends the close frame; what the peer still sends before its own can be read. There is no half-close
/// in the protocol: a peer may stop sending as soon as it has read ours, so shut down when all was received.
pub struct WebSocket<IO> {
    io: IO,
    role: Role,
    receiver: Receiver,
    input: Vec<u8>,
    taken: usize,
    sender: Sender,
    /// What data is sent as.
    data: Opcode,
    /// The newest ping that was not answered yet; older ones need no answer (section 5.5.3).
    pong: Option<ControlPayload>,
    goodbye: Goodbye,
    end: Option<End>,
    /// Whoever waits until a frame has left.
    writer: Option<Waker>,
    pulse: Option<Pulse>,
    traffic: Traffic,
}

/// How far our own goodbye is.
#[derive(Debug)]
enum Goodbye {
    /// What [`AsyncWrite::poll_shutdown`] will say.
    Later(Close),
    Said,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> WebSocket<IO> {
    /// The client's end of a WebSocket whose handshake is over. `early` is what was read beyond the handshake.
    pub fn client(io: IO, early: &[u8], random: Random) -> Self {
        Self::new(io, Role::Client, early, Sender::client(random))
    }

    /// The server's end.
    pub fn server(io: IO, early: &[u8]) -> Self {
        Self::new(io, Role::Server, early, Sender::server())
    }

    fn new(io: IO, role: Role, early: &[u8], sender: Sender) -> Self {
        Self {
            io,
            role,
            receiver: Receiver::new(role),
            input: early.to_vec(),
            taken: 0,
            sender,
            data: Opcode::Binary,
            pong: None,
            goodbye: Goodbye::Later(Close::normal()),
            end: None,
            writer: None,
            pulse: None,
            traffic: Traffic::default(),
        }
    }

    /// Does something about silence, while it is being read from. Needs a runtime with time.
    #[must_use]
    pub fn keep_alive(mut self, keepalive: Keepalive) -> Self {
        self.pulse = Some(Pulse::new(keepalive));
        self
    }

    /// Sends text messages, one for each write of at most 65,535 bytes, and takes them for data. What is written must be UTF-8.
    #[must_use]
    pub fn with_text(mut self) -> Self {
        self.receiver.take_text();
        self.data = Opcode::Text;
        self
    }

    /// What the shutdown shall say instead of the ordinary goodbye.
    pub fn set_close(&mut self, close: Close) {
        if let Goodbye::Later(later) = &mut self.goodbye {
            *later = close;
        }
    }

    /// How it ended, once a read has said that it did.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// What went through so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// The stream below.
    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// Writes frames until none is left.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.sender.pending().is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, self.sender.pending()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sender.consume(count),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The same for somebody who wrote: they are woken when it goes on.
    fn poll_drain_as_writer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let drained = self.poll_drain(cx);
        self.writer = drained.is_pending().then(|| cx.waker().clone());
        drained
    }

    /// Puts control frames that wait behind what is being sent. Only when nothing is: so they never pile up.
    fn queue_control(&mut self) {
        if !self.sender.pending().is_empty() || matches!(self.goodbye, Goodbye::Said) {
            return;
        }
        if let Some(payload) = self.pong.take() {
            self.sender.push(Opcode::Pong, &payload);
        }
        if let Some(opcode) = self.pulse.as_mut().and_then(Pulse::take_due) {
            self.sender.push(opcode, &[]);
        }
    }

    /// Sends control frames on the reader's behalf. An error shows when something is read or written next.
    fn send_control(&mut self, cx: &mut Context<'_>) {
        // The writer's turn will take them along, and its place in the socket's queue is not to be taken.
        if self.writer.is_some() {
            return;
        }
        self.queue_control();
        if self.poll_drain(cx).is_ready() {
            let _later = Pin::new(&mut self.io).poll_flush(cx);
        }
    }

    fn say_goodbye(&mut self) {
        if let Goodbye::Later(close) = std::mem::replace(&mut self.goodbye, Goodbye::Said) {
            self.sender.push(Opcode::Close, &close.payload());
        }
    }

    /// The peer has sent its last: answers, so that it knows.
    fn finish(&mut self, end: End, cx: &mut Context<'_>) {
        let answer = match &end {
            End::Closed(close) => Some(Close { code: close.code, reason: String::new() }),
            End::Broken(error @ FrameError::Text) => {
                Some(Close::new(CloseCode::Unsupported, &error.to_string()))
            }
            End::Broken(error) => Some(Close::new(CloseCode::Protocol, &error.to_string())),
            End::Silent(_) => Some(Close::new(CloseCode::GoingAway, "no sign of life")),
            End::Lost => None,
        };
        if let Some(answer) = answer {
            self.set_close(answer);
            self.say_goodbye();
        } else {
            self.goodbye = Goodbye::Said;
        }
        self.end = Some(end);
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
        self.send_control(cx);
    }

    /// Reads more; `false` when there is nothing yet.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<Filled>> {
        let rest = self.input.len().saturating_sub(self.taken);
        let expected = usize::try_from(self.receiver.expects()).unwrap_or(usize::MAX);
        // The middle of a frame is read to where it is wanted.
        if rest == 0 && expected >= buffer.remaining().min(READ) {
            let before = buffer.filled().len();
            let mut part = buffer.take(expected);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut part))?;
            let count = part.filled().len();
            // What was read lies in the initialised part of the buffer that `part` borrowed.
            buffer.initialize_unfilled_to(count);
            buffer.advance(count);
            let payload = buffer.filled_mut().get_mut(before..).unwrap_or_default();
            self.receiver.took(payload);
            return Poll::Ready(Ok(if count == 0 { Filled::Ended } else { Filled::Payload(count) }));
        }
        if self.taken > 0 {
            self.input.drain(..self.taken.min(self.input.len()));
            self.taken = 0;
        }
        self.input.reserve(READ.max(LONGEST_CONTROL));
        let read = poll_read_buf(Pin::new(&mut self.io), cx, &mut self.input);
        if self.input.is_empty() {
            // An idle connection owns no buffer.
            self.input = Vec::new();
        }
        let count = ready!(read)?;
        Poll::Ready(Ok(if count == 0 { Filled::Ended } else { Filled::Input }))
    }

    /// Looks at the time while there is nothing to read. Ready when the peer has been silent for too long.
    fn poll_pulse(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let Some(pulse) = &mut self.pulse else { return Poll::Pending };
        let silence = pulse.poll(cx);
        if pulse.is_due() {
            self.send_control(cx);
        }
        silence
    }

    fn heard(&mut self) {
        if let Some(pulse) = &mut self.pulse {
            pulse.heard();
        }
    }

    fn received(&mut self, count: usize) {
        self.traffic.received += count as u64;
        if let Some(pulse) = &mut self.pulse {
            pulse.data();
        }
    }
}

enum Filled {
    Input,
    Payload(usize),
    Ended,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.end.is_some() {
                this.send_control(cx);
                // The server hangs up first (section 7.1.1).
                if this.role == Role::Server && this.sender.pending().is_empty() {
                    let _gone = Pin::new(&mut this.io).poll_shutdown(cx);
                }
                return Poll::Ready(Ok(()));
            }
            let input = this.input.get(this.taken..).unwrap_or_default();
            match this.receiver.advance(input, buffer.initialize_unfilled()) {
                Ok((taken, step)) => {
                    this.taken += taken;
                    match step {
                        Step::Data(count) => {
                            buffer.advance(count);
                            this.received(count);
                            return Poll::Ready(Ok(()));
                        }
                        Step::Ping(payload) => {
                            this.pong = Some(payload);
                            this.send_control(cx);
                            continue;
                        }
                        Step::Pong => continue,
                        Step::Close(close) => {
                            this.finish(End::Closed(close), cx);
                            continue;
                        }
                        Step::Wait => {}
                    }
                }
                Err(error) => {
                    this.finish(End::Broken(error), cx);
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
            }
            match this.poll_fill(cx, buffer) {
                Poll::Ready(Ok(Filled::Input)) => this.heard(),
                Poll::Ready(Ok(Filled::Payload(count))) => {
                    this.heard();
                    this.received(count);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(Filled::Ended)) => this.finish(End::Lost, cx),
                Poll::Ready(Err(error)) => {
                    this.finish(End::Lost, cx);
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    this.send_control(cx);
                    let silence = ready!(this.poll_pulse(cx));
                    this.finish(End::Silent(silence), cx);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<IO> {
    /// Takes one frame's worth when the frame before has left.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if matches!(this.goodbye, Goodbye::Said) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(this.poll_drain_as_writer(cx))?;
        let Some(payload) = bytes.get(..bytes.len().min(MOST_PAYLOAD)).filter(|bytes| !bytes.is_empty())
        else {
            return Poll::Ready(Ok(0));
        };
        this.queue_control();
        this.sender.push(this.data, payload);
        this.traffic.sent += payload.len() as u64;
        if let Poll::Ready(Err(error)) = this.poll_drain_as_writer(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(payload.len()))
    }

    /// Waits for what was written, not for a ping of ours that a peer without any wish for more may never read.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain_as_writer(cx))?;
        this.send_control(cx);
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain_as_writer(cx))?;
        this.say_goodbye();
        ready!(this.poll_drain_as_writer(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }
}

impl<IO> std::fmt::Debug for WebSocket<IO> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocket").field("role", &self.role).field("end", &self.end).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
