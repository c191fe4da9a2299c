//! The verdicts of OpenSSH's sshd on user certificates, case by case, on certificates of our own making and
//! on those of ssh-keygen; then the rules that sshd has not.

use std::cell::OnceCell;

use super::*;
use crate::certificate::Fields;
use crate::test_tools::{NOW, SshKeygen, fields, raw_certificate, ssh_keygen, token};
use crate::{KeyAlgorithm, PrivateKey};

const ACCEPTED: [&str; 1] = ["person:HOP1001"];

struct Lab {
    user: PrivateKey,
    user_ca: PrivateKey,
    /// Made when first asked for: it takes a second.
    rsa_ca: OnceCell<PrivateKey>,
    rogue_ca: PrivateKey,
    keygen: SshKeygen,
}

fn lab() -> Lab {
    let key = |algorithm| PrivateKey::generate(algorithm).unwrap();
    let lab = Lab {
        user: key(KeyAlgorithm::Ed25519),
        user_ca: key(KeyAlgorithm::Ed25519),
        rsa_ca: OnceCell::new(),
        rogue_ca: key(KeyAlgorithm::Ed25519),
        keygen: ssh_keygen(),
    };
    for (name, ca) in [("user_ca", &lab.user_ca), ("rogue_ca", &lab.rogue_ca)] {
        lab.keygen.write_secret(name, &ca.to_openssh(""));
    }
    lab.keygen.write("id.pub", lab.user.public().to_line("user"));
    lab
}

impl Lab {
    fn rsa_ca(&self) -> &PrivateKey {
        self.rsa_ca.get_or_init(|| {
            let ca = PrivateKey::generate(KeyAlgorithm::Rsa).unwrap();
            self.keygen.write_secret("rsa_ca", &ca.to_openssh(""));
            ca
        })
    }

    fn cas(&self) -> Vec<PublicKey> {
        let rsa_ca = self.rsa_ca.get();
        std::iter::once(&self.user_ca).chain(rsa_ca).map(|ca| ca.public().clone()).collect()
    }

    fn ca(&self, name: &str) -> &PrivateKey {
        match name {
            "user_ca" => &self.user_ca,
            "rsa_ca" => self.rsa_ca(),
            _ => &self.rogue_ca,
        }
    }

    /// What ssh-keygen makes of the same wishes.
    fn by_keygen(&self, ca: &str, arguments: &[&str]) -> Certificate {
        self.ca(ca);
        let ca = self.keygen.path(ca);
        let key = self.keygen.path("id.pub");
        let mut all = vec!["-q", "-s", &ca, "-I", "k", "-V", "20260101000000Z:20270101000000Z"];
        all.extend(arguments);
        all.push(&key);
        self.keygen.run(&all);
        Certificate::parse_line(&self.keygen.read(&self.keygen.path("id-cert.pub"))).unwrap().0
    }
}

fn judge(lab: &Lab, certificate: &Certificate) -> Result<JudgedCertificate, CertificateRefusal> {
    let cas = lab.cas();
    let policy = CertificatePolicy {
        cas: &cas,
        ca_signatures: &SignatureAlgorithm::ALL,
        revocations: None,
        understood: &[],
    };
    certificate.judge_user(&policy, &ACCEPTED, Some("127.0.0.1".parse().unwrap()), NOW)
}

/// name, CA, arguments for ssh-keygen, the same for our fields, and the beginning of sshd's reason ("" =
/// accepted).
type Case = (&'static str, &'static str, &'static [&'static str], fn(&mut Fields), &'static str);

fn all_permits(fields: &mut Fields) {
    fields.extensions.extend(Permit::ALL.map(|permit| (permit.name().to_owned(), Vec::new())));
}

