//! Host key rotation (OpenSSH PROTOCOL section 2.5): a server announces all its host keys, a client asks
//! for proof of those it did not know. Signatures cover the session identifier of this leg, so a relay
//! answers for itself and never passes them on.

use super::Transport;
use crate::config::{HostKey, ServerConfig, Side};
use crate::error::Error;
use crate::message;
use crate::wire::{Put, Reader};
use hop_keys::{KeyAlgorithm, PublicKey, SignatureAlgorithm};

/// The announcement's name.
pub(crate) const HOSTKEYS: &str = "hostkeys-00@openssh.com";
/// The request for proof; also the first field of what is signed.
pub(crate) const HOSTKEYS_PROVE: &str = "hostkeys-prove-00@openssh.com";

impl Transport {
    /// The payload that announces our host keys; `None` for clients and towards peers that are not
    /// OpenSSH, which the extension was not made for.
    pub(crate) fn host_keys_announcement(&self) -> Option<Vec<u8>> {
        let Side::Server(config) = &self.side else { return None };
        if !self.peer_identification().is_some_and(|line| line.contains("OpenSSH")) {
            return None;
        }
        let mut payload = vec![message::GLOBAL_REQUEST];
        payload.put_string(HOSTKEYS);
        payload.put_boolean(false);
        for key in &config.host_keys {
            payload.put_string(key.public_blob());
        }
        Some(payload)
    }

    /// Proves that we hold the host keys that `data` lists: the data of the reply, or `None` when one of
    /// them is not ours (the request then fails as a whole).
    pub(crate) fn prove_host_keys(&self, data: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let (Side::Server(config), Some(session_id)) = (&self.side, self.session_id()) else {
            return Ok(None);
        };
        let mut reader = Reader::new(data);
        let mut proofs = Vec::new();
        // Signatures are dear: nobody needs one of the same key twice.
        let mut count = 0;
        while !reader.rest().is_empty() {
            count += 1;
            let Some(key) = reader
                .string()
                .ok()
                .and_then(|blob| find(config, blob))
                .filter(|_| count <= config.host_keys.len())
            else {
                return Ok(None);
            };
            let algorithm = self.proof_algorithm(key);
            let signature = key
                .private()
                .sign(algorithm, &proof_bytes(session_id, key.public_blob()))
                .map_err(|error| Error::Signing { problem: error.to_string() })?;
            proofs.put_string(signature);
        }
        Ok(Some(proofs))
    }

    /// OpenSSH's clients expect an RSA key to sign with the hash of the key exchange's host key
    /// algorithm if that was RSA, else with SHA-512.
    fn proof_algorithm(&self, key: &HostKey) -> SignatureAlgorithm {
        let negotiated = self.established.as_ref().map(|known| known.host_key_algorithm.signature);
        match (key.private().public().algorithm(), negotiated) {
            (KeyAlgorithm::Rsa, Some(SignatureAlgorithm::RsaSha256)) => SignatureAlgorithm::RsaSha256,
            _ => key.private().signature_algorithms().first().copied().unwrap_or(SignatureAlgorithm::Ed25519),
        }
    }

    /// Client: the keys of `announced` whose proofs in `reply` hold. `None` when the reply is malformed.
    pub fn proven_host_keys(&self, announced: &[Vec<u8>], reply: &[u8]) -> Option<Vec<PublicKey>> {
        let session_id = self.session_id()?;
        let mut reader = Reader::new(reply);
        let mut proven = Vec::new();
        for blob in announced {
            let signature = reader.string().ok()?;
            let key = PublicKey::from_blob(blob).ok()?;
            let algorithm = SignatureAlgorithm::parse(Reader::new(signature).string().ok()?)?;
            if key.verify(algorithm, &proof_bytes(session_id, blob), signature).is_ok() {
                proven.push(key);
            }
        }
        reader.finish().ok()?;
        Some(proven)
    }
}

fn find<'a>(config: &'a ServerConfig, blob: &[u8]) -> Option<&'a HostKey> {
    config.host_keys.iter().find(|key| key.public_blob() == blob)
}

fn proof_bytes(session_id: &[u8], blob: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_string(HOSTKEYS_PROVE);
    bytes.put_string(session_id);
    bytes.put_string(blob);
    bytes
}
