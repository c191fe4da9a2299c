//! What sshd lets in, we let in; what it refuses, we refuse. Where we are stricter on purpose, the case says
//! so.

use std::net::{IpAddr, Ipv4Addr};

use hop_keys::{
    AuthorizedKeys, Certificate, CertificatePolicy, Identity, LoginFacts, RevocationList, SignatureAlgorithm,
};

use crate::lab::{Lab, now};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Options before a key, and whether a login from 127.0.0.1 gets in.
const OPTIONS: &[(&str, bool)] = &[
    ("", true),
    ("restrict", true),
    ("RESTRICT,PTY", true),
    ("no-pty,pty", true),
    (",no-pty,,pty,", true),
    ("agent-forwarding,no-agent-forwarding,X11-forwarding,user-rc,no-port-forwarding", true),
    ("touch-required,no-touch-required,no-verify-required", true),
    ("verify-required", true),
    ("no-such-option", false),
    ("no-restrict", false),
    ("no-cert-authority", false),
    ("cert-authority", false),
    ("pty=\"yes\"", false),
    ("command", false),
    ("command=true", false),
    ("command=\"true", false),
    ("command=\"true\"x", false),
    ("command=\"true\"", true),
    ("command=\"test \\\"a b\\\" = 'a b'\"", true),
    ("command=\"true\",command=\"true\"", false),
    ("tunnel=\"0\"", true),
    ("tunnel=\"any\"", true),
    ("tunnel=\"x\"", false),
    ("principals=\"a\"", false),
    ("from=\"127.0.0.1\"", true),
    ("from=\"127.*\"", true),
    ("from=\"127.0.0.?\"", true),
    ("from=\"127.0.0.0/8\"", true),
    ("from=\"10.0.0.0/8\"", false),
    ("from=\"10.0.0.0/8,127.0.0.0/8\"", true),
    ("from=\"*,!127.0.0.1\"", false),
    ("from=\"!127.0.0.0/8,*\"", false),
    ("from=\"!10.0.0.1,*\"", true),
    ("from=\"!10.0.0.1\"", false),
    ("from=\"127.0.0.1/8\"", false),
    ("from=\"\"", false),
    ("expiry-time=\"20500101\"", true),
    ("expiry-time=\"205001011200Z\"", true),
    ("expiry-time=\"20500101120059Z\"", true),
    ("expiry-time=\"20200101\"", false),
    ("expiry-time=\"20200101Z\"", false),
    ("expiry-time=\"20200101\",expiry-time=\"20500101\"", false),
    ("expiry-time=\"2050010112Z\"", false),
    ("expiry-time=\"20501301\"", false),
    ("expiry-time=\"soon\"", false),
    ("environment=\"A=1\",environment=\"A=2\",command=\"test $A = 1\"", true),
    ("environment=\"A\"", false),
    ("environment=\"A-B=1\"", false),
    ("permitopen=\"host:22\"", true),
    ("permitopen=\"host:*\"", true),
    ("permitopen=\"[::1]:22\"", true),
    ("permitopen=\"::1:22\"", false),
    ("permitopen=\"[::1]22\"", false),
    ("permitopen=\"host\"", false),
    ("permitopen=\"host:0\"", false),
    ("permitopen=\"host:no-such-service\"", false),
    ("permitlisten=\"8080\"", true),
    ("permitlisten=\"*\"", true),
    ("permitlisten=\"*:8080\"", true),
    ("permitlisten=\"[::1]:8080\"", true),
    ("permitlisten=\"x\"", false),
    ("permitlisten=\"0\"", false),
];

#[test]
fn authorized_keys_options() {
    let lab = Lab::new();
    let identity = Identity::Key(lab.key.public().clone());
    for (options, expected) in OPTIONS {
        let text = format!("{options} {}\n", lab.key.public().to_line("comment"));
        let file = lab.write("authorized_keys", &text);
        let sshd = lab.sshd_lets_in(&format!("AuthorizedKeysFile {file}"));
        assert_eq!(sshd, *expected, "sshd on {options}");
        let (keys, _) = AuthorizedKeys::parse(text.as_bytes());
        assert_eq!(keys.find(&identity, &facts(&lab)).is_ok(), *expected, "we on {options}");
    }
}

