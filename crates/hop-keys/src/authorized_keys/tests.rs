use hop_model::{ListenRule, OpenRule, PermitListen, PermitOpen};

use super::*;
use crate::test_tools::{NOW, fields, raw_certificate, token};
use crate::{CertificateKind, KeyAlgorithm, PrivateKey};

fn key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap()
}

fn facts(user: &str) -> LoginFacts<'_> {
    LoginFacts {
        user,
        address: Some("127.0.0.1".parse().unwrap()),
        host: None,
        now: NOW,
        utc_offset: 0,
        ca_signatures: &SignatureAlgorithm::ALL,
        revocations: None,
    }
}

/// Reads one line with these options and asks for its own key.
fn grant(options: &str) -> Result<KeyGrant, String> {
    let key = key();
    let line = format!("{options} {}", key.public().to_line("comment"));
    let (file, problems) = AuthorizedKeys::parse(line.as_bytes());
    if let Some(problem) = problems.first() {
        return Err(problem.to_string());
    }
    file.find(&Identity::Key(key.public().clone()), &facts("root")).map_err(|refusal| refusal.to_string())
}

#[test]
fn flags() {
    let all = Permissions::all;
    let none = Permissions::none;
    let table: &[(&str, Permissions)] = &[
        ("", all()),
        ("restrict", none()),
        ("RESTRICT,PTY", Permissions { pty: true, ..none() }),
        ("no-pty", Permissions { pty: false, ..all() }),
        ("no-pty,pty", all()),
        ("pty,no-pty", Permissions { pty: false, ..all() }),
        ("no-agent-forwarding", Permissions { agent_forwarding: false, ..all() }),
        ("no-X11-forwarding", Permissions { x11_forwarding: false, ..all() }),
        ("no-user-rc", Permissions { user_rc: false, ..all() }),
        ("no-port-forwarding", Permissions { open: PermitOpen::None, listen: PermitListen::None, ..all() }),
        (
            "restrict,port-forwarding",
            Permissions { open: PermitOpen::Any, listen: PermitListen::Any, ..none() },
        ),
        ("restrict,agent-forwarding,x11-forwarding,user-rc,pty,port-forwarding", all()),
        ("tunnel=\"0\"", all()),
        ("tunnel=\"any\",pty", all()),
        (",no-pty,,no-user-rc,", Permissions { pty: false, user_rc: false, ..all() }),
    ];
    for (options, expected) in table {
        assert_eq!(grant(options).unwrap().permissions(), expected, "{options}");
    }
}

