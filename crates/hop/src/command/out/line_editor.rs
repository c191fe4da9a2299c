//! One line as it is typed, byte by byte, without a terminal.
//!
//! Must stay true: what was typed is overwritten when it is dropped.

use zeroize::Zeroizing;

/// Longer answers are cut: nothing that ssh asks has longer ones.
const LONGEST: usize = 1024;

/// What came of a byte.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The line goes on; these bytes show what happened.
    Echo(&'static [u8]),
    /// The line goes on with this byte.
    Typed,
    /// The line is complete.
    Enter,
    /// The person gives up (Ctrl-C, Ctrl-D on an empty line).
    Abort,
}

/// A line in progress.
#[derive(Debug, Default)]
pub(crate) struct LineEditor {
    line: Zeroizing<Vec<u8>>,
}

impl LineEditor {
    /// Takes a byte from a terminal in raw mode.
    pub(crate) fn key(&mut self, byte: u8) -> Key {
        match byte {
            b'\r' | b'\n' => Key::Enter,
            3 => Key::Abort,
            4 if self.line.is_empty() => Key::Abort,
            // Backspace and delete: a whole character goes.
            8 | 127 => {
                if self.line.is_empty() {
                    return Key::Echo(b"");
                }
                while self.line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
                Key::Echo(b"\x08 \x08")
            }
            // Ctrl-U.
            21 => {
                self.line.clear();
                Key::Echo(b"\r\x1b[K")
            }
            byte if byte < 32 || self.line.len() >= LONGEST => Key::Echo(b""),
            byte => {
                // Grown by hand, no copy of it is left behind when it moves.
                if self.line.capacity() == 0 {
                    self.line.reserve_exact(LONGEST);
                }
                self.line.push(byte);
                Key::Typed
            }
        }
    }

    /// The line.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.line).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> (String, Key) {
        let mut editor = LineEditor::default();
        let mut last = Key::Typed;
        for byte in bytes {
            last = editor.key(*byte);
        }
        (editor.text(), last)
    }

    #[test]
    fn keys() {
        assert_eq!(typed(b"123\r"), ("123".to_owned(), Key::Enter));
        assert_eq!(typed(b"12\x7f3\r"), ("13".to_owned(), Key::Enter));
        assert_eq!(typed("aä\x7fb\r".as_bytes()), ("ab".to_owned(), Key::Enter));
        assert_eq!(typed(b"abc\x15x\r"), ("x".to_owned(), Key::Enter));
        assert_eq!(typed(b"ab\x03").1, Key::Abort);
        assert_eq!(typed(b"\x04").1, Key::Abort);
        assert_eq!(typed(b"a\x04\x1b\r"), ("a".to_owned(), Key::Enter));
    }
}
