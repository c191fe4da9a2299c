use super::*;
use crate::test_tools::{NOW, SOFTWARE_KEYS, fields, raw_certificate, ssh_keygen, token};
use crate::wire::Put as _;
use crate::{Identity, IdentityAlgorithm, PrivateKey};

fn builder(key: &PublicKey) -> CertificateBuilder {
    CertificateBuilder::new(CertificateKind::User, key.clone(), "id", &["p"], NOW, NOW + 60).unwrap()
}

#[test]
fn what_was_asked_for_is_what_it_says() {
    let ca = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let mut keys: Vec<PublicKey> =
        SOFTWARE_KEYS.map(|kind| PrivateKey::generate(kind).unwrap().public().clone()).to_vec();
    keys.extend([KeyAlgorithm::SkEd25519, KeyAlgorithm::SkEcdsaNistp256].map(|kind| token(kind).public));
    for key in keys {
        let made =
            builder(&key).serial(9).permit(Permit::Pty).force_command("date").unwrap().sign(&ca).unwrap();
        let read = Certificate::from_blob(made.blob()).unwrap();
        assert_eq!(read, made);
        assert_eq!((read.key(), read.ca()), (&key, ca.public()));
        assert_eq!((read.serial(), read.kind(), read.key_id()), (9, CertificateKind::User, "id"));
        assert_eq!((read.valid_after(), read.valid_before()), (NOW, NOW + 60));
        assert_eq!(read.principals(), ["p"]);
        assert_eq!(read.critical_options()[0].name, b"force-command");
        assert_eq!(read.extensions()[0].name, b"permit-pty");
        let (line, comment) = Certificate::parse_line(&made.to_line("a comment")).unwrap();
        assert_eq!((line, comment.as_str()), (made.clone(), "a comment"));
        for length in 0..made.blob().len() {
            assert!(Certificate::from_blob(&made.blob()[..length]).is_err(), "cut at {length}");
        }
        let longer = [made.blob(), b"x"].concat();
        assert!(Certificate::from_blob(&longer).is_err());
    }
}

#[test]
fn every_kind_of_ca_signs() {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    for algorithm in SOFTWARE_KEYS {
        let ca = PrivateKey::generate(algorithm).unwrap();
        let made = builder(key.public()).sign(&ca).unwrap();
        let best = algorithm.signature_algorithms()[0];
        assert_eq!(made.verify_signature().unwrap().algorithm(), best);
    }
}

#[test]
fn ssh_keygen_reads_our_certificates() {
    let keygen = ssh_keygen();
    let ca = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaNistp256).unwrap();
    let made = CertificateBuilder::new(
        CertificateKind::User,
        key.public().clone(),
        "hop:person=HOP1001;grant=g1",
        &["person:HOP1001", "person:HOP1002"],
        0,
        u64::MAX,
    )
    .unwrap()
    .serial(42)
    .permit(Permit::Pty)
    .permit(Permit::AgentForwarding)
    .no_touch_required()
    .verify_required()
    .source_address("10.0.0.0/8,::1")
    .unwrap()
    .force_command("echo hi")
    .unwrap()
    .extension("grant@hop.example", "g1")
    .unwrap()
    .critical_option("word@hop.example", "w")
    .unwrap()
    .sign(&ca)
    .unwrap();
    let file = keygen.write("x-cert.pub", made.to_line("c"));
    let shown = keygen.run(&["-L", "-f", &file]);
    let fingerprint = ca.public().fingerprint().to_string();
    for expected in [
        "ecdsa-sha2-nistp256-cert-v01@openssh.com user certificate",
        "Key ID: \"hop:person=HOP1001;grant=g1\"",
        "Serial: 42",
        "Valid: forever",
        "person:HOP1002",
        "source-address 10.0.0.0/8,::1",
        "force-command echo hi",
        "verify-required",
        "permit-pty",
        "permit-agent-forwarding",
        "no-touch-required",
        fingerprint.as_str(),
    ] {
        assert!(shown.contains(expected), "{expected} is missing in:\n{shown}");
    }
}

#[test]
fn strict_principals_key_ids_and_times() {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().public().clone();
    let make = |id: &str, principals: &[&str], after, before| {
        CertificateBuilder::new(CertificateKind::User, key.clone(), id, principals, after, before).map(|_| ())
    };
    assert_eq!(make("id with blanks", &["person:A_1", "host.example.org"], 0, 1), Ok(()));
    for id in ["", "a\"b", "a\nb", "a\u{e9}", &"x".repeat(256)] {
        assert!(matches!(make(id, &["p"], 0, 1), Err(IssueError::KeyId { .. })), "{id:?}");
    }
    for bad in ["", "a,b", "a b", "a*", "a?", "!a", "a\n", "a'b", "a\"", "a\\", "\u{e9}", &"x".repeat(256)] {
        assert!(matches!(make("id", &["p", bad], 0, 1), Err(IssueError::Principal { .. })), "{bad:?}");
    }
    assert_eq!(make("id", &[], 0, 1), Err(IssueError::PrincipalCount { count: 0 }));
    assert_eq!(make("id", &["p"; 257], 0, 1), Err(IssueError::PrincipalCount { count: 257 }));
    assert_eq!(make("id", &["p"], 5, 5), Err(IssueError::Validity { valid_after: 5, valid_before: 5 }));
}

