//! OpenSSH certificates (PROTOCOL.certkeys): reading them and checking the CA's signature.
//!
//! What must stay true: the signature is checked over the very bytes received, and reading alone grants
//! nothing.

mod builder;
mod judge;

#[cfg(test)]
pub(crate) use builder::Fields;
pub use builder::{CertificateBuilder, IssueError, UnsignedCertificate};
pub use judge::{CertificatePolicy, CertificateRefusal, JudgedCertificate, JudgedHostCertificate};

use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use crate::public_key::{KeyError, Material, PublicKey, split_line, to_line};
use crate::signature::{SignatureError, VerifiedSignature};
use crate::wire::{Reader, WireError, printable};

/// OpenSSH reads no certificate with more.
const MAX_PRINCIPALS: usize = 256;

/// The critical options of PROTOCOL.certkeys, and the one extension that is not a [`Permit`].
const FORCE_COMMAND: &str = "force-command";
const SOURCE_ADDRESS: &str = "source-address";
const VERIFY_REQUIRED: &str = "verify-required";
const NO_TOUCH_REQUIRED: &str = "no-touch-required";

/// What an extension of a user certificate grants (PROTOCOL.certkeys).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permit {
    /// A terminal.
    Pty,
    /// Forwarding the client's agent.
    AgentForwarding,
    /// TCP and unix socket forwarding, both ways.
    PortForwarding,
    /// X11 forwarding.
    X11Forwarding,
    /// Running `~/.ssh/rc`.
    UserRc,
}

impl Permit {
    /// All of them, which is what ssh-keygen grants unless told otherwise.
    pub const ALL: [Self; 5] =
        [Self::Pty, Self::AgentForwarding, Self::PortForwarding, Self::X11Forwarding, Self::UserRc];

    /// The extension's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pty => "permit-pty",
            Self::AgentForwarding => "permit-agent-forwarding",
            Self::PortForwarding => "permit-port-forwarding",
            Self::X11Forwarding => "permit-X11-forwarding",
            Self::UserRc => "permit-user-rc",
        }
    }
}

/// Whom a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateKind {
    /// A person or program that logs in.
    User,
    /// A server.
    Host,
}

impl CertificateKind {
    /// The number in the certificate.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::User => 1,
            Self::Host => 2,
        }
    }
}

impl std::fmt::Display for CertificateKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Host => "host",
        })
    }
}

/// One critical option or extension: its name, and its value as it stands in the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateOption {
    /// The option's name.
    pub name: Vec<u8>,
    /// Empty, or for options with a value one SSH string.
    pub data: Vec<u8>,
}

/// A certificate as received. Nothing in it is believed before its signature and its CA were checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    blob: Box<[u8]>,
    /// How many bytes of the blob the signature covers.
    signed_len: usize,
    key: PublicKey,
    serial: u64,
    kind: CertificateKind,
    key_id: String,
    principals: Vec<String>,
    valid_after: u64,
    valid_before: u64,
    critical_options: Vec<CertificateOption>,
    extensions: Vec<CertificateOption>,
    ca: PublicKey,
    signature: Box<[u8]>,
}

