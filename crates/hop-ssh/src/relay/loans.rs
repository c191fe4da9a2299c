//! Pipes that the endpoint of a bare leg has lent ([`crate::lending`]): what a program writes goes from its pipe to the
//! client, and what the client sends into the program's, without passing through the endpoint.
//!
//! The one part of the relay that keeps windows, reads and writes. Must stay true:
//! - what is sent to the client is within the window that the endpoint handed over and the client's credit since;
//! - what is kept of a client's data is within the window it was given, and never more than [`LARGEST_INPUT`];
//! - whatever happens to a pipe, the bytes before and after go by way of the endpoint, in their order;
//! - a loan that moves nothing for a while goes back: an idle session holds no descriptors here.

use super::channels::Channels;
use super::{Fate, Relay, RelayError, Side, recipient};
use crate::connection::{FULL, LARGEST_DATA, Stream, data_head, numbered};
use crate::error::{Error, InMessage};
use crate::lending::{Flow, LARGEST_INPUT, Lending, Step};
use crate::message;
use crate::transport::Payload;
use crate::wire::{Put, Reader};
use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Loans of each kind at a time, on one connection.
const MOST_LOANS: usize = 8;
/// What all that is kept of a client's data may take, in bytes, with the heads of the messages that it goes back in.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) const MOST_KEPT: usize = MOST_LOANS * (LARGEST_INPUT as usize + 16 * 1024);
/// Descriptors that may have come ahead of their messages.
const MOST_BROUGHT: usize = 8;
/// A loan that moved nothing for so long goes back.
const IDLE: Duration = Duration::from_secs(3);
/// The client gets credit for its data so many bytes at a time.
const GRANT: u64 = 256 * 1024;
/// What an empty queue may keep of its memory, in bytes.
const KEPT_CAPACITY: usize = 128 * 1024;

/// One read: what the output takes, and more room than a large pipe can fill, since only a read that is not filled says that
/// nothing is left.
const READ: usize = FULL + 4096;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Where a program's output is read.
pub type Source = Box<dyn AsyncRead + Send + Unpin>;
/// Where its input is written.
pub type Sink = Box<dyn AsyncWrite + Send + Unpin>;

/// Makes streams of what was lent, or says that it does not want it. The lender is not to be trusted: what it calls a pipe
/// may be anything, and it holds the other end, and this one, too.
pub trait OpenPipes: Send {
    /// A stream that reads.
    fn source(&mut self, pipe: OwnedFd) -> io::Result<Source>;
    /// A stream that writes.
    fn sink(&mut self, pipe: OwnedFd) -> io::Result<Sink>;
}

/// What is lent on one connection.
#[derive(Default)]
pub(super) struct Loans {
    opener: Option<Box<dyn OpenPipes>>,
    /// Descriptors whose message was not read yet.
    brought: VecDeque<OwnedFd>,
    outputs: VecDeque<Output>,
    inputs: VecDeque<Input>,
}

/// The two ends' numbers for a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbers {
    client: u32,
    server: u32,
}

/// Standard output and standard error of a program.
struct Output {
    channel: Numbers,
    sources: [(Stream, Option<Source>); 2],
    /// The largest data message that the client takes.
    largest: usize,
    /// What the client takes; before the start only what it granted since the pipes came.
    window: u64,
    is_started: bool,
    moved: u64,
    last: Instant,
}

/// Standard input of a program.
struct Input {
    channel: Numbers,
    sink: Sink,
    /// Data that the pipe did not take yet.
    held: VecDeque<u8>,
    /// What the client may still send; before the start what it has sent.
    window: Window,
    moved: u64,
    /// Of that, what the client got no credit for yet.
    owed: u64,
    granted: u64,
    last: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Window {
    /// Bytes received before it was known how many may come.
    Unknown {
        received: u64,
    },
    Left(u64),
}

/// A source that is to be read by the endpoint again: all have ended, or one does not work.
struct Over;

impl Loans {
    pub(super) fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.inputs.is_empty()
    }

    pub(super) fn output_count(&self) -> usize {
        self.outputs.len()
    }

