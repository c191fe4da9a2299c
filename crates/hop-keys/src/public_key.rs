//! Public keys: the wire blob (RFC 4253 section 6.6, RFC 5656, RFC 8709, OpenSSH PROTOCOL.u2f) and the
//! one-line form.
//!
//! What must stay true: a [`PublicKey`] holds exactly the bytes received, they have only one reading, and the
//! point of an elliptic curve key lies on its curve.

use aws_lc_rs::signature::{self, ParsedPublicKey};
use base64ct::{Base64, Encoding as _};
use md5::Digest as _;

use crate::algorithm::KeyAlgorithm;
use crate::fingerprint::Fingerprint;
use crate::wire::{Put as _, Reader, WireError, printable};

/// RSA moduli below this are not even parsed; policy for new keys is stricter.
const RSA_MIN_BITS: usize = 1024;
/// The cryptographic library verifies no longer ones, and their cost would be the peer's to choose.
const RSA_MAX_BITS: usize = 8192;

/// A public key. Equality and hash are those of its wire blob; `Debug` shows the fingerprint.
#[derive(Clone)]
pub struct PublicKey {
    blob: Box<[u8]>,
    material: Material,
}

/// The numbers of a public key.
#[derive(Clone)]
pub(crate) enum Material {
    Ed25519 { point: [u8; 32] },
    Ecdsa { curve: Curve, point: Box<[u8]> },
    Rsa { exponent: Box<[u8]>, modulus: Box<[u8]> },
    SkEd25519 { point: [u8; 32], application: Box<[u8]> },
    SkEcdsa { point: Box<[u8]>, application: Box<[u8]> },
}

/// The curves of RFC 5656 that OpenSSH speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl PublicKey {
    /// Reads a key from its wire form, to the last byte.
    pub fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(blob);
        let name = reader.string("key algorithm")?;
        let algorithm =
            KeyAlgorithm::parse(name).ok_or_else(|| KeyError::Algorithm { name: printable(name) })?;
        let material = Material::read(algorithm, &mut reader)?;
        reader.finish("public key")?;
        Ok(Self { blob: blob.into(), material })
    }

    /// A key from its numbers, as they stand inside a certificate or a private key.
    pub(crate) fn from_material(material: Material) -> Self {
        let mut blob = Vec::new();
        blob.put_string(material.algorithm().name().as_bytes());
        material.write(&mut blob);
        Self { blob: blob.into(), material }
    }

    /// Reads `ALGORITHM BASE64 [COMMENT]`, the form of `.pub` files, and returns the comment with the key.
    pub fn parse_line(line: &str) -> Result<(Self, String), KeyError> {
        let (name, blob, comment) = split_line(line)?;
        let key = Self::from_blob(&blob)?;
        if key.algorithm().name() != name {
            return Err(KeyError::LineAlgorithm {
                line: printable(name.as_bytes()),
                blob: key.algorithm().name(),
            });
        }
        Ok((key, comment.to_owned()))
    }

    /// The one-line form, without a newline. Control characters of `comment` become spaces.
    pub fn to_line(&self, comment: &str) -> String {
        to_line(self.algorithm().name(), &self.blob, comment)
    }

    /// The wire form.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// What kind of key it is.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.material.algorithm()
    }

    /// SHA-256 of the blob.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.blob)
    }

    /// The fingerprint that clients before OpenSSH 6.8 and some web sites print: `MD5:aa:bb:…`.
    pub fn md5_fingerprint(&self) -> String {
        let digest = md5::Md5::digest(&self.blob);
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("MD5:{}", pairs.join(":"))
    }

    /// The size of an RSA modulus in bits; `None` for other keys.
    pub fn rsa_bits(&self) -> Option<usize> {
        match &self.material {
            Material::Rsa { modulus, .. } => Some(bits(modulus)),
            Material::Ed25519 { .. }
            | Material::Ecdsa { .. }
            | Material::SkEd25519 { .. }
            | Material::SkEcdsa { .. } => None,
        }
    }

    pub(crate) fn material(&self) -> &Material {
        &self.material
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.blob == other.blob
    }
}

impl Eq for PublicKey {}

impl std::hash::Hash for PublicKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.blob.hash(state);
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.algorithm(), self.fingerprint())
    }
}

