//! Making certificates.
//!
//! What must stay true: nothing leaves here that was not read back from its bytes, compared with what was
//! asked for, and found genuine; and no certificate is made that some version of OpenSSH takes as valid for
//! every name.

use std::collections::BTreeMap;

use aws_lc_rs::rand::fill;

use super::{
    Certificate, CertificateKind, CertificateOption, CertificateSignatureError, FORCE_COMMAND,
    MAX_PRINCIPALS, NO_TOUCH_REQUIRED, Permit, SOURCE_ADDRESS, VERIFY_REQUIRED,
};
use crate::address::{PatternError, SourceAddresses};
use crate::private_key::{PrivateKey, SigningError};
use crate::public_key::{KeyError, PublicKey};
use crate::wire::{Put as _, printable};

/// Bounds the log lines and authentication packets that carry it.
const MAX_NAME: usize = 255;
/// A CA with a smaller RSA key could be factored within its certificates' reach.
const MIN_CA_RSA_BITS: usize = 2048;

/// A certificate to be made. Every method that takes text checks it and says what is wrong.
#[derive(Debug, Clone)]
pub struct CertificateBuilder {
    fields: Fields,
}

/// What a certificate says, without nonce, CA and signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) key: PublicKey,
    pub(crate) kind: CertificateKind,
    pub(crate) serial: u64,
    pub(crate) key_id: String,
    pub(crate) principals: Vec<String>,
    pub(crate) valid_after: u64,
    pub(crate) valid_before: u64,
    /// Sorted by name, as PROTOCOL.certkeys demands.
    pub(crate) critical_options: BTreeMap<String, Vec<u8>>,
    pub(crate) extensions: BTreeMap<String, Vec<u8>>,
}

impl CertificateBuilder {
    /// A certificate for `key`, valid from `valid_after` up to but not in `valid_before` (Unix seconds;
    /// `u64::MAX` for no end). It starts without any extension: a user gets neither a terminal nor
    /// forwardings until permitted.
    ///
    /// Principals and the key ID are printable ASCII without blanks (the key ID may have them), quotes,
    /// commas and wildcards: sshd writes a key ID into its log as it is, and separates principals by commas
    /// elsewhere.
    pub fn new(
        kind: CertificateKind,
        key: PublicKey,
        key_id: &str,
        principals: &[impl AsRef<str>],
        valid_after: u64,
        valid_before: u64,
    ) -> Result<Self, IssueError> {
        if key_id.is_empty()
            || key_id.len() > MAX_NAME
            || !key_id.bytes().all(|byte| (byte.is_ascii_graphic() || byte == b' ') && byte != b'"')
        {
            return Err(IssueError::KeyId { key_id: printable(key_id.as_bytes()) });
        }
        if principals.is_empty() || principals.len() > MAX_PRINCIPALS {
            return Err(IssueError::PrincipalCount { count: principals.len() });
        }
        let principals: Vec<String> = principals.iter().map(|name| name.as_ref().to_owned()).collect();
        if let Some(name) = principals.iter().find(|name| !is_strict_principal(name)) {
            return Err(IssueError::Principal { principal: printable(name.as_bytes()) });
        }
        if valid_after >= valid_before {
            return Err(IssueError::Validity { valid_after, valid_before });
        }
        Ok(Self {
            fields: Fields {
                key,
                kind,
                serial: 0,
                key_id: key_id.to_owned(),
                principals,
                valid_after,
                valid_before,
                critical_options: BTreeMap::new(),
                extensions: BTreeMap::new(),
            },
        })
    }

    /// Numbers it, so that it can be revoked by number.
    #[must_use]
    pub fn serial(mut self, serial: u64) -> Self {
        self.fields.serial = serial;
        self
    }

    /// Grants one thing that a session may do.
    #[must_use]
    pub fn permit(self, permit: Permit) -> Self {
        self.flag_extension(permit.name())
    }

    /// A FIDO key need not be touched.
    #[must_use]
    pub fn no_touch_required(self) -> Self {
        self.flag_extension(NO_TOUCH_REQUIRED)
    }

    fn flag_extension(mut self, name: &str) -> Self {
        self.fields.extensions.insert(name.to_owned(), Vec::new());
        self
    }

