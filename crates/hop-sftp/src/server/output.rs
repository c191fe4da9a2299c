//! Responses that wait to be written.
//!
//! One buffer, initialised once and filled front to back, so that a file is read straight into the place from
//! which it is sent: no zeroing per read, no second copy. It is never moved: when the room at its end is too
//! small for the next response, the driver sends all of it first.

use crate::codec::{LENGTH_PREFIX, PacketType, Sink};

/// Size of the buffer in bytes; untouched pages cost nothing.
const CAPACITY: usize = 576 * 1024;

/// Header of a DATA response: length, type, id, length of the data.
const DATA_HEADER: usize = LENGTH_PREFIX + 1 + 4 + 4;

/// Responses in the order in which they were made.
pub(crate) struct Output {
    bytes: Vec<u8>,
    sent: usize,
    end: usize,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    /// A buffer that starts out smaller or larger; it grows when a response needs it.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity], sent: 0, end: 0 }
    }

    /// What is still to be sent.
    pub(crate) fn pending(&self) -> &[u8] {
        self.bytes.get(self.sent..self.end).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.end
    }

    /// Notes that the first `count` pending bytes were sent.
    pub(crate) fn advance(&mut self, count: usize) {
        self.sent = self.end.min(self.sent.saturating_add(count));
        if self.is_empty() {
            self.sent = 0;
            self.end = 0;
        }
    }

    /// Bytes that fit behind what is there.
    pub(crate) fn room(&self) -> usize {
        self.bytes.len().saturating_sub(self.end)
    }

    /// Appends a DATA response whose bytes `fill` puts in place, at most `length`. When `fill` fails,
    /// nothing is appended.
    pub(crate) fn data<E>(
        &mut self,
        id: u32,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let start = self.end;
        let body = start.saturating_add(DATA_HEADER);
        let space = self.slot(body, length);
        let filled = fill(space)?.min(length);
        self.put_u32(
            u32::try_from(DATA_HEADER.saturating_sub(LENGTH_PREFIX).saturating_add(filled)).unwrap_or(0),
        );
        self.put_u8(PacketType::Data.byte());
        self.put_u32(id);
        self.put_u32(u32::try_from(filled).unwrap_or(0));
        debug_assert_eq!(self.end, body, "the header has the size that was left for it");
        self.end = body.saturating_add(filled);
        Ok(filled)
    }

    /// The bytes at a place, which exist after this call.
    fn slot(&mut self, at: usize, length: usize) -> &mut [u8] {
        let end = at.saturating_add(length);
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes.get_mut(at..end).unwrap_or_default()
    }
}

impl Sink for Output {
    fn put(&mut self, bytes: &[u8]) {
        self.slot(self.end, bytes.len()).copy_from_slice(bytes);
        self.end = self.end.saturating_add(bytes.len());
    }

    fn position(&self) -> usize {
        self.end
    }

    fn patch_u32(&mut self, position: usize, value: u32) {
        self.slot(position, 4).copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{CAPACITY, Output};
    use crate::codec::{LENGTH_PREFIX, Response, ServerPacket};

    #[test]
    fn data_is_a_data_response_and_a_failed_read_leaves_no_trace() {
        let mut output = Output::new();
        assert_eq!(output.data(1, 10, |_| Err("refused")), Err("refused"));
        assert!(output.is_empty());
        let filled = output.data(7, 10, |space| {
            assert_eq!(space.len(), 10);
            space[..3].copy_from_slice(b"abc");
            Ok::<_, ()>(3)
        });
        assert_eq!(filled, Ok(3));
        assert_eq!(
            ServerPacket::decode(&output.pending()[LENGTH_PREFIX..]),
            Ok(ServerPacket::Response { id: 7, response: Response::Data(b"abc") })
        );
        let room = output.room();
        output.advance(5);
        assert_eq!(output.room(), room, "room comes back only when all is sent");
        output.advance(usize::MAX);
        assert_eq!(output.room(), CAPACITY);
    }
}