    /// When an idle loan is to go back.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let outputs = self.outputs.iter().map(|output| output.last);
        let last = outputs.chain(self.inputs.iter().map(|input| input.last)).min()?;
        Some(last + IDLE)
    }

    /// Keeps credit or data of the client if they are for what is lent; whether they were.
    fn keep(&mut self, payload: &[u8], now: Instant) -> Result<bool, Error> {
        let number = payload.first().copied().unwrap_or_default();
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            reader.uint32()
        };
        let server = read().in_message(number)?;
        match number {
            message::CHANNEL_WINDOW_ADJUST => {
                let Some(output) = self.outputs.iter_mut().find(|output| output.channel.server == server)
                else {
                    return Ok(false);
                };
                output.window += u64::from(reader.uint32().in_message(number)?);
                if output.window > u64::from(u32::MAX) {
                    return Err(Error::Protocol { problem: "a channel window beyond 2^32 - 1" });
                }
            }
            message::CHANNEL_DATA => {
                let Some(input) = self.inputs.iter_mut().find(|input| input.channel.server == server) else {
                    return Ok(false);
                };
                let bytes = reader.string().in_message(number)?;
                reader.finish().in_message(number)?;
                input.keep(bytes)?;
                input.last = now;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What must be true at any time.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn check(&self) {
        assert!(self.outputs.len() <= MOST_LOANS && self.inputs.len() <= MOST_LOANS);
        assert!(self.brought.len() <= MOST_BROUGHT);
        for input in &self.inputs {
            assert!(input.held.len() <= LARGEST_INPUT as usize, "{} bytes are kept", input.held.len());
        }
    }

    /// The pipes that a message is about: none where nobody wants any.
    fn take_brought(&mut self, count: usize) -> Result<Vec<OwnedFd>, Error> {
        if self.opener.is_none() {
            return Ok(Vec::new());
        }
        if self.brought.len() < count {
            return Err(Error::Protocol { problem: "it lends pipes that did not come" });
        }
        Ok(self.brought.drain(..count).collect())
    }

    fn open_output(&mut self, channel: Numbers, largest: u32, pipes: Vec<OwnedFd>, now: Instant) -> bool {
        let Some(opener) = self.opener.as_mut().filter(|_| self.outputs.len() < MOST_LOANS && largest > 0)
        else {
            return false;
        };
        let mut pipes = pipes.into_iter().map(|pipe| opener.source(pipe));
        let (Some(Ok(output)), errors) = (pipes.next(), pipes.next().transpose()) else { return false };
        let Ok(errors) = errors else { return false };
        self.outputs.push_back(Output {
            channel,
            sources: [(Stream::Data, Some(output)), (Stream::Stderr, errors)],
            largest: largest.min(LARGEST_DATA) as usize,
            window: 0,
            is_started: false,
            moved: 0,
            last: now,
        });
        true
    }

    fn open_input(&mut self, channel: Numbers, pipes: Vec<OwnedFd>, now: Instant) -> bool {
        let Some(opener) = self.opener.as_mut().filter(|_| self.inputs.len() < MOST_LOANS) else {
            return false;
        };
        let Some(Ok(sink)) = pipes.into_iter().next().map(|pipe| opener.sink(pipe)) else { return false };
        self.inputs.push_back(Input {
            channel,
            sink,
            held: VecDeque::new(),
            window: Window::Unknown { received: 0 },
            moved: 0,
            owed: 0,
            granted: 0,
            last: now,
        });
        true
    }
}

impl Output {
    /// Reads once from whichever source has something.
    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<Result<(Stream, usize), Over>> {
        for (stream, source) in &mut self.sources {
            let Some(open) = source else { continue };
            let mut buffer = ReadBuf::new(room);
            match Pin::new(open).poll_read(cx, &mut buffer) {
                Poll::Pending => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Over)),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => *source = None,
                Poll::Ready(Ok(())) => return Poll::Ready(Ok((*stream, buffer.filled().len()))),
            }
        }
        match self.sources.iter().any(|(_, source)| source.is_some()) {
            true => Poll::Pending,
            false => Poll::Ready(Err(Over)),
        }
    }
}

