//! OpenSSH's private key structure (PROTOCOL.key), encrypted or not.
//!
//! What must stay true: a key comes out only if its public half equals the one in the open part of the file.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rand::fill;
use zeroize::Zeroizing;

use crate::algorithm::KeyAlgorithm;
use crate::private_key::{PrivateKey, PrivateKeyError, Secret};
use crate::public_key::{Curve, KeyError, PublicKey};
use crate::rsa_numbers::RsaNumbers;
use crate::wire::{Put as _, Reader, printable};

const MAGIC: &[u8] = b"openssh-key-v1\0";
const CIPHER: &str = "aes256-ctr";
/// What ssh-keygen uses since OpenSSH 9.4.
const ROUNDS: u32 = 24;
/// A file must not be able to keep us busy for minutes; this many take about half a minute.
const MAX_ROUNDS: u32 = 4096;
const IV_LEN: usize = 16;

/// The ciphers of private key files: those that ssh-keygen has had as its default.
struct FileCipher {
    algorithm: &'static Algorithm,
    key_len: usize,
    counter: bool,
}

impl FileCipher {
    /// `None` for a file that is not encrypted.
    fn parse(name: &[u8]) -> Result<Option<Self>, PrivateKeyError> {
        let (algorithm, key_len, counter) = match name {
            b"aes256-ctr" => (&AES_256, 32, true),
            b"aes192-ctr" => (&AES_192, 24, true),
            b"aes128-ctr" => (&AES_128, 16, true),
            b"aes256-cbc" => (&AES_256, 32, false),
            b"none" => return Ok(None),
            _ => return Err(PrivateKeyError::Cipher { cipher: printable(name) }),
        };
        Ok(Some(Self { algorithm, key_len, counter }))
    }

    fn decrypt(&self, key: &[u8], iv: [u8; IV_LEN], bytes: &mut [u8]) -> Option<()> {
        let key = UnboundCipherKey::new(self.algorithm, key).ok()?;
        let key = if self.counter { DecryptingKey::ctr(key) } else { DecryptingKey::cbc(key) };
        key.ok()?.decrypt(bytes, DecryptionContext::Iv128(FixedLength::from(iv))).ok()?;
        Some(())
    }
}

/// Reads the structure between the PEM lines.
pub(crate) fn decode(bytes: &[u8], passphrase: Option<&[u8]>) -> Result<PrivateKey, PrivateKeyError> {
    let body = bytes
        .strip_prefix(MAGIC)
        .ok_or(PrivateKeyError::Form { reason: "OpenSSH's mark is missing in it" })?;
    let mut reader = Reader::new(body);
    let cipher = reader.string("cipher name")?;
    let kdf = reader.string("key derivation name")?;
    let kdf_options = reader.string("key derivation options")?;
    if reader.u32("number of keys")? != 1 {
        return Err(PrivateKeyError::Form { reason: "it holds several keys" });
    }
    let public = PublicKey::from_blob(reader.string("public key")?)?;
    let mut section = Zeroizing::new(reader.string("private section")?.to_vec());
    // Before the end is looked at: the ciphers that we lack put an authentication tag behind the section.
    let cipher = FileCipher::parse(cipher)?;
    reader.finish("private key file")?;
    if let Some(cipher) = &cipher {
        let passphrase = passphrase.ok_or(PrivateKeyError::PassphraseNeeded)?;
        decrypt(cipher, kdf, kdf_options, passphrase, &mut section)?;
    }
    let key = read_section(&section, cipher.is_some())?;
    if key.public() == &public { Ok(key) } else { Err(PrivateKeyError::Inconsistent) }
}