const CASES: &[Case] = &[
    ("good", "user_ca", &["-n", "person:HOP1001"], all_permits, ""),
    (
        "principal not listed",
        "user_ca",
        &["-n", "person:NOBODY"],
        |fields| fields.principals = vec!["person:NOBODY".into()],
        "certificate does not contain an authorized principal",
    ),
    (
        "principal is the login name",
        "user_ca",
        &["-n", "root"],
        |fields| fields.principals = vec!["root".into()],
        "certificate does not contain an authorized principal",
    ),
    (
        "no principals",
        "user_ca",
        &[],
        |fields| fields.principals.clear(),
        "certificate invalid: it has no principals",
    ),
    (
        "expired",
        "user_ca",
        &["-n", "person:HOP1001", "-V", "20250101000000Z:20260101000000Z"],
        |fields| fields.valid_before = NOW,
        "certificate invalid: expired",
    ),
    (
        "not yet valid",
        "user_ca",
        &["-n", "person:HOP1001", "-V", "20270101000000Z:20280101000000Z"],
        |fields| fields.valid_after = NOW + 1,
        "certificate invalid: not yet valid",
    ),
    ("untrusted CA", "rogue_ca", &["-n", "person:HOP1001"], |_| {}, "certificate is signed by CA"),
    (
        "host certificate as user",
        "user_ca",
        &["-h", "-n", "person:HOP1001"],
        |fields| fields.kind = CertificateKind::Host,
        "certificate invalid: not a user certificate",
    ),
    (
        "force-command",
        "user_ca",
        &["-n", "person:HOP1001", "-O", "force-command=echo forced"],
        |fields| option(&mut fields.critical_options, "force-command", "echo forced"),
        "",
    ),
    (
        "source address matches",
        "user_ca",
        &["-n", "person:HOP1001", "-O", "source-address=127.0.0.0/8"],
        |fields| option(&mut fields.critical_options, "source-address", "127.0.0.0/8"),
        "",
    ),
    (
        "source address misses",
        "user_ca",
        &["-n", "person:HOP1001", "-O", "source-address=10.9.0.0/16"],
        |fields| option(&mut fields.critical_options, "source-address", "10.9.0.0/16"),
        "valid certificate, but not from a permitted source address (127.0.0.1)",
    ),
    (
        "unknown critical option",
        "user_ca",
        &["-n", "person:HOP1001", "-O", "critical:x@hop.example=1"],
        |fields| option(&mut fields.critical_options, "x@hop.example", "1"),
        "certificate critical option \"x@hop.example\" is not supported",
    ),
    (
        "unknown extension",
        "user_ca",
        &["-n", "person:HOP1001", "-O", "extension:grant@hop.example=g1"],
        |fields| option(&mut fields.extensions, "grant@hop.example", "g1"),
        "",
    ),
    ("no extensions", "user_ca", &["-n", "person:HOP1001", "-O", "clear"], |_| {}, ""),
    (
        "second principal matches",
        "user_ca",
        &["-n", "person:NOBODY,person:HOP1001"],
        |fields| fields.principals.insert(0, "person:NOBODY".into()),
        "",
    ),
    (
        "principal in other case",
        "user_ca",
        &["-n", "PERSON:HOP1001"],
        |fields| fields.principals = vec!["PERSON:HOP1001".into()],
        "certificate does not contain an authorized principal",
    ),
    (
        "principal with a wildcard",
        "user_ca",
        &["-n", "person:*"],
        |fields| fields.principals = vec!["person:*".into()],
        "certificate does not contain an authorized principal",
    ),
    (
        "no expiry",
        "user_ca",
        &["-n", "person:HOP1001", "-V", "always:forever"],
        |fields| {
            fields.valid_after = 0;
            fields.valid_before = u64::MAX;
        },
        "",
    ),
    ("RSA CA with SHA-2", "rsa_ca", &["-n", "person:HOP1001", "-t", "rsa-sha2-512"], |_| {}, ""),
];

fn option(options: &mut std::collections::BTreeMap<String, Vec<u8>>, name: &str, value: &str) {
    use crate::wire::Put as _;
    let mut data = Vec::new();
    data.put_string(value.as_bytes());
    options.insert(name.to_owned(), data);
}

fn our_fields(lab: &Lab, change: fn(&mut Fields)) -> Fields {
    let mut fields = fields(lab.user.public(), CertificateKind::User, &["person:HOP1001"]);
    change(&mut fields);
    fields
}

