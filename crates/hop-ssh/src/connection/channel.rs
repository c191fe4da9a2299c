//! One channel (RFC 4254 section 5): what was received and not yet read, what is to be sent, in order.
//!
//! Must stay true: what one side writes (data, requests, EOF, CLOSE) leaves in the order it was
//! written; EOF one way says nothing about the other way; after our CLOSE nothing leaves; received
//! data stays readable after the peer's CLOSE.

use super::Waiting;
use super::lend::Loan;
use super::replies::OwedReplies;
use super::requests::ChannelRequest;
use super::window::Window;
use crate::message;
use crate::wire::Put;
use std::collections::VecDeque;
use std::task::Waker;
use tokio::sync::oneshot;

/// How many bytes a writer may have waiting in one channel before it has to wait itself.
pub(crate) const LONGEST_QUEUE: usize = 128 * 1024;
/// The largest data message that we send or invite, in bytes: OpenSSH's own choice. Larger ones fall
/// out of the cache on the way.
pub(crate) const LARGEST_DATA: u32 = 32 * 1024;
/// What is written is queued in pieces of this many bytes: one data message each, if the peer takes such.
const PIECE: usize = LARGEST_DATA as usize;
/// Buffers that grew above this many bytes are given back when they are empty.
const KEPT_CAPACITY: usize = 128 * 1024;

/// The two streams of data of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// SSH_MSG_CHANNEL_DATA: standard input and output.
    Data,
    /// SSH_MSG_CHANNEL_EXTENDED_DATA of type 1: standard error.
    Stderr,
}

/// Whoever waits for something of one channel.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    pub(crate) data: Option<Waker>,
    pub(crate) stderr: Option<Waker>,
    /// The two streams may be written by two tasks.
    write_data: Option<Waker>,
    write_stderr: Option<Waker>,
    pub(crate) requests: Option<Waker>,
}

impl Wakers {
    /// Whoever waits to write to a stream, or for what was written to it to leave.
    pub(crate) fn write(&mut self, stream: Stream) -> &mut Option<Waker> {
        match stream {
            Stream::Data => &mut self.write_data,
            Stream::Stderr => &mut self.write_stderr,
        }
    }

    /// There is room again, or there will never be.
    pub(crate) fn wake_writers(&mut self) {
        wake(&mut self.write_data);
        wake(&mut self.write_stderr);
    }
}

/// Wakes whoever waits, once.
pub(crate) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// How far a channel has come.
#[derive(Debug)]
pub(crate) enum Phase {
    /// We asked; the answer goes here.
    Opening(oneshot::Sender<Result<(), super::OpenRefused>>),
    /// The peer asked; the caller decides.
    Asked,
    /// Both sides agreed.
    Open,
}

/// One channel.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) phase: Phase,
    /// The peer's number for it; not meaningful while opening.
    pub(crate) remote: u32,
    pub(crate) receive: Receive,
    pub(crate) send: Send,
    pub(crate) requests: VecDeque<Waiting<IncomingRequest>>,
    pub(crate) owed: OwedReplies<bool>,
    pub(crate) awaited: VecDeque<oneshot::Sender<bool>>,
    pub(crate) wakers: Wakers,
    /// The caller has dropped every handle.
    pub(crate) abandoned: bool,
}

/// A request of the peer, and the ticket of the reply it wants.
#[derive(Debug)]
pub(crate) struct IncomingRequest {
    pub(crate) request: ChannelRequest,
    pub(crate) reply: Option<super::replies::Ticket>,
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Receive {
    pub(crate) window: Window,
    pub(crate) data: VecDeque<u8>,
    pub(crate) stderr: VecDeque<u8>,
    pub(crate) eof: bool,
    pub(crate) closed: bool,
    /// Nobody reads any more: what comes is thrown away and credited.
    pub(crate) discard: bool,
    pub(crate) loan: Loan,
}

/// The sending half.
#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) window: u64,
    pub(crate) largest: u32,
    queue: VecDeque<Outgoing>,
    pub(crate) queued: usize,
    pub(crate) eof: bool,
    pub(crate) closing: bool,
    pub(crate) closed: bool,
    pub(crate) scheduled: bool,
    pub(crate) loan: Loan,
}

#[derive(Debug)]
enum Outgoing {
    Data {
        stream: Stream,
        bytes: Vec<u8>,
        sent: usize,
    },
    /// A whole message but for the recipient's number: its message number and what follows that.
    Message {
        number: u8,
        rest: Vec<u8>,
    },
    Eof,
    Close,
}

