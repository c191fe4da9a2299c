//! Packet protection of one direction: AES-GCM (RFC 5647), chacha20-poly1305@openssh.com (OpenSSH
//! PROTOCOL.chacha20poly1305), AES-CTR (RFC 4344) with HMAC-SHA2 (RFC 6668), plain or encrypt-then-MAC.
//!
//! Must stay true: works in place, never copies a payload; a packet whose check fails yields nothing;
//! the state is only (keys, counter), so that it can be exported and taken up elsewhere.

use crate::error::Error;
use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey, chacha20_poly1305_openssh as chacha};
use aws_lc_rs::cipher::{self, DecryptionContext, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{constant_time, hmac};
use zeroize::Zeroizing;

/// An encryption algorithm of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    Aes256Gcm,
    Aes128Gcm,
    ChaCha20Poly1305,
    Aes256Ctr,
    Aes192Ctr,
    Aes128Ctr,
}

/// A MAC algorithm of ours; only the CTR ciphers need one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mac {
    HmacSha256Etm,
    HmacSha512Etm,
    HmacSha256,
    HmacSha512,
}

impl Cipher {
    /// Bytes of key and of initial IV that the key derivation must supply.
    pub(crate) fn key_and_iv_length(self) -> (usize, usize) {
        match self {
            Self::Aes256Gcm => (32, 12),
            Self::Aes128Gcm => (16, 12),
            Self::ChaCha20Poly1305 => (64, 0),
            Self::Aes256Ctr => (32, 16),
            Self::Aes192Ctr => (24, 16),
            Self::Aes128Ctr => (16, 16),
        }
    }

    pub(crate) fn needs_mac(self) -> bool {
        matches!(self, Self::Aes256Ctr | Self::Aes192Ctr | Self::Aes128Ctr)
    }

    /// How many bytes one key may protect before it is replaced: 2^32 blocks of AES (RFC 4344
    /// section 3.2) is 64 GiB, and OpenSSH takes 1 GiB for chacha20. A quarter of the former keeps the
    /// cost of a rekey unmeasurable and the margin wide.
    pub(crate) fn rekey_bytes(self) -> u64 {
        match self {
            Self::ChaCha20Poly1305 => 1 << 30,
            _ => 1 << 34,
        }
    }
}

impl Mac {
    pub(crate) fn key_length(self) -> usize {
        match self {
            Self::HmacSha256Etm | Self::HmacSha256 => 32,
            Self::HmacSha512Etm | Self::HmacSha512 => 64,
        }
    }

    fn is_etm(self) -> bool {
        matches!(self, Self::HmacSha256Etm | Self::HmacSha512Etm)
    }

    fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::HmacSha256Etm | Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha512Etm | Self::HmacSha512 => hmac::HMAC_SHA512,
        }
    }
}

/// The key material of one direction, as derived or as imported.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) cipher: Cipher,
    pub(crate) mac: Option<Mac>,
    pub(crate) key: Zeroizing<Vec<u8>>,
    /// The IV of the *next* packet: GCM's invocation counter and CTR's block counter live in it.
    pub(crate) iv: Zeroizing<Vec<u8>>,
    pub(crate) mac_key: Zeroizing<Vec<u8>>,
}

/// Protects the packets of one direction, sending or receiving.
pub(crate) struct Protection {
    kind: Kind,
    keys: Option<Keys>,
}

enum Kind {
    Plain,
    Gcm {
        key: Box<LessSafeKey>,
        fixed: [u8; 4],
        invocation: u64,
    },
    ChaChaSeal(Box<chacha::SealingKey>),
    ChaChaOpen(Box<chacha::OpeningKey>),
    Ctr {
        seal: Box<cipher::EncryptingKey>,
        open: Box<cipher::DecryptingKey>,
        counter: u128,
        mac: Box<hmac::Key>,
        etm: bool,
    },
}

/// Which way the packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Send,
    Receive,
}

const SETUP: Error = Error::Crypto { what: "cipher set-up" };
const FAILED: Error = Error::Crypto { what: "packet encryption" };
const BLOCK: usize = 16;

impl Protection {
    /// No protection: before the first NEWKEYS.
    pub(crate) fn plain() -> Self {
        Self { kind: Kind::Plain, keys: None }
    }

    pub(crate) fn new(keys: Keys, direction: Direction) -> Result<Self, Error> {
        let kind = match keys.cipher {
            Cipher::Aes256Gcm => gcm(&aead::AES_256_GCM, &keys)?,
            Cipher::Aes128Gcm => gcm(&aead::AES_128_GCM, &keys)?,
            Cipher::ChaCha20Poly1305 => {
                let key =
                    keys.key.first_chunk().filter(|_| keys.key.len() == chacha::KEY_LEN).ok_or(SETUP)?;
                match direction {
                    Direction::Send => Kind::ChaChaSeal(Box::new(chacha::SealingKey::new(key))),
                    Direction::Receive => Kind::ChaChaOpen(Box::new(chacha::OpeningKey::new(key))),
                }
            }
            Cipher::Aes256Ctr => ctr(&cipher::AES_256, &keys)?,
            Cipher::Aes192Ctr => ctr(&cipher::AES_192, &keys)?,
            Cipher::Aes128Ctr => ctr(&cipher::AES_128, &keys)?,
        };
        Ok(Self { kind, keys: Some(keys) })
    }

