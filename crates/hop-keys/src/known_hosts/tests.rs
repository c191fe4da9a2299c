use super::*;
use crate::test_tools::{NOW, fields, raw_certificate, ssh_keygen};
use crate::{CertificateKind, KeyAlgorithm, PrivateKey, Revoked};

const POLICY: HostKeyPolicy<'_> =
    HostKeyPolicy { ca_signatures: &SignatureAlgorithm::ALL, revocations: None, now: NOW };

fn key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap()
}

fn read(text: &str) -> KnownHosts {
    let mut known = KnownHosts::new();
    assert_eq!(known.add(Path::new("known_hosts"), text.as_bytes()), []);
    known
}

/// The verdict in a word, and its line.
fn word(verdict: &HostKeyVerdict) -> String {
    let line = |at: &Location| at.to_string().replace("known_hosts:", "");
    match verdict {
        HostKeyVerdict::Known { at, certificate: None } => format!("known {}", line(at)),
        HostKeyVerdict::Known { at, certificate: Some(_) } => format!("certified {}", line(at)),
        HostKeyVerdict::Revoked { at: Some(at) } => format!("revoked {}", line(at)),
        HostKeyVerdict::Revoked { at: None } => "revoked".to_owned(),
        HostKeyVerdict::Changed { at, .. } => format!("changed {}", line(at)),
        HostKeyVerdict::Unknown { .. } => "unknown".to_owned(),
    }
}

#[test]
fn names_patterns_and_ports() {
    let key = key();
    let line = key.public().to_line("");
    let table: &[(&str, &str, u16, &str)] = &[
        ("host.example.org", "host.example.org", 22, "known 1"),
        ("host.example.org", "HOST.example.org", 22, "known 1"),
        ("Host.Example.org", "host.example.org", 22, "known 1"),
        ("host.example.org", "other.example.org", 22, "unknown"),
        ("a,b,10.0.0.1", "10.0.0.1", 22, "known 1"),
        ("*.example.org", "x.example.org", 22, "known 1"),
        ("*.example.org,!bad.example.org", "bad.example.org", 22, "unknown"),
        ("!bad.example.org,*.example.org", "good.example.org", 22, "known 1"),
        ("[h]:2222", "h", 2222, "known 1"),
        ("[h]:2222", "h", 22, "unknown"),
        ("[h]:2222", "h", 2223, "unknown"),
        ("[*.lab]:2222", "a.lab", 2222, "known 1"),
        // Without a line for the port, the bare host's line makes its key known.
        ("h", "h", 2222, "known 1"),
        ("[::1]:2222", "::1", 2222, "known 1"),
        ("fe80::1", "fe80::1", 22, "known 1"),
        ("a,,h,10.0.0.1/8", "h", 22, "known 1"),
        ("10.0.0.0/8", "10.0.0.1", 22, "unknown"),
    ];
    for &(hosts, host, port, expected) in table {
        let known = read(&format!("{hosts} {line} comment\n"));
        let verdict = known.check(host, port, &Identity::Key(key.public().clone()), &POLICY);
        assert_eq!(word(&verdict), expected, "{hosts} for {host}:{port}");
    }
}

#[test]
fn other_keys() {
    let (one, two) = (key(), key());
    let ecdsa = PrivateKey::generate(KeyAlgorithm::EcdsaNistp256).unwrap();
    let known = read(&format!(
        "# c\nh {}\nh {}\n[h]:22022 {}\ng {}\n",
        ecdsa.public().to_line(""),
        one.public().to_line(""),
        two.public().to_line(""),
        two.public().to_line("")
    ));
    let check =
        |host, port, key: &PrivateKey| known.check(host, port, &Identity::Key(key.public().clone()), &POLICY);
    assert_eq!(word(&check("h", 22, &one)), "known 3");
    assert_eq!(word(&check("h", 22, &ecdsa)), "known 2");
    let changed = check("h", 22, &two);
    assert_eq!(word(&changed), "changed 3", "the line with a key of the same kind is named");
    assert!(matches!(changed, HostKeyVerdict::Changed { known, .. } if known == *one.public()));
    // A key of another kind is a changed key too: an attacker chooses the kind.
    assert_eq!(word(&check("g", 22, &ecdsa)), "changed 5");
    assert_eq!(word(&check("h", 22022, &two)), "known 4");
    assert_eq!(word(&check("h", 22022, &one)), "changed 4");
    assert_eq!(word(&check("h", 2022, &two)), "unknown");
}

