//! Key agreement: mlkem768x25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex), curve25519-sha256
//! (RFC 8731) and ecdh-sha2-nistp* (RFC 5656).
//!
//! Must stay true: a secret key is used once and dropped; what comes from the peer is checked for
//! its exact length before anything else, and an all-zero X25519 result is refused (aws-lc does).

use super::hash::Hash;
use crate::error::Error;
use crate::wire::Put;
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use zeroize::Zeroizing;

/// A key exchange method of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    MlKem768X25519,
    Curve25519,
    EcdhNistp256,
    EcdhNistp384,
    EcdhNistp521,
}

/// The shared secret in the encoding that the exchange hash and the key derivation use: an mpint for
/// plain Diffie-Hellman, a string for the hybrid (draft-ietf-sshm-mlkem-hybrid-kex section 2.4).
pub(crate) struct SharedSecret(pub(crate) Zeroizing<Vec<u8>>);

const X25519_PUBLIC: usize = 32;
const ML_KEM_768_PUBLIC: usize = 1184;
const ML_KEM_768_CIPHERTEXT: usize = 1088;

const BAD_LENGTH: Error = Error::KeyExchange { problem: "the peer's public value has a wrong length" };
const BAD_VALUE: Error = Error::KeyExchange { problem: "the peer's public value is not valid" };
const FAILED: Error = Error::Crypto { what: "key agreement" };

impl Method {
    pub(crate) fn hash(self) -> Hash {
        match self {
            Self::MlKem768X25519 | Self::Curve25519 | Self::EcdhNistp256 => Hash::Sha256,
            Self::EcdhNistp384 => Hash::Sha384,
            Self::EcdhNistp521 => Hash::Sha512,
        }
    }

    fn curve(self) -> &'static agreement::Algorithm {
        match self {
            Self::MlKem768X25519 | Self::Curve25519 => &agreement::X25519,
            Self::EcdhNistp256 => &agreement::ECDH_P256,
            Self::EcdhNistp384 => &agreement::ECDH_P384,
            Self::EcdhNistp521 => &agreement::ECDH_P521,
        }
    }
}

/// The client's half: its secrets while it waits for the server's reply.
pub(crate) struct ClientAgreement {
    method: Method,
    curve: PrivateKey,
    kem: Option<DecapsulationKey>,
}

impl ClientAgreement {
    /// Makes fresh secrets and the public value Q_C (or C_INIT) to send.
    pub(crate) fn start(method: Method) -> Result<(Self, Vec<u8>), Error> {
        let curve = PrivateKey::generate(method.curve()).map_err(|_| FAILED)?;
        let mut public = Vec::new();
        let kem = if method == Method::MlKem768X25519 {
            let key = DecapsulationKey::generate(&ML_KEM_768).map_err(|_| FAILED)?;
            let encapsulation = key.encapsulation_key().map_err(|_| FAILED)?;
            public.put_raw(encapsulation.key_bytes().map_err(|_| FAILED)?.as_ref());
            Some(key)
        } else {
            None
        };
        public.put_raw(curve.compute_public_key().map_err(|_| FAILED)?.as_ref());
        Ok((Self { method, curve, kem }, public))
    }

    /// Combines the secrets with the server's public value Q_S (or S_REPLY).
    pub(crate) fn finish(self, server_public: &[u8]) -> Result<SharedSecret, Error> {
        match self.kem {
            None => Ok(mpint(&agree(&self.curve, self.method, server_public)?)),
            Some(key) => {
                let (ciphertext, point) =
                    server_public.split_at_checked(ML_KEM_768_CIPHERTEXT).ok_or(BAD_LENGTH)?;
                let quantum = key.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| BAD_VALUE)?;
                let classic = agree(&self.curve, self.method, point)?;
                Ok(hybrid(quantum.as_ref(), &classic))
            }
        }
    }
}

/// The server's whole part: from the client's public value to its own and the shared secret.
pub(crate) fn respond(method: Method, client_public: &[u8]) -> Result<(Vec<u8>, SharedSecret), Error> {
    let curve = PrivateKey::generate(method.curve()).map_err(|_| FAILED)?;
    let mut public = Vec::new();
    let shared = if method == Method::MlKem768X25519 {
        let (kem, point) = client_public.split_at_checked(ML_KEM_768_PUBLIC).ok_or(BAD_LENGTH)?;
        let classic = agree(&curve, method, point)?;
        let kem = EncapsulationKey::new(&ML_KEM_768, kem).map_err(|_| BAD_VALUE)?;
        let (ciphertext, quantum) = kem.encapsulate().map_err(|_| BAD_VALUE)?;
        public.put_raw(ciphertext.as_ref());
        hybrid(quantum.as_ref(), &classic)
    } else {
        mpint(&agree(&curve, method, client_public)?)
    };
    public.put_raw(curve.compute_public_key().map_err(|_| FAILED)?.as_ref());
    Ok((public, shared))
}

fn agree(ours: &PrivateKey, method: Method, theirs: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    if method.curve() == &agreement::X25519 && theirs.len() != X25519_PUBLIC {
        return Err(BAD_LENGTH);
    }
    // RFC 5656 section 4 allows only the uncompressed form here.
    if method.curve() != &agreement::X25519 && theirs.first() != Some(&4) {
        return Err(BAD_VALUE);
    }
    let peer = UnparsedPublicKey::new(method.curve(), theirs);
    agreement::agree(ours, peer, BAD_VALUE, |secret| Ok(Zeroizing::new(secret.to_vec())))
}

fn mpint(secret: &[u8]) -> SharedSecret {
    let mut encoded = Zeroizing::new(Vec::with_capacity(secret.len() + 5));
    encoded.put_mpint(secret);
    SharedSecret(encoded)
}

fn hybrid(quantum: &[u8], classic: &[u8]) -> SharedSecret {
    let combined = Zeroizing::new(Hash::Sha256.of(&[quantum, classic]));
    let mut encoded = Zeroizing::new(Vec::with_capacity(combined.len() + 4));
    encoded.put_string(&combined[..]);
    SharedSecret(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Method; 5] = [
        Method::MlKem768X25519,
        Method::Curve25519,
        Method::EcdhNistp256,
        Method::EcdhNistp384,
        Method::EcdhNistp521,
    ];

    #[test]
    fn both_sides_come_to_the_same_secret() {
        for method in ALL {
            let (client, q_c) = ClientAgreement::start(method).unwrap();
            let (q_s, server) = respond(method, &q_c).unwrap();
            assert_eq!(client.finish(&q_s).unwrap().0, server.0, "{method:?}");
        }
    }

    #[test]
    fn bad_public_values_are_refused() {
        for method in ALL {
            for bad in
                [vec![], vec![0; 31], vec![0; 32], vec![0; 65], vec![4; 65], vec![0; 1184], vec![0; 1216]]
            {
                assert!(respond(method, &bad).is_err(), "{method:?} took {} bytes", bad.len());
                let (client, _) = ClientAgreement::start(method).unwrap();
                assert!(client.finish(&bad).is_err(), "{method:?} took {} bytes", bad.len());
            }
        }
    }
}
