//! Certificates of the site's user CA, and what they say about sessions.

use crate::site::{FIRST, Options, Person, Site, change, ended, first_line, now, output, text};
use hop_gateway::UserCa;
use hop_keys::{CertificateBuilder, CertificateKind, KeyAlgorithm, Permit, PrivateKey, RevocationList};
use hop_store::{AccountId, EndCause, NewCertificate, Timestamp};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A CA, a revocation list, and the key that is certified: nobody has put it on the site's pages.
struct Lab {
    site: Site,
    ca: PrivateKey,
    revoked: Arc<Mutex<RevocationList>>,
    key: PrivateKey,
    file: PathBuf,
}

/// What a certificate says; what is not said is good.
struct Wish {
    principals: Vec<String>,
    from: i64,
    until: i64,
    permits: bool,
    force_command: Option<&'static str>,
    source_address: Option<&'static str>,
    other_ca: bool,
    on_record: Option<AccountId>,
}

impl Lab {
    async fn start() -> Self {
        let ca = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let revoked = Arc::new(Mutex::new(RevocationList::new()));
        let list = revoked.clone();
        let user_ca = UserCa {
            keys: vec![ca.public().clone()],
            revoked: Arc::new(move || Arc::new(list.lock().unwrap().clone())),
        };
        let site = Site::start_with(Options { user_ca, ..Options::default() }).await;
        let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let file = site.directory.path().join("visitor.key");
        std::fs::write(&file, key.to_openssh("visitor").as_bytes()).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Self { site, ca, revoked, key, file }
    }

    fn person(&self, person: &Person) -> Wish {
        Wish {
            principals: vec![format!("person:{}", person.account)],
            from: -60,
            until: 900,
            permits: true,
            force_command: None,
            source_address: None,
            other_ca: false,
            on_record: Some(person.account),
        }
    }

