//! The gateway's word: what it tells an endpoint about the session that it hands over.
//!
//! What must stay true: an endpoint that does not understand all of it refuses it. A field that is not known
//! could be a restriction, so unknown fields and unknown versions are errors, never ignored.

use crate::permissions::Permissions;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The version of the form below.
const VERSION: u32 = 1;
/// The longest word, in bytes: far above what any real one needs, far below a packet.
const LONGEST: usize = 128 * 1024;

/// Who comes, from where, and what the session may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    version: u32,
    /// The id of the session in the gateway's records.
    pub session: String,
    /// The project that is entered.
    pub project: String,
    /// The account's id.
    pub account: String,
    /// The account's name, for people.
    pub account_name: String,
    /// Fingerprint of the key that was proved, "SHA256:…".
    pub key_fingerprint: String,
    /// The title that its owner gave the key.
    pub key_title: String,
    /// The client's address and port, as the gateway sees it.
    pub client: SocketAddr,
    /// The gateway's address that the client reached.
    pub server: SocketAddr,
    /// The client's identification line: it steers work-arounds.
    pub client_identification: String,
    /// What the session may do.
    pub permissions: Permissions,
    /// Variables that the site puts in the session's environment.
    pub environment: Vec<(String, String)>,
    /// Seconds since 1970 after which the session must not go on; `None` for no end.
    pub not_after: Option<u64>,
}

/// Why a word is not taken.
#[derive(Debug, thiserror::Error)]
pub enum WordError {
    /// It is not of the form that this version knows.
    #[error("the gateway's word is not understood: {0}")]
    Form(#[from] serde_json::Error),
    /// It is of another version.
    #[error("the gateway's word has version {version}, this endpoint knows version {VERSION}")]
    Version {
        /// The version that it says.
        version: u32,
    },
    /// It is too long.
    #[error("the gateway's word has {length} bytes, at most {LONGEST} are taken")]
    Length {
        /// Its length.
        length: usize,
    },
}

impl Word {
    /// The critical option of a user certificate whose value is a word in its form on the wire: how a gateway gives its
    /// word to an endpoint elsewhere, over SSH. Who does not know the option must refuse the certificate.
    pub const OPTION: &'static str = "word@grasshopper";

    /// A word of the present version; the fields that are not parameters start empty.
    pub fn new(
        session: &str,
        project: &str,
        client: SocketAddr,
        server: SocketAddr,
        permissions: Permissions,
    ) -> Self {
        Self {
            version: VERSION,
            session: session.to_owned(),
            project: project.to_owned(),
            account: String::new(),
            account_name: String::new(),
            key_fingerprint: String::new(),
            key_title: String::new(),
            client,
            server,
            client_identification: String::new(),
            permissions,
            environment: Vec::new(),
            not_after: None,
        }
    }

    /// The form on the wire: one JSON object.
    pub fn encode(&self) -> Result<Vec<u8>, WordError> {
        let bytes = serde_json::to_vec(self)?;
        if bytes.len() > LONGEST { Err(WordError::Length { length: bytes.len() }) } else { Ok(bytes) }
    }

    /// Reads the form on the wire.
    pub fn decode(bytes: &[u8]) -> Result<Self, WordError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        if bytes.len() > LONGEST {
            return Err(WordError::Length { length: bytes.len() });
        }
        // The version first: the complaint about another one must not be about its fields.
        let Version { version } = serde_json::from_slice(bytes)?;
        if version != VERSION {
            return Err(WordError::Version { version });
        }
        Ok(serde_json::from_slice(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ListenRule, OpenRule, PermitListen, PermitOpen};

    fn word() -> Word {
        let permissions = Permissions {
            open: PermitOpen::only(vec![OpenRule::parse("[::1]:80").unwrap()]),
            listen: PermitListen::only(vec![ListenRule::parse("8080").unwrap()]),
            force_command: Some("echo \"x\"".to_owned()),
            ..Permissions::all()
        };
        let client = "[2001:db8::1]:4000".parse().unwrap();
        Word::new("s", "p", client, "127.0.0.1:22".parse().unwrap(), permissions)
    }

    #[test]
    fn a_word_reads_as_it_was_written() {
        let written = word();
        assert_eq!(Word::decode(&written.encode().unwrap()).unwrap(), written);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let text = String::from_utf8(word().encode().unwrap()).unwrap();
        let newer = text.replacen("\"version\":1", "\"version\":2,\"lock\":true", 1);
        assert!(matches!(Word::decode(newer.as_bytes()), Err(WordError::Version { version: 2 })));
        let odd = text.replacen("\"version\":1", "\"version\":1,\"lock\":true", 1);
        assert!(matches!(Word::decode(odd.as_bytes()), Err(WordError::Form(_))));
        let nested = text.replacen("\"pty\":true", "\"pty\":true,\"sudo\":false", 1);
        assert!(matches!(Word::decode(nested.as_bytes()), Err(WordError::Form(_))));
        assert!(Word::decode(b"").is_err());
        assert!(matches!(Word::decode(&vec![b' '; LONGEST + 1]), Err(WordError::Length { .. })));
    }
}
