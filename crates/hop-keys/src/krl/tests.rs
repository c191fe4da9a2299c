use super::*;
use crate::test_tools::{SshKeygen, fields, raw_certificate, ssh_keygen};
use crate::wire::Put as _;
use crate::{CertificateKind, KeyAlgorithm, PrivateKey};

struct Lab {
    user: PrivateKey,
    ca: PrivateKey,
    other_ca: PrivateKey,
    keygen: SshKeygen,
}

fn lab() -> Lab {
    let key = || PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let lab = Lab { user: key(), ca: key(), other_ca: key(), keygen: ssh_keygen() };
    lab.keygen.write("ca.pub", lab.ca.public().to_line("ca"));
    lab.keygen.write("other.pub", lab.other_ca.public().to_line("other"));
    lab.keygen.write("id.pub", lab.user.public().to_line("id"));
    lab
}

impl Lab {
    fn certificate(&self, ca: &PrivateKey, serial: u64, key_id: &str) -> Certificate {
        let mut fields = fields(self.user.public(), CertificateKind::User, &["p"]);
        fields.serial = serial;
        fields.key_id = key_id.to_owned();
        raw_certificate(&fields, ca)
    }

    /// What ssh-keygen -k makes of a specification (ssh-keygen(1), "KEY REVOCATION LISTS").
    fn by_keygen(&self, specification: &str, arguments: &[&str]) -> Vec<u8> {
        let specification = self.keygen.write("spec", specification);
        let list = self.keygen.path("krl");
        let mut all = vec!["-q", "-k", "-f", &list];
        all.extend(arguments);
        all.push(&specification);
        self.keygen.run(&all);
        std::fs::read(&list).unwrap()
    }

    /// Whether ssh-keygen -Q finds the line revoked in our list.
    fn keygen_finds(&self, list: &[u8], line: &str) -> bool {
        let list = self.keygen.write("ours", list);
        let file = self.keygen.write("asked", line);
        let output = self.keygen.output(&["-Q", "-f", &list, &file]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.ends_with(": ok\n") || said.ends_with(": REVOKED\n"), "{said}{output:?}");
        assert_eq!(output.status.success(), said.ends_with(": ok\n"));
        said.ends_with(": REVOKED\n")
    }
}

#[test]
fn lists_of_ssh_keygen() {
    let lab = lab();
    let ca = ["-s", "ca.pub"];
    let fingerprint = format!("hash: {}", lab.user.public().fingerprint());
    let dense: String = (1000..1400).step_by(3).map(|serial| format!("serial: {serial}\n")).collect();
    let of = |ca, serial| lab.certificate(ca, serial, "key id");
    let (good, other) = (of(&lab.ca, 100), of(&lab.other_ca, 100));
    let table: &[(&str, &[&str], &Certificate, Option<Revoked>)] = &[
        ("serial: 100", &ca, &good, Some(Revoked::Serial(100))),
        ("serial: 0x64", &ca, &good, Some(Revoked::Serial(100))),
        ("serial: 100", &ca, &other, None),
        ("serial: 100", &["-s", "none"], &other, Some(Revoked::Serial(100))),
        ("serial: 101", &ca, &good, None),
        ("serial: 90-110", &ca, &good, Some(Revoked::Serial(100))),
        ("serial: 101-18446744073709551615", &ca, &good, None),
        (&dense, &ca, &of(&lab.ca, 1399), Some(Revoked::Serial(1399))),
        (&dense, &ca, &of(&lab.ca, 1000), Some(Revoked::Serial(1000))),
        (&dense, &ca, &of(&lab.ca, 1001), None),
        (&dense, &ca, &of(&lab.ca, 0), None),
        ("id: key id", &ca, &good, Some(Revoked::KeyId)),
        ("id: key", &ca, &good, None),
        (&fingerprint, &[], &good, Some(Revoked::Key)),
        ("", &[], &good, None),
    ];
    for (specification, arguments, certificate, expected) in table {
        let bytes = lab.by_keygen(specification, arguments);
        let list = RevocationList::parse(&bytes).unwrap();
        assert_eq!(list.find_certificate(certificate), *expected, "{specification}");
        // And read back after we wrote it.
        let again = RevocationList::parse(&list.to_bytes(1, 2, "c")).unwrap();
        assert_eq!(again.find_certificate(certificate), *expected, "{specification}, written again");
    }
    let list = RevocationList::parse(&lab.by_keygen(&dense, &["-s", "ca.pub", "-z", "7"])).unwrap();
    assert!(!list.scopes[0].serials.bitmaps().is_empty(), "ssh-keygen made no bitmap, so none was tested");
    assert_eq!(list.version(), 7);
    assert!(list.generated() > 1_700_000_000);
}

