//! The binary packet protocol (RFC 4253 section 6) of one direction each: framing, padding, sequence
//! numbers, and the counters that say when keys are due for replacement.

use crate::buffer::{InBuf, OutBuf};
use crate::crypto;
use crate::crypto::cipher::Protection;
use crate::error::Error;
use std::ops::Range;

/// The longest packet accepted once the peer is authenticated, as in OpenSSH (PACKET_MAX_SIZE), bytes.
pub(crate) const LONGEST_PACKET: u32 = 256 * 1024;
/// The longest packet accepted before: RFC 4253 section 6.1 asks for 35000.
pub(crate) const LONGEST_UNAUTHENTICATED_PACKET: u32 = 35_000;
const SHORTEST_PADDING: usize = 4;

/// Frames and seals outgoing packets.
pub(crate) struct PacketSealer {
    pub(crate) sequence: u32,
    pub(crate) protection: Protection,
    pub(crate) used: KeyUse,
    padding: Padding,
}

/// How much the present keys have been used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyUse {
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
}

impl KeyUse {
    fn count(&mut self, bytes: usize) {
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }
}

impl PacketSealer {
    pub(crate) fn new() -> Self {
        Self {
            sequence: 0,
            protection: Protection::plain(),
            used: KeyUse::default(),
            padding: Padding::default(),
        }
    }

    /// Appends one packet whose payload is `head` followed by `body`.
    pub(crate) fn seal(&mut self, out: &mut OutBuf, head: &[u8], body: &[u8]) -> Result<(), Error> {
        let payload = head.len() + body.len();
        let block = self.protection.block_size();
        let outside = if self.protection.length_is_apart() { 0 } else { 4 };
        let unpadded = outside + 1 + payload;
        let mut padding = block - unpadded % block;
        if padding < SHORTEST_PADDING {
            padding += block;
        }
        let length = 1 + payload + padding;

        let bytes = out.tail();
        let start = bytes.len();
        bytes.reserve(4 + length + self.protection.tag_length());
        bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        bytes.push(u8::try_from(padding).unwrap_or(u8::MAX));
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(self.padding.next(padding)?);
        let end = bytes.len();
        bytes.resize(end + self.protection.tag_length(), 0);

        let made = bytes.get_mut(start..).unwrap_or_default();
        let (packet, tag) = made.split_at_mut(end - start);
        self.protection.seal(self.sequence, packet, tag)?;
        self.sequence = self.sequence.wrapping_add(1);
        self.used.count(end - start);
        Ok(())
    }
}

/// Random padding bytes, drawn in bulk: one call of the generator serves many packets.
#[derive(Default)]
struct Padding {
    drawn: Vec<u8>,
    used: usize,
}

impl Padding {
    fn next(&mut self, count: usize) -> Result<&[u8], Error> {
        if self.used + count > self.drawn.len() {
            self.drawn.resize(256, 0);
            crypto::random(&mut self.drawn)?;
            self.used = 0;
        }
        let range = self.used..self.used + count;
        self.used = range.end;
        Ok(self.drawn.get(range).unwrap_or_default())
    }
}

/// Opens incoming packets in place.
pub(crate) struct PacketOpener {
    pub(crate) sequence: u32,
    pub(crate) protection: Protection,
    pub(crate) used: KeyUse,
    pub(crate) longest: u32,
}

impl PacketOpener {
    pub(crate) fn new() -> Self {
        Self {
            sequence: 0,
            protection: Protection::plain(),
            used: KeyUse::default(),
            longest: LONGEST_UNAUTHENTICATED_PACKET,
        }
    }