impl Certificate {
    /// Reads a certificate from its wire form, to the last byte.
    pub fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(blob);
        let name = reader.string("certificate algorithm")?;
        let algorithm = KeyAlgorithm::parse_certificate(name)
            .ok_or_else(|| KeyError::Algorithm { name: printable(name) })?;
        reader.string("certificate nonce")?;
        let key = PublicKey::from_material(Material::read(algorithm, &mut reader)?);
        let serial = reader.u64("certificate serial")?;
        let kind = match reader.u32("certificate type")? {
            1 => CertificateKind::User,
            2 => CertificateKind::Host,
            kind => return Err(KeyError::CertificateKind { kind }),
        };
        let key_id = reader.text("certificate key ID")?.to_owned();
        let principals = read_principals(reader.string("certificate principals")?)?;
        let valid_after = reader.u64("certificate validity")?;
        let valid_before = reader.u64("certificate validity")?;
        let critical_options = read_options(reader.string("critical options")?)?;
        let extensions = read_options(reader.string("certificate extensions")?)?;
        reader.string("reserved certificate field")?;
        let ca = PublicKey::from_blob(reader.string("CA key")?)?;
        let signed_len = blob.len() - reader.rest().len();
        let signature = reader.string("certificate signature")?.into();
        reader.finish("certificate")?;
        Ok(Self {
            blob: blob.into(),
            signed_len,
            key,
            serial,
            kind,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical_options,
            extensions,
            ca,
            signature,
        })
    }

    /// Reads `ALGORITHM BASE64 [COMMENT]`, the form of `-cert.pub` files, and returns the comment with it.
    pub fn parse_line(line: &str) -> Result<(Self, String), KeyError> {
        let (name, blob, comment) = split_line(line)?;
        let certificate = Self::from_blob(&blob)?;
        let found = certificate.key.algorithm().certificate_name();
        if found != name {
            return Err(KeyError::LineAlgorithm { line: printable(name.as_bytes()), blob: found });
        }
        Ok((certificate, comment.to_owned()))
    }

    /// The one-line form, without a newline. Control characters of `comment` become spaces.
    pub fn to_line(&self, comment: &str) -> String {
        to_line(self.key.algorithm().certificate_name(), &self.blob, comment)
    }

    /// Checks the CA's signature over the received bytes. This says that the CA named *in* the certificate
    /// signed it, not that anybody trusts that CA.
    pub fn verify_signature(&self) -> Result<VerifiedSignature, CertificateSignatureError> {
        let algorithm = self.ca_signature_algorithm()?;
        let signed = self.blob.get(..self.signed_len).unwrap_or_default();
        Ok(self.ca.verify(algorithm, signed, &self.signature)?)
    }

    /// How the CA signed; an error where we support no such signature (`ssh-rsa`, which is SHA-1, is one).
    pub fn ca_signature_algorithm(&self) -> Result<SignatureAlgorithm, CertificateSignatureError> {
        let name = Reader::new(&self.signature).string("signature algorithm")?;
        SignatureAlgorithm::parse(name)
            .ok_or_else(|| CertificateSignatureError::Algorithm { name: printable(name) })
    }

    /// The wire form.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The certified key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The CA's number for it; 0 means that the CA does not number.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Whom it is for.
    pub fn kind(&self) -> CertificateKind {
        self.kind
    }

    /// The CA's free text for logs. It may hold anything but NUL: escape it before it reaches a log or a
    /// terminal.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The names that it is valid for.
    pub fn principals(&self) -> &[String] {
        &self.principals
    }

    /// First second of validity (Unix time).
    pub fn valid_after(&self) -> u64 {
        self.valid_after
    }

    /// First second after validity (Unix time); `u64::MAX` for no end.
    pub fn valid_before(&self) -> u64 {
        self.valid_before
    }

    /// What a verifier must understand or else refuse, in their order.
    pub fn critical_options(&self) -> &[CertificateOption] {
        &self.critical_options
    }

    /// What a verifier may ignore, in their order.
    pub fn extensions(&self) -> &[CertificateOption] {
        &self.extensions
    }

    /// The key that claims to have signed it.
    pub fn ca(&self) -> &PublicKey {
        &self.ca
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} certificate serial {} {:?} CA {:?}", self.kind, self.serial, self.key, self.ca)
    }
}

fn read_principals(packed: &[u8]) -> Result<Vec<String>, KeyError> {
    let mut reader = Reader::new(packed);
    let mut principals = Vec::new();
    while !reader.is_empty() {
        if principals.len() == MAX_PRINCIPALS {
            return Err(KeyError::TooManyPrincipals { limit: MAX_PRINCIPALS });
        }
        principals.push(reader.text("certificate principal")?.to_owned());
    }
    Ok(principals)
}

fn read_options(packed: &[u8]) -> Result<Vec<CertificateOption>, WireError> {
    let mut reader = Reader::new(packed);
    let mut options = Vec::new();
    while !reader.is_empty() {
        let name = reader.string("certificate option name")?.to_vec();
        let data = reader.string("certificate option value")?.to_vec();
        options.push(CertificateOption { name, data });
    }
    Ok(options)
}

/// Why a certificate's signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateSignatureError {
    /// The signature field is broken.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The CA signed in a way that we do not accept.
    #[error("certificate signature algorithm \"{name}\" is not supported")]
    Algorithm {
        /// The name found, escaped.
        name: String,
    },
    /// The CA's signature is not genuine.
    #[error("the certificate's signature is not genuine: {0}")]
    Signature(#[from] SignatureError),
}

#[cfg(test)]
mod tests;
