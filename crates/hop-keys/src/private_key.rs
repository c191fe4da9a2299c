//! Private keys: made, read from files, and used to sign.
//!
//! What must stay true: secrets are overwritten when dropped and never shown; a key whose private and public
//! halves do not belong together cannot be constructed.

use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
    RsaEncoding, RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use crate::openssh_format;
use crate::pem::{self, Pem};
use crate::public_key::{Curve, KeyError, Material, PublicKey};
use crate::rsa_numbers::RsaNumbers;
use crate::wire::{Put as _, WireError};

/// A private key. `Debug` shows the public half's fingerprint only.
pub struct PrivateKey {
    public: PublicKey,
    secret: Secret,
    comment: String,
}

/// The secret in the form that signs, beside the form that files hold.
pub(crate) enum Secret {
    Ed25519 { seed: Zeroizing<[u8; 32]>, pair: Ed25519KeyPair },
    Ecdsa { curve: Curve, scalar: Zeroizing<Vec<u8>>, pair: EcdsaKeyPair },
    Rsa { numbers: RsaNumbers, pair: RsaKeyPair },
}

impl PrivateKey {
    /// Makes a new key from the system's randomness; RSA keys get 3072 bits. FIDO keys are made by their
    /// token.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, PrivateKeyError> {
        let library = |operation| move |_| PrivateKeyError::Library { operation };
        match algorithm {
            KeyAlgorithm::Ed25519 => {
                let mut seed = Zeroizing::new([0; 32]);
                fill(seed.as_mut_slice()).map_err(library("make random bytes"))?;
                Self::from_seed(seed)
            }
            KeyAlgorithm::EcdsaNistp256 => Self::generate_ecdsa(Curve::P256),
            KeyAlgorithm::EcdsaNistp384 => Self::generate_ecdsa(Curve::P384),
            KeyAlgorithm::EcdsaNistp521 => Self::generate_ecdsa(Curve::P521),
            KeyAlgorithm::Rsa => {
                let pair = RsaKeyPair::generate(KeySize::Rsa3072).map_err(library("make an RSA key"))?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(library("export an RSA key"))?;
                Self::from_rsa(RsaNumbers::from_pkcs8(der.as_ref())?)
            }
            KeyAlgorithm::SkEd25519 | KeyAlgorithm::SkEcdsaNistp256 => {
                Err(PrivateKeyError::OnToken { algorithm: algorithm.name() })
            }
        }
    }

    fn generate_ecdsa(curve: Curve) -> Result<Self, PrivateKeyError> {
        let library = |_| PrivateKeyError::Library { operation: "make an ECDSA key" };
        let pair = EcdsaKeyPair::generate(curve.signing()).map_err(library)?;
        let scalar: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(library)?;
        Self::from_scalar(curve, scalar.as_ref(), pair.public_key().as_ref())
    }

    /// Reads a private key file: OpenSSH's own format, encrypted or not, or unencrypted RSA in PKCS #1 or
    /// PKCS #8 PEM.
    ///
    /// The passphrase is looked at only when the key is encrypted. Encrypted RSA PEM and other legacy forms
    /// are refused with the conversion to use.
    pub fn from_openssh(text: &str, passphrase: Option<&[u8]>) -> Result<Self, PrivateKeyError> {
        match pem::decode(text)? {
            Pem::OpenSsh(bytes) => openssh_format::decode(&bytes, passphrase),
            Pem::Pkcs1(der) => Self::from_rsa(RsaNumbers::from_pkcs1(&der)?),
            Pem::Pkcs8(der) => Self::from_rsa(RsaNumbers::from_pkcs8(&der)?),
        }
    }

    /// OpenSSH's private key file without encryption, final newline included.
    pub fn to_openssh(&self, comment: &str) -> Zeroizing<String> {
        pem::encode_openssh(&openssh_format::encode(self, comment))
    }

    /// OpenSSH's private key file under a passphrase (aes256-ctr, bcrypt with the rounds that ssh-keygen
    /// uses).
    pub fn to_openssh_encrypted(
        &self,
        comment: &str,
        passphrase: &[u8],
    ) -> Result<Zeroizing<String>, PrivateKeyError> {
        Ok(pem::encode_openssh(&openssh_format::encode_encrypted(self, comment, passphrase)?))
    }

    pub(crate) fn from_seed(seed: Zeroizing<[u8; 32]>) -> Result<Self, PrivateKeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice())
            .map_err(|_| PrivateKeyError::Inconsistent)?;
        let point = pair.public_key().as_ref().try_into().map_err(|_| PrivateKeyError::Inconsistent)?;
        Ok(Self::new(Material::Ed25519 { point }, Secret::Ed25519 { seed, pair }))
    }

    /// `scalar` is big-endian, of any length up to the field's.
    pub(crate) fn from_scalar(curve: Curve, scalar: &[u8], point: &[u8]) -> Result<Self, PrivateKeyError> {
        let padding = curve.field_len().checked_sub(scalar.len()).ok_or(PrivateKeyError::Inconsistent)?;
        let mut padded = Zeroizing::new(Vec::with_capacity(curve.field_len()));
        padded.resize(padding, 0);
        padded.extend_from_slice(scalar);
        let pair = EcdsaKeyPair::from_private_key_and_public_key(curve.signing(), &padded, point)
            .map_err(|_| PrivateKeyError::Inconsistent)?;
        let material = Material::Ecdsa { curve, point: point.into() };
        Ok(Self::new(material, Secret::Ecdsa { curve, scalar: padded, pair }))
    }

    pub(crate) fn from_rsa(numbers: RsaNumbers) -> Result<Self, PrivateKeyError> {
        let material = Material::rsa(&numbers.exponent, &numbers.modulus)?;
        let pair = numbers.key_pair().ok_or(PrivateKeyError::Inconsistent)?;
        Ok(Self::new(material, Secret::Rsa { numbers, pair }))
    }

    fn new(material: Material, secret: Secret) -> Self {
        Self { public: PublicKey::from_material(material), secret, comment: String::new() }
    }

    pub(crate) fn with_comment(mut self, comment: &str) -> Self {
        comment.clone_into(&mut self.comment);
        self
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The comment that the key's file held; empty for a new key.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// The signatures that it can make, best first.
    pub fn signature_algorithms(&self) -> &'static [SignatureAlgorithm] {
        self.public.algorithm().signature_algorithms()
    }

    /// Signs `message`; the result is an SSH signature blob.
    pub fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        if algorithm.key_algorithm() != self.public.algorithm() {
            let key = self.public.algorithm().name();
            return Err(SigningError::Key { key, algorithm: algorithm.name() });
        }
        let refused = |_| SigningError::Library { algorithm: algorithm.name() };
        let random = SystemRandom::new();
        let signature = match &self.secret {
            Secret::Ed25519 { pair, .. } => pair.try_sign(message).map_err(refused)?.as_ref().to_vec(),
            Secret::Ecdsa { curve, pair, .. } => {
                let fixed = pair.sign(&random, message).map_err(refused)?;
                let (r, s) = fixed.as_ref().split_at(curve.field_len());
                let mut numbers = Vec::new();
                numbers.put_positive(r);
                numbers.put_positive(s);
                numbers
            }
            Secret::Rsa { pair, .. } => {
                let encoding: &'static dyn RsaEncoding = if algorithm == SignatureAlgorithm::RsaSha256 {
                    &RSA_PKCS1_SHA256
                } else {
                    &RSA_PKCS1_SHA512
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).map_err(refused)?;
                signature
            }
        };
        let mut blob = Vec::new();
        blob.put_string(algorithm.name().as_bytes());
        blob.put_string(&signature);
        Ok(blob)
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "private half of {:?}", self.public)
    }
}