#[test]
fn revoked_lines_win() {
    let (host, ca) = (key(), key());
    let certificate = raw_certificate(&fields(host.public(), CertificateKind::Host, &["h"]), &ca);
    let plain = Identity::Key(host.public().clone());
    let certified = Identity::Certificate(Box::new(certificate));
    let host_line = host.public().to_line("");
    let ca_line = ca.public().to_line("");
    let good = format!("h {host_line}\n@cert-authority h {ca_line}\n");
    let table = [
        (String::new(), "known 1", "certified 2"),
        (format!("@revoked * {host_line}\n"), "revoked 3", "revoked 3"),
        (format!("@revoked * {ca_line}\n"), "known 1", "revoked 3"),
        (format!("@revoked other {host_line}\n"), "known 1", "certified 2"),
    ];
    for (more, for_plain, for_certified) in table {
        let known = read(&format!("{good}{more}"));
        assert_eq!(word(&known.check("h", 22, &plain, &POLICY)), for_plain, "{more}");
        assert_eq!(word(&known.check("h", 22, &certified, &POLICY)), for_certified, "{more}");
    }
    let mut list = RevocationList::new();
    list.revoke_key(host.public());
    let policy = HostKeyPolicy { revocations: Some(&list), ..POLICY };
    assert_eq!(word(&read(&good).check("h", 22, &plain, &policy)), "revoked");
    assert_eq!(list.find(&certified), Some(Revoked::Key));
}

#[test]
fn certificates_of_hosts() {
    let (host, ca, rogue) = (key(), key(), key());
    let ca_line = ca.public().to_line("");
    let certificate = |ca: &PrivateKey, change: &dyn Fn(&mut crate::certificate::Fields)| {
        let mut fields = fields(host.public(), CertificateKind::Host, &["h", "[h]"]);
        change(&mut fields);
        Identity::Certificate(Box::new(raw_certificate(&fields, ca)))
    };
    let good = certificate(&ca, &|_| {});
    let trusting = read(&format!("@cert-authority h,[h]:2222 {ca_line}"));
    assert_eq!(word(&trusting.check("h", 22, &good, &POLICY)), "certified 1");
    assert_eq!(word(&trusting.check("h", 2222, &good, &POLICY)), "certified 1");
    // The cases of sshd's matrix: no CA line, the wrong CA, another name, expired, no principals.
    assert_eq!(word(&read("").check("h", 22, &good, &POLICY)), "unknown");
    let refused = [
        (certificate(&rogue, &|_| {}), "not trusted here"),
        (certificate(&ca, &|fields| fields.principals = vec!["x".into()]), "authorized principal"),
        (certificate(&ca, &|fields| fields.valid_before = NOW), "expired"),
        (certificate(&ca, &|fields| fields.principals.clear()), "no principals"),
        (certificate(&ca, &|fields| fields.kind = CertificateKind::User), "not a host certificate"),
    ];
    for (identity, reason) in refused {
        let verdict = trusting.check("h", 22, &identity, &POLICY);
        let HostKeyVerdict::Unknown { refusal: Some(refusal) } = verdict else {
            panic!("{reason}: {verdict:?}")
        };
        assert!(refusal.to_string().contains(reason), "{refusal}");
        // As a plain key it may still be known.
        let both = read(&format!("@cert-authority h {ca_line}\nh {}", host.public().to_line("")));
        assert_eq!(word(&both.check("h", 22, &identity, &POLICY)), "known 2", "{reason}");
    }
    // A CA line does not make the CA's own key the host's.
    let ca_itself = Identity::Key(ca.public().clone());
    assert_eq!(word(&trusting.check("h", 22, &ca_itself, &POLICY)), "unknown");
}

