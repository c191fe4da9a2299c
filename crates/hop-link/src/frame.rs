//! The header of a frame (RFC 6455 section 5.2), and masking.

/// The longest header: two bytes, eight of length, four of mask.
pub(crate) const LONGEST: usize = 14;
/// The longest payload of a control frame (section 5.5).
pub(crate) const MOST_CONTROL: usize = 125;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    fn is_control(self) -> bool {
        match self {
            Self::Continuation | Self::Text | Self::Binary => false,
            Self::Close | Self::Ping | Self::Pong => true,
        }
    }
}

/// What stands in front of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) is_final: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) length: u64,
}

/// What is wrong with a frame. The peer is told; it is the peer's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Bits that an extension would have to give a meaning to; none is ever agreed on.
    #[error("a frame uses an extension that was not agreed on, compression perhaps")]
    Extension,
    /// An opcode without a meaning.
    #[error("a frame of an unknown kind")]
    Opcode,
    /// A control frame that is too long or in parts.
    #[error("a control frame that is too long or in parts")]
    Control,
    /// A length with its highest bit set.
    #[error("a frame of an impossible length")]
    Length,
    /// A client that does not mask, or a server that does.
    #[error("a frame that is masked the wrong way round")]
    Mask,
    /// A continuation of nothing, or a new message inside of another.
    #[error("the parts of a message are out of order")]
    Order,
    /// SSH is not text.
    #[error("a text frame; only binary frames carry SSH (websocat needs --binary)")]
    Text,
    /// A close frame that cannot be read.
    #[error("a close frame that cannot be read")]
    Close,
}

impl Header {
    /// Reads a header and says how long it is; `None` when there is not all of it yet.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(FrameError::Extension);
        }
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(FrameError::Opcode)?;
        let is_final = first & 0x80 != 0;
        let short = second & 0x7f;
        if opcode.is_control() && (!is_final || usize::from(short) > MOST_CONTROL) {
            return Err(FrameError::Control);
        }
        let (length, rest, long) = match (short, rest) {
            (126, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), rest, 2),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), rest, 8)
            }
            (126 | 127, _) => return Ok(None),
            (short, rest) => (u64::from(short), rest, 0),
        };
        if length >> 63 != 0 {
            return Err(FrameError::Length);
        }
        if second & 0x80 == 0 {
            return Ok(Some((Self { is_final, opcode, mask: None, length }, 2 + long)));
        }
        let [a, b, c, d, ..] = rest else { return Ok(None) };
        let mask = Some([*a, *b, *c, *d]);
        Ok(Some((Self { is_final, opcode, mask, length }, 2 + long + 4)))
    }

    /// Appends the header in its shortest form.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        out.push(self.opcode.bits() | if self.is_final { 0x80 } else { 0 });
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(short @ 0..=125), _) => out.push(masked | short),
            (_, Ok(medium)) => {
                out.push(masked | 126);
                out.extend_from_slice(&medium.to_be_bytes());
            }
            (_, Err(_)) => {
                out.push(masked | 127);
                out.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        out.extend_from_slice(self.mask.as_ref().map_or(&[], |mask| mask.as_slice()));
    }
}

/// Masks or unmasks what begins at the mask's byte `phase`; the phase of what follows.
pub(crate) fn apply_mask(bytes: &mut [u8], mask: [u8; 4], phase: usize) -> usize {
    let [a, b, c, d] = mask;
    let turned = match phase % 4 {
        0 => [a, b, c, d],
        1 => [b, c, d, a],
        2 => [c, d, a, b],
        _ => [d, a, b, c],
    };
    let word = u32::from_ne_bytes(turned);
    let wide = u64::from(word) << 32 | u64::from(word);
    // Eight at a time: the compiler makes vectors of it.
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
    phase.wrapping_add(bytes.len()) % 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The examples of section 5.7.
    #[test]
    fn headers_of_the_standard() {
        let header = |is_final, opcode, mask, length| Header { is_final, opcode, mask, length };
        let mask = Some([0x37, 0xfa, 0x21, 0x3d]);
        let cases: &[(&[u8], Header)] = &[
            (&[0x81, 0x05], header(true, Opcode::Text, None, 5)),
            (&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d], header(true, Opcode::Text, mask, 5)),
            (&[0x01, 0x03], header(false, Opcode::Text, None, 3)),
            (&[0x80, 0x02], header(true, Opcode::Continuation, None, 2)),
            (&[0x89, 0x05], header(true, Opcode::Ping, None, 5)),
            (&[0x82, 0x7e, 0x01, 0x00], header(true, Opcode::Binary, None, 256)),
            (&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0], header(true, Opcode::Binary, None, 65536)),
        ];
        for (bytes, header) in cases {
            assert_eq!(Header::parse(bytes), Ok(Some((*header, bytes.len()))));
            let mut written = Vec::new();
            header.write(&mut written);
            assert_eq!(&written, bytes);
            for end in 0..bytes.len() {
                assert_eq!(Header::parse(&bytes[..end]), Ok(None));
            }
        }
    }

    #[test]
    fn what_no_peer_may_send() {
        for (bytes, error) in [
            (&[0xc2, 0][..], FrameError::Extension),
            (&[0x83, 0], FrameError::Opcode),
            (&[0x8b, 0], FrameError::Opcode),
            (&[0x09, 0], FrameError::Control),
            (&[0x89, 126], FrameError::Control),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], FrameError::Length),
        ] {
            assert_eq!(Header::parse(bytes), Err(error));
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = Header::parse(&bytes);
        }

        #[test]
        fn masks_in_any_split(mut bytes in prop::collection::vec(any::<u8>(), 0..200), mask: [u8; 4], at in 0..200usize) {
            let wanted: Vec<u8> = bytes.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
            let at = at.min(bytes.len());
            let (left, right) = bytes.split_at_mut(at);
            let phase = apply_mask(left, mask, 0);
            let _ = apply_mask(right, mask, phase);
            prop_assert_eq!(bytes, wanted);
        }
    }
}
