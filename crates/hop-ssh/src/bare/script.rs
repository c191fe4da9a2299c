//! A script for the bare transport: raw bytes in pieces. How they are cut must make no difference.

use super::BareTransport;
use crate::buffer::OutBuf;
use crate::error::Error;
use crate::fuzzing::Script;
use crate::packet::LONGEST_PACKET;

/// Runs a script of raw bytes against a bare transport. The first byte is the size of the pieces.
pub fn bare(script: &[u8]) {
    let mut script = Script::new(script);
    let piece = usize::from(script.byte()) + 1;
    let bytes = script.remainder();
    let whole = read(bytes, usize::MAX);
    assert_eq!(whole, read(bytes, piece));
    for payload in &whole.0 {
        assert!(
            (1..=LONGEST_PACKET as usize).contains(&payload.len()),
            "a payload of {} bytes",
            payload.len()
        );
    }
}

/// The payloads, and how it ended if it did.
fn read(bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<String>) {
    let mut bare =
        BareTransport { input: Default::default(), output: OutBuf::default(), greeted: false, sequence: 0 };
    let mut payloads = Vec::new();
    for piece in bytes.chunks(piece) {
        bare.input().preload(piece);
        loop {
            match bare.next() {
                Ok(Some(payload)) => payloads.push(bare.payload(&payload).to_vec()),
                Ok(None) => break,
                Err(Error::NotSsh { .. }) => return (payloads, Some("no greeting".to_owned())),
                Err(error) => return (payloads, Some(error.to_string())),
            }
        }
    }
    (payloads, None)
}