impl Curve {
    const fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
        }
    }
}

/// Why a private key cannot be made, read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// The file is not a private key in a form we know.
    #[error("this is no private key: {reason}")]
    Form {
        /// What was found instead.
        reason: &'static str,
    },
    /// A form that OpenSSH still reads and we do not.
    #[error("{form} private keys are not supported; convert a copy of the file with: ssh-keygen -p -f FILE")]
    Legacy {
        /// The form found.
        form: &'static str,
    },
    /// The structure is broken.
    #[error("the private key is damaged: {0}")]
    Wire(#[from] WireError),
    /// The public half is not usable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The private half belongs to another public half, or its numbers contradict one another.
    #[error("the private key is damaged: its parts do not belong together")]
    Inconsistent,
    /// The key is encrypted and no passphrase was given.
    #[error("the private key is encrypted and needs its passphrase")]
    PassphraseNeeded,
    /// The passphrase does not open the key.
    #[error("the passphrase does not open the private key")]
    WrongPassphrase,
    /// The encryption of the file is not one we read.
    #[error("the private key is encrypted with \"{cipher}\", which is not supported; use aes256-ctr")]
    Cipher {
        /// The cipher's or derivation function's name, escaped.
        cipher: String,
    },
    /// The secret is inside a FIDO token.
    #[error("the private key of {algorithm} is inside its token; use it through ssh-agent")]
    OnToken {
        /// The kind of key.
        algorithm: &'static str,
    },
    /// The cryptographic library failed.
    #[error("the cryptographic library could not {operation}")]
    Library {
        /// What was tried.
        operation: &'static str,
    },
}

/// Why a message was not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// This kind of key cannot make such signatures.
    #[error("a {key} key makes no {algorithm} signatures")]
    Key {
        /// The key's algorithm.
        key: &'static str,
        /// The wanted signature algorithm.
        algorithm: &'static str,
    },
    /// The cryptographic library failed.
    #[error("the cryptographic library could not make an {algorithm} signature")]
    Library {
        /// The wanted signature algorithm.
        algorithm: &'static str,
    },
}

#[cfg(test)]
#[path = "private_key/tests.rs"]
mod tests;
