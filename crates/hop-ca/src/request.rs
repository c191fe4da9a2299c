//! What can be asked of the signer, and what it answers.

use serde::{Deserialize, Serialize};

/// The closed set of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// The public halves of the CA keys.
    PublicKeys,
    /// A user certificate.
    SignUser(UserRequest),
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    PublicKeys(PublicKeys),
    Issued(IssuedCertificate),
    /// Refused, in words for the person who asked.
    Refused(String),
}

/// A certificate for a person, to be judged by the signer's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRequest {
    /// The opaque id of the account: 32 lower-case hexadecimal digits. Becomes the principal `person:ID`.
    pub person: String,
    /// Its number, stored by the caller before it asks; never 0.
    pub serial: u64,
    /// The key to certify, as a line of a `.pub` file.
    pub public_key: String,
    /// How long it should be valid, in seconds from now.
    pub lifetime: u64,
    /// The only command that its sessions run.
    #[serde(default)]
    pub force_command: Option<String>,
    /// Addresses and networks it can be used from, separated by commas.
    #[serde(default)]
    pub source_address: Option<String>,
    /// What its sessions may do.
    #[serde(default)]
    pub permits: Permits,
}

/// What a certificate's sessions may do beside running commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permits {
    /// Have a terminal.
    pub pty: bool,
    /// Forward ports and sockets.
    pub port_forwarding: bool,
    /// Forward an agent.
    pub agent_forwarding: bool,
    /// Forward X11.
    pub x11_forwarding: bool,
}

impl Default for Permits {
    /// All of it, as ssh-keygen does.
    fn default() -> Self {
        Self { pty: true, port_forwarding: true, agent_forwarding: true, x11_forwarding: true }
    }
}

/// A signed certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedCertificate {
    /// The line of a `-cert.pub` file, without a comment.
    pub certificate: String,
    /// From when it is valid, in Unix seconds.
    pub valid_after: u64,
    /// From when it is not, in Unix seconds.
    pub valid_before: u64,
}

/// The public halves of the CA keys, as lines of `.pub` files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKeys {
    /// Signs users.
    pub user_ca: String,
    /// Signs hosts.
    pub host_ca: String,
}