fn facts(lab: &Lab) -> LoginFacts<'_> {
    LoginFacts {
        user: &lab.user,
        address: Some(ADDRESS),
        host: None,
        now: now(),
        utc_offset: 0,
        ca_signatures: &SignatureAlgorithm::ALL,
        revocations: None,
    }
}

/// Arguments of ssh-keygen, and whether the certificate gets in where `person:HOP1001` is the accepted
/// principal.
const CERTIFICATES: &[(&[&str], bool)] = &[
    (&["-n", "person:HOP1001"], true),
    (&["-n", "person:NOBODY"], false),
    (&["-n", "person:NOBODY,person:HOP1001"], true),
    (&["-n", "PERSON:HOP1001"], false),
    (&["-n", "person:*"], false),
    (&["-n", "person:HOP10011"], false),
    (&[], false),
    (&["-n", "person:HOP1001", "-V", "-2h:-1h"], false),
    (&["-n", "person:HOP1001", "-V", "+1h:+2h"], false),
    (&["-n", "person:HOP1001", "-V", "always:forever"], true),
    (&["-n", "person:HOP1001", "-h"], false),
    (&["-n", "person:HOP1001", "-O", "clear"], true),
    (&["-n", "person:HOP1001", "-O", "force-command=true"], true),
    (&["-n", "person:HOP1001", "-O", "source-address=127.0.0.0/8"], true),
    (&["-n", "person:HOP1001", "-O", "source-address=10.0.0.0/8,127.0.0.1"], true),
    (&["-n", "person:HOP1001", "-O", "source-address=10.0.0.0/8"], false),
    (&["-n", "person:HOP1001", "-O", "critical:x@hop.example=1"], false),
    (&["-n", "person:HOP1001", "-O", "extension:grant@hop.example=1"], true),
];

#[test]
fn user_certificates() {
    let lab = Lab::new();
    let cas = lab.write("cas", lab.ca.public().to_line("ca"));
    let principals = lab.write("principals", "person:HOP1001\n");
    let configuration =
        format!("AuthorizedKeysFile none\nTrustedUserCAKeys {cas}\nAuthorizedPrincipalsFile {principals}");
    for (arguments, expected) in CERTIFICATES {
        lab.certify(arguments);
        assert_eq!(lab.sshd_lets_in(&configuration), *expected, "sshd on {arguments:?}");
        let certificate = certificate(&lab);
        let ours = judge(&lab, &certificate, None);
        assert_eq!(ours, *expected, "we on {arguments:?}");
    }
}

fn certificate(lab: &Lab) -> Certificate {
    let line = String::from_utf8(lab.read("id-cert.pub")).unwrap();
    Certificate::parse_line(&line).unwrap().0
}

fn judge(lab: &Lab, certificate: &Certificate, revocations: Option<&RevocationList>) -> bool {
    let cas = [lab.ca.public().clone()];
    let policy = CertificatePolicy {
        cas: &cas,
        ca_signatures: &SignatureAlgorithm::ALL,
        revocations,
        understood: &[],
    };
    certificate.judge_user(&policy, &["person:HOP1001"], Some(ADDRESS), now()).is_ok()
}