/// What [`Send::next`] found to send.
pub(crate) enum Next<'a> {
    /// One message in two parts.
    Message { head: Vec<u8>, body: &'a [u8] },
    /// Nothing may be sent now.
    Nothing,
}

impl Channel {
    pub(crate) fn new(phase: Phase, window: Window, most_requests: usize) -> Self {
        Self {
            phase,
            remote: 0,
            receive: Receive {
                window,
                data: VecDeque::new(),
                stderr: VecDeque::new(),
                eof: false,
                closed: false,
                discard: false,
                loan: Loan::None,
            },
            send: Send {
                window: 0,
                largest: 0,
                queue: VecDeque::new(),
                queued: 0,
                eof: false,
                closing: false,
                closed: false,
                scheduled: false,
                loan: Loan::None,
            },
            requests: VecDeque::new(),
            owed: OwedReplies::new(most_requests),
            awaited: VecDeque::new(),
            wakers: Wakers::default(),
            abandoned: false,
        }
    }

    /// Takes what the peer said in its OPEN or CONFIRMATION.
    pub(crate) fn set_peer(&mut self, remote: u32, window: u32, largest: u32) {
        self.remote = remote;
        self.send.window = u64::from(window);
        self.send.largest = largest.min(LARGEST_DATA);
    }

    /// Whether both sides are done with it and nobody holds it.
    pub(crate) fn is_over(&self) -> bool {
        self.abandoned && self.receive.closed && self.send.closed
    }

    /// Wakes everybody: the channel or the connection has ended.
    pub(crate) fn wake_all(&mut self) {
        let Wakers { data, stderr, write_data, write_stderr, requests } = &mut self.wakers;
        for waker in [data, stderr, write_data, write_stderr, requests] {
            wake(waker);
        }
    }
}

impl Receive {
    pub(crate) fn queue(&mut self, stream: Stream) -> &mut VecDeque<u8> {
        match stream {
            Stream::Data => &mut self.data,
            Stream::Stderr => &mut self.stderr,
        }
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.data.is_empty() && self.stderr.is_empty()
    }

    /// Moves received bytes to `room`; how many.
    pub(crate) fn take(&mut self, stream: Stream, room: &mut [u8]) -> usize {
        let queue = self.queue(stream);
        let count = queue.len().min(room.len());
        let (front, back) = queue.as_slices();
        let from_front = front.len().min(count);
        if let (Some(to), Some(from)) = (room.get_mut(..from_front), front.get(..from_front)) {
            to.copy_from_slice(from);
        }
        if let (Some(to), Some(from)) = (room.get_mut(from_front..count), back.get(..count - from_front)) {
            to.copy_from_slice(from);
        }
        queue.drain(..count);
        if queue.is_empty() && queue.capacity() > KEPT_CAPACITY {
            *queue = VecDeque::new();
        }
        count
    }
}

impl Send {
    /// How many bytes a writer may still add.
    pub(crate) fn room(&self) -> usize {
        LONGEST_QUEUE.saturating_sub(self.queued)
    }

    /// Whether there is something that may leave now.
    pub(crate) fn is_sendable(&self) -> bool {
        match self.queue.front() {
            None => false,
            Some(Outgoing::Data { .. }) => self.window > 0,
            Some(Outgoing::Message { .. } | Outgoing::Eof | Outgoing::Close) => true,
        }
    }

    /// Whether data written now could leave at once.
    pub(crate) fn is_clear(&self) -> bool {
        self.queue.is_empty() && self.window > 0
    }

    pub(crate) fn push_data(&mut self, stream: Stream, mut bytes: &[u8]) {
        self.queued += bytes.len();
        // In pieces, which are freed one by one: a queue that never runs empty keeps nothing of what left it.
        while !bytes.is_empty() {
            match self.queue.back_mut() {
                Some(Outgoing::Data { stream: last, bytes: waiting, .. })
                    if *last == stream && waiting.len() < PIECE =>
                {
                    let (now, later) = bytes.split_at(bytes.len().min(PIECE - waiting.len()));
                    waiting.extend_from_slice(now);
                    bytes = later;
                }
                _ => {
                    let (now, later) = bytes.split_at(bytes.len().min(PIECE));
                    self.queue.push_back(Outgoing::Data { stream, bytes: now.to_vec(), sent: 0 });
                    bytes = later;
                }
            }
        }
    }

    pub(crate) fn push_message(&mut self, number: u8, rest: Vec<u8>) {
        self.queued += rest.len();
        self.queue.push_back(Outgoing::Message { number, rest });
    }

    /// Ends the stream after what is queued.
    pub(crate) fn push_eof(&mut self) {
        if !self.eof && !self.closing {
            self.eof = true;
            self.queue.push_back(Outgoing::Eof);
        }
    }