    /// The session runs this command and no other.
    pub fn force_command(mut self, command: &str) -> Result<Self, IssueError> {
        if command.is_empty() || command.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(IssueError::Value { option: FORCE_COMMAND.to_owned() });
        }
        self.fields.critical_options.insert(FORCE_COMMAND.to_owned(), string(command));
        Ok(self)
    }

    /// Logins only from these addresses and networks, separated by commas.
    pub fn source_address(mut self, list: &str) -> Result<Self, IssueError> {
        SourceAddresses::parse(list)?;
        self.fields.critical_options.insert(SOURCE_ADDRESS.to_owned(), string(list));
        Ok(self)
    }

    /// A FIDO key must verify its user by PIN or biometrics.
    #[must_use]
    pub fn verify_required(mut self) -> Self {
        self.fields.critical_options.insert(VERIFY_REQUIRED.to_owned(), Vec::new());
        self
    }

    /// An extension of our own, `NAME@DOMAIN`: other verifiers ignore it, so it must not restrict anything.
    pub fn extension(mut self, name: &str, value: &str) -> Result<Self, IssueError> {
        check_own_name(name)?;
        self.fields.extensions.insert(name.to_owned(), string(value));
        Ok(self)
    }

    /// A critical option of our own, `NAME@DOMAIN`: verifiers that do not know it refuse the certificate.
    pub fn critical_option(mut self, name: &str, value: &str) -> Result<Self, IssueError> {
        check_own_name(name)?;
        self.fields.critical_options.insert(name.to_owned(), string(value));
        Ok(self)
    }

    /// Signs with a CA key at hand.
    pub fn sign(self, ca: &PrivateKey) -> Result<Certificate, IssueError> {
        let unsigned = self.unsigned(ca.public())?;
        let Some(algorithm) = ca.signature_algorithms().first() else {
            return Err(IssueError::Changed);
        };
        let signature = ca.sign(*algorithm, unsigned.to_be_signed())?;
        unsigned.signed(&signature)
    }

    /// Prepares it for a CA key that is elsewhere, in an agent or a token.
    pub fn unsigned(self, ca: &PublicKey) -> Result<UnsignedCertificate, IssueError> {
        if let Some(bits) = ca.rsa_bits().filter(|bits| *bits < MIN_CA_RSA_BITS) {
            return Err(IssueError::WeakCa { bits });
        }
        if self.fields.key == *ca {
            return Err(IssueError::SelfSigned);
        }
        let mut nonce = [0; 32];
        fill(&mut nonce).map_err(|_| IssueError::Random)?;
        let bytes = self.fields.encode(&nonce, ca);
        Ok(UnsignedCertificate { fields: self.fields, ca: ca.clone(), bytes })
    }
}

/// A certificate that lacks only its signature.
#[derive(Debug)]
pub struct UnsignedCertificate {
    fields: Fields,
    ca: PublicKey,
    bytes: Vec<u8>,
}

impl UnsignedCertificate {
    /// What the CA key has to sign.
    pub fn to_be_signed(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds the signature, reads the whole back, and releases it only if it says what was asked for and is
    /// genuine.
    pub fn signed(self, signature: &[u8]) -> Result<Certificate, IssueError> {
        let mut blob = self.bytes;
        blob.put_string(signature);
        let certificate = Certificate::from_blob(&blob)?;
        certificate.verify_signature()?;
        if Fields::of(&certificate).as_ref() == Some(&self.fields) && *certificate.ca() == self.ca {
            Ok(certificate)
        } else {
            Err(IssueError::Changed)
        }
    }
}

impl Fields {
    /// The bytes that the CA signs.
    pub(crate) fn encode(&self, nonce: &[u8], ca: &PublicKey) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_string(self.key.algorithm().certificate_name().as_bytes());
        out.put_string(nonce);
        self.key.material().write(&mut out);
        out.put_u64(self.serial);
        out.put_u32(self.kind.number());
        out.put_string(self.key_id.as_bytes());
        let mut principals = Vec::new();
        for principal in &self.principals {
            principals.put_string(principal.as_bytes());
        }
        out.put_string(&principals);
        out.put_u64(self.valid_after);
        out.put_u64(self.valid_before);
        for options in [&self.critical_options, &self.extensions] {
            let mut packed = Vec::new();
            for (name, data) in options {
                packed.put_string(name.as_bytes());
                packed.put_string(data);
            }
            out.put_string(&packed);
        }
        out.put_string(b"");
        out.put_string(ca.blob());
        out
    }