#[test]
fn strict_options() {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().public().clone();
    assert!(matches!(builder(&key).force_command(""), Err(IssueError::Value { .. })));
    assert!(matches!(builder(&key).force_command("a\nb"), Err(IssueError::Value { .. })));
    assert!(matches!(builder(&key).source_address("10.0.0.1/8"), Err(IssueError::SourceAddress(_))));
    for name in ["permit-pty", "@x", "x@", "a b@c"] {
        assert!(matches!(builder(&key).extension(name, ""), Err(IssueError::OptionName { .. })), "{name}");
        assert!(
            matches!(builder(&key).critical_option(name, ""), Err(IssueError::OptionName { .. })),
            "{name}"
        );
    }
}

#[test]
fn a_foreign_or_changed_signature_is_not_released() {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let ca = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let unsigned = builder(key.public()).unsigned(ca.public()).unwrap();
    let foreign = key.sign(SignatureAlgorithm::Ed25519, unsigned.to_be_signed()).unwrap();
    assert!(matches!(unsigned.signed(&foreign), Err(IssueError::Signature(_))));
    let unsigned = builder(key.public()).unsigned(ca.public()).unwrap();
    let genuine = ca.sign(SignatureAlgorithm::Ed25519, unsigned.to_be_signed()).unwrap();
    assert!(unsigned.signed(&genuine).is_ok());
    assert_eq!(builder(ca.public()).sign(&ca), Err(IssueError::SelfSigned));
}

#[test]
fn a_nonce_makes_every_certificate_different() {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let ca = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let one = builder(key.public()).sign(&ca).unwrap();
    assert_ne!(one.blob(), builder(key.public()).sign(&ca).unwrap().blob());
}

#[test]
fn structure_is_checked() {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let ca = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let fields = fields(key.public(), CertificateKind::User, &["p"]);
    let good = raw_certificate(&fields, &ca);
    let kind_at = 4 + 32 + 4 + 32 + 4 + 32 + 8;
    let mut blob = good.blob().to_vec();
    assert_eq!(blob[kind_at..kind_at + 4], [0, 0, 0, 1]);
    blob[kind_at + 3] = 3;
    assert_eq!(Certificate::from_blob(&blob), Err(KeyError::CertificateKind { kind: 3 }));
    let mut many = fields.clone();
    many.principals = vec!["p".to_owned(); 257];
    let mut blob = many.encode(b"nonce", ca.public());
    blob.put_string(b"");
    assert_eq!(Certificate::from_blob(&blob), Err(KeyError::TooManyPrincipals { limit: 256 }));
    let mut nul = fields.clone();
    nul.key_id = "a\0b".to_owned();
    let mut blob = nul.encode(b"nonce", ca.public());
    blob.put_string(b"");
    assert!(matches!(Certificate::from_blob(&blob), Err(KeyError::Wire(WireError::Text { .. }))));
    // A certificate cannot stand where the CA's plain key belongs.
    let mut blob = fields.encode(b"nonce", ca.public());
    let chained = blob.len() - ca.public().blob().len() - 4;
    blob.truncate(chained);
    blob.put_string(good.blob());
    blob.put_string(b"");
    assert!(matches!(Certificate::from_blob(&blob), Err(KeyError::Algorithm { .. })));
}

#[test]
fn an_identity_is_what_was_announced() {
    let key = PrivateKey::generate(KeyAlgorithm::Rsa).unwrap();
    let ca = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let certificate = raw_certificate(&fields(key.public(), CertificateKind::User, &["p"]), &ca);
    let read = |name: &str, blob: &[u8]| {
        Identity::from_blob(IdentityAlgorithm::parse(name.as_bytes()).unwrap(), blob)
    };
    let plain = read("rsa-sha2-256", key.public().blob()).unwrap();
    assert_eq!((plain.key(), plain.blob()), (key.public(), key.public().blob()));
    assert!(plain.as_certificate().is_none());
    let certified = read("rsa-sha2-512-cert-v01@openssh.com", certificate.blob()).unwrap();
    assert_eq!((certified.key(), certified.blob()), (key.public(), certificate.blob()));
    assert_eq!(certified.as_certificate(), Some(&certificate));
    for (name, blob) in [
        ("ssh-ed25519", key.public().blob()),
        ("rsa-sha2-256", certificate.blob()),
        ("rsa-sha2-512-cert-v01@openssh.com", key.public().blob()),
        ("ssh-ed25519-cert-v01@openssh.com", certificate.blob()),
    ] {
        assert!(read(name, blob).is_err(), "{name}");
    }
}
