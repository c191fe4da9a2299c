//! Properties of every parser: no bytes make it panic, nothing forged passes, and what we write we read back.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::agent::{AgentIdentity, AgentRequest, AgentResponse, split_frame};
use crate::certificate::Fields;
use crate::rsa_numbers::RsaNumbers;
use crate::test_tools::{NOW, fields, raw_certificate, token};
use crate::wire::Put as _;
use crate::*;

/// One change to a byte string.
#[derive(Debug, Clone)]
enum Edit {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Cut(prop::sample::Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        2 => (any::<prop::sample::Index>(), vec(any::<u8>(), 1..6))
            .prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (any::<prop::sample::Index>(), 1_usize..6).prop_map(|(at, count)| Edit::Remove(at, count)),
        1 => any::<prop::sample::Index>().prop_map(Edit::Cut),
    ]
}

fn edited(original: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for edit in edits.iter().filter(|_| !original.is_empty()) {
        if bytes.is_empty() {
            break;
        }
        match edit {
            Edit::Set(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Edit::Insert(at, more) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Edit::Remove(at, count) => {
                let at = at.index(bytes.len());
                let end = (at + count).min(bytes.len());
                bytes.drain(at..end);
            }
            Edit::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
    bytes
}

/// Valid input of every kind, to be spoiled.
struct Samples {
    user: PrivateKey,
    certificate: Certificate,
    all: Vec<Vec<u8>>,
}

fn samples() -> Samples {
    let user = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let ca = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let rsa = PrivateKey::generate(KeyAlgorithm::Rsa).unwrap();
    let mut wishes: Fields = fields(user.public(), CertificateKind::User, &["person:HOP1001", "b"]);
    wishes.extensions.insert("permit-pty".to_owned(), Vec::new());
    wishes.critical_options.insert("force-command".to_owned(), b"\0\0\0\x02ls".to_vec());
    let certificate = raw_certificate(&wishes, &ca);
    let mut list = RevocationList::new();
    list.revoke_key(user.public());
    list.revoke_fingerprint(ca.public().fingerprint());
    list.revoke_serials(Some(ca.public()), 5, 9);
    for serial in [20, 23, 25, 30, 31, 900] {
        list.revoke_serials(None, serial, serial);
    }
    list.revoke_key_id(None, "key id");
    let line = user.public().to_line("comment");
    let options = [
        r#"restrict,from="10.0.0.0/8,!10.1.*",command="a \"b\"",permitopen="[::1]:22",permitlisten="8080""#,
        r#"environment="A=b",expiry-time="20270101Z",principals="a,b",cert-authority,verify-required"#,
    ]
    .join(",");
    let sk = token(KeyAlgorithm::SkEcdsaNistp256);
    let all = vec![
        user.public().blob().to_vec(),
        rsa.public().blob().to_vec(),
        sk.public.blob().to_vec(),
        certificate.blob().to_vec(),
        list.to_bytes(1, NOW, "comment"),
        format!("{line}\n{options} {line}\n# c\n{}\n", certificate.to_line("")).into_bytes(),
        format!("h,[i]:22 {line}\n@cert-authority *.x,!y {line}\n@revoked * {line}\n").into_bytes(),
        hashed_known_hosts_line("h", 22, user.public()).unwrap().into_bytes(),
        user.to_openssh("comment").as_bytes().to_vec(),
        AgentRequest::session_bind(b"h", b"i", b"s", true).to_frame(),
        AgentResponse::Identities(vec![AgentIdentity { blob: vec![1], comment: "c".to_owned() }]).to_frame(),
        sk.sign(b"message", 5, 9),
        user.sign(SignatureAlgorithm::Ed25519, b"message").unwrap(),
        rsa.sign(SignatureAlgorithm::RsaSha256, b"message").unwrap(),
        options.as_bytes().to_vec(),
    ];
    Samples { user, certificate, all }
}

/// Gives the bytes to everything that reads bytes or text.
fn read_everything(bytes: &[u8], samples: &Samples) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(key) = PublicKey::from_blob(bytes) {
        assert_eq!(PublicKey::from_material(key.material().clone()).blob(), bytes, "two readings");
    }
    if let Ok(certificate) = Certificate::from_blob(bytes) {
        assert_eq!(certificate.blob(), bytes);
        assert!(certificate.verify_signature().is_err() || certificate == samples.certificate, "forged");
        let cas = [certificate.ca().clone()];
        let policy = CertificatePolicy {
            cas: &cas,
            ca_signatures: &SignatureAlgorithm::ALL,
            revocations: None,
            understood: &[],
        };
        let _ = certificate.judge_user(&policy, &["b"], None, NOW);
        let _ = certificate.judge_host(&policy, "b", NOW);
    }
    let _ = PublicKey::parse_line(&text);
    let _ = Certificate::parse_line(&text);
    let _ = Fingerprint::parse(&text);
    let _ = SourceAddresses::parse(&text);
    for algorithm in SignatureAlgorithm::ALL {
        let _ = samples.user.public().verify(algorithm, b"massage", bytes).map(|_| panic!("forged"));
    }
    let identity = Identity::Certificate(Box::new(samples.certificate.clone()));
    if let Ok(list) = RevocationList::parse(bytes) {
        let found = list.find(&identity);
        let again = RevocationList::parse(&list.to_bytes(1, 2, "")).unwrap();
        assert_eq!(again.find(&identity), found);
    }
    let facts = LoginFacts {
        user: "b",
        address: Some("10.2.0.1".parse().unwrap()),
        host: Some("h"),
        now: NOW,
        utc_offset: 3600,
        ca_signatures: &SignatureAlgorithm::ALL,
        revocations: None,
    };
    let (keys, _) = AuthorizedKeys::parse(bytes);
    let _ = keys.find(&identity, &facts);
    let mut known = KnownHosts::new();
    known.add(Path::new("f"), bytes);
    let policy = HostKeyPolicy { ca_signatures: &SignatureAlgorithm::ALL, revocations: None, now: NOW };
    let _ = known.check("h", 2222, &identity, &policy);
    let _ = PrivateKey::from_openssh(&text, Some(b"passphrase"));
    let _ = RsaNumbers::from_pkcs1(bytes);
    let _ = RsaNumbers::from_pkcs8(bytes);
    let _ = AgentRequest::parse(bytes);
    let _ = AgentResponse::parse(bytes);
    if let Ok(Some((payload, taken))) = split_frame(bytes) {
        assert_eq!(taken, payload.len() + 4);
        let _ = AgentRequest::parse(payload);
        let _ = AgentResponse::parse(payload);
    }
}

#[test]
fn no_bytes_make_a_parser_panic() {
    let samples = samples();
    proptest!(ProptestConfig::with_cases(2_000), |(bytes in vec(any::<u8>(), 0..400))| {
        read_everything(&bytes, &samples);
        let list = [b"SSHKRL\n\0\0\0\0\x01".as_slice(), &bytes].concat();
        read_everything(&list, &samples);
    });
}

#[test]
fn no_change_to_good_bytes_makes_a_parser_panic() {
    let samples = samples();
    let count = samples.all.len();
    proptest!(ProptestConfig::with_cases(4_000), |(which in 0..count, edits in vec(edit(), 1..4))| {
        read_everything(&edited(&samples.all[which], &edits), &samples);
    });
}

/// Everything between the PEM lines of a private key is read before any secret is known to be right.
#[test]
fn no_change_to_a_private_key_makes_the_reader_panic() {
    let user = PrivateKey::generate(KeyAlgorithm::EcdsaNistp256).unwrap();
    let plain = openssh_format::encode(&user, "comment");
    proptest!(ProptestConfig::with_cases(2_000), |(edits in vec(edit(), 1..4))| {
        if let Ok(key) = openssh_format::decode(&edited(&plain, &edits), Some(b"x")) {
            prop_assert_eq!(key.public(), user.public());
        }
    });
}

proptest! {
    #[test]
    fn commands_survive_quoting(command in "[^\\x00-\\x1f\\x7f\u{fffd}]{0,80}") {
        let line = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().public().to_line("");
        // A backslash right before a quote cannot be written (sshd has no escape for it), nor one at the end.
        prop_assume!(!command.contains("\\\"") && !command.ends_with('\\'));
        let quoted = command.replace('"', "\\\"");
        let (keys, problems) = AuthorizedKeys::parse(format!("command=\"{quoted}\" {line}").as_bytes());
        prop_assert_eq!(problems, []);
        let key = Identity::Key(PublicKey::parse_line(&line).unwrap().0);
        let facts = LoginFacts {
            user: "u", address: None, host: None, now: NOW, utc_offset: 0,
            ca_signatures: &SignatureAlgorithm::ALL, revocations: None,
        };
        let grant = keys.find(&key, &facts).unwrap();
        prop_assert_eq!(grant.permissions().force_command.as_deref(), Some(command.as_str()));
    }

    #[test]
    fn revoked_serials_are_exactly_those_listed(
        ranges in vec((0_u64..400, 0_u64..12), 0..40),
        asked in vec(0_u64..420, 1..40),
    ) {
        let user = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let ca = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let mut list = RevocationList::new();
        for (first, more) in &ranges {
            list.revoke_serials(Some(ca.public()), *first, first + more);
        }
        let read = RevocationList::parse(&list.to_bytes(1, 2, "")).unwrap();
        for serial in asked {
            let mut wishes = fields(user.public(), CertificateKind::User, &["p"]);
            wishes.serial = serial;
            let certificate = raw_certificate(&wishes, &ca);
            let mut ranges = ranges.iter().map(|(first, more)| *first..=first + more);
            let listed = serial != 0 && ranges.any(|range| range.contains(&serial));
            prop_assert_eq!(list.find_certificate(&certificate).is_some(), listed);
            prop_assert_eq!(read.find_certificate(&certificate).is_some(), listed);
        }
    }

    #[test]
    fn certificates_round_trip(
        key_id in "[ -!#-~]{1,60}",
        principals in vec("[A-Za-z0-9:_.@-]{1,20}", 1..10),
        serial in any::<u64>(),
        valid_after in 0_u64..u64::MAX - 1,
        command in "[ -~]{1,60}",
    ) {
        let user = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let ca = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let made = CertificateBuilder::new(
            CertificateKind::User, user.public().clone(), &key_id, &principals, valid_after, u64::MAX,
        ).unwrap().serial(serial).force_command(&command).unwrap().sign(&ca).unwrap();
        let read = Certificate::from_blob(made.blob()).unwrap();
        prop_assert_eq!((read.key_id(), read.serial()), (key_id.as_str(), serial));
        prop_assert_eq!(read.principals(), &principals[..]);
        let mut data = Vec::new();
        data.put_string(command.as_bytes());
        prop_assert_eq!(&read.critical_options()[0].data, &data);
        prop_assert!(read.verify_signature().is_ok());
    }

    #[test]
    fn agent_messages_round_trip(
        identity in vec(any::<u8>(), 0..40),
        message in vec(any::<u8>(), 0..40),
        flags in any::<u32>(),
        name in "[a-z@.]{0,20}",
    ) {
        for request in [
            AgentRequest::Identities,
            AgentRequest::Sign { identity: identity.clone(), message: message.clone(), flags },
            AgentRequest::Extension { name: name.clone(), contents: message.clone() },
        ] {
            let frame = request.to_frame();
            let (payload, taken) = split_frame(&frame).unwrap().unwrap();
            prop_assert_eq!(taken, frame.len());
            prop_assert_eq!(AgentRequest::parse(payload).unwrap(), request);
        }
    }

    #[test]
    fn private_keys_round_trip(seed in any::<[u8; 32]>(), comment in "[^\\x00]{0,40}") {
        let key = PrivateKey::from_seed(zeroize::Zeroizing::new(seed)).unwrap();
        let read = PrivateKey::from_openssh(&key.to_openssh(&comment), None).unwrap();
        prop_assert_eq!((read.public(), read.comment()), (key.public(), comment.as_str()));
    }
}
