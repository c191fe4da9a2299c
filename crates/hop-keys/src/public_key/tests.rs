use super::*;
use crate::PrivateKey;
use crate::test_tools::{SOFTWARE_KEYS, ssh_keygen, token};

#[test]
fn blobs_have_one_reading() {
    let mut blobs: Vec<Vec<u8>> =
        SOFTWARE_KEYS.map(|kind| PrivateKey::generate(kind).unwrap().public().blob().to_vec()).to_vec();
    blobs.extend(
        [KeyAlgorithm::SkEd25519, KeyAlgorithm::SkEcdsaNistp256]
            .map(|kind| token(kind).public.blob().to_vec()),
    );
    for blob in blobs {
        let key = PublicKey::from_blob(&blob).unwrap();
        assert_eq!(key.blob(), blob);
        assert_eq!(PublicKey::from_material(key.material().clone()), key);
        let (again, comment) = PublicKey::parse_line(&key.to_line("a comment")).unwrap();
        assert_eq!((again, comment.as_str()), (key, "a comment"));
        for length in 0..blob.len() {
            assert!(PublicKey::from_blob(&blob[..length]).is_err(), "cut at {length}");
        }
        let longer = [blob.as_slice(), b"x"].concat();
        assert!(matches!(PublicKey::from_blob(&longer), Err(KeyError::Wire(WireError::Trailing { .. }))));
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    for algorithm in [KeyAlgorithm::EcdsaNistp256, KeyAlgorithm::EcdsaNistp384, KeyAlgorithm::EcdsaNistp521] {
        let mut blob = PrivateKey::generate(algorithm).unwrap().public().blob().to_vec();
        *blob.last_mut().unwrap() ^= 1;
        assert!(matches!(PublicKey::from_blob(&blob), Err(KeyError::Point { .. })), "{algorithm}");
    }
}

#[test]
fn a_curve_cannot_pose_as_another() {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaNistp384).unwrap();
    let mut reader = Reader::new(key.public().blob());
    reader.string("name").unwrap();
    let mut blob = Vec::new();
    blob.put_string(KeyAlgorithm::EcdsaNistp256.name().as_bytes());
    blob.extend_from_slice(reader.rest());
    assert!(matches!(PublicKey::from_blob(&blob), Err(KeyError::Curve { expected: "nistp256", .. })));
}

#[test]
fn rsa_numbers_have_bounds() {
    let modulus = |bytes: usize| {
        let mut number = vec![0xff; bytes];
        number[0] = 0x80;
        number
    };
    let table: &[(&[u8], Vec<u8>, Option<KeyError>)] = &[
        (&[1, 0, 1], modulus(128), None),
        (&[3], modulus(1024), None),
        (&[1, 0, 1], modulus(127), Some(KeyError::RsaSize { bits: 1016 })),
        (&[1, 0, 1], modulus(1025), Some(KeyError::RsaSize { bits: 8200 })),
        (&[1], modulus(256), Some(KeyError::RsaNumbers)),
        (&[4], modulus(256), Some(KeyError::RsaNumbers)),
        (&[1, 0, 0, 0, 1], modulus(256), Some(KeyError::RsaNumbers)),
        (&[3], vec![0x80; 256], Some(KeyError::RsaNumbers)),
    ];
    for (exponent, modulus, refusal) in table {
        let mut blob = Vec::new();
        blob.put_string(b"ssh-rsa");
        blob.put_positive(exponent);
        blob.put_positive(modulus);
        let got = PublicKey::from_blob(&blob);
        assert_eq!(got.as_ref().err(), refusal.as_ref());
        if let Ok(key) = got {
            assert_eq!(key.rsa_bits(), Some(modulus.len() * 8));
        }
    }
}

#[test]
fn dsa_is_named_and_refused() {
    let mut blob = Vec::new();
    blob.put_string(b"ssh-dss");
    let refusal = PublicKey::from_blob(&blob).unwrap_err();
    assert_eq!(refusal.to_string(), "key algorithm \"ssh-dss\" is not supported");
}

#[test]
fn lines_say_what_is_wrong() {
    let line = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().public().to_line("");
    let table = [
        (String::new(), KeyError::Line),
        ("ssh-ed25519".to_owned(), KeyError::Line),
        ("ssh-ed25519 AAA*".to_owned(), KeyError::Base64),
        (line[..line.len() - 1].to_owned(), KeyError::Base64),
        (
            line.replacen("ssh-ed25519", "ssh-rsa", 1),
            KeyError::LineAlgorithm { line: "ssh-rsa".to_owned(), blob: "ssh-ed25519" },
        ),
    ];
    for (line, refusal) in table {
        assert_eq!(PublicKey::parse_line(&line).unwrap_err(), refusal, "{line}");
    }
    assert!(PublicKey::parse_line(&format!("  {}\tx y \r\n", line.replace(' ', "\t "))).is_ok());
}

#[test]
fn a_comment_cannot_add_a_line() {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let line = key.public().to_line("x\nssh-ed25519 AAAA\r");
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn fingerprints_are_those_of_ssh_keygen() {
    let keygen = ssh_keygen();
    for algorithm in SOFTWARE_KEYS {
        let key = PrivateKey::generate(algorithm).unwrap();
        let file = keygen.write("key.pub", key.public().to_line("c"));
        let shown = keygen.run(&["-l", "-f", &file]);
        assert_eq!(shown.split(' ').nth(1), Some(key.public().fingerprint().to_string().as_str()));
        let shown = keygen.run(&["-l", "-E", "md5", "-f", &file]);
        assert_eq!(shown.split(' ').nth(1), Some(key.public().md5_fingerprint().as_str()));
    }
}

#[test]
fn equality_is_that_of_the_blob() {
    use std::collections::HashSet;
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let other = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let set: HashSet<PublicKey> = [key.public().clone()].into();
    assert!(set.contains(&PublicKey::from_blob(key.public().blob()).unwrap()));
    assert!(!set.contains(other.public()));
}
