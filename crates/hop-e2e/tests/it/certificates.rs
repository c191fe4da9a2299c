//! User certificates and revocation lists made by ssh-keygen: the same verdicts from us as from OpenSSH's sshd.
//!
//! Every case is a login; `HOP_E2E_SERVER=sshd-9.2` shows that the table is right.

use std::path::{Path, PathBuf};

use hop_e2e::program::program;
use hop_e2e::server::{Kind, Options};
use hop_e2e::sshd::Release;
use hop_e2e::{Finished, Identity, Run, Scratch, Server};
use hop_keys::{CertificateBuilder, CertificateKind, Permit, PrivateKey, PublicKey};
use hop_model::{Permissions, Word};

/// One key that needs a certificate to log in, the CAs, and a server that trusts some of them.
struct Site {
    server: Server,
    holder: Identity,
    ca: Identity,
    other_ca: Identity,
    rogue_ca: Identity,
    rsa_ca: Identity,
    cas: PathBuf,
    krl: PathBuf,
    files: Scratch,
}

/// What a login must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accept,
    Refuse,
}

use Verdict::{Accept, Refuse};

impl Site {
    fn new() -> Self {
        let files = Scratch::new();
        let holder = Identity::ed25519(&files, "holder");
        let [ca, other_ca, rogue_ca] =
            ["ca", "other_ca", "rogue_ca"].map(|name| Identity::ed25519(&files, name));
        let rsa_ca = Identity::generate(&files, "rsa_ca", "rsa", &["-b", "3072"]);
        let trusted = [&ca, &other_ca, &rsa_ca].map(|ca| format!("{}\n", ca.public)).concat();
        let cas = files.write("cas", trusted);
        let krl = files.join("krl");
        let nothing = files.write("krl.spec", "");
        let _ = Run::new(program("ssh-keygen")).args(["-q", "-k", "-f"]).arg(&krl).arg(nothing).success();
        let server = Server::start_with(&Options {
            hop_arguments: vec![
                "--trusted-user-ca".to_owned(),
                cas.display().to_string(),
                "--revoked-keys".to_owned(),
                krl.display().to_string(),
            ],
            sshd_config: format!("TrustedUserCAKeys {}\nRevokedKeys {}\n", cas.display(), krl.display()),
            ..Options::default()
        });
        Self { server, holder, ca, other_ca, rogue_ca, rsa_ca, cas, krl, files }
    }

    /// A certificate for the holder's key: principals (none when empty) and more arguments for ssh-keygen.
    fn certify(&self, ca: &Identity, principals: &str, more: &[&str]) -> PathBuf {
        let public = self.files.write("certified.pub", &self.holder.public);
        let mut words = vec!["-q", "-I", "an id", "-z", "100"];
        if !principals.is_empty() {
            words.extend(["-n", principals]);
        }
        if !more.contains(&"-V") {
            words.extend(["-V", "-1m:+15m"]);
        }
        let keygen = Run::new(program("ssh-keygen")).args(words).args(more).arg("-s").arg(&ca.private);
        let _ = keygen.arg(public).success();
        self.files.join("certified-cert.pub")
    }

    /// A certificate that is fine.
    fn good(&self) -> PathBuf {
        self.certify(&self.ca, &self.server.user, &[])
    }

    /// A certificate of a minute with a gateway's word in it, as `change` has it.
    fn with_word(&self, change: impl FnOnce(String) -> String) -> PathBuf {
        let [client, server] = ["192.0.2.9:4000", "198.51.100.1:22"].map(|address| address.parse().unwrap());
        let permissions = Permissions { force_command: None, ..Permissions::all() };
        let mut word = Word::new("session-1", "saga", client, server, permissions);
        word.environment.push(("FROM_SITE".to_owned(), "yes".to_owned()));
        let word = change(String::from_utf8(word.encode().unwrap()).unwrap());
        let ca = std::fs::read_to_string(&self.ca.private).unwrap();
        let ca = PrivateKey::from_openssh(&ca, None).unwrap();
        let (key, _) = PublicKey::parse_line(&self.holder.public).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let user = self.server.user.as_str();
        let made =
            CertificateBuilder::new(CertificateKind::User, key, "session-1", &[user], now - 5, now + 60);
        let made = made.unwrap().permit(Permit::Pty).critical_option(Word::OPTION, &word).unwrap();
        self.files.write("word-cert.pub", made.sign(&ca).unwrap().to_line("a gateway"))
    }

