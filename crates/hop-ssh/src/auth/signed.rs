//! The bytes that a public-key authentication signs (RFC 4252 section 7, OpenSSH PROTOCOL 3.1).

use super::{CONNECTION_SERVICE, PUBLICKEY, PUBLICKEY_HOSTBOUND};
use crate::kex::VerifiedHostKey;
use crate::message;
use crate::transport::Transport;
use crate::wire::Put;
use hop_keys::IdentityAlgorithm;

/// What an authentication is tied to: this connection and its host key.
#[derive(Clone, Debug)]
pub struct SessionBinding {
    session_id: Vec<u8>,
    host_key: VerifiedHostKey,
}

impl SessionBinding {
    /// The binding of a transport; `None` before its first key exchange is done.
    pub fn of(transport: &Transport) -> Option<Self> {
        Some(Self { session_id: transport.session_id()?.to_vec(), host_key: transport.host_key()?.clone() })
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn from_parts(session_id: Vec<u8>, host_key: VerifiedHostKey) -> Self {
        Self { session_id, host_key }
    }

    /// The session identifier (RFC 4253 section 7.2).
    pub fn session_id(&self) -> &[u8] {
        &self.session_id
    }

    /// The host key or certificate in wire form.
    pub fn host_key_blob(&self) -> &[u8] {
        self.host_key.identity().blob()
    }

    /// What is signed for `user` with a key of this algorithm and wire form.
    pub fn signed_bytes(
        &self,
        user: &str,
        hostbound: bool,
        algorithm: IdentityAlgorithm,
        blob: &[u8],
    ) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + blob.len());
        bytes.put_string(&self.session_id);
        bytes.put_byte(message::USERAUTH_REQUEST);
        bytes.put_string(user);
        bytes.put_string(CONNECTION_SERVICE);
        bytes.put_string(if hostbound { PUBLICKEY_HOSTBOUND } else { PUBLICKEY });
        bytes.put_boolean(true);
        bytes.put_string(algorithm.name());
        bytes.put_string(blob);
        if hostbound {
            bytes.put_string(self.host_key_blob());
        }
        bytes
    }
}
