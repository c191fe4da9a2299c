//! File names in messages and logs: readable, on one line, without terminal control codes.

use std::fmt;

/// Bytes to be shown: valid UTF-8 stays, control characters, backslash, quote and stray bytes become escapes.
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                // A single quote is harmless inside double quotes; escape_debug would escape it.
                match character {
                    '\'' => f.write_str("'")?,
                    other => write!(f, "{}", other.escape_debug())?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn names_stay_on_one_line_and_control_nothing() {
        for (bytes, shown) in [
            (&b"plain name.txt"[..], "plain name.txt"),
            (b"it's", "it's"),
            ("Übung-日本".as_bytes(), "Übung-日本"),
            (b"a\nb\rc\x1b[2J", "a\\nb\\rc\\u{1b}[2J"),
            (b"\xff\xfe.dat", "\\xff\\xfe.dat"),
            (b"say \"hi\" \\", "say \\\"hi\\\" \\\\"),
            ("right-to-left \u{202e}".as_bytes(), "right-to-left \\u{202e}"),
        ] {
            assert_eq!(Escaped(bytes).to_string(), shown);
        }
    }
}
