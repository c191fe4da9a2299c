//! The two byte buffers of a leg: what was received and not yet consumed, what is to be sent.
//!
//! Must stay true: an idle leg owns no buffer. Buffers come from a small per-thread pool and go back
//! as soon as they are empty, so that a thousand idle connections cost no more than one busy one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::os::fd::OwnedFd;

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

/// Bytes to be sent, already sealed; on a bare leg descriptors may go with some of them.
#[derive(Default)]
pub struct OutBuf {
    bytes: Vec<u8>,
    start: usize,
    passed: VecDeque<Passed>,
}

/// Descriptors, and the index of the byte that they go with.
struct Passed {
    at: usize,
    descriptors: Vec<OwnedFd>,
}

impl OutBuf {
    /// What is to be written next: all of it, or what comes before descriptors (or further ones).
    pub fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..self.end()).unwrap_or_default()
    }

    fn end(&self) -> usize {
        let next = self.passed.iter().map(|passed| passed.at).find(|at| *at > self.start);
        next.unwrap_or(self.bytes.len())
    }

    /// What is to go with the first byte of [`pending`](Self::pending).
    pub(crate) fn passed(&self) -> &[OwnedFd] {
        match self.passed.front() {
            Some(passed) if passed.at == self.start => &passed.descriptors,
            _ => &[],
        }
    }

    /// Lets descriptors go with the next byte that is appended.
    pub(crate) fn pass(&mut self, descriptors: Vec<OwnedFd>) {
        self.passed.push_back(Passed { at: self.bytes.len(), descriptors });
    }

    /// Says that `count` bytes of [`pending`](Self::pending) were written, with what was to go with the first.
    pub fn consume(&mut self, count: usize) {
        if count > 0 {
            self.passed.pop_front_if(|passed| passed.at == self.start);
        }
        self.start = (self.start + count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.start = 0;
            let mut buffer = std::mem::take(&mut self.bytes);
            buffer.clear();
            OUTPUTS.with_borrow_mut(|pool| keep(pool, buffer));
        }
    }

    /// How many bytes wait to be written.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
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
        if self.start >= POOLED / 2 && self.bytes.capacity() - self.bytes.len() < ROOM {
            self.bytes.drain(..self.start);
            for passed in &mut self.passed {
                passed.at -= self.start;
            }
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
    fn descriptors_go_with_their_byte() {
        let mut output = OutBuf::default();
        let descriptor = || vec![OwnedFd::from(std::fs::File::open("/dev/null").unwrap())];
        output.tail().extend_from_slice(b"abc");
        output.pass(descriptor());
        output.tail().extend_from_slice(b"de");
        output.pass(descriptor());
        output.tail().extend_from_slice(&vec![b'f'; POOLED]);
        assert_eq!((output.pending(), output.passed().len()), (&b"abc"[..], 0));
        output.consume(2);
        assert_eq!((output.pending(), output.passed().len()), (&b"c"[..], 0));
        output.consume(1);
        assert_eq!((output.pending(), output.passed().len()), (&b"de"[..], 1));
        output.consume(1);
        assert_eq!((output.pending(), output.passed().len()), (&b"e"[..], 0));
        output.consume(1);
        assert_eq!((output.pending().len(), output.passed().len()), (POOLED, 1));
        output.consume(POOLED - 1);
        // Room is made by moving what is left.
        output.pass(descriptor());
        output.tail().extend_from_slice(b"gh");
        assert_eq!((output.pending(), output.passed().len()), (&b"f"[..], 0));
        output.consume(1);
        assert_eq!((output.pending(), output.passed().len()), (&b"gh"[..], 1));
        output.consume(2);
        assert!(output.is_empty() && output.passed().is_empty());
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
