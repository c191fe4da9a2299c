//! Files on disk and who they let in.

use std::os::unix::fs::PermissionsExt;

use hop_keys::{Certificate, CertificateBuilder, CertificateKind, KeyAlgorithm, Permit, PrivateKey};

use super::*;
use crate::private_dir::PrivateDir;

const NOW: u64 = 1_800_000_000;

struct Site {
    directory: PrivateDir,
    access: Access,
    key: PrivateKey,
    ca: PrivateKey,
}

impl Site {
    /// One key in one authorized_keys file, one trusted CA, for the user `ada`.
    fn new() -> Self {
        let directory = PrivateDir::create(&std::env::temp_dir()).unwrap();
        let [key, ca] = [(); 2].map(|()| PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap());
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("keys"), format!("no-pty {}\n", key.public().to_line("laptop"))).unwrap();
        std::fs::write(at("cas"), format!("# ours\n\n{}\n", ca.public().to_line("ca"))).unwrap();
        let access = Access {
            users: vec!["ada".into()],
            authorized_keys: vec![at("keys")],
            trusted_user_cas: vec![at("cas")],
            revoked_keys: None,
        };
        Self { directory, access, key, ca }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn certificate(&self, principal: &str) -> Certificate {
        let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().public().clone();
        let (kind, end) = (CertificateKind::User, NOW + 60);
        let made = CertificateBuilder::new(kind, key, "ada@example", &[principal], NOW - 60, end);
        made.unwrap().serial(7).permit(Permit::Pty).sign(&self.ca).unwrap()
    }

    fn own_key(&self) -> Identity {
        Identity::Key(self.key.public().clone())
    }

    fn judge(&self, user: &str, identity: &Identity) -> Result<Admission, Denied> {
        let address = Some("192.0.2.7".parse().unwrap());
        self.access.judge(&Applicant { user, identity, address, now: NOW, utc_offset: 0 })
    }
}

fn stranger() -> Identity {
    Identity::Key(PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().public().clone())
}

#[test]
fn a_listed_key_is_admitted_with_its_lines_permissions() {
    let site = Site::new();
    let admission = site.judge("ada", &site.own_key()).unwrap();
    assert!(!admission.permissions.pty && admission.permissions.agent_forwarding);
    assert_eq!(admission.not_after, None);
    assert!(admission.reason.contains("\"laptop\", line 1 of "), "{}", admission.reason);
}

#[test]
fn a_certificate_of_the_ca_is_admitted_until_it_expires() {
    let site = Site::new();
    let admission = site.judge("ada", &Identity::Certificate(Box::new(site.certificate("ada")))).unwrap();
    assert!(admission.permissions.pty && !admission.permissions.agent_forwarding);
    assert_eq!(admission.not_after, Some(NOW + 59));
    assert!(admission.reason.contains("certificate \"ada@example\" serial 7"), "{}", admission.reason);
}

#[test]
fn others_are_denied_for_the_log_to_say_why() {
    let site = Site::new();
    let foreign = Identity::Certificate(Box::new(site.certificate("bob")));
    let cases = [
        ("bob", site.own_key(), "there is no user \"bob\""),
        ("", site.own_key(), "there is no user \"\""),
        ("ada", stranger(), "the key is not listed"),
        ("ada", foreign.clone(), "authorized principal"),
        // The name must be ours even when the certificate names it.
        ("bob", foreign, "there is no user \"bob\""),
    ];
    for (user, identity, reason) in cases {
        let denied = site.judge(user, &identity).unwrap_err().to_string();
        assert!(denied.contains(reason), "{denied}");
    }
    let nothing = Access { users: vec!["ada".into()], ..Access::default() };
    let site = Site { access: nothing, ..site };
    assert!(matches!(site.judge("ada", &site.own_key()).unwrap_err(), Denied::NothingToAsk));
}

#[test]
fn a_revocation_list_counts_at_once_and_must_be_readable() {
    let mut site = Site::new();
    let path = site.write("revoked", &RevocationList::new().to_bytes(1, NOW, ""));
    site.access.revoked_keys = Some(path.clone());
    site.judge("ada", &site.own_key()).unwrap();
    let mut list = RevocationList::new();
    list.revoke_key(site.key.public());
    site.write("revoked", &list.to_bytes(2, NOW, ""));
    assert!(site.judge("ada", &site.own_key()).unwrap_err().to_string().contains("revocation list"));
    let certificate = Identity::Certificate(Box::new(site.certificate("ada")));
    site.judge("ada", &certificate).unwrap();
    std::fs::remove_file(path).unwrap();
    for identity in [site.own_key(), certificate] {
        let denied = site.judge("ada", &identity).unwrap_err();
        assert!(matches!(denied, Denied::File(AccessFileError::Unreadable { .. })), "{denied}");
    }
    assert!(site.access.check().is_err());
}