impl Material {
    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        match self {
            Self::Ed25519 { .. } => KeyAlgorithm::Ed25519,
            Self::Ecdsa { curve: Curve::P256, .. } => KeyAlgorithm::EcdsaNistp256,
            Self::Ecdsa { curve: Curve::P384, .. } => KeyAlgorithm::EcdsaNistp384,
            Self::Ecdsa { curve: Curve::P521, .. } => KeyAlgorithm::EcdsaNistp521,
            Self::Rsa { .. } => KeyAlgorithm::Rsa,
            Self::SkEd25519 { .. } => KeyAlgorithm::SkEd25519,
            Self::SkEcdsa { .. } => KeyAlgorithm::SkEcdsaNistp256,
        }
    }

    /// Reads what follows the algorithm's name (and, in a certificate, the nonce).
    pub(crate) fn read(algorithm: KeyAlgorithm, reader: &mut Reader<'_>) -> Result<Self, KeyError> {
        Ok(match algorithm {
            KeyAlgorithm::Ed25519 => Self::Ed25519 { point: read_ed25519(reader)? },
            KeyAlgorithm::EcdsaNistp256 => Self::read_ecdsa(Curve::P256, reader)?,
            KeyAlgorithm::EcdsaNistp384 => Self::read_ecdsa(Curve::P384, reader)?,
            KeyAlgorithm::EcdsaNistp521 => Self::read_ecdsa(Curve::P521, reader)?,
            KeyAlgorithm::Rsa => {
                let exponent = reader.positive("RSA exponent")?;
                let modulus = reader.positive("RSA modulus")?;
                Self::rsa(exponent, modulus)?
            }
            KeyAlgorithm::SkEd25519 => Self::SkEd25519 {
                point: read_ed25519(reader)?,
                application: reader.string("FIDO application")?.into(),
            },
            KeyAlgorithm::SkEcdsaNistp256 => Self::SkEcdsa {
                point: read_point(Curve::P256, reader)?,
                application: reader.string("FIDO application")?.into(),
            },
        })
    }

    fn read_ecdsa(curve: Curve, reader: &mut Reader<'_>) -> Result<Self, KeyError> {
        Ok(Self::Ecdsa { curve, point: read_point(curve, reader)? })
    }

    /// An RSA key from numbers without leading zeros.
    pub(crate) fn rsa(exponent: &[u8], modulus: &[u8]) -> Result<Self, KeyError> {
        let size = bits(modulus);
        if !(RSA_MIN_BITS..=RSA_MAX_BITS).contains(&size) {
            return Err(KeyError::RsaSize { bits: size });
        }
        let odd = |number: &[u8]| number.last().is_some_and(|low| low & 1 == 1);
        // 1 would make every message its own signature; above 32 bits no implementation agrees on a limit.
        if !odd(exponent) || exponent.len() > 4 || exponent == [1] || !odd(modulus) {
            return Err(KeyError::RsaNumbers);
        }
        Ok(Self::Rsa { exponent: exponent.into(), modulus: modulus.into() })
    }

    /// Writes what follows the algorithm's name (and, in a certificate, the nonce).
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ed25519 { point } => out.put_string(point),
            Self::Ecdsa { curve, point } => {
                out.put_string(curve.name().as_bytes());
                out.put_string(point);
            }
            Self::Rsa { exponent, modulus } => {
                out.put_positive(exponent);
                out.put_positive(modulus);
            }
            Self::SkEd25519 { point, application } => {
                out.put_string(point);
                out.put_string(application);
            }
            Self::SkEcdsa { point, application } => {
                out.put_string(Curve::P256.name().as_bytes());
                out.put_string(point);
                out.put_string(application);
            }
        }
    }
}

impl Curve {
    /// The identifier of RFC 5656 section 6.1.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::P256 => "nistp256",
            Self::P384 => "nistp384",
            Self::P521 => "nistp521",
        }
    }

    /// Bytes of one coordinate.
    pub(crate) const fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// How signatures on this curve are checked, `r` and `s` side by side.
    pub(crate) const fn verification(self) -> &'static signature::EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::P521 => &signature::ECDSA_P521_SHA512_FIXED,
        }
    }
}