fn assert_verdict(name: &str, got: &Result<JudgedCertificate, CertificateRefusal>, reason: &str) {
    match got {
        Ok(_) => assert_eq!(reason, "", "{name}: accepted"),
        Err(refusal) => {
            let said = refusal.to_string();
            assert!(!reason.is_empty() && said.starts_with(reason), "{name}: {said}");
        }
    }
}

#[test]
fn sshd_verdicts_on_our_certificates() {
    let lab = lab();
    for (name, ca, _, change, reason) in CASES {
        let certificate = raw_certificate(&our_fields(&lab, *change), lab.ca(ca));
        assert_verdict(name, &judge(&lab, &certificate), reason);
    }
}

#[test]
fn sshd_verdicts_on_certificates_of_ssh_keygen() {
    let lab = lab();
    for (name, ca, arguments, _, reason) in CASES {
        let certificate = lab.by_keygen(ca, arguments);
        assert_verdict(name, &judge(&lab, &certificate), reason);
    }
}

#[test]
fn sha1_signatures_of_a_ca_are_refused() {
    let lab = lab();
    let certificate = lab.by_keygen("rsa_ca", &["-n", "person:HOP1001", "-t", "ssh-rsa"]);
    let refusal = judge(&lab, &certificate).unwrap_err();
    assert_eq!(refusal.to_string(), "certificate signature algorithm \"ssh-rsa\" is not supported");
}

#[test]
fn the_allowed_ca_signatures_are_the_only_ones() {
    let lab = lab();
    let certificate = raw_certificate(&our_fields(&lab, |_| {}), lab.rsa_ca());
    let cas = lab.cas();
    let policy = CertificatePolicy {
        cas: &cas,
        ca_signatures: &[SignatureAlgorithm::Ed25519, SignatureAlgorithm::RsaSha256],
        revocations: None,
        understood: &[],
    };
    let refusal = certificate.judge_user(&policy, &ACCEPTED, None, NOW).unwrap_err();
    assert_eq!(refusal, CertificateRefusal::CaSignature { algorithm: "rsa-sha2-512" });
}

#[test]
fn a_changed_byte_is_noticed() {
    let lab = lab();
    let good = raw_certificate(&our_fields(&lab, |_| {}), &lab.user_ca);
    let mut signature = good.blob().to_vec();
    *signature.last_mut().unwrap() ^= 1;
    let mut principal = good.blob().to_vec();
    let at = principal.windows(14).position(|window| window == b"person:HOP1001").unwrap();
    principal[at + 13] = b'3';
    for blob in [signature, principal] {
        let refusal = judge(&lab, &Certificate::from_blob(&blob).unwrap()).unwrap_err();
        assert!(matches!(refusal, CertificateRefusal::Signature(_)), "{refusal}");
    }
}

#[test]
fn a_certificate_grants_what_its_extensions_say() {
    let lab = lab();
    let nothing = judge(&lab, &raw_certificate(&our_fields(&lab, |_| {}), &lab.user_ca)).unwrap();
    assert_eq!(*nothing.permissions(), Permissions::none());
    assert_eq!(nothing.token(), TokenPolicy::default());
    let all = judge(&lab, &lab.by_keygen("user_ca", &["-n", "person:HOP1001"])).unwrap();
    assert_eq!(*all.permissions(), Permissions::all());
    let arguments =
        ["-n", "person:HOP1001", "-O", "no-port-forwarding", "-O", "no-pty", "-O", "force-command=x y"];
    let some = judge(&lab, &lab.by_keygen("user_ca", &arguments)).unwrap();
    let expected = Permissions {
        pty: false,
        open: PermitOpen::None,
        listen: PermitListen::None,
        force_command: Some("x y".to_owned()),
        ..Permissions::all()
    };
    assert_eq!(*some.permissions(), expected);
}

#[test]
fn a_judged_certificate_tells_what_logs_need() {
    let lab = lab();
    let certificate = raw_certificate(&our_fields(&lab, |fields| fields.serial = 7), &lab.user_ca);
    let judged = judge(&lab, &certificate).unwrap();
    assert_eq!((judged.principal(), judged.serial(), judged.key_id()), ("person:HOP1001", 7, "key id"));
    assert_eq!(judged.ca(), lab.user_ca.public().fingerprint());
    assert_eq!(judged.valid_before(), certificate.valid_before());
    assert!(judged.source_addresses().is_none());
}

