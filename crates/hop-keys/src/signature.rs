//! Checking signatures (RFC 8332, RFC 5656, RFC 8709, OpenSSH PROTOCOL.u2f) with aws-lc.
//!
//! What must stay true: a [`VerifiedSignature`] exists only after the cryptographic check, and the algorithm
//! named in the signature is the one that was agreed, so a weaker one cannot slip in.

use aws_lc_rs::signature::{
    ED25519, ParsedPublicKey, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RsaParameters, RsaPublicKeyComponents,
};

use crate::algorithm::SignatureAlgorithm;
use crate::fingerprint::sha256;
use crate::public_key::{Curve, Material, PublicKey};
use crate::wire::{Reader, WireError, printable};

/// The flag bits of a FIDO assertion (OpenSSH PROTOCOL.u2f).
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;

/// Proof that a signature is genuine. Only [`PublicKey::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    algorithm: SignatureAlgorithm,
    sk: Option<SkFlags>,
}

impl VerifiedSignature {
    /// How it was made.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// What the FIDO token attested; `None` for other keys. A genuine signature *without* a touch is
    /// possible, so whoever demands one (OpenSSH does by default) has to look here.
    pub fn sk(&self) -> Option<SkFlags> {
        self.sk
    }
}

/// What a FIDO token attested with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkFlags {
    flags: u8,
    counter: u32,
}

impl SkFlags {
    /// The token was touched.
    pub fn user_present(self) -> bool {
        self.flags & USER_PRESENT != 0
    }

    /// The person was verified by PIN or biometrics.
    pub fn user_verified(self) -> bool {
        self.flags & USER_VERIFIED != 0
    }

    /// The token's count of signatures.
    pub fn counter(self) -> u32 {
        self.counter
    }
}

impl PublicKey {
    /// Checks `signature`, an SSH signature blob, over `message`. The blob must name exactly `algorithm`.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<VerifiedSignature, SignatureError> {
        if algorithm.key_algorithm() != self.algorithm() {
            return Err(SignatureError::Key { key: self.algorithm().name(), algorithm: algorithm.name() });
        }
        let mut reader = Reader::new(signature);
        let name = reader.string("signature algorithm")?;
        if name != algorithm.name().as_bytes() {
            return Err(SignatureError::Algorithm { expected: algorithm.name(), found: printable(name) });
        }
        let bytes = reader.string("signature")?;
        let mut sk = None;
        match self.material() {
            Material::Ed25519 { point } => verify_ed25519(point, message, bytes)?,
            Material::Ecdsa { curve, point } => verify_ecdsa(*curve, point, message, bytes)?,
            Material::Rsa { exponent, modulus } => {
                verify_rsa(algorithm, exponent, modulus, message, bytes)?;
            }
            Material::SkEd25519 { point, application } => {
                let flags = read_flags(&mut reader)?;
                verify_ed25519(point, &assertion(application, flags, message), bytes)?;
                sk = Some(flags);
            }
            Material::SkEcdsa { point, application } => {
                let flags = read_flags(&mut reader)?;
                verify_ecdsa(Curve::P256, point, &assertion(application, flags, message), bytes)?;
                sk = Some(flags);
            }
        }
        reader.finish("signature")?;
        Ok(VerifiedSignature { algorithm, sk })
    }
}

fn verify_ed25519(point: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    if signature.len() != 64 {
        return Err(SignatureError::Length { found: signature.len() });
    }
    let key = ParsedPublicKey::new(&ED25519, point).map_err(|_| SignatureError::Invalid)?;
    key.verify_sig(message, signature).map_err(|_| SignatureError::Invalid)
}

fn verify_ecdsa(curve: Curve, point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let mut reader = Reader::new(signature);
    let numbers = [reader.positive("ECDSA r")?, reader.positive("ECDSA s")?];
    reader.finish("ECDSA signature")?;
    let mut fixed = Vec::with_capacity(2 * curve.field_len());
    for number in numbers {
        let padding = curve
            .field_len()
            .checked_sub(number.len())
            .ok_or(SignatureError::Length { found: number.len() })?;
        fixed.resize(fixed.len() + padding, 0);
        fixed.extend_from_slice(number);
    }
    let key = ParsedPublicKey::new(curve.verification(), point).map_err(|_| SignatureError::Invalid)?;
    key.verify_sig(message, &fixed).map_err(|_| SignatureError::Invalid)
}

fn verify_rsa(
    algorithm: SignatureAlgorithm,
    exponent: &[u8],
    modulus: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let parameters: &RsaParameters = if algorithm == SignatureAlgorithm::RsaSha256 {
        &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
    } else {
        &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
    };
    // RFC 8332 section 3 sends the number "without padding"; one in 256 is shorter from peers that take it
    // literally.
    let padding = modulus
        .len()
        .checked_sub(signature.len())
        .ok_or(SignatureError::Length { found: signature.len() })?;
    let mut full = vec![0; padding];
    full.extend_from_slice(signature);
    RsaPublicKeyComponents { n: modulus, e: exponent }
        .verify(parameters, message, &full)
        .map_err(|_| SignatureError::Invalid)
}

fn read_flags(reader: &mut Reader<'_>) -> Result<SkFlags, WireError> {
    Ok(SkFlags { flags: reader.u8("FIDO flags")?, counter: reader.u32("FIDO counter")? })
}

/// The bytes that a FIDO token signs instead of the message (OpenSSH PROTOCOL.u2f, "SSH U2F signatures").
fn assertion(application: &[u8], flags: SkFlags, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(69);
    out.extend_from_slice(&sha256(application));
    out.push(flags.flags);
    out.extend_from_slice(&flags.counter.to_be_bytes());
    out.extend_from_slice(&sha256(message));
    out
}

/// Why a signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The structure is broken.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// This kind of key cannot make such signatures.
    #[error("a {key} key makes no {algorithm} signatures")]
    Key {
        /// The key's algorithm.
        key: &'static str,
        /// The agreed signature algorithm.
        algorithm: &'static str,
    },
    /// The signature names another algorithm than was agreed.
    #[error("the signature is \"{found}\" where {expected} was agreed")]
    Algorithm {
        /// What was agreed.
        expected: &'static str,
        /// The name found, escaped.
        found: String,
    },
    /// The signature or one of its numbers has an impossible length.
    #[error("the signature has a part of {found} bytes, which does not fit its algorithm")]
    Length {
        /// The length found.
        found: usize,
    },
    /// The mathematics say no.
    #[error("the signature does not verify")]
    Invalid,
}

#[cfg(test)]
#[path = "signature/tests.rs"]
mod tests;