#[test]
fn keys_and_cas_in_lists_of_ssh_keygen() {
    let lab = lab();
    let certificate = lab.certificate(&lab.ca, 100, "key id");
    for (file, expected) in
        [("id.pub", Some(Revoked::Key)), ("ca.pub", Some(Revoked::Ca)), ("other.pub", None)]
    {
        let key = lab.keygen.path(file);
        let list = lab.keygen.path("krl");
        lab.keygen.run(&["-q", "-k", "-f", &list, &key]);
        let parsed = RevocationList::parse(&std::fs::read(&list).unwrap()).unwrap();
        assert_eq!(parsed.find_certificate(&certificate), expected, "{file}");
        assert_eq!(parsed.find_key(lab.user.public()).is_some(), file == "id.pub");
        // ssh-keygen -k lists plain keys by SHA-1 hash when told so.
        let sha1 = lab.by_keygen(&format!("sha1: {}", lab.keygen.read(&key)), &[]);
        let parsed = RevocationList::parse(&sha1).unwrap();
        assert_eq!(parsed.find_certificate(&certificate), expected, "{file} by SHA-1");
        assert_eq!(parsed.sha1.len(), 1);
    }
    // An update keeps what was there.
    lab.by_keygen("serial: 100", &["-s", "ca.pub"]);
    let updated = lab.by_keygen("serial: 5", &["-u", "-s", "other.pub"]);
    let list = RevocationList::parse(&updated).unwrap();
    assert_eq!(list.find_certificate(&certificate), Some(Revoked::Serial(100)));
    let other = lab.certificate(&lab.other_ca, 5, "");
    assert_eq!(list.find_certificate(&other), Some(Revoked::Serial(5)));
}

#[test]
fn ssh_keygen_reads_our_lists() {
    let lab = lab();
    let mut list = RevocationList::new();
    let serials = [7_u64, 9, 11, 13, 15, 500, 90_000, 90_063, 90_100, 90_110, u64::MAX];
    for serial in serials {
        list.revoke_serials(Some(lab.ca.public()), serial, serial);
    }
    list.revoke_serials(Some(lab.ca.public()), 200, 300);
    list.revoke_serials(None, 77, 77);
    list.revoke_key_id(Some(lab.ca.public()), "hop:person=HOP1001;grant=g1");
    let listed = PrivateKey::generate(KeyAlgorithm::EcdsaNistp384).unwrap();
    let hashed = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    list.revoke_key(listed.public());
    list.revoke_fingerprint(hashed.public().fingerprint());
    let bytes = list.to_bytes(3, 1_795_348_800, "made by a test");
    let again = RevocationList::parse(&bytes).unwrap();
    assert_eq!((again.version(), again.generated(), again.comment()), (3, 1_795_348_800, "made by a test"));
    let interesting =
        [1, 6, 8, 10, 12, 14, 16, 77, 199, 200, 250, 300, 301, 499, 501, 89_999, 90_064, 90_109];
    for serial in serials.into_iter().chain(interesting) {
        for ca in [&lab.ca, &lab.other_ca] {
            let certificate = lab.certificate(ca, serial, "x");
            let ours = again.find_certificate(&certificate).is_some();
            assert_eq!(lab.keygen_finds(&bytes, &certificate.to_line("")), ours, "serial {serial}");
            let expected = serial == 77
                || (std::ptr::eq(ca, &lab.ca)
                    && (serials.contains(&serial) || (200..=300).contains(&serial)));
            assert_eq!(ours, expected, "serial {serial}");
        }
    }
    let by_id = lab.certificate(&lab.ca, 1, "hop:person=HOP1001;grant=g1");
    assert!(lab.keygen_finds(&bytes, &by_id.to_line("")));
    for (key, expected) in [(&listed, true), (&hashed, true), (&lab.user, false)] {
        assert_eq!(lab.keygen_finds(&bytes, &key.public().to_line("")), expected);
        assert_eq!(again.find_key(key.public()).is_some(), expected);
    }
    let shown = lab.keygen.run(&["-Q", "-l", "-f", &lab.keygen.path("ours")]);
    assert!(shown.contains("KRL version 3"), "{shown}");
}