#[test]
fn token_options() {
    let lab = lab();
    lab.keygen.write("id.pub", token(KeyAlgorithm::SkEd25519).public.to_line(""));
    let arguments = ["-n", "person:HOP1001", "-O", "no-touch-required", "-O", "verify-required"];
    let judged = judge(&lab, &lab.by_keygen("user_ca", &arguments)).unwrap();
    let expected = TokenPolicy { touch_required: false, verification_required: true };
    assert_eq!(judged.token(), expected);
}

#[test]
fn key_ids_are_escaped_for_logs() {
    let lab = lab();
    for (key_id, shown) in
        [("a b \"c\" $(id)", "a b \\\"c\\\" $(id)"), ("x\nAccepted publickey", "x\\nAccepted publickey")]
    {
        let mut fields = our_fields(&lab, |_| {});
        fields.key_id = key_id.to_owned();
        assert_eq!(judge(&lab, &raw_certificate(&fields, &lab.user_ca)).unwrap().key_id(), shown);
    }
}

#[test]
fn as_many_principals_as_openssh_reads() {
    let lab = lab();
    let mut fields = our_fields(&lab, |_| {});
    fields.principals = (0..256).map(|number| format!("p{number}")).collect();
    fields.principals[255] = "person:HOP1001".to_owned();
    assert!(judge(&lab, &raw_certificate(&fields, &lab.user_ca)).is_ok());
}

#[test]
fn principals_that_could_be_misread_are_refused() {
    let lab = lab();
    for bad in ["", "a,person:HOP1001", "x\ny", "\u{1b}[2J"] {
        let mut fields = our_fields(&lab, |_| {});
        fields.principals.push(bad.to_owned());
        let refusal = judge(&lab, &raw_certificate(&fields, &lab.user_ca)).unwrap_err();
        assert!(matches!(refusal, CertificateRefusal::Principal { .. }), "{bad:?}: {refusal}");
    }
}

#[test]
fn broken_options_are_refused() {
    let lab = lab();
    let table: &[(&str, bool, &[u8])] = &[
        ("force-command", true, b""),
        ("force-command", true, b"\0\0\0\x01xy"),
        ("source-address", true, b"\0\0\0\0"),
        ("source-address", true, b"\0\0\0\x0110"),
        ("verify-required", true, b"\0\0\0\0"),
        ("permit-pty", false, b"\0\0\0\0"),
        ("no-touch-required", false, b"x"),
        ("permit-pty", true, b""),
    ];
    for (name, critical, data) in table {
        let mut fields = our_fields(&lab, |_| {});
        let options = if *critical { &mut fields.critical_options } else { &mut fields.extensions };
        options.insert((*name).to_owned(), data.to_vec());
        assert!(judge(&lab, &raw_certificate(&fields, &lab.user_ca)).is_err(), "{name} {data:?}");
    }
}

#[test]
fn a_critical_option_stands_once() {
    let lab = lab();
    let judged = judge(&lab, &raw_certificate(&our_fields(&lab, |_| {}), &lab.user_ca));
    let option = CertificateOption { name: b"verify-required".to_vec(), data: Vec::new() };
    let refusal = read_critical_options(&mut judged.unwrap(), &[option.clone(), option], &[]).unwrap_err();
    assert_eq!(refusal, CertificateRefusal::RepeatedOption { name: "verify-required".to_owned() });
}

#[test]
fn options_of_the_callers_own_are_understood() {
    let lab = lab();
    let fields = our_fields(&lab, |fields| option(&mut fields.critical_options, "word@hop.example", "w"));
    let certificate = raw_certificate(&fields, &lab.user_ca);
    let cas = lab.cas();
    let policy = CertificatePolicy {
        cas: &cas,
        ca_signatures: &SignatureAlgorithm::ALL,
        revocations: None,
        understood: &["word@hop.example"],
    };
    let judged = certificate.judge_user(&policy, &ACCEPTED, None, NOW).unwrap();
    assert_eq!(judged.option("word@hop.example"), Some("w"));
    assert_eq!(judged.option("another@hop.example"), None);
    let refusal =
        certificate.judge_user(&CertificatePolicy { understood: &[], ..policy }, &ACCEPTED, None, NOW);
    let name = "word@hop.example".to_owned();
    assert_eq!(refusal.unwrap_err(), CertificateRefusal::UnknownOption { name });
}