    /// Logs in with the holder's key and this certificate.
    fn login(&self, certificate: &Path, options: &[&str], command: &str) -> Finished {
        Run::from_words(&Release::V9_2.words("ssh"))
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentitiesOnly=yes",
                "-o",
                "IdentityAgent=none",
            ])
            .args([
                "-o",
                "StrictHostKeyChecking=yes",
                "-o",
                "GlobalKnownHostsFile=none",
                "-o",
                "LogLevel=ERROR",
            ])
            .args(["-o", &format!("UserKnownHostsFile={}", self.server.known_hosts.display())])
            .args(["-p", &self.server.port().to_string(), "-l", &self.server.user])
            .args(options)
            .arg("-i")
            .arg(&self.holder.private)
            .arg("-o")
            .arg(format!("CertificateFile={}", certificate.display()))
            .args(["127.0.0.1", command])
            .finish()
    }

    fn assert(&self, case: &str, certificate: &Path, wanted: Verdict) {
        let finished = self.login(certificate, &[], "echo in");
        let found = if finished.stdout() == "in\n" { Accept } else { Refuse };
        assert_eq!(found, wanted, "{case}: {finished}");
        if wanted == Refuse {
            assert!(
                finished.stderr().contains("Permission denied"),
                "{case}: refused in another way: {finished}"
            );
        }
    }

    /// Writes a revocation list from ssh-keygen's own description of one.
    fn revoke(&self, ca: Option<&Identity>, lines: &str) {
        let spec = self.files.write("krl.spec", lines);
        let mut keygen = Run::new(program("ssh-keygen")).args(["-q", "-k", "-f"]).arg(&self.krl);
        if let Some(ca) = ca {
            keygen = keygen.arg("-s").arg(format!("{}.pub", ca.private.display()));
        }
        let _ = keygen.arg(spec).success();
    }
}

#[test]
fn principals_and_dates_decide() {
    let site = Site::new();
    let user = site.server.user.clone();
    let many = (0..255).map(|n| format!("p{n},")).collect::<String>() + &user;
    let cases: &[(&str, &str, &[&str], Verdict)] = &[
        ("good", &user, &[], Accept),
        ("another principal", "nobody-here", &[], Refuse),
        ("no principals", "", &[], Refuse),
        ("second principal", &format!("nobody-here,{user}"), &[], Accept),
        ("256 principals", &many, &[], Accept),
        ("other case", &user.to_uppercase(), &[], Refuse),
        ("wildcard", "*", &[], Refuse),
        ("expired", &user, &["-V", "-2h:-1h"], Refuse),
        ("not yet valid", &user, &["-V", "+1h:+2h"], Refuse),
        ("no dates", &user, &["-V", "always:forever"], Accept),
        ("host certificate", &user, &["-h"], Refuse),
    ];
    for (case, principals, more, wanted) in cases {
        site.assert(case, &site.certify(&site.ca, principals, more), *wanted);
    }
}

#[test]
fn only_trusted_cas_and_sound_signatures_count() {
    let site = Site::new();
    let user = site.server.user.clone();
    site.assert("rogue CA", &site.certify(&site.rogue_ca, &user, &[]), Refuse);
    site.assert("RSA CA", &site.certify(&site.rsa_ca, &user, &["-t", "rsa-sha2-512"]), Accept);
    site.assert("RSA CA with SHA-1", &site.certify(&site.rsa_ca, &user, &["-t", "ssh-rsa"]), Refuse);
    site.assert("no certificate", Path::new("/nonexistent"), Refuse);
    let good = std::fs::read_to_string(site.good()).unwrap();
    for (case, change) in [("broken signature", Change::LastByte), ("changed principal", Change::Text(&user))]
    {
        let path = site.files.write("changed-cert.pub", change.apply(&good));
        site.assert(case, &path, Refuse);
    }
    // The file of CAs is read again at each login.
    let cas = std::fs::read_to_string(&site.cas).unwrap();
    std::fs::write(&site.cas, format!("{cas}{}\n", site.rogue_ca.public)).unwrap();
    site.assert("CA added", &site.certify(&site.rogue_ca, &user, &[]), Accept);
    std::fs::write(&site.cas, &cas).unwrap();
    site.assert("CA removed", &site.certify(&site.rogue_ca, &user, &[]), Refuse);
    // It is no authorized_keys file.
    std::fs::write(&site.cas, format!("cert-authority {}\n", site.ca.public)).unwrap();
    site.assert("cert-authority before a CA", &site.good(), Refuse);
}

#[test]
fn options_of_a_certificate_limit_its_session() {
    let site = Site::new();
    let user = site.server.user.clone();
    let make = |option: &str| site.certify(&site.ca, &user, &["-O", option]);
    site.assert("address matches", &make("source-address=127.0.0.0/8"), Accept);
    site.assert("address differs", &make("source-address=10.9.0.0/16"), Refuse);
    site.assert("unknown critical option", &make("critical:x@hop.example=1"), Refuse);
    site.assert("unknown extension", &make("extension:x@hop.example=1"), Accept);
    let forced = site.login(&make("force-command=echo forced:$SSH_ORIGINAL_COMMAND"), &[], "asked");
    assert_eq!(forced.stdout(), "forced:asked\n", "{forced}");

    let bare = make("clear");
    site.assert("no extensions", &bare, Accept);
    let pty = site.login(&bare, &["-tt"], "echo in");
    assert!(pty.stderr().contains("PTY allocation request failed"), "a terminal without permit-pty: {pty}");
    let forward = ["-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:0:127.0.0.1:9"];
    let refused = site.login(&bare, &forward, "echo in");
    assert!(refused.stderr().contains("remote port forwarding failed"), "{refused}");
    // The control: with the extensions both are given.
    let good = site.good();
    let pty = site.login(&good, &["-tt"], "tty");
    assert!(pty.stdout().starts_with("/dev/pts/"), "{pty}");
    let allowed = site.login(&good, &forward, "echo in");
    assert_eq!(allowed.stdout(), "in\n", "{allowed}");
}