impl Input {
    fn keep(&mut self, bytes: &[u8]) -> Result<(), Error> {
        const OVERRUN: Error = Error::Protocol { problem: "more data than the channel's window allows" };
        let count = bytes.len() as u64;
        self.window = match self.window {
            Window::Unknown { received } if received + count > u64::from(LARGEST_INPUT) => {
                return Err(OVERRUN);
            }
            Window::Unknown { received } => Window::Unknown { received: received + count },
            Window::Left(left) => Window::Left(left.checked_sub(count).ok_or(OVERRUN)?),
        };
        self.held.extend(bytes);
        Ok(())
    }

    /// Writes once; how many bytes.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let (front, _) = self.held.as_slices();
        let written = Pin::new(&mut self.sink).poll_write(cx, front);
        if let Poll::Ready(Ok(count)) = written {
            self.held.drain(..count.min(front.len()));
            if self.held.is_empty() && self.held.capacity() > KEPT_CAPACITY {
                self.held = VecDeque::new();
            }
            self.moved += count as u64;
            self.owed += count as u64;
        }
        written
    }
}

impl Relay {
    /// Takes pipes that the far side lends, if its leg is bare.
    pub fn borrow_pipes(&mut self, opener: Box<dyn OpenPipes>) {
        self.loans.opener = Some(opener);
    }

    /// Takes descriptors that came from the far side with the bytes that are given to its leg next.
    pub(crate) fn bring(&mut self, descriptors: Vec<OwnedFd>) -> Result<(), RelayError> {
        self.loans.brought.extend(descriptors);
        match self.loans.brought.len() {
            0..=MOST_BROUGHT => Ok(()),
            _ => Err(at_server(Error::Limit { limit: "the number of descriptors that nobody speaks of" })),
        }
    }

    /// Whether pipes are lent.
    pub(crate) fn has_loans(&self) -> bool {
        !self.loans.is_empty()
    }

    /// What the endpoint says of its pipes.
    pub(super) fn on_lending(&mut self, payload: &[u8], now: Instant) -> Result<Fate, Error> {
        let number = payload.first().copied().unwrap_or_default();
        let lending = Lending::decode(payload).in_message(number)?;
        let pipes = self.loans.take_brought(lending.pipes())?;
        // The client may have closed it, and be rid of it, meanwhile.
        let Some(channel) = numbers(&self.channels, lending.channel) else { return Ok(Fate::Stay) };
        let loans = &mut self.loans;
        match (lending.step, lending.flow) {
            (Step::Lend { largest, .. }, flow) => {
                let is_lent = match flow {
                    Flow::Output => loans.outputs.iter().any(|output| output.channel == channel),
                    Flow::Input => loans.inputs.iter().any(|input| input.channel == channel),
                };
                if is_lent {
                    return Err(Error::Protocol { problem: "it lends what it has lent" });
                }
                let is_taken = match flow {
                    Flow::Output => loans.open_output(channel, largest, pipes, now),
                    // Whoever holds a pipe after the end of its data keeps the program from hearing of the end.
                    Flow::Input if !self.channels.is_sending(Side::Client, channel.client) => false,
                    Flow::Input => loans.open_input(channel, pipes, now),
                };
                let step = if is_taken { Step::Lent } else { Step::Returned { moved: 0, credit: 0 } };
                self.tell_endpoint(Lending { channel: channel.server, flow, step })?;
            }
            (Step::Start { window }, Flow::Output) => {
                if let Some(output) = loans.outputs.iter_mut().find(|output| output.channel == channel) {
                    output.window += u64::from(window);
                    output.is_started = true;
                }
            }
            (Step::Start { window }, Flow::Input) => {
                if let Some(input) = loans.inputs.iter_mut().find(|input| input.channel == channel)
                    && let Window::Unknown { received } = input.window
                {
                    let left = u64::from(window.min(LARGEST_INPUT)).checked_sub(received);
                    let left = left.ok_or(Error::Protocol { problem: "it says too little of a window" })?;
                    input.window = Window::Left(left);
                }
            }
            (Step::Lent | Step::Returned { .. }, _) => {
                return Err(Error::Protocol { problem: "it answers about pipes that are its own" });
            }
        }
        Ok(Fate::Stay)
    }