fn decrypt(
    cipher: &FileCipher,
    kdf: &[u8],
    kdf_options: &[u8],
    passphrase: &[u8],
    section: &mut [u8],
) -> Result<(), PrivateKeyError> {
    if kdf != b"bcrypt" {
        return Err(PrivateKeyError::Cipher { cipher: printable(kdf) });
    }
    let mut options = Reader::new(kdf_options);
    let salt = options.string("salt")?;
    let rounds = options.u32("rounds")?;
    options.finish("key derivation options")?;
    if !(1..=MAX_ROUNDS).contains(&rounds) {
        return Err(PrivateKeyError::Form { reason: "its number of bcrypt rounds is out of range" });
    }
    let derived = derive(passphrase, salt, rounds, cipher.key_len + IV_LEN)?;
    let (key, iv) = derived.split_at(cipher.key_len);
    let iv = iv.try_into().map_err(|_| PrivateKeyError::Library { operation: "derive a key" })?;
    cipher.decrypt(key, iv, section).ok_or(PrivateKeyError::WrongPassphrase)
}

fn derive(
    passphrase: &[u8],
    salt: &[u8],
    rounds: u32,
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, PrivateKeyError> {
    let mut derived = Zeroizing::new(vec![0; length]);
    bcrypt_pbkdf::bcrypt_pbkdf(passphrase, salt, rounds, &mut derived)
        .map_err(|_| PrivateKeyError::Library { operation: "derive a key from this passphrase" })?;
    Ok(derived)
}

/// Reads the private section, decrypted.
fn read_section(section: &[u8], was_encrypted: bool) -> Result<PrivateKey, PrivateKeyError> {
    let mut reader = Reader::new(section);
    // Two equal random numbers: after decryption with a wrong passphrase they differ.
    if reader.u32("check number")? != reader.u32("check number")? {
        return Err(if was_encrypted {
            PrivateKeyError::WrongPassphrase
        } else {
            PrivateKeyError::Inconsistent
        });
    }
    let name = reader.string("key algorithm")?;
    let algorithm = KeyAlgorithm::parse(name).ok_or_else(|| KeyError::Algorithm { name: printable(name) })?;
    let key = match algorithm {
        KeyAlgorithm::Ed25519 => read_ed25519(&mut reader)?,
        KeyAlgorithm::EcdsaNistp256 => read_ecdsa(Curve::P256, &mut reader)?,
        KeyAlgorithm::EcdsaNistp384 => read_ecdsa(Curve::P384, &mut reader)?,
        KeyAlgorithm::EcdsaNistp521 => read_ecdsa(Curve::P521, &mut reader)?,
        KeyAlgorithm::Rsa => read_rsa(&mut reader)?,
        KeyAlgorithm::SkEd25519 | KeyAlgorithm::SkEcdsaNistp256 => {
            return Err(PrivateKeyError::OnToken { algorithm: algorithm.name() });
        }
    };
    let comment = reader.string("comment")?;
    let padding_is_right = reader.rest().iter().zip(1_u8..).all(|(byte, count)| *byte == count);
    if !padding_is_right || reader.rest().len() > 255 {
        return Err(PrivateKeyError::Form { reason: "its padding is broken" });
    }
    Ok(key.with_comment(&String::from_utf8_lossy(comment)))
}

fn read_ed25519(reader: &mut Reader<'_>) -> Result<PrivateKey, PrivateKeyError> {
    let point = reader.string("Ed25519 public key")?;
    let pair = reader.string("Ed25519 key pair")?;
    let (seed, repeated) = pair.split_first_chunk::<32>().ok_or(PrivateKeyError::Inconsistent)?;
    if repeated != point {
        return Err(PrivateKeyError::Inconsistent);
    }
    PrivateKey::from_seed(Zeroizing::new(*seed))
}

fn read_ecdsa(curve: Curve, reader: &mut Reader<'_>) -> Result<PrivateKey, PrivateKeyError> {
    if reader.string("curve name")? != curve.name().as_bytes() {
        return Err(PrivateKeyError::Inconsistent);
    }
    let point = reader.string("curve point")?;
    PrivateKey::from_scalar(curve, reader.positive("ECDSA private number")?, point)
}

fn read_rsa(reader: &mut Reader<'_>) -> Result<PrivateKey, PrivateKeyError> {
    let modulus = reader.positive("RSA modulus")?.to_vec();
    let exponent = reader.positive("RSA exponent")?.to_vec();
    let mut secret = |field| reader.positive(field).map(|number| Zeroizing::new(number.to_vec()));
    let private_exponent = secret("RSA private exponent")?;
    let coefficient = secret("RSA coefficient")?;
    let prime1 = secret("RSA prime")?;
    let prime2 = secret("RSA prime")?;
    PrivateKey::from_rsa(RsaNumbers { exponent, modulus, private_exponent, prime1, prime2, coefficient })
}

/// Writes the structure without encryption.
pub(crate) fn encode(key: &PrivateKey, comment: &str) -> Zeroizing<Vec<u8>> {
    // The check number guards a decryption; without one it only has to be there twice.
    let section = write_section(key, comment, 0, 8);
    envelope(b"none", b"none", b"", key.public(), &section)
}

/// Writes the structure under a passphrase.
pub(crate) fn encode_encrypted(
    key: &PrivateKey,
    comment: &str,
    passphrase: &[u8],
) -> Result<Zeroizing<Vec<u8>>, PrivateKeyError> {
    let library = |operation| move |_| PrivateKeyError::Library { operation };
    let mut salt = [0; 16];
    fill(&mut salt).map_err(library("make random bytes"))?;
    let mut check = [0; 4];
    fill(&mut check).map_err(library("make random bytes"))?;
    let derived = derive(passphrase, &salt, ROUNDS, 32 + IV_LEN)?;
    let (cipher_key, iv) = derived.split_at(32);
    let iv: [u8; IV_LEN] =
        iv.try_into().map_err(|_| PrivateKeyError::Library { operation: "derive a key" })?;
    let mut section = write_section(key, comment, u32::from_be_bytes(check), 16);
    UnboundCipherKey::new(&AES_256, cipher_key)
        .and_then(EncryptingKey::ctr)
        .and_then(|cipher| {
            cipher.less_safe_encrypt(&mut section, EncryptionContext::Iv128(FixedLength::from(iv)))
        })
        .map_err(library("encrypt the key"))?;
    let mut options = Vec::new();
    options.put_string(&salt);
    options.put_u32(ROUNDS);
    Ok(envelope(CIPHER.as_bytes(), b"bcrypt", &options, key.public(), &section))
}

fn envelope(
    cipher: &[u8],
    kdf: &[u8],
    kdf_options: &[u8],
    public: &PublicKey,
    section: &[u8],
) -> Zeroizing<Vec<u8>> {
    let size = MAGIC.len() + 64 + kdf_options.len() + public.blob().len() + section.len();
    let mut out = Zeroizing::new(Vec::with_capacity(size));
    out.extend_from_slice(MAGIC);
    out.put_string(cipher);
    out.put_string(kdf);
    out.put_string(kdf_options);
    out.put_u32(1);
    out.put_string(public.blob());
    out.put_string(section);
    out
}

fn write_section(key: &PrivateKey, comment: &str, check: u32, block: usize) -> Zeroizing<Vec<u8>> {
    // Room for the largest RSA key, so that growing never leaves copies of secrets behind.
    let mut out = Zeroizing::new(Vec::with_capacity(8 * 1024 + comment.len()));
    out.put_u32(check);
    out.put_u32(check);
    match key.secret() {
        Secret::Ed25519 { seed, .. } => {
            out.extend_from_slice(key.public().blob());
            // The blob is the name and the point; the pair is the seed and the point again.
            let point = key.public().blob().last_chunk::<32>().copied().unwrap_or_default();
            out.put_u32(64);
            out.extend_from_slice(seed.as_slice());
            out.extend_from_slice(&point);
        }
        Secret::Ecdsa { scalar, .. } => {
            out.extend_from_slice(key.public().blob());
            out.put_positive(scalar);
        }
        Secret::Rsa { numbers, .. } => {
            out.put_string(KeyAlgorithm::Rsa.name().as_bytes());
            out.put_positive(&numbers.modulus);
            out.put_positive(&numbers.exponent);
            out.put_positive(&numbers.private_exponent);
            out.put_positive(&numbers.coefficient);
            out.put_positive(&numbers.prime1);
            out.put_positive(&numbers.prime2);
        }
    }
    out.put_string(comment.as_bytes());
    for count in 1_u8..=255 {
        if out.len() % block == 0 {
            break;
        }
        out.push(count);
    }
    out
}