#[test]
fn revoked_keys_and_certificates_are_refused() {
    let site = Site::new();
    let good = site.good();
    let ca = Some(&site.ca);
    let by_hash = format!("hash: {}\n", site.holder.fingerprint());
    let cases: &[(&str, Option<&Identity>, &str, Verdict)] = &[
        ("serial", ca, "serial: 100\n", Refuse),
        ("another serial", ca, "serial: 101\n", Accept),
        ("range of serials", ca, "serial: 90-110\n", Refuse),
        ("range beside it", ca, "serial: 101-110\n", Accept),
        ("serial of another CA", Some(&site.other_ca), "serial: 100\n", Accept),
        ("key ID", ca, "id: an id\n", Refuse),
        ("another key ID", ca, "id: another id\n", Accept),
        ("plain key", None, &site.holder.public, Refuse),
        ("hash of the key", None, &by_hash, Refuse),
        ("the CA's key", None, &site.ca.public, Refuse),
        ("another CA's key", None, &site.other_ca.public, Accept),
        ("nothing", None, "", Accept),
    ];
    for (case, ca, lines, wanted) in cases {
        site.revoke(*ca, lines);
        site.assert(case, &good, *wanted);
    }
}

#[test]
fn a_revocation_list_that_cannot_be_read_refuses_everybody() {
    let site = Site::new();
    let good = site.good();
    site.revoke(Some(&site.ca), "serial: 999\n");
    site.assert("sound", &good, Accept);
    let sound = std::fs::read(&site.krl).unwrap();
    std::fs::write(&site.krl, &sound[..20]).unwrap();
    site.assert("truncated", &good, Refuse);
    std::fs::remove_file(&site.krl).unwrap();
    site.assert("missing", &good, Refuse);
    // Plain keys are locked out as well.
    let plain = site.server.ssh(Release::V9_2).arg("echo in").finish();
    assert_eq!(plain.status, Some(255), "{plain}");
    std::fs::write(&site.krl, "").unwrap();
    // sshd takes no bytes for a list of nothing; we take them for the accident that they are.
    let zero_bytes = if Kind::asked() == Kind::Hop { Refuse } else { Accept };
    site.assert("zero bytes", &good, zero_bytes);
    std::fs::write(&site.krl, sound).unwrap();
    site.assert("sound again", &good, Accept);
}

/// A change of the certificate's bytes.
enum Change<'a> {
    LastByte,
    Text(&'a str),
}

impl Change<'_> {
    fn apply(&self, line: &str) -> String {
        // By Python, so that this crate needs no base64 of its own.
        let code = "import base64, sys\n\
                    kind, blob, *_ = sys.argv[1].split()\n\
                    raw = bytearray(base64.b64decode(blob))\n\
                    at = raw.rfind(sys.argv[2].encode()) if sys.argv[2] else len(raw) - 1\n\
                    raw[at] ^= 1\n\
                    print(kind, base64.b64encode(raw).decode())\n";
        let text = match self {
            Self::LastByte => "",
            Self::Text(text) => text,
        };
        Run::new(program("python3")).args(["-c", code, line, text]).success().stdout()
    }
}

/// The word of a gateway that is elsewhere comes in a certificate, whose critical option only we know.
#[test]
fn a_gateways_word_comes_in_a_certificate() {
    let mut site = Site::new();
    let said = "echo $HOP_PROJECT $FROM_SITE $SSH_CONNECTION";
    let finished = site.login(&site.with_word(|word| word), &[], said);
    assert_eq!(finished.stdout(), "saga yes 192.0.2.9 4000 198.51.100.1 22\n", "{finished}");
    // A restriction that is not known here.
    let more = |word: String| word.replacen("\"version\":1", "\"version\":1,\"lock\":true", 1);
    site.assert("an unknown field", &site.with_word(more), Refuse);
    site.assert("no word", &site.with_word(|_| String::new()), Refuse);
    // OpenSSH trusts the same CA, and does not know the option.
    let trusting = format!("TrustedUserCAKeys {}\n", site.cas.display());
    let options = Options { sshd_config: trusting, ..Options::default() };
    site.server = Server::start_kind(Kind::Sshd(Release::V9_2), &options);
    site.assert("OpenSSH, an ordinary certificate", &site.good(), Accept);
    site.assert("OpenSSH, a word", &site.with_word(|word| word), Refuse);
}
