//! Where one packet ends in a stream of bytes.
//!
//! Owns the length prefix and its bound: a longer packet is an error before any of it is stored.

use thiserror::Error;

/// Bytes of the length that stands before each packet.
pub const LENGTH_PREFIX: usize = 4;

/// The longest packet accepted, in bytes without its length prefix: OpenSSH's 256 KiB and room for the header of a
/// read or write of a full 256 KiB, which some clients send.
pub const MAX_PACKET_LENGTH: usize = 256 * 1024 + 1024;

/// A length prefix that no sane peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Too long. A shell start-up file that prints text shows up here: its first four letters read as a length.
    #[error("SFTP packet of {length} bytes (first bytes {:?}) exceeds the limit of {MAX_PACKET_LENGTH}", text(*.length))]
    TooLong {
        /// The length that was announced.
        length: u32,
    },
    /// A packet without even a type.
    #[error("SFTP packet of length 0")]
    Empty,
}

/// The length of the packet that starts at the beginning of `stream`, without its prefix; `None` while the
/// prefix itself is incomplete.
pub fn frame_length(stream: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some((prefix, _)) = stream.split_first_chunk::<LENGTH_PREFIX>() else { return Ok(None) };
    let length = u32::from_be_bytes(*prefix);
    match usize::try_from(length) {
        Ok(0) => Err(FrameError::Empty),
        Ok(bounded) if bounded <= MAX_PACKET_LENGTH => Ok(Some(bounded)),
        Ok(_) | Err(_) => Err(FrameError::TooLong { length }),
    }
}

/// The four bytes of a length as text, to recognise what a shell printed.
fn text(length: u32) -> String {
    length.to_be_bytes().escape_ascii().to_string()
}
