//! What opens a door of the web server: 256 random bits, written in hexadecimal.
//!
//! Must stay true: comparing takes the same time wherever two keys differ; keys are not shown by accident.

use rustix::rand::{GetRandomFlags, getrandom};
use std::fmt::Write as _;
use std::io;
use zeroize::ZeroizeOnDrop;

const BYTES: usize = 32;

/// A key.
#[derive(Clone, ZeroizeOnDrop)]
pub(super) struct Key(String);

impl Key {
    /// A new one.
    pub(super) fn random() -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += getrandom(rest, GetRandomFlags::empty())?;
        }
        let mut text = String::with_capacity(2 * BYTES);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Self(text))
    }

    /// Its text, for the one who gets it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether somebody has it.
    pub(super) fn is(&self, given: &str) -> bool {
        let differing = |found: u8, (one, other): (u8, u8)| found | (one ^ other);
        self.0.len() == given.len() && self.0.bytes().zip(given.bytes()).fold(0, differing) == 0
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_is_it() {
        let (key, other) = (Key::random().unwrap(), Key::random().unwrap());
        let text = key.expose().to_owned();
        assert!(text.len() == 64 && key.is(&text));
        for wrong in
            [other.expose(), "", &text[1..], &format!("{text}0"), &text.to_uppercase().replace('0', "1")]
        {
            assert!(!key.is(wrong), "{wrong}");
        }
        assert_eq!(format!("{key:?}"), "Key(…)");
    }
}
