//! The lines of OpenSSH's text files: authorized_keys, known_hosts, lists of CA keys and of revoked keys.
//!
//! What must stay true: one bad line is reported with its number and spoils no other line.

use crate::authorized_keys::OptionError;
use crate::public_key::KeyError;

/// No line is longer: OpenSSH's own limit is half of it.
pub(crate) const MAX_LINE: usize = 16 * 1024;

/// A line that could not be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LineProblem {
    /// Counted from 1.
    pub line: usize,
    /// Why it was skipped.
    pub reason: LineReason,
}

/// Why a line could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineReason {
    /// It is longer than anything sensible.
    #[error("longer than {MAX_LINE} bytes")]
    TooLong,
    /// What is not a comment must be UTF-8.
    #[error("not UTF-8 before the comment")]
    NotText,
    /// Its key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// One of its options is unknown or broken.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A known_hosts line begins with a marker that we do not know.
    #[error("marker \"{marker}\" is neither @cert-authority nor @revoked")]
    Marker {
        /// The marker found, escaped.
        marker: String,
    },
    /// A known_hosts line has a hashed host name that is broken.
    #[error("the hashed host name is broken")]
    HashedHost,
    /// A file of bare keys has a line with something before the key.
    #[error("only bare public keys may stand here, without options or markers")]
    NotBare,
}

/// The lines of `bytes` that say something: not empty and no comment, with their numbers, blanks at the ends
/// removed (a carriage return too). Bytes that are not UTF-8, which old comments have, become U+FFFD.
pub(crate) fn lines(
    bytes: &[u8],
) -> impl Iterator<Item = Result<(usize, std::borrow::Cow<'_, str>), LineProblem>> {
    bytes.split(|byte| *byte == b'\n').zip(1..).filter_map(|(raw, line)| {
        let trimmed = raw.trim_ascii();
        if trimmed.is_empty() || trimmed.first() == Some(&b'#') {
            None
        } else if trimmed.len() > MAX_LINE {
            Some(Err(LineProblem { line, reason: LineReason::TooLong }))
        } else {
            Some(Ok((line, String::from_utf8_lossy(trimmed))))
        }
    })
}

/// Refuses the part of a line that must be exact when bytes of it were replaced.
pub(crate) fn exact(text: &str) -> Result<&str, LineReason> {
    if text.contains('\u{fffd}') { Err(LineReason::NotText) } else { Ok(text) }
}

/// Whether a line begins with its key: no option and no marker begins like the name of a kind of key.
pub(crate) fn begins_with_key(text: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| text.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_say_something() {
        let long = [b'x'; MAX_LINE + 1];
        let file = [b"\n# comment\r\n  one \r\n\t# also\n".as_slice(), &long, b"\n\nt\xffwo"].concat();
        let got: Vec<_> = lines(&file).map(|line| line.map(|(n, text)| (n, text.into_owned()))).collect();
        assert_eq!(
            got,
            [
                Ok((3, "one".to_owned())),
                Err(LineProblem { line: 5, reason: LineReason::TooLong }),
                Ok((7, "t\u{fffd}wo".to_owned())),
            ]
        );
    }
}