    /// Issues it, puts it on record, and lays it beside the key.
    async fn issue(&self, serial: u64, wish: &Wish) {
        let at = |offset: i64| now().as_seconds().checked_add_signed(offset).unwrap();
        let mut builder = CertificateBuilder::new(
            CertificateKind::User,
            self.key.public().clone(),
            &format!("ada for an hour #{serial}"),
            &wish.principals,
            at(wish.from),
            at(wish.until),
        )
        .unwrap()
        .serial(serial);
        if wish.permits {
            for permit in Permit::ALL {
                builder = builder.permit(permit);
            }
        }
        if let Some(command) = wish.force_command {
            builder = builder.force_command(command).unwrap();
        }
        if let Some(list) = wish.source_address {
            builder = builder.source_address(list).unwrap();
        }
        let other = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let certificate = builder.sign(if wish.other_ca { &other } else { &self.ca }).unwrap();
        std::fs::write(self.file.with_extension("key-cert.pub"), certificate.to_line("")).unwrap();
        if let Some(account) = wish.on_record {
            let mut change = self.site.change().await;
            let fingerprint = self.key.public().fingerprint();
            let expires = Timestamp::from_seconds(at(wish.until));
            let new = NewCertificate { serial, account, fingerprint, expires };
            change.certificates().add(&new).await.unwrap();
            change.commit().await.unwrap();
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        let visitor = Person {
            name: "visitor".to_owned(),
            account: self.site.ada.account,
            key: self.site.ada.key,
            private: self.file.clone(),
        };
        ssh.arg("-F").arg(self.site.config_of(&visitor, &visitor)).args(words).stdin(Stdio::null());
        ssh
    }

    async fn ssh(&self, words: &[&str]) -> Output {
        output(self.command(words)).await
    }
}

#[tokio::test]
async fn a_certificate_opens_what_its_account_may_enter() {
    let lab = Lab::start().await;
    let site = &lab.site;
    let good = || lab.person(&site.ada);
    let ada = format!("person:{}", site.ada.account);
    let cases: Vec<(&str, Wish, bool)> = vec![
        ("good", good(), true),
        ("with other principals", Wish { principals: vec!["else".to_owned(), ada.clone()], ..good() }, true),
        ("from here", Wish { source_address: Some("127.0.0.0/8"), ..good() }, true),
        ("from elsewhere", Wish { source_address: Some("10.0.0.0/8"), ..good() }, false),
        ("not on record", Wish { on_record: None, ..good() }, false),
        ("on record for another", Wish { on_record: Some(site.bob.account), ..good() }, false),
        ("over", Wish { from: -900, until: -1, ..good() }, false),
        ("not yet", Wish { from: 60, ..good() }, false),
        ("another CA", Wish { other_ca: true, ..good() }, false),
        ("a bare name", Wish { principals: vec!["ada".to_owned(), FIRST.to_owned()], ..good() }, false),
        (
            "two accounts",
            Wish { principals: vec![ada, format!("person:{}", site.bob.account)], ..good() },
            false,
        ),
        ("no member", lab.person(&site.eve), false),
    ];
    for (number, (what, wish, is_in)) in cases.into_iter().enumerate() {
        lab.issue(100 + u64::try_from(number).unwrap(), &wish).await;
        let output = lab.ssh(&[&format!("{FIRST}@gateway"), "echo $HOP_ACCOUNT"]).await;
        let said = text(&output.stderr);
        match is_in {
            true => assert_eq!(text(&output.stdout), "ada\n", "{what}: {said}"),
            false => {
                assert_eq!(output.status.code(), Some(255), "{what}");
                assert!(said.contains("Permission denied (publickey)"), "{what}: {said}");
            }
        }
    }
    let sessions = site.sessions_of(site.first).await;
    assert_eq!(sessions.len(), 3);
    let first = sessions.last().unwrap();
    assert_eq!((first.key_title.as_str(), first.account), ("ada for an hour #100", site.ada.account));
    assert_eq!(first.key_fingerprint, lab.key.public().fingerprint());
    // Through the door, too.
    lab.issue(200, &good()).await;
    let output = lab.ssh(&["-J", "jump@gateway", &format!("{FIRST}@{FIRST}"), "echo $HOP_ACCOUNT"]).await;
    assert_eq!(text(&output.stdout), "ada\n", "{}", text(&output.stderr));
}

#[tokio::test]
async fn what_a_certificate_permits_holds_through_the_relay() {
    let lab = Lab::start().await;
    let to = format!("{FIRST}@gateway");
    lab.issue(
        1,
        &Wish { force_command: Some("echo forced: $SSH_ORIGINAL_COMMAND"), ..lab.person(&lab.site.ada) },
    )
    .await;
    let output = lab.ssh(&[&to, "echo mine"]).await;
    assert_eq!(text(&output.stdout), "forced: echo mine\n", "{}", text(&output.stderr));
    lab.issue(2, &Wish { permits: false, ..lab.person(&lab.site.ada) }).await;
    let output = lab.ssh(&[&to, "echo in"]).await;
    assert_eq!(text(&output.stdout), "in\n", "{}", text(&output.stderr));
    let output = lab.ssh(&["-tt", &to, "tty"]).await;
    assert!(text(&output.stderr).contains("PTY allocation request failed"), "{}", text(&output.stderr));
    let output = lab.ssh(&["-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", &to]).await;
    assert!(text(&output.stderr).contains("remote port forwarding failed"), "{}", text(&output.stderr));
    let output = lab.ssh(&["-W", "127.0.0.1:1", &to]).await;
    assert!(text(&output.stderr).contains("stdio forwarding failed"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_revoked_certificate_opens_nothing() {
    let lab = Lab::start().await;
    let to = format!("{FIRST}@gateway");
    let refused = |output: Output, what: &str| {
        assert!(
            text(&output.stderr).contains("Permission denied (publickey)"),
            "{what}: {}",
            text(&output.stderr)
        );
    };
    let good = lab.person(&lab.site.ada);
    lab.issue(1, &good).await;
    let mut change = lab.site.change().await;
    assert!(change.certificates().revoke(1).await.unwrap());
    change.commit().await.unwrap();
    refused(lab.ssh(&[&to, "true"]).await, "revoked in the records");
    lab.issue(2, &good).await;
    lab.revoked.lock().unwrap().revoke_serials(Some(lab.ca.public()), 2, 2);
    refused(lab.ssh(&[&to, "true"]).await, "its serial is on the list");
    lab.issue(3, &good).await;
    assert!(lab.ssh(&[&to, "true"]).await.status.success());
    lab.revoked.lock().unwrap().revoke_key_id(Some(lab.ca.public()), "ada for an hour #3");
    refused(lab.ssh(&[&to, "true"]).await, "its key ID is on the list");
    // A stored key on the list counts no more, either.
    let line = std::fs::read_to_string(&lab.site.ada.private).unwrap();
    let ada = PrivateKey::from_openssh(&line, None).unwrap();
    lab.revoked.lock().unwrap().revoke_key(ada.public());
    refused(lab.site.ssh(&lab.site.ada, FIRST, &["true"]).await, "a stored key is on the list");
}

#[tokio::test]
async fn a_session_ends_with_its_certificate() {
    let lab = Lab::start().await;
    let to = format!("{FIRST}@gateway");
    for (until, words) in
        [(900, "the certificate \"ada for an hour #1\" was revoked"), (4, "#2\" has expired")]
    {
        let serial = if until == 900 { 1 } else { 2 };
        lab.issue(serial, &Wish { until, ..lab.person(&lab.site.ada) }).await;
        let mut ssh = lab.command(&[&to, "echo in; sleep 1000"]);
        let mut client = ssh.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (line, _output) = first_line(&mut client).await;
        assert_eq!(line, "in\n");
        if serial == 1 {
            let store = lab.site.other_process().await;
            let mut change = change(&store).await;
            assert!(change.certificates().revoke(1).await.unwrap());
            change.commit().await.unwrap();
        }
        let (status, said, took) = ended(client).await;
        eprintln!("certificate #{serial}: its session ended after {} ms", took.as_millis());
        assert_eq!(status.code(), Some(255));
        assert!(said.contains(words), "{said}");
        assert!(took < Duration::from_secs(10));
    }
    for session in lab.site.sessions_of(lab.site.first).await {
        assert_eq!(session.end.unwrap().cause, EndCause::Revoked);
    }
}
