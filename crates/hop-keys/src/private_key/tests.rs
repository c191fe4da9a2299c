use super::*;
use crate::test_tools::{SOFTWARE_KEYS, ssh_keygen};

#[test]
fn every_key_signs_and_its_public_half_verifies() {
    for algorithm in SOFTWARE_KEYS {
        let key = PrivateKey::generate(algorithm).unwrap();
        assert_eq!(key.public().algorithm(), algorithm);
        for &signature in key.signature_algorithms() {
            let blob = key.sign(signature, b"message").unwrap();
            let verified = key.public().verify(signature, b"message", &blob).unwrap();
            assert_eq!((verified.algorithm(), verified.sk()), (signature, None));
            assert!(key.public().verify(signature, b"massage", &blob).is_err());
        }
    }
}

#[test]
fn a_key_signs_only_in_its_own_way() {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let refused = key.sign(SignatureAlgorithm::RsaSha256, b"").unwrap_err();
    assert_eq!(refused.to_string(), "a ssh-ed25519 key makes no rsa-sha2-256 signatures");
}

#[test]
fn tokens_make_their_own_keys() {
    for algorithm in [KeyAlgorithm::SkEd25519, KeyAlgorithm::SkEcdsaNistp256] {
        let refused = PrivateKey::generate(algorithm).unwrap_err();
        assert_eq!(refused, PrivateKeyError::OnToken { algorithm: algorithm.name() });
    }
}

#[test]
fn openssh_files_round_trip() {
    for algorithm in SOFTWARE_KEYS {
        let key = PrivateKey::generate(algorithm).unwrap();
        let plain = PrivateKey::from_openssh(&key.to_openssh("a comment"), None).unwrap();
        assert_eq!((plain.public(), plain.comment()), (key.public(), "a comment"));
        let sealed = key.to_openssh_encrypted("", b"secret").unwrap();
        assert_eq!(PrivateKey::from_openssh(&sealed, Some(b"secret")).unwrap().public(), key.public());
        let refusal = |passphrase| PrivateKey::from_openssh(&sealed, passphrase).unwrap_err();
        assert_eq!(refusal(None), PrivateKeyError::PassphraseNeeded);
        assert_eq!(refusal(Some(b"word")), PrivateKeyError::WrongPassphrase);
    }
}

#[test]
fn ssh_keygen_reads_our_files() {
    let keygen = ssh_keygen();
    for algorithm in SOFTWARE_KEYS {
        let key = PrivateKey::generate(algorithm).unwrap();
        let plain = keygen.write_secret("plain", &key.to_openssh("ours"));
        assert_eq!(keygen.run(&["-y", "-f", &plain]).trim(), key.public().to_line("ours"));
        let sealed = keygen.write_secret("sealed", &key.to_openssh_encrypted("ours", b"secret").unwrap());
        assert_eq!(keygen.run(&["-y", "-P", "secret", "-f", &sealed]).trim(), key.public().to_line("ours"));
    }
}

#[test]
fn we_read_the_files_of_ssh_keygen() {
    let keygen = ssh_keygen();
    let table: &[(&[&str], &str)] = &[
        (&["-t", "ed25519"], ""),
        (&["-t", "ed25519", "-Z", "aes256-cbc"], "secret"),
        (&["-t", "ed25519", "-Z", "aes128-ctr", "-a", "3"], "secret"),
        (&["-t", "ecdsa", "-b", "256"], ""),
        (&["-t", "ecdsa", "-b", "384"], "secret"),
        (&["-t", "ecdsa", "-b", "521"], ""),
        (&["-t", "rsa", "-b", "2048"], "secret"),
        (&["-t", "rsa", "-b", "2048", "-m", "PEM"], ""),
        (&["-t", "rsa", "-b", "2048", "-m", "PKCS8"], ""),
    ];
    for (number, (arguments, passphrase)) in table.iter().enumerate() {
        let file = keygen.path(&format!("key{number}"));
        let mut all = vec!["-q", "-C", "theirs", "-N", passphrase, "-f", &file];
        all.extend(*arguments);
        keygen.run(&all);
        let key = PrivateKey::from_openssh(&keygen.read(&file), Some(passphrase.as_bytes()))
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        assert_eq!(
            key.public().to_line("theirs"),
            keygen.read(&format!("{file}.pub")).trim(),
            "{arguments:?}"
        );
    }
}

#[test]
fn forms_that_we_do_not_read_say_what_to_do() {
    let keygen = ssh_keygen();
    let file = keygen.path("legacy");
    keygen.run(&["-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "secret", "-f", &file]);
    let encrypted = PrivateKey::from_openssh(&keygen.read(&file), Some(b"secret")).unwrap_err();
    assert_eq!(encrypted, PrivateKeyError::Legacy { form: "encrypted PEM" });
    let file = keygen.path("gcm");
    keygen.run(&["-q", "-t", "ed25519", "-Z", "aes256-gcm@openssh.com", "-N", "secret", "-f", &file]);
    let cipher = PrivateKey::from_openssh(&keygen.read(&file), Some(b"secret")).unwrap_err();
    assert!(matches!(cipher, PrivateKeyError::Cipher { .. }), "{cipher}");
    for text in ["", "ssh-ed25519 AAAA", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"] {
        assert!(matches!(PrivateKey::from_openssh(text, None), Err(PrivateKeyError::Form { .. })), "{text}");
    }
}

#[test]
fn halves_that_do_not_belong_together_are_refused() {
    let one = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let two = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let mut bytes = openssh_format::encode(&one, "");
    let at = bytes.windows(51).position(|window| window == one.public().blob()).unwrap();
    bytes[at..at + 51].copy_from_slice(two.public().blob());
    assert_eq!(openssh_format::decode(&bytes, None).unwrap_err(), PrivateKeyError::Inconsistent);
}

#[test]
fn debug_shows_no_secret() {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    assert_eq!(format!("{key:?}"), format!("private half of ssh-ed25519 {}", key.public().fingerprint()));
}
