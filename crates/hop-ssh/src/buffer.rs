//! The two byte buffers of a leg: what was received and not yet consumed, what is to be sent.
//!
//! Must stay true: an idle leg owns no buffer. Buffers come from a small per-thread pool and go back
//! as soon as they are empty, so that a thousand idle connections cost no more than one busy one.

use crate::lent::Loan;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;

/// The size of a pooled buffer in bytes: what one read from a socket may bring, and what the sender
/// fills (128 KiB) plus the packet that goes over it. It stays well under the second-level cache,
/// where working in place is fastest.
const POOLED: usize = 192 * 1024;
/// Room for a packet of the usual largest size, 32 KiB of data and what is around it.
const ROOM: usize = 36 * 1024;
/// How many empty buffers of each kind a thread keeps.
const KEPT: usize = 4;

thread_local! {
    /// Received-bytes buffers, initialised throughout so that they are zeroed once and never again.
    static INPUTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    /// To-be-sent buffers, empty.
    static OUTPUTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn keep(pool: &mut Vec<Vec<u8>>, buffer: Vec<u8>) {
    // Only buffers of the pooled size go back: a large packet must not stay resident for ever.
    if buffer.capacity() == POOLED && pool.len() < KEPT {
        pool.push(buffer);
    }
}

/// Received bytes. Packets are opened in place and handed out as ranges of this buffer.
#[derive(Default)]
pub struct InBuf {
    /// Initialised throughout; the received bytes are `start..end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl InBuf {
    /// Room for the next read: at least a few KiB, and enough for the packet being waited for.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = INPUTS.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; POOLED]);
        }
        // Whole packets are consumed before the next read, so what is left is one partial packet:
        // moving it costs at most one packet per 128 KiB read.
        if self.start > 0 && self.bytes.len() - self.end < POOLED / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.bytes.len() - self.end < 4096 {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that `count` bytes were written to the front of [`spare`](Self::spare).
    pub fn commit(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// The bytes that were received and not consumed.
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn unread_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Consumes `count` bytes; the range of `within` (relative to the unread bytes) stays readable
    /// through [`slice`](Self::slice) until the next read.
    pub(crate) fn consume(&mut self, count: usize, within: Range<usize>) -> Range<usize> {
        let range = self.start + within.start..self.start + within.end;
        self.start = (self.start + count).min(self.end);
        range
    }

    pub(crate) fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// Gives the memory back when nothing is left to read. Ranges handed out before are dead.
    pub fn release_if_empty(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            let buffer = std::mem::take(&mut self.bytes);
            INPUTS.with_borrow_mut(|pool| keep(pool, buffer));
        }
    }

    /// Appends bytes as if they had been read; for state that moves between processes.
    pub(crate) fn preload(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let spare = self.spare();
            let count = spare.len().min(bytes.len());
            let (now, later) = bytes.split_at(count);
            if let Some(room) = spare.get_mut(..count) {
                room.copy_from_slice(now);
            }
            self.commit(count);
            bytes = later;
        }
    }
}

/// Bytes to be sent, already sealed; on a bare leg there may be some between them that lie in a pipe.
#[derive(Default)]
pub struct OutBuf {
    bytes: Vec<u8>,
    start: usize,
    lent: VecDeque<Lent>,
}

/// What is lent and where it belongs: before the byte at this index.
struct Lent {
    at: usize,
    loan: Loan,
}

impl OutBuf {
    /// What is to be written next: all of it, or what comes before bytes that are lent.
    pub fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..self.end()).unwrap_or_default()
    }

    fn end(&self) -> usize {
        self.lent.front().map_or(self.bytes.len(), |lent| lent.at)
    }

    /// Says that `count` bytes of [`pending`](Self::pending) were written.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end());
        self.release_if_empty();
    }

    /// Appends bytes that lie in a pipe.
    pub(crate) fn lend(&mut self, loan: Loan) {
        self.lent.push_back(Lent { at: self.bytes.len(), loan });
    }

    /// What is lent and to be moved next, if that comes before all else.
    pub(crate) fn next_lent(&mut self) -> Option<&mut Loan> {
        self.lent.front_mut().filter(|lent| lent.at == self.start).map(|lent| &mut lent.loan)
    }

    /// Lets go of a loan that is over.
    pub(crate) fn finish_lent(&mut self) {
        self.lent.pop_front_if(|lent| lent.loan.left() == 0);
        self.release_if_empty();
    }

    /// Reads all that is lent, for whoever can only write bytes.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        if self.lent.is_empty() {
            return Ok(());
        }
        let mut whole = Vec::with_capacity(self.len());
        let mut from = self.start;
        for Lent { at, loan } in std::mem::take(&mut self.lent) {
            whole.extend_from_slice(self.bytes.get(from..at).unwrap_or_default());
            from = at;
            loan.read_to(&mut whole)?;
        }
        whole.extend_from_slice(self.bytes.get(from..).unwrap_or_default());
        (self.bytes, self.start) = (whole, 0);
        Ok(())
    }

    fn release_if_empty(&mut self) {
        if self.start == self.bytes.len() && self.lent.is_empty() {
            self.start = 0;
            self.lent = VecDeque::new();
            let mut buffer = std::mem::take(&mut self.bytes);
            buffer.clear();
            OUTPUTS.with_borrow_mut(|pool| keep(pool, buffer));
        }
    }

    /// How many bytes wait to be written.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start + self.lent.iter().map(|lent| lent.loan.left()).sum::<usize>()
    }

    /// Whether nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vector that sealed packets are appended to.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = OUTPUTS.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(POOLED));
        }
        // Where the stream takes pieces, what is left is moved only for want of room, and then seldom.
        if self.lent.is_empty() && self.start >= POOLED / 2 && self.bytes.capacity() - self.bytes.len() < ROOM
        {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_buffer_owns_no_memory() {
        let mut input = InBuf::default();
        input.preload(b"abc");
        assert_eq!(input.unread(), b"abc");
        let range = input.consume(3, 1..2);
        assert_eq!(input.slice(&range), b"b");
        input.release_if_empty();
        assert_eq!(input.bytes.capacity(), 0);

        let mut output = OutBuf::default();
        output.tail().extend_from_slice(b"abc");
        output.consume(2);
        assert_eq!(output.pending(), b"c");
        output.consume(1);
        assert_eq!(output.bytes.capacity(), 0);
    }

    #[test]
    fn bytes_survive_growth_and_compaction() {
        let mut input = InBuf::default();
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        let mut got = Vec::new();
        for chunk in sent.chunks(70_001) {
            input.preload(chunk);
            let take = input.unread().len().saturating_sub(13);
            got.extend_from_slice(&input.unread()[..take]);
            input.consume(take, 0..0);
        }
        got.extend_from_slice(input.unread());
        assert_eq!(got, sent);
    }
}