    /// What a certificate says; `None` where a name is not text or stands twice.
    fn of(certificate: &Certificate) -> Option<Self> {
        let map = |options: &[CertificateOption]| {
            let map: Option<BTreeMap<String, Vec<u8>>> = options
                .iter()
                .map(|option| Some((String::from_utf8(option.name.clone()).ok()?, option.data.clone())))
                .collect();
            map.filter(|map| map.len() == options.len())
        };
        Some(Self {
            key: certificate.key().clone(),
            kind: certificate.kind(),
            serial: certificate.serial(),
            key_id: certificate.key_id().to_owned(),
            principals: certificate.principals().to_vec(),
            valid_after: certificate.valid_after(),
            valid_before: certificate.valid_before(),
            critical_options: map(certificate.critical_options())?,
            extensions: map(certificate.extensions())?,
        })
    }
}

/// A principal that no verifier, list or log can misread.
fn is_strict_principal(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"',*?!\\".contains(&byte))
}

fn check_own_name(name: &str) -> Result<(), IssueError> {
    let printable_name = name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_graphic());
    match name.split_once('@') {
        Some((local, domain)) if printable_name && !local.is_empty() && !domain.is_empty() => Ok(()),
        _ => Err(IssueError::OptionName { name: printable(name.as_bytes()) }),
    }
}

fn string(value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_string(value.as_bytes());
    out
}

/// Why no certificate was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The key ID is empty, too long or has characters that break logs.
    #[error("key ID \"{key_id}\" is not 1 to {MAX_NAME} printable ASCII characters without quotes")]
    KeyId {
        /// The key ID, escaped.
        key_id: String,
    },
    /// No principal, or too many.
    #[error("{count} principals; a certificate needs 1 to {MAX_PRINCIPALS}")]
    PrincipalCount {
        /// How many were asked for.
        count: usize,
    },
    /// A principal could be misread.
    #[error(
        "principal \"{principal}\" is not 1 to {MAX_NAME} printable ASCII characters without blanks, quotes, \
         commas, wildcards and backslashes"
    )]
    Principal {
        /// The principal, escaped.
        principal: String,
    },
    /// It would never be valid.
    #[error("valid from {valid_after} to {valid_before}, which is no time at all")]
    Validity {
        /// Unix seconds.
        valid_after: u64,
        /// Unix seconds.
        valid_before: u64,
    },
    /// An option's value is empty or has control characters.
    #[error("the value of {option} is empty or has control characters")]
    Value {
        /// The option.
        option: String,
    },
    /// The source addresses cannot be read.
    #[error("source-address: {0}")]
    SourceAddress(#[from] PatternError),
    /// An option of our own needs a domain.
    #[error("option \"{name}\" is not NAME@DOMAIN")]
    OptionName {
        /// The name, escaped.
        name: String,
    },
    /// The CA's key is too small.
    #[error("the CA's RSA key has {bits} bits; at least {MIN_CA_RSA_BITS} are needed")]
    WeakCa {
        /// The size of its modulus.
        bits: usize,
    },
    /// The key to certify is the CA's own.
    #[error("the key to certify is the CA's own key")]
    SelfSigned,
    /// No random bytes.
    #[error("the cryptographic library could not make random bytes")]
    Random,
    /// The CA's key would not sign.
    #[error("the CA's key did not sign: {0}")]
    Signing(#[from] SigningError),
    /// What was made cannot be read back.
    #[error("the certificate made cannot be read back: {0}")]
    Unreadable(#[from] KeyError),
    /// The signature that came back is not the CA's.
    #[error("the CA's signature is not genuine: {0}")]
    Signature(#[from] CertificateSignatureError),
    /// What was made says something else than was asked for.
    #[error("the certificate made is not the one asked for")]
    Changed,
}