#[test]
fn an_empty_list_is_no_empty_file() {
    let lab = lab();
    let certificate = lab.certificate(&lab.ca, 100, "");
    let empty = RevocationList::new().to_bytes(1, 2, "");
    assert_eq!(RevocationList::parse(&empty).unwrap().find_certificate(&certificate), None);
    assert!(!lab.keygen_finds(&empty, &certificate.to_line("")));
    // sshd takes this one as "nothing is revoked"; we do not.
    assert_eq!(RevocationList::parse(b""), Err(KrlError::Empty));
}

#[test]
fn a_cut_list_is_an_error() {
    let lab = lab();
    let bytes = lab.by_keygen("serial: 100\nserial: 200-300\nid: x", &["-s", "ca.pub"]);
    // Up to the end of the comment the header alone is a valid list, as for sshd.
    let header = 8 + 4 + 8 + 8 + 8 + 4 + 4;
    for length in (0..bytes.len()).filter(|length| *length != header) {
        assert!(RevocationList::parse(&bytes[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn what_is_not_understood_is_an_error() {
    let lab = lab();
    let section = |kind: u8, contents: &[u8]| {
        let mut bytes = RevocationList::new().to_bytes(1, 2, "");
        bytes.push(kind);
        bytes.put_string(contents);
        RevocationList::parse(&bytes).map(|_| ())
    };
    let extension = |critical: u8| {
        let mut contents = Vec::new();
        contents.put_string(b"x@hop.example");
        contents.push(critical);
        contents.put_string(b"anything");
        contents
    };
    let certificates = |kind: u8, contents: &[u8]| {
        let mut out = Vec::new();
        out.put_string(lab.ca.public().blob());
        out.put_string(b"");
        out.push(kind);
        out.put_string(contents);
        out
    };
    let bitmap = |offset: u64| {
        let mut out = Vec::new();
        out.put_u64(offset);
        out.put_positive(&[1, 0]);
        out
    };
    let range = [[0, 0, 0, 0, 0, 0, 0, 9], [0, 0, 0, 0, 0, 0, 0, 8]].concat();
    assert_eq!(section(255, &extension(0)), Ok(()));
    assert_eq!(section(255, &extension(1)), Err(KrlError::Section { kind: 255 }));
    assert_eq!(section(4, b""), Err(KrlError::Section { kind: 4 }));
    assert_eq!(section(9, b""), Err(KrlError::Section { kind: 9 }));
    assert_eq!(section(1, &certificates(0x39, &extension(0))), Ok(()));
    assert_eq!(section(1, &certificates(0x39, &extension(1))), Err(KrlError::Section { kind: 0x39 }));
    assert_eq!(section(1, &certificates(0x30, b"")), Err(KrlError::Section { kind: 0x30 }));
    assert_eq!(section(1, &certificates(0x21, &range)), Err(KrlError::Range));
    assert_eq!(section(1, &certificates(0x22, &bitmap(u64::MAX - 15))), Ok(()));
    assert_eq!(section(1, &certificates(0x22, &bitmap(u64::MAX - 14))), Err(KrlError::Range));
    assert!(matches!(section(5, b"\0\0\0\x01x"), Err(KrlError::Wire(_))));
    let mut format = RevocationList::new().to_bytes(1, 2, "");
    format[11] = 2;
    assert_eq!(RevocationList::parse(&format), Err(KrlError::Format(2)));
}

#[test]
fn the_text_form() {
    let lab = lab();
    let certificate = lab.certificate(&lab.ca, 1, "");
    let keys = [lab.user.public().to_line("a"), lab.ca.public().to_line("b"), certificate.to_line("c")];
    let text = |lines: &[&str]| RevocationList::parse(lines.join("\n").as_bytes());
    let found = |lines: &[&str]| text(lines).unwrap().find_certificate(&certificate);
    assert_eq!(found(&["# nothing yet"]), None);
    assert_eq!(found(&["# c", "", &keys[0]]), Some(Revoked::Key));
    assert_eq!(found(&[&keys[1], "\r"]), Some(Revoked::Ca));
    assert_eq!(found(&[&keys[2]]), Some(Revoked::Key));
    // No one can log in with DSA, so revoking it changes nothing.
    assert_eq!(found(&["ssh-dss AAAAB3NzaC1kc3MAAAAA", &keys[0]]), Some(Revoked::Key));
    let error = text(&[&keys[0], "cert-authority x"]).unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
    assert!(text(&["SSHKRL"]).is_err());
    assert!(RevocationList::parse(&[0; 64]).is_err());
}
