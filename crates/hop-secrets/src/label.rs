//! What a secret is and whom it belongs to.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A password that a server asks for.
    Password,
    /// The seed of one-time codes ([`Totp`](crate::Totp)).
    Totp,
    /// What a private key is encrypted with.
    Passphrase,
    /// What a web service knows a person by.
    Token,
}

impl Kind {
    /// As it is written in commands and stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Passphrase => "passphrase",
            Self::Token => "token",
        }
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Password, Self::Totp, Self::Passphrase, Self::Token]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a secret is called: there is one for each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Label {
    /// A host as in `ssh HOST`, a key file's path, or a URL.
    pub of: String,
    /// What it is.
    pub kind: Kind,
}

impl Label {
    /// The label of a host's, a key's or a service's secret.
    pub fn new(of: impl Into<String>, kind: Kind) -> Self {
        Self { of: of.into(), kind }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.kind, self.of.escape_debug())
    }
}
