//! Keys and what is said about them: public and private keys, fingerprints, signatures, OpenSSH certificates.
//!
//! Layouts are read strictly from the received bytes and signatures are made and checked by aws-lc over those same
//! bytes. Nothing here opens a socket, reads the environment or prints.

mod algorithm;
mod certificate;
mod fingerprint;
mod identity;
mod openssh_format;
mod pem;
mod private_key;
mod public_key;
mod rsa_numbers;
mod signature;
#[cfg(test)]
mod test_tools;
mod wire;

pub use algorithm::{IdentityAlgorithm, KeyAlgorithm, SignatureAlgorithm};
pub use certificate::{Certificate, CertificateKind, CertificateOption, CertificateSignatureError};
pub use fingerprint::Fingerprint;
pub use identity::Identity;
pub use private_key::{PrivateKey, PrivateKeyError, SigningError};
pub use public_key::{KeyError, PublicKey};
pub use signature::{SignatureError, SkFlags, VerifiedSignature};
pub use wire::WireError;