    /// The keys with the counter where it stands now; `None` before the first NEWKEYS.
    pub(crate) fn export(&self) -> Option<Keys> {
        let mut keys = self.keys.clone()?;
        match &self.kind {
            Kind::Gcm { fixed, invocation, .. } => {
                keys.iv = Zeroizing::new([&fixed[..], &invocation.to_be_bytes()].concat());
            }
            Kind::Ctr { counter, .. } => keys.iv = Zeroizing::new(counter.to_be_bytes().to_vec()),
            Kind::Plain | Kind::ChaChaSeal(_) | Kind::ChaChaOpen(_) => {}
        }
        Some(keys)
    }

    pub(crate) fn cipher(&self) -> Option<Cipher> {
        self.keys.as_ref().map(|keys| keys.cipher)
    }

    /// What the padded part of a packet must be a multiple of (RFC 4253 section 6), in bytes.
    pub(crate) fn block_size(&self) -> usize {
        match self.kind {
            Kind::Plain | Kind::ChaChaSeal(_) | Kind::ChaChaOpen(_) => 8,
            Kind::Gcm { .. } | Kind::Ctr { .. } => BLOCK,
        }
    }

    /// Whether the length field stands outside the padded part: true for AEAD and encrypt-then-MAC.
    pub(crate) fn length_is_apart(&self) -> bool {
        match &self.kind {
            Kind::Plain => false,
            Kind::Gcm { .. } | Kind::ChaChaSeal(_) | Kind::ChaChaOpen(_) => true,
            Kind::Ctr { etm, .. } => *etm,
        }
    }

    /// Bytes of tag or MAC after each packet.
    pub(crate) fn tag_length(&self) -> usize {
        match &self.kind {
            Kind::Plain => 0,
            Kind::Gcm { .. } | Kind::ChaChaSeal(_) | Kind::ChaChaOpen(_) => 16,
            Kind::Ctr { mac, .. } => mac.algorithm().tag_len(),
        }
    }

    /// How many bytes of a packet must be there before [`length`](Self::length) can answer.
    pub(crate) fn length_needs(&self) -> usize {
        match &self.kind {
            Kind::Ctr { etm: false, .. } => BLOCK,
            _ => 4,
        }
    }

    /// The packet length that `head` starts with. Not authenticated yet: bound it before use.
    pub(crate) fn length(&self, sequence: u32, head: &[u8]) -> Result<u32, Error> {
        let field: &[u8; 4] = head.first_chunk().ok_or(FAILED)?;
        Ok(u32::from_be_bytes(match &self.kind {
            Kind::ChaChaOpen(key) => key.decrypt_packet_length(sequence, *field),
            Kind::Ctr { open, counter, etm: false, .. } => {
                let mut block: [u8; BLOCK] = *head.first_chunk().ok_or(FAILED)?;
                decrypt_ctr(open, *counter, &mut block)?;
                *block.first_chunk().ok_or(FAILED)?
            }
            Kind::Plain | Kind::Gcm { .. } | Kind::Ctr { .. } | Kind::ChaChaSeal(_) => *field,
        }))
    }

    /// Encrypts `packet` (length field, padding length, payload, padding) in place and writes `tag`.
    pub(crate) fn seal(&mut self, sequence: u32, packet: &mut [u8], tag: &mut [u8]) -> Result<(), Error> {
        match &mut self.kind {
            Kind::Plain => Ok(()),
            Kind::Gcm { key, fixed, invocation } => {
                let nonce = gcm_nonce(*fixed, *invocation);
                *invocation = invocation.wrapping_add(1);
                let (length, body) = packet.split_at_mut_checked(4).ok_or(FAILED)?;
                let made =
                    key.seal_in_place_separate_tag(nonce, Aad::from(&length), body).map_err(|_| FAILED)?;
                copy(made.as_ref(), tag)
            }
            Kind::ChaChaSeal(key) => {
                key.seal_in_place(sequence, packet, tag.first_chunk_mut().ok_or(FAILED)?);
                Ok(())
            }
            Kind::Ctr { seal, counter, mac, etm, .. } => {
                if *etm {
                    let body = packet.get_mut(4..).ok_or(FAILED)?;
                    encrypt_ctr(seal, *counter, body)?;
                    *counter = advance(*counter, body.len());
                    copy(mac_of(mac, sequence, packet).as_ref(), tag)
                } else {
                    copy(mac_of(mac, sequence, packet).as_ref(), tag)?;
                    encrypt_ctr(seal, *counter, packet)?;
                    *counter = advance(*counter, packet.len());
                    Ok(())
                }
            }
            Kind::ChaChaOpen(_) => Err(FAILED),
        }
    }

