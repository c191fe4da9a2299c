//! Requests that have arrived but are not answered yet.
//!
//! Owns the cutting of the byte stream into packets. Bounded: when its buffer is full nothing more is read,
//! which is how a client that sends too fast is held back.

use crate::codec::{FrameError, LENGTH_PREFIX, MAX_PACKET_LENGTH, frame_length};

/// Size of the buffer in bytes: two of the longest packets, so that a long one seldom has to be moved.
const CAPACITY: usize = 2 * (LENGTH_PREFIX + MAX_PACKET_LENGTH);

/// How far beyond the end of a long packet to read. More would have to be moved to the front later;
/// less would cost a read for the next packet's header alone.
const READ_AHEAD: usize = 16 * 1024;

/// Bytes from the client, cut into packets.
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; CAPACITY], start: 0, end: 0 }
    }

    /// The next whole packet, without its length prefix; it stays until [`take`](Self::take).
    pub(crate) fn packet(&self) -> Result<Option<&[u8]>, FrameError> {
        let Some(length) = frame_length(self.buffered())? else { return Ok(None) };
        let body = self.start.saturating_add(LENGTH_PREFIX);
        let end = body.saturating_add(length);
        if self.end < end {
            return Ok(None);
        }
        Ok(self.bytes.get(body..end))
    }

    /// Forgets the packet that [`packet`](Self::packet) gave.
    pub(crate) fn take(&mut self) {
        if let Ok(Some(packet)) = self.packet() {
            self.start = self.start.saturating_add(LENGTH_PREFIX).saturating_add(packet.len());
        }
    }

    /// Whether bytes of an unfinished packet are there.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Where to read to; empty when the buffer is full.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
        }
        let wanted = match frame_length(self.buffered()) {
            Ok(Some(length)) => LENGTH_PREFIX.saturating_add(length),
            // A bad length is reported when the packet is asked for.
            Ok(None) | Err(_) => LENGTH_PREFIX,
        };
        if self.start.saturating_add(wanted) > self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        let ahead = self.start.saturating_add(wanted).saturating_add(READ_AHEAD);
        let limit = ahead.max(self.end).min(self.bytes.len());
        self.bytes.get_mut(self.end..limit).unwrap_or_default()
    }

    /// Notes that `count` bytes were read to the start of [`space`](Self::space).
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = self.bytes.len().min(self.end.saturating_add(count));
    }

    fn buffered(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CAPACITY, Input};
    use crate::codec::{FrameError, MAX_PACKET_LENGTH};

    fn feed(input: &mut Input, bytes: &[u8], step: usize) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = input.space();
            let count = step.min(space.len()).min(rest.len());
            assert_ne!(count, 0, "an input whose packets are taken always has room");
            space[..count].copy_from_slice(&rest[..count]);
            input.filled(count);
            rest = &rest[count..];
            while let Some(packet) = input.packet().expect("lengths are in bounds") {
                packets.push(packet.to_vec());
                input.take();
            }
        }
        packets
    }

    proptest! {
        #[test]
        fn any_cutting_of_the_stream_gives_the_same_packets(
            lengths in prop::collection::vec(prop_oneof![1..100_usize, 1..=MAX_PACKET_LENGTH], 1..8),
            step in prop_oneof![Just(1_usize << 20), 50..70_000_usize],
        ) {
            let packets: Vec<Vec<u8>> =
                lengths.iter().enumerate().map(|(n, length)| vec![n.to_be_bytes()[7]; *length]).collect();
            let stream: Vec<u8> = packets
                .iter()
                .flat_map(|packet| {
                    let length = u32::try_from(packet.len()).expect("bounded");
                    [&length.to_be_bytes()[..], packet].concat()
                })
                .collect();
            let mut input = Input::new();
            prop_assert!(feed(&mut input, &stream, step) == packets);
            prop_assert!(input.is_empty());
        }
    }

    #[test]
    fn a_full_buffer_takes_no_more() {
        let mut input = Input::new();
        let mut total = 0;
        loop {
            let space = input.space();
            if space.is_empty() {
                break;
            }
            // Packets of length 1, never taken.
            let count = space.len();
            for (n, byte) in space.iter_mut().enumerate() {
                *byte = [0, 0, 0, 1, 9][(total + n) % 5];
            }
            input.filled(count);
            total += count;
        }
        assert!(total <= CAPACITY);
        assert_eq!(input.packet(), Ok(Some(&[9][..])));
    }

    #[test]
    fn bad_lengths() {
        for (prefix, error) in [
            (*b"Welc", FrameError::TooLong { length: 1_466_264_675 }),
            ([0; 4], FrameError::Empty),
            ([0, 4, 4, 1], FrameError::TooLong { length: 263_169 }),
        ] {
            let mut input = Input::new();
            input.space()[..4].copy_from_slice(&prefix);
            input.filled(4);
            assert_eq!(input.packet(), Err(error));
        }
    }
}
