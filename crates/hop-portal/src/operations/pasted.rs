//! Text that somebody pasted as public keys.
//!
//! What must stay true: a text with a private key in it yields no key and no piece of itself, and one bad line is
//! reported with its number and spoils no other line.

use hop_keys::{KeyAlgorithm, PublicKey};

/// The longest text looked at.
const MOST_BYTES: usize = 64 * 1_024;
/// Keys in one paste.
const MOST_KEYS: usize = 50;
/// The longest base64 of one key: 8192 bits of RSA need 1,400 characters.
const MOST_BASE64: usize = 8 * 1_024;
/// Pieces into which blanks and line ends may have cut one key.
const MOST_PIECES: usize = 200;
/// RSA keys below this are refused (NIST SP 800-131A).
const RSA_LEAST: usize = 2_048;
/// RSA keys below this are taken with a warning: NIST SP 800-57 ends them with 2030.
const RSA_GOOD: usize = 3_072;

/// Where private keys begin, whoever wrote them: PEM, PuTTY, and OpenSSH's own without its first line.
const PRIVATE_MARKS: &[&str] = &["PRIVATE KEY", "PuTTY-User-Key-File", "b3BlbnNzaC1rZXktdjE"];
const RFC4716_BEGIN: &str = "---- BEGIN SSH2 PUBLIC KEY ----";
const RFC4716_END: &str = "---- END SSH2 PUBLIC KEY ----";

/// A private key was pasted. Nothing of it was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is a private key, and it was not stored. Paste the public key: the one line in the file that ends in .pub. \
     What was pasted has left your computer, so make a new key pair and delete this one."
)]
pub struct PrivateKeyPasted;

/// What a text holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pasted {
    /// Its keys, in order, each once.
    pub keys: Vec<PastedKey>,
    /// What could not be used.
    pub problems: Vec<PastedProblem>,
}

/// A key of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastedKey {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// The key.
    pub key: PublicKey,
    /// What stood behind it.
    pub comment: String,
    /// What its owner should know.
    pub warning: Option<KeyWarning>,
}

/// What the owner of a key should know about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyWarning {
    /// It will soon be too short.
    #[error("an RSA key of {bits} bits is weak today; make a new one with `ssh-keygen -t ed25519`")]
    ShortRsa {
        /// Its size.
        bits: usize,
    },
}

/// A line that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct PastedProblem {
    /// Counted from 1.
    pub line: usize,
    /// Why.
    pub reason: PastedReason,
}

/// Why a line could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PastedReason {
    /// It begins like nothing known.
    #[error("this is not a public key; one begins with a word like ssh-ed25519")]
    NotAKey,
    /// An `authorized_keys` line with options.
    #[error(
        "options in front of a key are not taken here; paste the key from its first word, like ssh-ed25519"
    )]
    Options,
    /// A certificate.
    #[error("this is a certificate, not a key; paste the public key that it was made for")]
    Certificate,
    /// DSA.
    #[error(
        "DSA keys are not safe and OpenSSH no longer accepts them; make a new one with `ssh-keygen -t ed25519`"
    )]
    Dsa,
    /// A short RSA key.
    #[error(
        "an RSA key of {bits} bits is not safe; {RSA_LEAST} are the least, `ssh-keygen -t ed25519` makes a better one"
    )]
    SmallRsa {
        /// Its size.
        bits: usize,
    },
    /// A PEM public key of another program.
    #[error("this is a PEM public key; `ssh-keygen -i -m PKCS8 -f FILE` prints the line that belongs here")]
    Pem,
    /// Its key cannot be read.
    #[error(transparent)]
    Key(#[from] hop_keys::KeyError),
    /// The same key again.
    #[error("the same key as on line {first}")]
    Repeated {
        /// Where it stood first.
        first: usize,
    },
    /// More than one paste may hold.
    #[error("more than {MOST_KEYS} keys or {MOST_BYTES} bytes; paste the rest separately")]
    TooMuch,
}

/// Reads public keys from what a person pasted: one or several, with stray blanks and line ends in them, in the
/// one-line form or that of RFC 4716.
pub fn parse_keys(text: &str) -> Result<Pasted, PrivateKeyPasted> {
    if PRIVATE_MARKS.iter().any(|mark| text.contains(mark)) {
        return Err(PrivateKeyPasted);
    }
    let mut pasted = Pasted::default();
    if text.len() > MOST_BYTES {
        pasted.problem(1, PastedReason::TooMuch);
        return Ok(pasted);
    }
    for entry in entries(text) {
        if pasted.keys.len() >= MOST_KEYS {
            pasted.problem(entry.line, PastedReason::TooMuch);
            break;
        }
        match entry.read() {
            Ok((key, comment)) => pasted.take(entry.line, key, comment),
            Err(reason) => pasted.problem(entry.line, reason),
        }
    }
    Ok(pasted)
}

impl Pasted {
    fn problem(&mut self, line: usize, reason: PastedReason) {
        self.problems.push(PastedProblem { line, reason });
    }

