//! Keys and what is said about them: public and private keys, fingerprints, signatures, OpenSSH certificates.
//!
//! Layouts are read strictly from the received bytes and signatures are made and checked by aws-lc over those
//! same bytes. Nothing here opens a socket, reads the environment or prints.

mod address;
pub mod agent;
mod algorithm;
mod authorized_keys;
mod certificate;
mod files;
mod fingerprint;
mod identity;
mod known_hosts;
mod krl;
mod lines;
mod openssh_format;
mod pem;
mod private_key;
#[cfg(test)]
mod properties;
mod public_key;
mod rsa_numbers;
mod signature;
#[cfg(test)]
mod test_tools;
mod token;
mod wire;

pub use address::{PatternError, SourceAddresses};
pub use algorithm::{IdentityAlgorithm, KeyAlgorithm, SignatureAlgorithm};
pub use authorized_keys::{AuthorizedKeys, KeyGrant, KeyRefusal, LoginFacts, OptionError};
pub use certificate::{
    Certificate, CertificateBuilder, CertificateKind, CertificateOption, CertificatePolicy,
    CertificateRefusal, CertificateSignatureError, IssueError, JudgedCertificate, JudgedHostCertificate,
    Permit, UnsignedCertificate,
};
pub use files::{
    FileError, FileProblem, load_authorized_keys, load_ca_keys, load_certificate, load_private_key,
    load_revocation_list, save_private_key,
};
pub use fingerprint::Fingerprint;
pub use identity::Identity;
pub use known_hosts::{
    HostKeyPolicy, HostKeyVerdict, KnownHosts, Location, hashed_known_hosts_line, known_hosts_line,
};
pub use krl::{KrlError, RevocationList, Revoked};
pub use lines::{LineProblem, LineReason};
pub use private_key::{PrivateKey, PrivateKeyError, SigningError};
pub use public_key::{KeyError, PublicKey};
pub use signature::{SignatureError, SkFlags, VerifiedSignature};
pub use token::{TokenPolicy, TokenRefusal};
pub use wire::WireError;