    /// Closes after what is queued.
    pub(crate) fn push_close(&mut self) {
        if !self.closing {
            self.closing = true;
            self.queue.push_back(Outgoing::Close);
        }
    }

    /// Closes now: the peer has closed and would throw away what is queued.
    pub(crate) fn close_at_once(&mut self) {
        self.queue.clear();
        self.queued = 0;
        self.closing = false;
        self.push_close();
    }

    /// The next message for the peer's channel `remote`, at most one data message long.
    /// [`sent`](Self::sent) must follow once it is sealed.
    pub(crate) fn next(&self, remote: u32) -> Next<'_> {
        match self.queue.front() {
            None => Next::Nothing,
            Some(Outgoing::Data { stream, bytes, sent }) => {
                let waiting = bytes.get(*sent..).unwrap_or_default();
                let count = self.allowance(waiting.len());
                if count == 0 {
                    return Next::Nothing;
                }
                let body = waiting.get(..count).unwrap_or_default();
                Next::Message { head: data_head(*stream, remote, body.len()), body }
            }
            Some(Outgoing::Message { number, rest }) => {
                Next::Message { head: numbered(*number, remote), body: rest }
            }
            Some(Outgoing::Eof) => Next::Message { head: numbered(message::CHANNEL_EOF, remote), body: &[] },
            Some(Outgoing::Close) => {
                Next::Message { head: numbered(message::CHANNEL_CLOSE, remote), body: &[] }
            }
        }
    }

    /// How many of `wanted` bytes one data message may carry now.
    pub(crate) fn allowance(&self, wanted: usize) -> usize {
        let window = usize::try_from(self.window).unwrap_or(usize::MAX);
        wanted.min(window).min(self.largest as usize)
    }

    /// Says that the message of [`next`](Self::next) with `body` bytes was sealed.
    pub(crate) fn sent(&mut self, body: usize) {
        let done = match self.queue.front_mut() {
            None => return,
            Some(Outgoing::Data { bytes, sent, .. }) => {
                *sent += body;
                self.window -= (body as u64).min(self.window);
                *sent >= bytes.len()
            }
            Some(Outgoing::Message { .. } | Outgoing::Eof) => true,
            Some(Outgoing::Close) => {
                self.closed = true;
                true
            }
        };
        self.queued = self.queued.saturating_sub(body);
        if done {
            self.queue.pop_front();
            if self.queue.is_empty() {
                self.queue.shrink_to(4);
            }
        }
    }
}

/// The front of a data message.
pub(crate) fn data_head(stream: Stream, remote: u32, length: usize) -> Vec<u8> {
    let mut head = match stream {
        Stream::Data => numbered(message::CHANNEL_DATA, remote),
        Stream::Stderr => {
            let mut head = numbered(message::CHANNEL_EXTENDED_DATA, remote);
            head.put_uint32(message::EXTENDED_DATA_STDERR);
            head
        }
    };
    head.put_uint32(u32::try_from(length).unwrap_or(u32::MAX));
    head
}

/// A message number and the channel it is for.
pub(crate) fn numbered(number: u8, remote: u32) -> Vec<u8> {
    let mut head = Vec::with_capacity(16);
    head.put_byte(number);
    head.put_uint32(remote);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_never_runs_empty_keeps_nothing_of_what_has_left_it() {
        let window = super::super::window::Budget::new(1 << 30).open().unwrap();
        let mut channel = Channel::new(Phase::Open, window, 1);
        channel.set_peer(0, u32::MAX, LARGEST_DATA);
        let send = &mut channel.send;
        let mut expected = 0u8;
        let mut written = 0u8;
        for _ in 0..1000 {
            while send.room() > 0 {
                let block: Vec<u8> = (0..send.room().min(10_007))
                    .map(|_| {
                        written = written.wrapping_add(1);
                        written
                    })
                    .collect();
                send.push_data(Stream::Data, &block);
            }
            let Next::Message { body, .. } = send.next(0) else { panic!("it is full") };
            for byte in body {
                expected = expected.wrapping_add(1);
                assert_eq!(*byte, expected);
            }
            let length = body.len();
            send.sent(length);
            let held: usize = send
                .queue
                .iter()
                .map(|waiting| match waiting {
                    Outgoing::Data { bytes, .. } => bytes.capacity(),
                    Outgoing::Message { .. } | Outgoing::Eof | Outgoing::Close => 0,
                })
                .sum();
            assert!(held <= 2 * LONGEST_QUEUE, "{held} bytes");
        }
    }
}
