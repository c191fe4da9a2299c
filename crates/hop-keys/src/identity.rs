//! What a peer presents to prove who it is: a plain key, or a certificate.

use crate::algorithm::IdentityAlgorithm;
use crate::certificate::Certificate;
use crate::public_key::{KeyError, PublicKey};

/// A plain key or a certificate, read as its announced algorithm says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A plain key.
    Key(PublicKey),
    /// A certificate; reading it proves nothing about its signature.
    Certificate(Box<Certificate>),
}

impl Identity {
    /// Reads `blob` as what `algorithm` announces, and nothing else.
    pub fn from_blob(algorithm: IdentityAlgorithm, blob: &[u8]) -> Result<Self, KeyError> {
        let identity = if algorithm.certificate {
            Self::Certificate(Box::new(Certificate::from_blob(blob)?))
        } else {
            Self::Key(PublicKey::from_blob(blob)?)
        };
        let found = identity.key().algorithm();
        if found != algorithm.signature.key_algorithm() {
            let found = if algorithm.certificate { found.certificate_name() } else { found.name() };
            return Err(KeyError::Announced { algorithm: algorithm.name(), found });
        }
        Ok(identity)
    }

    /// The wire form.
    pub fn blob(&self) -> &[u8] {
        match self {
            Self::Key(key) => key.blob(),
            Self::Certificate(certificate) => certificate.blob(),
        }
    }

    /// The plain key that signs.
    pub fn key(&self) -> &PublicKey {
        match self {
            Self::Key(key) => key,
            Self::Certificate(certificate) => certificate.key(),
        }
    }

    /// The certificate, if it is one.
    pub fn as_certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Key(_) => None,
            Self::Certificate(certificate) => Some(certificate),
        }
    }
}
