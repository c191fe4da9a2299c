//! The name by which a person calls a host: what stands after `ssh`.
//!
//! Must stay true: an alias can stand in a command line, in ssh_config and in a shell word without being anything else
//! there; two aliases never share a file name.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longer names do not exist in DNS, and control sockets have short paths.
const LONGEST: usize = 255;
/// A file name of a control socket is at most this long (see [`crate::socket_directory`]).
const LONGEST_FILE_NAME: usize = 32;

/// A host as it is typed after `ssh`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Alias(String);

/// A name that cannot be a host's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no host alias: {reason}")]
pub struct AliasError {
    name: String,
    reason: &'static str,
}

impl Alias {
    /// Reads what was typed.
    ///
    /// # Errors
    /// When it is empty, too long, begins with `-`, or has a character that is none of a host name's.
    pub fn parse(text: &str) -> Result<Self, AliasError> {
        let reason = if text.is_empty() {
            "it is empty"
        } else if text.len() > LONGEST {
            "it is longer than 255 characters"
        } else if text.starts_with(['-', '.']) {
            "it begins with a dash or a dot"
        } else if text.contains('@') {
            "the user belongs into ~/.ssh/config (`User`), so that every program uses the same"
        } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:".contains(&b)) {
            "letters, digits and . _ - : only"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(AliasError { name: text.chars().take(80).filter(|c| !c.is_control()).collect(), reason })
    }

    /// As it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of this host's files: the alias itself where it is short and plain, else its beginning and a hash.
    #[must_use]
    pub fn file_name(&self) -> String {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        // A tail like a hash's could be another alias's file name.
        let hashed = self.0.rsplit_once('~').is_some();
        if self.0.len() <= LONGEST_FILE_NAME && self.0.bytes().all(plain) && !hashed {
            return self.0.clone();
        }
        let start: String =
            self.0.bytes().filter(|b| plain(*b)).take(LONGEST_FILE_NAME - 17).map(char::from).collect();
        format!("{start}~{:016x}", fnv1a(self.0.as_bytes()))
    }
}

/// FNV-1a: the names are the user's own, so nobody looks for collisions.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Alias {
    type Error = AliasError;

    fn try_from(text: String) -> Result<Self, AliasError> {
        Self::parse(&text)
    }
}

impl From<Alias> for String {
    fn from(alias: Alias) -> Self {
        alias.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_a_host() {
        for good in ["saga", "login-1.saga.example.org", "10.0.0.1", "fe80::1", "A_b"] {
            assert_eq!(Alias::parse(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(256);
        for bad in ["", "-oProxyCommand=x", "a b", "a\"b", "$(x)", "a\nb", "bob@saga", "..", "a/b", &long] {
            assert!(Alias::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn file_names_are_short_plain_and_different() {
        let name = |text: &str| Alias::parse(text).unwrap().file_name();
        assert_eq!(name("saga"), "saga");
        let long = "login-node-17.cluster.research.example.org";
        for special in ["Saga", "SAGA", "fe80::1", long] {
            assert!(name(special).len() <= LONGEST_FILE_NAME, "{special}");
            assert_ne!(name(special), special);
        }
        assert_ne!(name("Saga"), name("SAGA"));
    }
}
