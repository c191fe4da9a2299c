//! A question word by word, and what answers it.

use crate::prompt::Class;
use hop_connect::resolve::Resolved;
use hop_secrets::Kind;
use serde::{Deserialize, Serialize};

/// What answers a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answering {
    /// A key's passphrase.
    Passphrase,
    /// The password.
    Password,
    /// A code.
    Code,
    /// The password and a code, in one line.
    PasswordAndCode,
}

impl Answering {
    /// What answers questions of a class; `None` where only a person may.
    #[must_use]
    pub fn of(class: Class) -> Option<Self> {
        match class {
            Class::Passphrase => Some(Self::Passphrase),
            Class::Password => Some(Self::Password),
            Class::Code => Some(Self::Code),
            Class::PasswordAndCode => Some(Self::PasswordAndCode),
            Class::Menu
            | Class::Link
            | Class::HostKey
            | Class::Pin
            | Class::Touch
            | Class::NewPassword
            | Class::Confirm
            | Class::Unknown => None,
        }
    }

    /// The secrets that it takes.
    #[must_use]
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Passphrase => &[Kind::Passphrase],
            Self::Password => &[Kind::Password],
            Self::Code => &[Kind::Totp],
            Self::PasswordAndCode => &[Kind::Password, Kind::Totp],
        }
    }
}

/// A prompt as it is remembered. ssh puts `(user@host) ` before a server's own words (OpenSSH 8.5 and later), its own
/// user and host: only these are taken off, so that the words of a jump host are never taken for those of the host.
#[must_use]
pub fn question(prompt: &str, resolved: &Resolved) -> String {
    let own = format!("({}@{}) ", resolved.user, resolved.host_name);
    prompt.strip_prefix(&own).unwrap_or(prompt).trim().to_owned()
}
