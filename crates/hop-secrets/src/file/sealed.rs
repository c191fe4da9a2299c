//! The layout of a file of secrets, and its key.

use crate::Secret;
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The first word of every file.
const FORMAT: &str = "hop-secrets-1";
/// The longest first line, in bytes.
const LONGEST_HEADER: usize = 1024;
/// The most that a file may ask for: a damaged one must not take the machine.
const MOST_MEMORY: u32 = 1 << 20;
const MOST_PASSES: u32 = 32;

/// What a guess of the passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for Cost {
    /// About half a second on a laptop: the second choice of RFC 9106, section 4.
    fn default() -> Self {
        Self { memory: 64 << 10, passes: 3 }
    }
}

/// What opens a file.
#[derive(Clone)]
pub struct FileKey(pub(crate) Zeroizing<[u8; 32]>);

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKey(…)")
    }
}

/// How the key is made from the passphrase.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    format: String,
    argon2id: Cost,
    salt: [u8; 16],
}

impl Header {
    pub(super) fn new(cost: Cost) -> Self {
        let mut salt = [0; 16];
        let mut filled = 0;
        while let Some(rest) = salt.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            // It fails only when interrupted, or before the kernel has any: then it is asked again.
            filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
        }
        Self { format: FORMAT.to_owned(), argon2id: cost, salt }
    }

    /// The key of a passphrase; `None` when the costs make no sense.
    pub(super) fn key(&self, passphrase: &Secret) -> Option<FileKey> {
        let Cost { memory, passes } = self.argon2id;
        if memory > MOST_MEMORY || passes > MOST_PASSES {
            return None;
        }
        let params = Params::new(memory, passes, 1, Some(32)).ok()?;
        let mut key = Zeroizing::new([0; 32]);
        let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        hash.hash_password_into(passphrase.expose().as_bytes(), &self.salt, key.as_mut()).ok()?;
        Some(FileKey(key))
    }

    /// A whole file with this text.
    pub(super) fn seal(&self, key: &FileKey, text: &[u8]) -> Option<Vec<u8>> {
        let mut line = serde_json::to_vec(self).ok()?;
        line.push(b'\n');
        let mut sealed = Zeroizing::new(text.to_vec());
        let nonce = RandomizedNonceKey::new(&AES_256_GCM, key.0.as_ref())
            .and_then(|key| key.seal_in_place_append_tag(Aad::from(&line), &mut *sealed))
            .ok()?;
        let mut file = line;
        file.extend_from_slice(nonce.as_ref());
        file.extend_from_slice(&sealed);
        Some(file)
    }
}

/// A file as it was read.
pub(super) struct Sealed {
    pub(super) header: Header,
    /// The first line as it is: the seal covers it byte for byte.
    line: Vec<u8>,
    nonce: [u8; NONCE_LEN],
    sealed: Vec<u8>,
}

impl Sealed {
    pub(super) fn parse(mut bytes: Vec<u8>) -> Option<Self> {
        let end = bytes.iter().take(LONGEST_HEADER).position(|byte| *byte == b'\n')?;
        let rest = bytes.split_off(end + 1);
        let header: Header = serde_json::from_slice(&bytes).ok()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        (header.format == FORMAT).then(|| Self {
            header,
            line: bytes,
            nonce: *nonce,
            sealed: sealed.to_vec(),
        })
    }

    /// The text; `None` when the key is another one or anything was changed.
    pub(super) fn open(&self, key: &FileKey) -> Option<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(self.sealed.clone());
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.0.as_ref()).ok()?;
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let length = key.open_in_place(nonce, Aad::from(&self.line), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}