#[test]
fn commands_and_environment() {
    let command = |options| grant(options).unwrap().permissions().force_command.clone();
    assert_eq!(command(r#"command="dump /home",no-pty"#).as_deref(), Some("dump /home"));
    assert_eq!(command(r#"command="echo \"a, b\" \\ c""#).as_deref(), Some(r#"echo "a, b" \\ c"#));
    assert_eq!(command(r#"command="x",restrict"#).as_deref(), Some("x"));
    assert_eq!(command(r#"command="""#).as_deref(), Some(""));
    let environment = |options| grant(options).unwrap().permissions().environment.clone();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        environment(r#"environment="A=1",environment="B_2=x=y z",environment="A=3",restrict"#),
        [pair("A", "1"), pair("B_2", "x=y z")]
    );
}

#[test]
fn forwarding_rules() {
    let permissions = |options: &str| grant(options).unwrap().permissions().clone();
    let rules = permissions(r#"permitopen="192.0.2.1:80",permitopen="[::1]:*",permitlisten="8080""#);
    let open = ["192.0.2.1:80", "[::1]:*"].map(|rule| OpenRule::parse(rule).unwrap());
    assert_eq!(rules.open, PermitOpen::only(open.to_vec()));
    assert_eq!(rules.listen, PermitListen::only(vec![ListenRule::parse("8080").unwrap()]));
    let open_only = permissions(r#"permitopen="h:1""#);
    assert_eq!(open_only.listen, PermitListen::Any);
    assert!(!open_only.may_stream_local() && open_only.may_listen_stream_local());
    for off in [r#"restrict,permitopen="h:1""#, r#"permitopen="h:1",no-port-forwarding"#] {
        assert!(!permissions(off).may_open("h", 1), "{off}");
    }
    assert!(permissions(r#"restrict,port-forwarding,permitopen="h:1""#).may_open("h", 1));
}

#[test]
fn lines_that_are_not_understood_grant_nothing() {
    let table = [
        ("no-such-option", "option \"no-such-option\" is unknown"),
        ("no-restrict", "option \"no-restrict\" is unknown"),
        ("no-cert-authority", "option \"no-cert-authority\" is unknown"),
        ("tunnel=\"x\"", "tunnel \"x\" is neither"),
        ("principals=\"a\"", "principals has a meaning only together with cert-authority"),
        ("=\"x\"", "option \"\" is unknown"),
        ("command=x", "the value of command is not in double quotes"),
        ("command=\"x", "is not in double quotes"),
        ("command=\"x\"y", "option \"y\" is unknown"),
        ("command=\"x\",command=\"x\"", "option command stands twice"),
        ("command", "option \"command\" is unknown"),
        ("pty=\"yes\"", "option \"pty\" is unknown"),
        ("from=\"10.0.0.1/8\"", "from: \"10.0.0.1/8\" is no address"),
        ("from=\"\"", "from:"),
        ("expiry-time=\"soon\"", "expiry-time \"soon\" is not"),
        ("environment=\"A\"", "environment \"A\" is not NAME=VALUE"),
        ("environment=\"A-B=1\"", "environment \"A-B=1\" is not NAME=VALUE"),
        ("permitopen=\"host\"", "\"host\" is not HOST:PORT"),
        ("permitopen=\"host:0\"", "\"host:0\" has no port"),
        ("permitlisten=\"x\"", "\"x\" has no port"),
        ("command=\"\u{fffd}\"", "not UTF-8"),
    ];
    for (options, reason) in table {
        let said = grant(options).unwrap_err();
        assert!(said.starts_with("line 1: ") && said.contains(reason), "{options}: {said}");
    }
}

#[test]
fn from_restricts_the_address() {
    assert!(grant("from=\"127.0.0.0/8\"").is_ok());
    let said = grant("from=\"10.0.0.0/8,!127.0.0.1\"").unwrap_err();
    assert_eq!(said, "line 1: correct key, but not from a permitted host (127.0.0.1)");
    let key = key();
    let line = format!("from=\"*\" {}", key.public().to_line(""));
    let (file, _) = AuthorizedKeys::parse(line.as_bytes());
    let identity = Identity::Key(key.public().clone());
    let nowhere = LoginFacts { address: None, ..facts("u") };
    assert_eq!(file.find(&identity, &nowhere).unwrap_err(), KeyRefusal::From { line: 1, address: None });
}

#[test]
fn expiry_times() {
    // It is 2026-11-22 12:00 UTC.
    assert_eq!(grant("expiry-time=\"20261122120001Z\"").unwrap().not_after(), Some(NOW + 1));
    assert_eq!(grant("expiry-time=\"20261122120000Z\"").unwrap().not_after(), Some(NOW));
    assert_eq!(grant("").unwrap().not_after(), None);
    assert_eq!(grant("expiry-time=\"20261122115959Z\"").unwrap_err(), "line 1: the entry has expired");
    let two = grant("expiry-time=\"20270101\",expiry-time=\"20261123Z\"").unwrap();
    assert_eq!(two.not_after(), Some(NOW + 12 * 3600));
    let key = key();
    let line = format!("expiry-time=\"202611221230\" {}", key.public().to_line(""));
    let (file, _) = AuthorizedKeys::parse(line.as_bytes());
    let identity = Identity::Key(key.public().clone());
    for (utc_offset, open) in [(0, true), (1800, true), (1801, false), (3600, false), (-3600, true)] {
        let local = LoginFacts { utc_offset, ..facts("u") };
        assert_eq!(file.find(&identity, &local).is_ok(), open, "{utc_offset}");
    }
}

#[test]
fn token_options() {
    let policy =
        |touch_required, verification_required| TokenPolicy { touch_required, verification_required };
    assert_eq!(grant("").unwrap().token(), policy(true, false));
    assert_eq!(grant("no-touch-required").unwrap().token(), policy(false, false));
    assert_eq!(grant("verify-required").unwrap().token(), policy(true, true));
    assert_eq!(grant("no-touch-required,verify-required").unwrap().token(), policy(false, true));
}

#[test]
fn files_as_they_are_found() {
    let (one, two) = (key(), key());
    let mut file = b"# comment\r\n\r\n".to_vec();
    file.extend_from_slice(format!("{}\r\n", one.public().to_line("one")).as_bytes());
    file.extend_from_slice(b"no-such-option ssh-ed25519 AAAA\n");
    file.extend_from_slice(two.public().to_line("").as_bytes());
    file.extend_from_slice(b" M\xfcller\nssh-dss AAAAB3NzaC1kc3MAAAAA old\ngarbage\n\0\xff\n");
    file.extend_from_slice(&[b'x'; 20_000]);
    let (keys, problems) = AuthorizedKeys::parse(&file);
    assert_eq!(keys.keys().collect::<Vec<_>>(), [(3, one.public()), (5, two.public())]);
    let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [4, 6, 7, 8, 9], "{problems:?}");
    assert!(problems[1].to_string().contains("ssh-dss"), "{}", problems[1]);
    let identity = Identity::Key(two.public().clone());
    let grant = keys.find(&identity, &facts("u")).unwrap();
    assert_eq!((grant.line(), grant.comment()), (5, "M\u{fffd}ller"));
    assert_eq!(
        keys.find(&Identity::Key(key().public().clone()), &facts("u")).unwrap_err(),
        KeyRefusal::NotListed
    );
    assert!(AuthorizedKeys::parse(b"").0.is_empty());
}

#[test]
fn a_later_line_may_let_in() {
    let key = key();
    let line = key.public().to_line("");
    let text = format!("from=\"10.0.0.1\" {line}\nno-pty {line}\n{line}\n");
    let (file, _) = AuthorizedKeys::parse(text.as_bytes());
    let grant = file.find(&Identity::Key(key.public().clone()), &facts("u")).unwrap();
    assert_eq!((grant.line(), grant.permissions().pty), (2, false));
}

#[test]
fn a_plain_key_is_no_ca_and_a_ca_no_plain_key() {
    let (ca, user) = (key(), key());
    let certificate = Identity::Certificate(Box::new(raw_certificate(
        &fields(user.public(), CertificateKind::User, &["u"]),
        &ca,
    )));
    let ca_line = ca.public().to_line("");
    let (plain, _) = AuthorizedKeys::parse(ca_line.as_bytes());
    assert_eq!(plain.find(&certificate, &facts("u")).unwrap_err(), KeyRefusal::NotListed);
    let (authority, _) = AuthorizedKeys::parse(format!("cert-authority {ca_line}").as_bytes());
    let ca_itself = Identity::Key(ca.public().clone());
    assert_eq!(authority.find(&ca_itself, &facts("u")).unwrap_err(), KeyRefusal::NotListed);
    assert!(authority.find(&certificate, &facts("u")).is_ok());
    // The certified key alone is nobody.
    let bare = Identity::Key(user.public().clone());
    assert_eq!(authority.find(&bare, &facts("u")).unwrap_err(), KeyRefusal::NotListed);
}

#[test]
fn certificates_meet_the_lines_options() {
    let (ca, user) = (key(), key());
    let find = |options: &str, change: &dyn Fn(&mut crate::certificate::Fields)| {
        let mut fields = fields(user.public(), CertificateKind::User, &["u", "group:a"]);
        fields.extensions.insert("permit-pty".to_owned(), Vec::new());
        fields.extensions.insert("permit-port-forwarding".to_owned(), Vec::new());
        change(&mut fields);
        let identity = Identity::Certificate(Box::new(raw_certificate(&fields, &ca)));
        let line = format!("cert-authority,{options} {}", ca.public().to_line(""));
        let (file, problems) = AuthorizedKeys::parse(line.as_bytes());
        assert_eq!(problems, []);
        file.find(&identity, &facts("u")).map_err(|refusal| refusal.to_string())
    };
    let force = |command: &'static str| {
        move |fields: &mut crate::certificate::Fields| {
            let data = [&(command.len() as u32).to_be_bytes(), command.as_bytes()].concat();
            fields.critical_options.insert("force-command".to_owned(), data);
        }
    };
    let grant = find("no-pty,no-touch-required", &|_| {}).unwrap();
    let expected = Permissions { open: PermitOpen::Any, listen: PermitListen::Any, ..Permissions::none() };
    assert_eq!(*grant.permissions(), expected);
    assert_eq!(grant.certificate().map(JudgedCertificate::principal), Some("u"));
    assert_eq!(grant.not_after(), Some(NOW + 3600 - 1));
    assert!(grant.token().touch_required, "only line and certificate together waive the touch");
    let waived = find("no-touch-required", &|fields| {
        fields.extensions.insert("no-touch-required".to_owned(), Vec::new());
    });
    assert!(!waived.unwrap().token().touch_required);
    let only_by_certificate = find("pty", &|fields| {
        fields.extensions.insert("no-touch-required".to_owned(), Vec::new());
    });
    assert!(only_by_certificate.unwrap().token().touch_required);
    assert_eq!(
        find("principals=\"x,group:a\"", &|_| {}).unwrap().certificate().unwrap().principal(),
        "group:a"
    );
    assert!(find("principals=\"x,GROUP:A\"", &|_| {}).unwrap_err().contains("authorized principal"));
    assert!(
        find("pty", &|fields| fields.principals = vec!["other".into()])
            .unwrap_err()
            .contains("authorized principal")
    );
    assert!(find("pty", &|fields| fields.principals.clear()).unwrap_err().contains("no principals"));
    assert!(find("from=\"10.0.0.1\"", &|_| {}).unwrap_err().contains("permitted host"));
    assert!(find("command=\"a\"", &force("b")).unwrap_err().contains("different commands"));
    for grant in
        [find("command=\"a\"", &force("a")), find("pty", &force("a")), find("command=\"a\"", &|_| {})]
    {
        assert_eq!(grant.unwrap().permissions().force_command.as_deref(), Some("a"));
    }
    let forever = find("expiry-time=\"20270101Z\"", &|fields| fields.valid_before = u64::MAX).unwrap();
    assert_eq!(forever.not_after(), Some(1_798_761_600));
}

#[test]
fn revoked_keys_are_let_in_by_no_line() {
    let key = key();
    let (file, _) = AuthorizedKeys::parse(key.public().to_line("").as_bytes());
    let mut list = RevocationList::new();
    list.revoke_key(key.public());
    let facts = LoginFacts { revocations: Some(&list), ..facts("u") };
    let refusal = file.find(&Identity::Key(key.public().clone()), &facts).unwrap_err();
    assert_eq!(refusal, KeyRefusal::Revoked(Revoked::Key));
}

#[test]
fn token_keys_are_listed_like_others() {
    for algorithm in [KeyAlgorithm::SkEd25519, KeyAlgorithm::SkEcdsaNistp256] {
        let public = token(algorithm).public;
        let (file, problems) =
            AuthorizedKeys::parse(format!("no-touch-required {}", public.to_line("")).as_bytes());
        assert_eq!(problems, []);
        assert!(file.find(&Identity::Key(public), &facts("u")).is_ok());
    }
}
