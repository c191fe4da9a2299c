//! One part of the stream as a line of plain text: a mark, and in base64 the kind, the number, the payload and a checksum.
//!
//! What must stay true: a line that is no part is passed over, so a part that was damaged is missed by its number; nothing
//! is kept of a line beyond the longest that a part can have.

use base64ct::{Base64Unpadded, Encoding as _};

/// Bytes of payload in one part at most: a few of a terminal's own pieces, and far below every cap on messages.
pub(crate) const MOST: usize = 12 * 1024;
/// What a part begins with. A shell's prompt or a program's words hardly do.
const MARK: &[u8] = b"~hop1:";
/// Kind, number, checksum.
const AROUND: usize = 1 + 4 + 4;
/// The longest line of a part.
const LONGEST: usize = MARK.len() + (MOST + AROUND).div_ceil(3) * 4;

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// The far end is there, and its terminal raw.
    Hello,
    /// Bytes of the stream.
    Data,
    /// So many bytes were delivered, counted from the start: eight bytes, big endian.
    Delivered,
    /// Nothing but a sign of life.
    Alive,
    /// There are no more bytes to come.
    End,
}

/// One part of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// One more than that of the part before; it starts over after the largest.
    pub number: u32,
    /// At most 12 KiB.
    pub payload: Vec<u8>,
}

impl PartKind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            b'H' => Self::Hello,
            b'D' => Self::Data,
            b'A' => Self::Delivered,
            b'L' => Self::Alive,
            b'E' => Self::End,
            _ => return None,
        })
    }

    fn byte(self) -> u8 {
        match self {
            Self::Hello => b'H',
            Self::Data => b'D',
            Self::Delivered => b'A',
            Self::Alive => b'L',
            Self::End => b'E',
        }
    }
}

impl Part {
    /// As a line, with its end.
    pub fn line(&self) -> String {
        let mut bytes = Vec::with_capacity(self.payload.len() + AROUND);
        bytes.push(self.kind.byte());
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes.extend_from_slice(&checksum(&bytes).to_be_bytes());
        format!("{}{}\n", String::from_utf8_lossy(MARK), Base64Unpadded::encode_string(&bytes))
    }

    /// Reads a line without its end; `None` when it is none of a part.
    fn parse(line: &[u8]) -> Option<Self> {
        let text = line.strip_suffix(b"\r").unwrap_or(line).strip_prefix(MARK)?;
        let bytes = Base64Unpadded::decode_vec(std::str::from_utf8(text).ok()?).ok()?;
        let (content, sum) = bytes.split_last_chunk::<4>()?;
        if checksum(content) != u32::from_be_bytes(*sum) {
            return None;
        }
        let (kind, rest) = content.split_first()?;
        let (number, payload) = rest.split_first_chunk::<4>()?;
        let part = Self {
            kind: PartKind::from_byte(*kind)?,
            number: u32::from_be_bytes(*number),
            payload: payload.to_vec(),
        };
        (part.payload.len() <= MOST).then_some(part)
    }
}

/// Finds the parts in what a terminal prints.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    /// The line is longer than any of a part.
    is_long: bool,
}

impl Lines {
    /// Takes the text up to the end of the first part in it: says how much, and which part.
    pub fn next(&mut self, text: &[u8]) -> (usize, Option<Part>) {
        let mut taken = 0;
        while let Some(rest) = text.get(taken..).filter(|rest| !rest.is_empty()) {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let piece = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            // One more for a carriage return.
            if self.line.len() + piece.len() > LONGEST + 1 {
                self.is_long = true;
                self.line = Vec::new();
            } else if !self.is_long {
                self.line.extend_from_slice(piece);
            }
            taken += piece.len() + usize::from(end.is_some());
            if end.is_some() {
                let part = if self.is_long { None } else { Part::parse(&self.line) };
                self.line.clear();
                self.is_long = false;
                if part.is_some() {
                    return (taken, part);
                }
            }
        }
        (taken, None)
    }
}

/// CRC-32 as in IEEE 802.3. Against accidents: SSH itself guards against malice.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        let [low, ..] = sum.to_le_bytes();
        TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default() ^ (sum >> 8)
    })
}

const TABLE: [u32; 256] = table();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut entry, mut bit) = (index as u32, 0);
        while bit < 8 {
            entry = if entry & 1 == 1 { 0xedb8_8320 ^ (entry >> 1) } else { entry >> 1 };
            bit += 1;
        }
        table[index] = entry;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &[u8], piece: usize) -> Vec<Part> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for mut part in text.chunks(piece) {
            while !part.is_empty() {
                let (taken, one) = lines.next(part);
                part = &part[taken..];
                found.extend(one);
            }
            assert!(lines.line.len() <= LONGEST + 1);
        }
        found
    }

    fn data(number: u32, payload: &[u8]) -> Part {
        Part { kind: PartKind::Data, number, payload: payload.to_vec() }
    }

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn what_a_shell_prints_is_passed_over() {
        let part = data(7, b"SSH-2.0-x\r\n");
        let text = format!("Welcome!\r\n$ exec hop ~hop1:\r\n~hop1:AAAA\r\n{}bye", part.line());
        assert_eq!(parts(text.as_bytes(), 5), std::slice::from_ref(&part));
        // A terminal that is not raw yet ends lines its own way.
        assert_eq!(parts(part.line().replace('\n', "\r\n").as_bytes(), 1), std::slice::from_ref(&part));
        // Between a prompt and the end of its line there is none.
        assert_eq!(parts(format!("$ {}", part.line()).as_bytes(), 9), []);
        let endless = vec![b'x'; 3 * LONGEST];
        assert_eq!(parts(&[&endless[..], b"\n", part.line().as_bytes()].concat(), 4096), [part]);
    }

    #[test]
    fn the_longest_part_fits() {
        let part = data(u32::MAX, &[0xff; MOST]);
        assert!(part.line().len() <= LONGEST + 1);
        assert_eq!(parts(part.line().as_bytes(), 4095), [part]);
        assert_eq!(parts(data(0, &[0; MOST + 1]).line().as_bytes(), 4095), []);
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in prop::collection::vec(any::<u8>(), 0..600), piece in 1..50usize) {
            let _ = parts(&text, piece);
            let _ = parts(&[MARK, &text].concat(), piece);
        }

        #[test]
        fn there_and_back(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10),
            piece in 1..100usize,
        ) {
            let all: Vec<_> = (0..).zip(&payloads).map(|(number, payload)| data(number, payload)).collect();
            let text: String = all.iter().map(|part| format!("noise\r\n{}", part.line())).collect();
            prop_assert_eq!(parts(text.as_bytes(), piece), all);
        }

        #[test]
        fn damage_is_noticed(payload in prop::collection::vec(any::<u8>(), 1..60), at in 0..1000usize, bit in 0..7u8) {
            let mut line = data(3, &payload).line().into_bytes();
            let end = line.len() - 1;
            line[at % end] ^= 1 << bit;
            prop_assert_eq!(parts(&line, 64), []);
        }
    }
}