#[test]
fn hashed_names_are_those_of_ssh_keygen() {
    let keygen = ssh_keygen();
    let (one, two) = (key(), key());
    let text = format!("one {}\n[two]:2222 {}\n", one.public().to_line(""), two.public().to_line(""));
    let file = keygen.write("known_hosts", text);
    keygen.run(&["-H", "-f", &file]);
    let hashed = keygen.read(&file);
    assert!(hashed.lines().all(|line| line.starts_with("|1|")), "{hashed}");
    let known = read(&hashed);
    assert_eq!(word(&known.check("ONE", 22, &Identity::Key(one.public().clone()), &POLICY)), "known 1");
    assert_eq!(word(&known.check("two", 2222, &Identity::Key(two.public().clone()), &POLICY)), "known 2");
    assert_eq!(word(&known.check("two", 22, &Identity::Key(two.public().clone()), &POLICY)), "unknown");
}

#[test]
fn ssh_keygen_finds_our_lines() {
    let keygen = ssh_keygen();
    let key = key();
    for (host, port, name) in [("h.example.org", 22, "h.example.org"), ("H", 2222, "[h]:2222")] {
        for line in
            [known_hosts_line(host, port, key.public()), hashed_known_hosts_line(host, port, key.public())]
        {
            let line = line.unwrap();
            let file = keygen.write("known_hosts", &line);
            assert!(keygen.run(&["-F", name, "-f", &file]).contains(&line));
            let verdict = read(&line).check(host, port, &Identity::Key(key.public().clone()), &POLICY);
            assert_eq!(word(&verdict), "known 1");
        }
    }
    for bad in ["", "a b", "a,b", "*", "!h", "@revoked", "h\n", "#", "|1|"] {
        assert_eq!(known_hosts_line(bad, 22, key.public()), None, "{bad:?}");
        assert_eq!(hashed_known_hosts_line(bad, 22, key.public()), None, "{bad:?}");
    }
}

#[test]
fn bad_lines_are_reported_and_skipped() {
    let key = key();
    let line = key.public().to_line("");
    let text = format!(
        "@unknown h {line}\n|1|x|y {line}\n|2|a {line}\nh ssh-ed25519\nh\u{fffd} {line}\nh 1024 35 1234\nh {line}\n"
    );
    let mut known = KnownHosts::new();
    let problems = known.add(Path::new("f"), text.as_bytes());
    assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        problems[0].to_string(),
        "line 1: marker \"@unknown\" is neither @cert-authority nor @revoked"
    );
    let verdict = known.check("h", 22, &Identity::Key(key.public().clone()), &POLICY);
    assert!(matches!(verdict, HostKeyVerdict::Known { at, .. } if at.to_string() == "f:7"));
}

#[test]
fn algorithms_on_record_come_first() {
    let offered = ["ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", "rsa-sha2-512", "ecdsa-sha2-nistp256"]
        .map(|name| IdentityAlgorithm::parse(name.as_bytes()).unwrap());
    let names = |known: &KnownHosts| -> Vec<&str> {
        known.order("h", 22, &offered).iter().map(|algorithm| algorithm.name()).collect()
    };
    assert_eq!(names(&read("")), offered.map(IdentityAlgorithm::name));
    let ecdsa = PrivateKey::generate(KeyAlgorithm::EcdsaNistp256).unwrap().public().to_line("");
    assert_eq!(names(&read(&format!("h {ecdsa}")))[0], "ecdsa-sha2-nistp256");
    assert_eq!(names(&read(&format!("@revoked h {ecdsa}")))[0], "ssh-ed25519-cert-v01@openssh.com");
    let both = read(&format!("h {ecdsa}\n@cert-authority h {}", key().public().to_line("")));
    assert_eq!(names(&both)[..2], ["ssh-ed25519-cert-v01@openssh.com", "ecdsa-sha2-nistp256"]);
}