#[test]
fn a_file_that_cannot_be_used_admits_nobody_but_spoils_no_other() {
    let mut site = Site::new();
    let missing = site.directory.path().join("missing");
    site.access.authorized_keys.insert(0, missing.clone());
    site.judge("ada", &site.own_key()).unwrap();
    assert!(site.access.check().unwrap_err().to_string().contains("missing"));
    site.access.authorized_keys = vec![missing];
    assert!(matches!(site.judge("ada", &site.own_key()).unwrap_err(), Denied::File(_)));

    let site = Site::new();
    let keys = &site.access.authorized_keys[0];
    for mode in [0o620, 0o602] {
        std::fs::set_permissions(keys, PermissionsExt::from_mode(mode)).unwrap();
        let denied = site.judge("ada", &site.own_key()).unwrap_err().to_string();
        assert!(denied.contains("hint: chmod go-w"), "{denied}");
    }
}

#[test]
fn what_is_wrong_with_files_is_said_at_the_start() {
    let mut site = Site::new();
    assert_eq!(site.access.check().unwrap(), Vec::<String>::new());
    let good = site.key.public().to_line("");
    site.access.authorized_keys = vec![site.write("keys", format!("{good}\nnonsense\n").as_bytes())];
    let complaints = site.access.check().unwrap();
    assert_eq!(complaints.len(), 1);
    assert!(complaints[0].contains("keys line 2: "), "{}", complaints[0]);
    site.judge("ada", &site.own_key()).unwrap();
    site.access.trusted_user_cas = vec![site.write("cas", b"# fine\nnonsense\n")];
    let error = site.access.check().unwrap_err().to_string();
    assert!(error.contains("cas line 2: "), "{error}");
}

/// A certificate that lasts a minute and has a word in it, as a gateway elsewhere makes one.
fn with_word(
    site: &Site,
    word: &str,
    change: impl FnOnce(CertificateBuilder) -> CertificateBuilder,
) -> Identity {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().public().clone();
    let made =
        CertificateBuilder::new(CertificateKind::User, key, "session", &["ada"], NOW - 5, NOW + 60).unwrap();
    let made = made.critical_option(Word::OPTION, word).unwrap().permit(Permit::Pty);
    Identity::Certificate(Box::new(change(made).sign(&site.ca).unwrap()))
}

fn word(change: impl FnOnce(&mut Word)) -> String {
    let [client, server] = ["192.0.2.9:4000", "198.51.100.1:22"].map(|address| address.parse().unwrap());
    let mut word = Word::new("s1", "saga", client, server, Permissions::all());
    change(&mut word);
    String::from_utf8(word.encode().unwrap()).unwrap()
}

#[test]
fn a_gateways_word_comes_in_a_certificate() {
    let site = Site::new();
    let text = word(|word| {
        word.not_after = Some(NOW + 3600);
        word.permissions.force_command = Some("only this".to_owned());
        word.permissions.pty = false;
    });
    let admission = site.judge("ada", &with_word(&site, &text, |made| made)).unwrap();
    assert_eq!(admission.word.unwrap().project, "saga");
    // Both say what the session may do: the certificate only allows a terminal, the word everything else.
    let allowed = Permissions { force_command: Some("only this".to_owned()), ..Permissions::none() };
    assert_eq!(admission.permissions, allowed);
    assert_eq!(admission.not_after, Some(NOW + 3600), "the certificate's minute is about the login");
}

#[test]
fn a_word_that_is_not_understood_or_over_lets_nobody_in() {
    let site = Site::new();
    let fine = word(|_| {});
    let newer = fine.replacen("\"version\":1", "\"version\":2", 1);
    let more = fine.replacen("\"version\":1", "\"version\":1,\"lock\":true", 1);
    let over = word(|word| word.not_after = Some(NOW - 1));
    let forced = word(|word| word.permissions.force_command = Some("this".to_owned()));
    let unchanged: fn(CertificateBuilder) -> CertificateBuilder = |made| made;
    let other: fn(CertificateBuilder) -> CertificateBuilder = |made| made.force_command("that").unwrap();
    let denied = |word: &str, change| site.judge("ada", &with_word(&site, word, change)).unwrap_err();
    for text in [newer.as_str(), &more, ""] {
        assert!(matches!(denied(text, unchanged), Denied::Word(_)), "{text}");
    }
    assert!(matches!(denied(&over, unchanged), Denied::WordIsOver { .. }));
    assert!(matches!(denied(&forced, other), Denied::Conflict(_)));
    // A CA that a line of authorized_keys trusts vouches for people, not for words.
    site.write("keys", format!("cert-authority {}\n", site.ca.public().to_line("ca")).as_bytes());
    let by_line = Access { trusted_user_cas: Vec::new(), ..site.access.clone() };
    let identity = with_word(&site, &fine, unchanged);
    let applicant = Applicant { user: "ada", identity: &identity, address: None, now: NOW, utc_offset: 0 };
    let denied = by_line.judge(&applicant).unwrap_err().to_string();
    assert!(denied.contains(Word::OPTION), "{denied}");
}
