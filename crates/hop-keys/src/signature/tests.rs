use super::*;
use crate::test_tools::token;
use crate::wire::Put as _;
use crate::{KeyAlgorithm, PrivateKey};

fn parts(blob: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut reader = Reader::new(blob);
    (reader.string("name").unwrap().to_vec(), reader.string("signature").unwrap().to_vec())
}

fn join(name: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    blob.put_string(name);
    blob.put_string(signature);
    blob
}

#[test]
fn the_agreed_algorithm_is_the_only_one() {
    let key = PrivateKey::generate(KeyAlgorithm::Rsa).unwrap();
    let blob = key.sign(SignatureAlgorithm::RsaSha256, b"m").unwrap();
    let refused = key.public().verify(SignatureAlgorithm::RsaSha512, b"m", &blob).unwrap_err();
    assert_eq!(refused.to_string(), "the signature is \"rsa-sha2-256\" where rsa-sha2-512 was agreed");
    let (_, signature) = parts(&blob);
    for name in ["ssh-rsa", "rsa-sha2-512"] {
        let renamed = join(name.as_bytes(), &signature);
        assert!(key.public().verify(SignatureAlgorithm::RsaSha512, b"m", &renamed).is_err(), "{name}");
    }
    let refused = key.public().verify(SignatureAlgorithm::Ed25519, b"m", &blob).unwrap_err();
    assert_eq!(refused, SignatureError::Key { key: "ssh-rsa", algorithm: "ssh-ed25519" });
}

#[test]
fn no_byte_may_differ_lack_or_follow() {
    for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::EcdsaNistp521] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let signing = key.signature_algorithms()[0];
        let blob = key.sign(signing, b"m").unwrap();
        let verify = |blob: &[u8]| key.public().verify(signing, b"m", blob);
        assert!(verify(&blob).is_ok());
        for at in 0..blob.len() {
            let mut other = blob.clone();
            other[at] ^= 0x10;
            assert!(verify(&other).is_err(), "{algorithm} byte {at} changed");
            assert!(verify(&blob[..at]).is_err(), "{algorithm} cut at {at}");
        }
        assert!(verify(&[blob.as_slice(), b"\0"].concat()).is_err());
        let (name, mut signature) = parts(&blob);
        signature.push(0);
        assert!(verify(&join(&name, &signature)).is_err());
    }
}

#[test]
fn an_rsa_signature_may_lack_its_leading_zeros() {
    let key = PrivateKey::generate(KeyAlgorithm::Rsa).unwrap();
    let signing = SignatureAlgorithm::RsaSha256;
    // About one signature in 256 begins with a zero byte.
    let (message, blob) = (0_u32..5_000)
        .map(|count| (count.to_be_bytes(), key.sign(signing, &count.to_be_bytes()).unwrap()))
        .find(|(_, blob)| parts(blob).1[0] == 0)
        .unwrap();
    let (name, signature) = parts(&blob);
    assert!(key.public().verify(signing, &message, &blob).is_ok());
    assert!(key.public().verify(signing, &message, &join(&name, &signature[1..])).is_ok());
    let longer = [b"\0", signature.as_slice()].concat();
    assert!(key.public().verify(signing, &message, &join(&name, &longer)).is_err());
}

#[test]
fn ecdsa_numbers_are_positive_and_fit() {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaNistp256).unwrap();
    let signing = SignatureAlgorithm::EcdsaNistp256;
    let numbers = |r: &[u8], s: &[u8]| {
        let mut out = Vec::new();
        out.put_string(r);
        out.put_string(s);
        join(signing.name().as_bytes(), &out)
    };
    for (r, s) in [
        (&b""[..], &b"\x01"[..]),
        (b"\x01", b""),
        (b"\xff", b"\x01"),
        (&[1; 33], b"\x01"),
        (&[0; 32], b"\x01"),
    ] {
        assert!(key.public().verify(signing, b"m", &numbers(r, s)).is_err());
    }
}

#[test]
fn token_flags_come_out_of_the_signature() {
    for algorithm in [KeyAlgorithm::SkEd25519, KeyAlgorithm::SkEcdsaNistp256] {
        let token = token(algorithm);
        let signing = algorithm.signature_algorithms()[0];
        for (flags, present, verified) in [(0, false, false), (1, true, false), (5, true, true)] {
            let blob = token.sign(b"m", flags, 7);
            let sk = token.public.verify(signing, b"m", &blob).unwrap().sk().unwrap();
            assert_eq!((sk.user_present(), sk.user_verified(), sk.counter()), (present, verified, 7));
            let mut forged = blob.clone();
            let at = forged.len() - 5;
            forged[at] ^= 1;
            assert_eq!(token.public.verify(signing, b"m", &forged), Err(SignatureError::Invalid));
            let longer = [blob.as_slice(), b"x"].concat();
            assert!(token.public.verify(signing, b"m", &longer).is_err());
        }
    }
}