fn read_ed25519(reader: &mut Reader<'_>) -> Result<[u8; 32], KeyError> {
    reader.string("Ed25519 public key")?.try_into().map_err(|_| KeyError::Point { curve: "Ed25519" })
}

fn read_point(curve: Curve, reader: &mut Reader<'_>) -> Result<Box<[u8]>, KeyError> {
    let name = reader.string("curve name")?;
    if name != curve.name().as_bytes() {
        return Err(KeyError::Curve { expected: curve.name(), name: printable(name) });
    }
    let point = reader.string("curve point")?;
    // Only the uncompressed form (RFC 5656 section 3.1); then the library checks that it lies on the curve.
    let uncompressed = point.first() == Some(&4) && point.len() == 1 + 2 * curve.field_len();
    if !uncompressed || ParsedPublicKey::new(curve.verification(), point).is_err() {
        return Err(KeyError::Point { curve: curve.name() });
    }
    Ok(point.into())
}

/// The length of a number without leading zero bytes.
fn bits(number: &[u8]) -> usize {
    let high = number.first().copied().unwrap_or(0);
    (number.len() * 8).saturating_sub(high.leading_zeros() as usize)
}

/// Splits `ALGORITHM BASE64 [COMMENT]` and decodes the middle.
pub(crate) fn split_line(line: &str) -> Result<(&str, Vec<u8>, &str), KeyError> {
    let (name, rest) = line.trim().split_once([' ', '\t']).ok_or(KeyError::Line)?;
    let rest = rest.trim_start();
    let (encoded, comment) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let blob = Base64::decode_vec(encoded).map_err(|_| KeyError::Base64)?;
    Ok((name, blob, comment.trim_start()))
}

pub(crate) fn to_line(name: &str, blob: &[u8], comment: &str) -> String {
    let comment: String =
        comment.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let line = format!("{name} {} {comment}", Base64::encode_string(blob));
    line.trim_end().to_owned()
}

/// Why bytes or a line are not a public key or certificate that we can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The structure is broken.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// No such kind of key here; DSA is one of them.
    #[error("key algorithm \"{name}\" is not supported")]
    Algorithm {
        /// The name found, escaped.
        name: String,
    },
    /// An elliptic curve key names another curve than its algorithm.
    #[error("the key names curve \"{name}\" where {expected} belongs")]
    Curve {
        /// The curve of the algorithm.
        expected: &'static str,
        /// The name found, escaped.
        name: String,
    },
    /// The point has the wrong length or lies off the curve.
    #[error("the public key is no point on {curve}")]
    Point {
        /// The curve.
        curve: &'static str,
    },
    /// The RSA modulus has an unusable size.
    #[error("the RSA modulus has {bits} bits; {RSA_MIN_BITS} to {RSA_MAX_BITS} are supported")]
    RsaSize {
        /// The size found.
        bits: usize,
    },
    /// The RSA exponent or modulus is even, or the exponent 1 or above 32 bits.
    #[error("the RSA exponent or modulus is not usable")]
    RsaNumbers,
    /// A line is not `ALGORITHM BASE64 [COMMENT]`.
    #[error("the line is not ALGORITHM BASE64 [COMMENT]")]
    Line,
    /// The base64 of a line is broken or cut.
    #[error("the base64 of the key is broken; was the line wrapped or cut?")]
    Base64,
    /// A line begins with another algorithm than its key has.
    #[error("the line says {line}, but the key in it is {blob}")]
    LineAlgorithm {
        /// What the line says, escaped.
        line: String,
        /// What the key says.
        blob: &'static str,
    },
    /// A plain key where an algorithm name announced a certificate, or another kind of key.
    #[error("the algorithm {algorithm} was announced, but the key is {found}")]
    Announced {
        /// The announced identity algorithm.
        algorithm: &'static str,
        /// The name in the blob.
        found: &'static str,
    },
    /// A certificate says neither user nor host.
    #[error("certificate type {kind} is neither user (1) nor host (2)")]
    CertificateKind {
        /// The number found.
        kind: u32,
    },
    /// More principals than OpenSSH reads.
    #[error("the certificate has more than {limit} principals")]
    TooManyPrincipals {
        /// OpenSSH's limit.
        limit: usize,
    },
}

#[cfg(test)]
#[path = "public_key/tests.rs"]
mod tests;