    /// Checks and decrypts `packet` (from the length field on) in place.
    pub(crate) fn open(&mut self, sequence: u32, packet: &mut [u8], tag: &[u8]) -> Result<(), Error> {
        match &mut self.kind {
            Kind::Plain => Ok(()),
            Kind::Gcm { key, fixed, invocation } => {
                let nonce = gcm_nonce(*fixed, *invocation);
                *invocation = invocation.wrapping_add(1);
                let (length, body) = packet.split_at_mut_checked(4).ok_or(Error::IntegrityCheck)?;
                key.open_in_place_separate_tag(nonce, Aad::from(&length), tag, body)
                    .map_err(|_| Error::IntegrityCheck)?;
                Ok(())
            }
            Kind::ChaChaOpen(key) => {
                let tag = tag.first_chunk().ok_or(Error::IntegrityCheck)?;
                key.open_in_place(sequence, packet, tag).map_err(|_| Error::IntegrityCheck)?;
                Ok(())
            }
            Kind::Ctr { open, counter, mac, etm, .. } => {
                if *etm {
                    let expected = mac_of(mac, sequence, packet);
                    constant_time::verify_slices_are_equal(expected.as_ref(), tag)
                        .map_err(|_| Error::IntegrityCheck)?;
                    let body = packet.get_mut(4..).ok_or(Error::IntegrityCheck)?;
                    decrypt_ctr(open, *counter, body)?;
                    *counter = advance(*counter, body.len());
                } else {
                    decrypt_ctr(open, *counter, packet)?;
                    *counter = advance(*counter, packet.len());
                    let expected = mac_of(mac, sequence, packet);
                    constant_time::verify_slices_are_equal(expected.as_ref(), tag)
                        .map_err(|_| Error::IntegrityCheck)?;
                }
                Ok(())
            }
            Kind::ChaChaSeal(_) => Err(FAILED),
        }
    }
}

fn gcm(algorithm: &'static aead::Algorithm, keys: &Keys) -> Result<Kind, Error> {
    let key = LessSafeKey::new(UnboundKey::new(algorithm, &keys.key).map_err(|_| SETUP)?);
    let iv: &[u8; 12] = keys.iv.first_chunk().filter(|_| keys.iv.len() == 12).ok_or(SETUP)?;
    // RFC 5647 section 7.1: four fixed bytes, then a 64-bit invocation counter.
    let [a, b, c, d, counter @ ..] = *iv;
    Ok(Kind::Gcm { key: Box::new(key), fixed: [a, b, c, d], invocation: u64::from_be_bytes(counter) })
}

fn gcm_nonce(fixed: [u8; 4], invocation: u64) -> Nonce {
    let mut nonce = [0; 12];
    let (front, back) = nonce.split_at_mut(4);
    front.copy_from_slice(&fixed);
    back.copy_from_slice(&invocation.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

fn ctr(algorithm: &'static cipher::Algorithm, keys: &Keys) -> Result<Kind, Error> {
    let unbound = || UnboundCipherKey::new(algorithm, &keys.key).map_err(|_| SETUP);
    let mac = keys.mac.ok_or(SETUP)?;
    let iv: &[u8; BLOCK] = keys.iv.first_chunk().filter(|_| keys.iv.len() == BLOCK).ok_or(SETUP)?;
    Ok(Kind::Ctr {
        seal: Box::new(cipher::EncryptingKey::ctr(unbound()?).map_err(|_| SETUP)?),
        open: Box::new(cipher::DecryptingKey::ctr(unbound()?).map_err(|_| SETUP)?),
        counter: u128::from_be_bytes(*iv),
        mac: Box::new(hmac::Key::new(mac.algorithm(), &keys.mac_key)),
        etm: mac.is_etm(),
    })
}

fn encrypt_ctr(key: &cipher::EncryptingKey, counter: u128, bytes: &mut [u8]) -> Result<(), Error> {
    let context = EncryptionContext::Iv128(FixedLength::from(counter.to_be_bytes()));
    key.less_safe_encrypt(bytes, context).map(drop).map_err(|_| FAILED)
}

fn decrypt_ctr(key: &cipher::DecryptingKey, counter: u128, bytes: &mut [u8]) -> Result<(), Error> {
    let context = DecryptionContext::Iv128(FixedLength::from(counter.to_be_bytes()));
    key.decrypt(bytes, context).map(drop).map_err(|_| FAILED)
}

fn advance(counter: u128, bytes: usize) -> u128 {
    counter.wrapping_add((bytes / BLOCK) as u128)
}

fn mac_of(key: &hmac::Key, sequence: u32, packet: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(&sequence.to_be_bytes());
    context.update(packet);
    context.sign()
}

fn copy(from: &[u8], to: &mut [u8]) -> Result<(), Error> {
    if from.len() != to.len() {
        return Err(FAILED);
    }
    to.copy_from_slice(from);
    Ok(())
}