    fn take(&mut self, line: usize, key: PublicKey, comment: String) {
        if let Some(first) = self.keys.iter().find(|other| other.key == key).map(|other| other.line) {
            return self.problem(line, PastedReason::Repeated { first });
        }
        let warning = match key.rsa_bits() {
            Some(bits) if bits < RSA_LEAST => return self.problem(line, PastedReason::SmallRsa { bits }),
            Some(bits) if bits < RSA_GOOD => Some(KeyWarning::ShortRsa { bits }),
            Some(_) | None => None,
        };
        self.keys.push(PastedKey { line, key, comment, warning });
    }
}

/// What may be one key: its first line, and the lines that belong to it.
struct Entry<'a> {
    line: usize,
    form: Form,
    words: Vec<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `ALGORITHM BASE64 [COMMENT]`, or the same without its first word.
    Line,
    /// RFC 4716.
    Block,
    /// `-----BEGIN …-----` of a public key.
    Pem,
}

/// Cuts a text where keys begin.
fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut in_block = false;
    let mut in_header = false;
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line == RFC4716_BEGIN {
            in_block = true;
            entries.push(Entry { line: number, form: Form::Block, words: Vec::new() });
        } else if in_block {
            in_block = line != RFC4716_END;
            // A header may go on over lines that end in a backslash (RFC 4716 section 3.3).
            let is_header = in_header || line.contains(": ");
            in_header = is_header && line.ends_with('\\');
            if in_block && !is_header {
                extend(&mut entries, line);
            }
        } else if line.starts_with("-----BEGIN") {
            entries.push(Entry { line: number, form: Form::Pem, words: Vec::new() });
        } else if line.is_empty() || line.starts_with('#') {
        } else if begins_key(line) || !entries.last().is_some_and(Entry::wants_more) {
            entries.push(Entry { line: number, form: Form::Line, words: line.split_whitespace().collect() });
        } else {
            extend(&mut entries, line);
        }
    }
    entries
}

fn extend<'a>(entries: &mut [Entry<'a>], line: &'a str) {
    if let Some(entry) = entries.last_mut() {
        entry.words.extend(line.split_whitespace());
    }
}

/// Whether a line begins with the name of a kind of key, one that is not taken included.
fn begins_key(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(is_algorithm)
}

fn is_algorithm(word: &str) -> bool {
    let name = word.as_bytes();
    word == "ssh-dss"
        || KeyAlgorithm::parse(name).is_some()
        || KeyAlgorithm::parse_certificate(name).is_some()
}

impl Entry<'_> {
    /// Whether the next line may be the rest of this key.
    fn wants_more(&self) -> bool {
        match self.form {
            Form::Pem => true,
            Form::Block => false,
            Form::Line => self.begins_well() && self.read().is_err(),
        }
    }

    fn begins_well(&self) -> bool {
        self.words.first().is_some_and(|word| is_algorithm(word) || word.starts_with("AAAA"))
    }

    fn read(&self) -> Result<(PublicKey, String), PastedReason> {
        let (name, pieces) = match (self.form, self.words.as_slice()) {
            (Form::Pem, _) => return Err(PastedReason::Pem),
            (Form::Block, words) => (None, words),
            (Form::Line, [first, rest @ ..]) if is_algorithm(first) => (Some(*first), rest),
            (Form::Line, words) if self.begins_well() => (None, words),
            (Form::Line, words) => {
                let has_key = words.iter().any(|word| is_algorithm(word));
                return Err(if has_key { PastedReason::Options } else { PastedReason::NotAKey });
            }
        };
        match name {
            Some("ssh-dss") => return Err(PastedReason::Dsa),
            Some(name) if KeyAlgorithm::parse_certificate(name.as_bytes()).is_some() => {
                return Err(PastedReason::Certificate);
            }
            Some(_) | None => {}
        }
        // The numbers in a key say where it ends: what is more, is comment.
        let mut base64 = String::new();
        let mut reason = PastedReason::NotAKey;
        for (piece, used) in pieces.iter().take(MOST_PIECES).zip(1..) {
            base64.push_str(piece);
            if base64.len() > MOST_BASE64 {
                break;
            }
            match read_key(name, &base64) {
                Ok(key) => return Ok((key, pieces.get(used..).unwrap_or_default().join(" "))),
                // The first piece's trouble is the clearest.
                Err(error) if used == 1 => reason = PastedReason::Key(error),
                Err(_) => {}
            }
        }
        Err(reason)
    }
}

/// A key from its base64, whose blob names its algorithm again.
fn read_key(name: Option<&str>, base64: &str) -> Result<PublicKey, hop_keys::KeyError> {
    if let Some(name) = name {
        return PublicKey::parse_line(&format!("{name} {base64}")).map(|(key, _)| key);
    }
    KeyAlgorithm::ALL
        .into_iter()
        .find_map(|algorithm| PublicKey::parse_line(&format!("{algorithm} {base64}")).ok())
        .map_or(Err(hop_keys::KeyError::Line), |(key, _)| Ok(key))
}

#[cfg(test)]
#[path = "pasted/tests.rs"]
mod tests;