#[test]
fn certificates_of_a_ca_in_authorized_keys() {
    let lab = Lab::new();
    let user = lab.user.clone();
    let table: &[(&str, &[&str], bool)] = &[
        ("cert-authority", &["-n", &user], true),
        ("cert-authority", &["-n", "group:a"], false),
        ("cert-authority,principals=\"group:a,group:b\"", &["-n", "group:b"], true),
        ("cert-authority,principals=\"group:a\"", &["-n", &user], false),
        ("cert-authority,principals=\"group:*\"", &["-n", "group:a"], false),
        ("cert-authority,from=\"10.0.0.1\"", &["-n", &user], false),
        ("cert-authority,command=\"true\"", &["-n", &user], true),
        ("cert-authority,command=\"true\"", &["-n", &user, "-O", "force-command=true"], true),
        ("cert-authority,command=\"true\"", &["-n", &user, "-O", "force-command=false"], false),
        ("", &["-n", &user], false),
    ];
    for (options, arguments, expected) in table {
        lab.certify(arguments);
        let text = format!("{options} {}\n", lab.ca.public().to_line("ca"));
        let file = lab.write("authorized_keys", &text);
        let sshd = lab.sshd_lets_in(&format!("AuthorizedKeysFile {file}"));
        assert_eq!(sshd, *expected, "sshd on {options} {arguments:?}");
        let identity = Identity::Certificate(Box::new(certificate(&lab)));
        let (keys, _) = AuthorizedKeys::parse(text.as_bytes());
        assert_eq!(keys.find(&identity, &facts(&lab)).is_ok(), *expected, "we on {options} {arguments:?}");
    }
}

#[test]
fn our_revocation_lists_in_force_at_sshd() {
    let lab = Lab::new();
    lab.certify(&["-n", "person:HOP1001"]);
    let certificate = certificate(&lab);
    let cas = lab.write("cas", lab.ca.public().to_line("ca"));
    let principals = lab.write("principals", "person:HOP1001\n");
    let list = lab.path("revoked");
    let configuration = format!(
        "AuthorizedKeysFile none\nTrustedUserCAKeys {cas}\nAuthorizedPrincipalsFile {principals}\n\
         RevokedKeys {list}"
    );
    let ca = lab.ca.public();
    let other = hop_keys::PrivateKey::generate(hop_keys::KeyAlgorithm::Ed25519).unwrap();
    type Fill<'a> = Box<dyn Fn(&mut RevocationList) + 'a>;
    let table: Vec<(&str, Fill<'_>, bool)> = vec![
        ("nothing", Box::new(|_| {}), true),
        ("the serial", Box::new(|list| list.revoke_serials(Some(ca), 100, 100)), false),
        ("another serial", Box::new(|list| list.revoke_serials(Some(ca), 101, 101)), true),
        ("a range", Box::new(|list| list.revoke_serials(Some(ca), 1, 200)), false),
        (
            "the serial of another CA",
            Box::new(|list| list.revoke_serials(Some(other.public()), 100, 100)),
            true,
        ),
        ("the serial of every CA", Box::new(|list| list.revoke_serials(None, 100, 100)), false),
        (
            "a bitmap",
            Box::new(|list| {
                (80..120).step_by(2).for_each(|serial| list.revoke_serials(Some(ca), serial, serial))
            }),
            false,
        ),
        (
            "a bitmap beside it",
            Box::new(|list| {
                (81..121).step_by(2).for_each(|serial| list.revoke_serials(Some(ca), serial, serial))
            }),
            true,
        ),
        ("the key ID", Box::new(|list| list.revoke_key_id(Some(ca), "key id")), false),
        ("the key", Box::new(|list| list.revoke_key(lab.key.public())), false),
        ("its fingerprint", Box::new(|list| list.revoke_fingerprint(lab.key.public().fingerprint())), false),
        ("the CA", Box::new(|list| list.revoke_key(ca)), false),
    ];
    for (name, fill, expected) in table {
        let mut revocations = RevocationList::new();
        fill(&mut revocations);
        let bytes = revocations.to_bytes(1, now(), name);
        lab.write("revoked", &bytes);
        assert_eq!(lab.sshd_lets_in(&configuration), expected, "sshd on {name}");
        let read = RevocationList::parse(&bytes).unwrap();
        assert_eq!(judge(&lab, &certificate, Some(&read)), expected, "we on {name}");
    }
    // Cut: both refuse. Zero bytes: sshd takes it as "nothing is revoked", we do not.
    let bytes = RevocationList::new().to_bytes(1, now(), "");
    for (contents, sshd) in [(&bytes[..20], false), (b"", true)] {
        lab.write("revoked", contents);
        assert_eq!(lab.sshd_lets_in(&configuration), sshd);
        assert!(RevocationList::parse(contents).is_err());
    }
}