    /// Opens the next packet if all of it has arrived: the range of its payload in `input`.
    pub(crate) fn open(&mut self, input: &mut InBuf) -> Result<Option<Range<usize>>, Error> {
        let received = input.unread_mut();
        let Some(head) = received.get(..self.protection.length_needs()) else { return Ok(None) };
        let claimed = self.protection.length(self.sequence, head)?;
        let bad = Error::BadPacketLength { length: claimed };
        if claimed > self.longest {
            return Err(bad);
        }
        let length = claimed as usize;
        let padded = length + if self.protection.length_is_apart() { 0 } else { 4 };
        // Shortest: padding length, one byte of payload, four of padding.
        if length < 6 || !padded.is_multiple_of(self.protection.block_size()) {
            return Err(bad);
        }
        let tag_length = self.protection.tag_length();
        let total = 4 + length + tag_length;
        let Some(whole) = received.get_mut(..total) else { return Ok(None) };
        let (packet, tag) = whole.split_at_mut(4 + length);
        self.protection.open(self.sequence, packet, tag)?;
        self.sequence = self.sequence.wrapping_add(1);
        self.used.count(4 + length);

        let padding = usize::from(packet.get(4).copied().unwrap_or_default());
        let payload_end = (4 + length).checked_sub(padding).filter(|end| *end > 5).ok_or(bad)?;
        if padding < SHORTEST_PADDING {
            return Err(Error::BadPacketLength { length: claimed });
        }
        Ok(Some(input.consume(total, 5..payload_end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::cipher::{Cipher, Direction, Keys, Mac};
    use zeroize::Zeroizing;

    fn suites() -> Vec<(Cipher, Option<Mac>)> {
        let mut all =
            vec![(Cipher::Aes256Gcm, None), (Cipher::Aes128Gcm, None), (Cipher::ChaCha20Poly1305, None)];
        for cipher in [Cipher::Aes256Ctr, Cipher::Aes192Ctr, Cipher::Aes128Ctr] {
            for mac in [Mac::HmacSha256Etm, Mac::HmacSha512Etm, Mac::HmacSha256, Mac::HmacSha512] {
                all.push((cipher, Some(mac)));
            }
        }
        all
    }

    fn pair(cipher: Cipher, mac: Option<Mac>) -> (PacketSealer, PacketOpener) {
        let (key, iv) = cipher.key_and_iv_length();
        let keys = Keys {
            cipher,
            mac,
            key: Zeroizing::new(vec![7; key]),
            iv: Zeroizing::new(vec![0xff; iv]),
            mac_key: Zeroizing::new(vec![9; mac.map_or(0, Mac::key_length)]),
        };
        let mut sealer = PacketSealer::new();
        sealer.protection = Protection::new(keys.clone(), Direction::Send).unwrap();
        let mut opener = PacketOpener::new();
        opener.protection = Protection::new(keys, Direction::Receive).unwrap();
        opener.longest = LONGEST_PACKET;
        (sealer, opener)
    }

    #[test]
    fn payloads_survive_every_suite_byte_by_byte() {
        for (cipher, mac) in suites() {
            let (mut sealer, mut opener) = pair(cipher, mac);
            let mut out = OutBuf::default();
            let sizes = [1usize, 5, 6, 11, 12, 255, 4096, 32_768];
            for size in sizes {
                sealer.seal(&mut out, &[94], &vec![size as u8; size - 1]).unwrap();
            }
            let mut input = InBuf::default();
            let mut seen = Vec::new();
            for chunk in out.pending().chunks(7) {
                input.preload(chunk);
                while let Some(range) = opener.open(&mut input).unwrap() {
                    seen.push(input.slice(&range).len());
                }
            }
            assert_eq!(seen, sizes, "{cipher:?} {mac:?}");
            assert!(input.unread().is_empty());
        }
    }

    #[test]
    fn any_flipped_bit_is_found() {
        for (cipher, mac) in suites() {
            let (mut sealer, _) = pair(cipher, mac);
            let mut out = OutBuf::default();
            sealer.seal(&mut out, b"^", b"payload").unwrap();
            for byte in 0..out.len() {
                let (_, mut opener) = pair(cipher, mac);
                let mut damaged = out.pending().to_vec();
                damaged[byte] ^= 1;
                let mut input = InBuf::default();
                input.preload(&damaged);
                // A damaged length may also make the opener wait for bytes that never come.
                assert!(!matches!(opener.open(&mut input), Ok(Some(_))), "{cipher:?} {mac:?} byte {byte}");
            }
        }
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_before_they_are_waited_for() {
        for length in [0u32, 1, 5, 35_001, 1 << 20, u32::MAX] {
            let mut input = InBuf::default();
            input.preload(&length.to_be_bytes());
            let refused = PacketOpener::new().open(&mut input);
            assert!(matches!(refused, Err(Error::BadPacketLength { .. })), "{length}: {refused:?}");
        }
    }
}
