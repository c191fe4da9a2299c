//! Revocation: OpenSSH key revocation lists (PROTOCOL.krl) and the text form, a list of public keys.
//!
//! What must stay true: a list that cannot be read in full is an error and never an empty list. That holds
//! for a zero-length file too, which sshd takes as "nothing is revoked": nobody writes such a file on
//! purpose, an interrupted update does. Memory stays proportional to the size of the file.

mod reader;
mod serials;
mod writer;

use std::collections::BTreeSet;

use crate::certificate::Certificate;
use crate::identity::Identity;
use crate::lines::LineProblem;
use crate::public_key::PublicKey;
use crate::wire::WireError;

use serials::Serials;

/// The mark at the head of a binary list.
const MAGIC: &[u8] = b"SSHKRL\n\0";
const FORMAT_VERSION: u32 = 1;

/// Section numbers of PROTOCOL.krl.
const SECTION_CERTIFICATES: u8 = 1;
const SECTION_EXPLICIT_KEY: u8 = 2;
const SECTION_SHA1: u8 = 3;
const SECTION_SIGNATURE: u8 = 4;
const SECTION_SHA256: u8 = 5;
const SECTION_EXTENSION: u8 = 255;
const SERIAL_LIST: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_ID: u8 = 0x23;
const CERTIFICATE_EXTENSION: u8 = 0x39;

/// Which keys and certificates are no longer to be accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationList {
    version: u64,
    generated: u64,
    comment: String,
    scopes: Vec<Scope>,
    keys: BTreeSet<Box<[u8]>>,
    sha1: BTreeSet<[u8; 20]>,
    sha256: BTreeSet<[u8; 32]>,
}

/// What is revoked of one CA's certificates, or of every CA's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scope {
    ca: Option<PublicKey>,
    serials: Serials,
    key_ids: BTreeSet<String>,
}

/// What a list says against a key or certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Revoked {
    /// The key itself is listed.
    #[error("the key is revoked")]
    Key,
    /// The certificate's serial is listed.
    #[error("the certificate's serial {0} is revoked")]
    Serial(u64),
    /// The certificate's key ID is listed.
    #[error("the certificate's key ID is revoked")]
    KeyId,
    /// The CA's key is listed.
    #[error("the CA's key is revoked")]
    Ca,
}

impl RevocationList {
    /// An empty list, to be filled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a revocation list: the binary form, or lines of public keys.
    pub fn parse(bytes: &[u8]) -> Result<Self, KrlError> {
        reader::read(bytes)
    }

    /// The binary form. `version` must rise with every list published; `generated` is Unix time in seconds.
    pub fn to_bytes(&self, version: u64, generated: u64, comment: &str) -> Vec<u8> {
        writer::write(self, version, generated, comment)
    }

    /// The number of this edition; 0 for a text list.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When it was made, Unix time in seconds; 0 for a text list.
    pub fn generated(&self) -> u64 {
        self.generated
    }

    /// Its maker's remark.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Revokes a key everywhere: alone, in certificates, and as a CA.
    pub fn revoke_key(&mut self, key: &PublicKey) {
        self.keys.insert(key.blob().into());
    }

    /// Revokes a key of which only the fingerprint is known.
    pub fn revoke_fingerprint(&mut self, fingerprint: crate::Fingerprint) {
        self.sha256.insert(*fingerprint.as_bytes());
    }

    /// Revokes the serials from `first` to `last` of one CA's certificates, or of every CA's. Serial 0 means
    /// "no serial" and cannot be revoked.
    pub fn revoke_serials(&mut self, ca: Option<&PublicKey>, first: u64, last: u64) {
        self.scope(ca).serials.insert(first, last);
    }

    /// Revokes a key ID of one CA's certificates, or of every CA's.
    pub fn revoke_key_id(&mut self, ca: Option<&PublicKey>, key_id: &str) {
        self.scope(ca).key_ids.insert(key_id.to_owned());
    }

    fn scope(&mut self, ca: Option<&PublicKey>) -> &mut Scope {
        let at = self.scopes.iter().position(|scope| scope.ca.as_ref() == ca).unwrap_or_else(|| {
            self.scopes.push(Scope {
                ca: ca.cloned(),
                serials: Serials::default(),
                key_ids: BTreeSet::new(),
            });
            self.scopes.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position was found or made just above")]
        &mut self.scopes[at]
    }

    /// What the list says against a key or certificate.
    pub fn find(&self, identity: &Identity) -> Option<Revoked> {
        match identity {
            Identity::Key(key) => self.find_key(key),
            Identity::Certificate(certificate) => self.find_certificate(certificate),
        }
    }

    /// What the list says against a plain key.
    pub fn find_key(&self, key: &PublicKey) -> Option<Revoked> {
        let listed = self.keys.contains(key.blob())
            || self.sha256.contains(key.fingerprint().as_bytes())
            || (!self.sha1.is_empty() && self.sha1.contains(&sha1(key.blob())));
        listed.then_some(Revoked::Key)
    }

    /// What the list says against a certificate: its key, its serial, its key ID or its CA.
    pub fn find_certificate(&self, certificate: &Certificate) -> Option<Revoked> {
        self.find_key(certificate.key())
            .or_else(|| {
                self.scopes
                    .iter()
                    .filter(|scope| scope.ca.as_ref().is_none_or(|ca| ca == certificate.ca()))
                    .find_map(|scope| scope.find(certificate))
            })
            .or_else(|| self.find_key(certificate.ca()).map(|_| Revoked::Ca))
    }
}

impl Scope {
    fn find(&self, certificate: &Certificate) -> Option<Revoked> {
        if self.key_ids.contains(certificate.key_id()) {
            return Some(Revoked::KeyId);
        }
        let serial = certificate.serial();
        self.serials.contains(serial).then_some(Revoked::Serial(serial))
    }
}

fn sha1(bytes: &[u8]) -> [u8; 20] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let mut out = [0; 20];
    out.copy_from_slice(digest.as_ref());
    out
}

/// Why a revocation list cannot be read. Whoever gets this must refuse logins rather than go on without the
/// list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KrlError {
    /// The file has no bytes.
    #[error("the revocation list is empty (zero bytes), which is never taken as \"nothing is revoked\"")]
    Empty,
    /// The binary form is cut or damaged.
    #[error("the revocation list is cut or damaged: {0}")]
    Wire(#[from] WireError),
    /// A newer binary form.
    #[error("the revocation list has format {0}; only 1 is known")]
    Format(u32),
    /// A section that we do not understand and may not skip.
    #[error("the revocation list has a section of type {kind} that is not supported")]
    Section {
        /// The section's number.
        kind: u8,
    },
    /// A CA key in it cannot be read.
    #[error("the revocation list names a CA key that cannot be read: {0}")]
    Ca(crate::KeyError),
    /// A range that runs backwards or a bitmap beyond the last serial.
    #[error("the revocation list has an impossible range of serials")]
    Range,
    /// A line of the text form cannot be read.
    #[error("the revocation list is neither a KRL nor a list of public keys: {0}")]
    Line(LineProblem),
}

#[cfg(test)]
mod tests;