#[test]
fn an_unknown_address_is_no_permitted_one() {
    let lab = lab();
    let fields =
        our_fields(&lab, |fields| option(&mut fields.critical_options, "source-address", "0.0.0.0/0,::/0"));
    let certificate = raw_certificate(&fields, &lab.user_ca);
    let cas = lab.cas();
    let policy = CertificatePolicy {
        cas: &cas,
        ca_signatures: &SignatureAlgorithm::ALL,
        revocations: None,
        understood: &[],
    };
    let refusal = certificate.judge_user(&policy, &ACCEPTED, None, NOW).unwrap_err();
    assert_eq!(refusal, CertificateRefusal::SourceAddress { address: None });
}

#[test]
fn revocation_is_part_of_the_verdict() {
    let lab = lab();
    let certificate = raw_certificate(&our_fields(&lab, |fields| fields.serial = 100), &lab.user_ca);
    let cas = lab.cas();
    let judge = |list: &RevocationList| {
        let policy = CertificatePolicy {
            cas: &cas,
            ca_signatures: &SignatureAlgorithm::ALL,
            revocations: Some(list),
            understood: &[],
        };
        certificate.judge_user(&policy, &ACCEPTED, None, NOW).map(|_| ())
    };
    let mut list = RevocationList::new();
    list.revoke_serials(Some(lab.rogue_ca.public()), 100, 100);
    assert_eq!(judge(&list), Ok(()));
    list.revoke_serials(Some(lab.user_ca.public()), 100, 100);
    assert_eq!(judge(&list), Err(CertificateRefusal::Revoked(Revoked::Serial(100))));
}

#[test]
fn host_certificates() {
    let lab = lab();
    type HostCase = (&'static str, fn(&mut Fields), &'static str);
    let table: &[HostCase] = &[
        ("host.example.org", |_| {}, ""),
        ("HOST.example.org", |_| {}, ""),
        ("other.example.org", |_| {}, "certificate does not contain an authorized principal"),
        ("a.lab.example.org", |_| {}, ""),
        ("host.example.org", |fields| fields.valid_before = NOW, "certificate invalid: expired"),
        // OpenSSH before 10.3 takes such a certificate for every host.
        ("host.example.org", |fields| fields.principals.clear(), "certificate invalid: it has no principals"),
        (
            "host.example.org",
            |fields| fields.kind = CertificateKind::User,
            "certificate invalid: not a host certificate",
        ),
        (
            "host.example.org",
            |fields| option(&mut fields.critical_options, "force-command", "x"),
            "certificate critical option \"force-command\" is not supported",
        ),
    ];
    let cas = lab.cas();
    let policy = CertificatePolicy {
        cas: &cas,
        ca_signatures: &SignatureAlgorithm::ALL,
        revocations: None,
        understood: &[],
    };
    for (host, change, reason) in table {
        let names = ["host.example.org", "*.lab.example.org"];
        let mut fields = fields(lab.user.public(), CertificateKind::Host, &names);
        change(&mut fields);
        let certificate = raw_certificate(&fields, &lab.user_ca);
        match certificate.judge_host(&policy, host, NOW) {
            Ok(judged) => {
                assert_eq!(*reason, "", "{host}");
                assert_eq!(judged.ca(), lab.user_ca.public().fingerprint());
            }
            Err(refusal) => {
                assert!(!reason.is_empty() && refusal.to_string().starts_with(reason), "{host}: {refusal}")
            }
        }
    }
    let rogue = raw_certificate(&fields(lab.user.public(), CertificateKind::Host, &["h"]), &lab.rogue_ca);
    let refusal = rogue.judge_host(&policy, "h", NOW).unwrap_err();
    assert!(matches!(refusal, CertificateRefusal::UntrustedCa { .. }));
}