    /// Keeps what the client says about what is lent; whether it did. The end of its data ends a loan, and crosses.
    pub(super) fn keep_lent(
        &mut self,
        number: u8,
        payload: &Payload,
        now: Instant,
    ) -> Result<bool, RelayError> {
        let at = |error| RelayError { side: Side::Client, error };
        let bytes = self.client.leg.payload(payload);
        if number == message::CHANNEL_EOF {
            let channel = recipient(bytes).map_err(at)?;
            self.channels.ended(Side::Client, channel);
            self.end_input_loan(channel)?;
            return Ok(false);
        }
        if self.loans.is_empty() {
            return Ok(false);
        }
        let count = bytes.len() as u64;
        let is_kept = self.loans.keep(bytes, now).map_err(at)?;
        if is_kept {
            self.client.count(number, count);
        }
        Ok(is_kept)
    }

    /// Moves what programs have written whose turn it is; whether there was anything.
    pub(super) fn poll_outputs(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, RelayError> {
        if self.loans.outputs.is_empty() {
            return Ok(false);
        }
        let mut scratch = SCRATCH.take();
        scratch.resize(READ, 0);
        let mut moved = false;
        while self.turns.loans > 0 && self.client.takes_more() {
            self.turns.loans -= 1;
            let Some(mut output) = self.loans.outputs.pop_front() else { break };
            let sent = self.poll_output(cx, &mut output, &mut scratch);
            let count = sent.as_ref().map_or(0, |(count, _)| *count);
            if count > 0 {
                moved = true;
                output.last = now;
            }
            match sent? {
                (_, Poll::Ready(Over)) => self.give_back_output(output)?,
                (_, Poll::Pending) => self.loans.outputs.push_back(output),
            }
        }
        SCRATCH.set(scratch);
        Ok(moved)
    }

    /// Moves what one program has written, as far as the client takes it: how many bytes, and whether that is all.
    fn poll_output(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut Output,
        scratch: &mut [u8],
    ) -> Result<(u64, Poll<Over>), RelayError> {
        let mut moved = 0;
        while output.is_started && self.client.takes_more() {
            let room = READ.saturating_sub(self.client.leg.output().len());
            let room = room.min(usize::try_from(output.window).unwrap_or(usize::MAX));
            let Some(room) = scratch.get_mut(..room).filter(|room| !room.is_empty()) else { break };
            let (stream, count) = match output.poll_read(cx, room) {
                Poll::Pending => break,
                Poll::Ready(Err(Over)) => return Ok((moved, Poll::Ready(Over))),
                Poll::Ready(Ok(read)) => read,
            };
            for piece in room.get(..count).unwrap_or_default().chunks(output.largest) {
                let head = data_head(stream, output.channel.client, piece.len());
                let sent = self.client.leg.send(&head, piece);
                sent.map_err(|error| RelayError { side: Side::Client, error })?;
                self.server.count(message::CHANNEL_DATA, (head.len() + piece.len()) as u64);
            }
            output.window = output.window.saturating_sub(count as u64);
            output.moved += count as u64;
            moved += count as u64;
        }
        Ok((moved, Poll::Pending))
    }

    /// Moves what the client has sent for programs; whether there was anything.
    pub(super) fn poll_inputs(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, RelayError> {
        let mut moved = false;
        for _ in 0..self.loans.inputs.len() {
            let Some(mut input) = self.loans.inputs.pop_front() else { break };
            let mut is_broken = false;
            while let (Window::Left(_), false) = (input.window, input.held.is_empty()) {
                match input.poll_write(cx) {
                    Poll::Ready(Ok(1..)) => {
                        moved = true;
                        input.last = now;
                    }
                    Poll::Ready(Ok(_) | Err(_)) => {
                        is_broken = true;
                        break;
                    }
                    Poll::Pending => break,
                }
            }
            if is_broken {
                self.give_back_input(input)?;
                continue;
            }
            if let Window::Left(left) = input.window
                && input.owed >= GRANT
                && self.client.takes_more()
            {
                let mut adjust = numbered(message::CHANNEL_WINDOW_ADJUST, input.channel.client);
                adjust.put_uint32(u32::try_from(input.owed).unwrap_or(u32::MAX));
                let sent = self.client.leg.send(&adjust, &[]);
                sent.map_err(|error| RelayError { side: Side::Client, error })?;
                input.window = Window::Left(left + input.owed);
                input.granted += std::mem::take(&mut input.owed);
                moved = true;
            }
            self.loans.inputs.push_back(input);
        }
        Ok(moved)
    }

    /// Gives back what moved nothing for a while.
    pub(super) fn return_idle_loans(&mut self, now: Instant) -> Result<(), RelayError> {
        let is_idle = |last: Instant| now.saturating_duration_since(last) >= IDLE;
        while let Some(index) = self.loans.outputs.iter().position(|output| is_idle(output.last)) {
            if let Some(output) = self.loans.outputs.remove(index) {
                self.give_back_output(output)?;
            }
        }
        while let Some(index) = self.loans.inputs.iter().position(|input| is_idle(input.last)) {
            if let Some(input) = self.loans.inputs.remove(index) {
                self.give_back_input(input)?;
            }
        }
        Ok(())
    }

    /// The client ends its data on a channel: what it sent before is given back.
    fn end_input_loan(&mut self, server: u32) -> Result<(), RelayError> {
        let found = self.loans.inputs.iter().position(|input| input.channel.server == server);
        match found.and_then(|index| self.loans.inputs.remove(index)) {
            Some(input) => self.give_back_input(input),
            None => Ok(()),
        }
    }

    /// One side closes a channel, which the other calls `recipient`.
    pub(super) fn end_loans(&mut self, from: Side, recipient: u32) -> Result<(), Error> {
        if self.loans.is_empty() {
            return Ok(());
        }
        match from {
            Side::Client => {
                self.end_input_loan(recipient).map_err(|error| error.error)?;
                let found = self.loans.outputs.iter().position(|output| output.channel.server == recipient);
                match found.and_then(|index| self.loans.outputs.remove(index)) {
                    Some(output) => self.give_back_output(output).map_err(|error| error.error),
                    None => Ok(()),
                }
            }
            Side::Server => {
                self.loans.outputs.retain(|output| output.channel.client != recipient);
                self.loans.inputs.retain(|input| input.channel.client != recipient);
                Ok(())
            }
        }
    }

    fn give_back_output(&mut self, output: Output) -> Result<(), RelayError> {
        let Output { channel, moved, window, sources, .. } = output;
        drop(sources);
        let step = Step::Returned { moved, credit: window };
        self.tell_endpoint(Lending { channel: channel.server, flow: Flow::Output, step }).map_err(at_server)
    }

    fn give_back_input(&mut self, input: Input) -> Result<(), RelayError> {
        let Input { channel, moved, granted, mut held, sink, .. } = input;
        drop(sink);
        let step = Step::Returned { moved, credit: granted };
        self.tell_endpoint(Lending { channel: channel.server, flow: Flow::Input, step })
            .map_err(at_server)?;
        for piece in held.make_contiguous().chunks(LARGEST_DATA as usize) {
            let mut payload = data_head(Stream::Data, channel.server, piece.len());
            payload.extend_from_slice(piece);
            self.client.stash.push_back(payload);
        }
        Ok(())
    }

    /// Says something in its place behind what the client said.
    fn tell_endpoint(&mut self, lending: Lending) -> Result<(), Error> {
        let payload = lending.encode();
        if self.client.stash.is_empty() {
            return self.server.leg.send(&payload, &[]);
        }
        self.client.stash.push_back(payload);
        Ok(())
    }
}

fn at_server(error: Error) -> RelayError {
    RelayError { side: Side::Server, error }
}

/// The numbers of the channel that the client calls `client`, if both sides have it.
fn numbers(channels: &Channels, client: u32) -> Option<Numbers> {
    channels.other(Side::Client, client).map(|server| Numbers { client, server })
}

#[cfg(test)]
mod tests;
