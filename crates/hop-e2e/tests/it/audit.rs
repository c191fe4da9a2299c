//! ssh-audit (PyPI) finds nothing to say against what we offer; its output is kept in `docs/`.

use hop_e2e::program::python_program;
use hop_e2e::server::{Kind, Options};
use hop_e2e::{Identity, Run, Scratch, Server};
use serde_json::Value;

/// What ssh-audit says against an algorithm that we offer all the same, and why we do.
struct Accepted {
    algorithm: &'static str,
    note: &'static str,
    /// For the reader.
    _why: &'static str,
}

const NOT_POST_QUANTUM: &str = "does not provide protection against post-quantum attacks";

const ACCEPTED_BY_DEFAULT: &[Accepted] = &[
    Accepted {
        algorithm: "curve25519-sha256",
        note: NOT_POST_QUANTUM,
        _why: "the only modern exchange of paramiko, libssh2, ssh2 (npm), PuTTY before 0.83 and dropbear before 2025",
    },
    Accepted {
        algorithm: "curve25519-sha256@libssh.org",
        note: NOT_POST_QUANTUM,
        _why: "the same under its first name",
    },
];

const ACCEPTED_FOR_COMPATIBILITY: &[Accepted] = &[
    Accepted { algorithm: "ecdh-sha2-nistp", note: "", _why: "asked for by --algorithms compatible" },
    Accepted { algorithm: "ecdsa-sha2-nistp", note: "", _why: "asked for by --algorithms compatible" },
    Accepted {
        algorithm: "hmac-sha2-",
        note: "using encrypt-and-MAC mode",
        _why: "for peers without the -etm variants; asked for by --algorithms compatible",
    },
];

#[test]
fn the_default_offer_has_no_failure_and_no_avoidable_warning() {
    let findings = audit(&[], "default");
    judge(&findings, |f| ACCEPTED_BY_DEFAULT.iter().any(|a| f.algorithm == a.algorithm && f.note == a.note));
}

#[test]
fn the_compatible_offer_has_only_the_failures_it_is_known_for() {
    let findings = audit(&["--algorithms", "compatible"], "compatible");
    judge(&findings, |f| {
        let accepted = ACCEPTED_BY_DEFAULT.iter().chain(ACCEPTED_FOR_COMPATIBILITY);
        accepted.into_iter().any(|a| f.algorithm.starts_with(a.algorithm) && f.note.contains(a.note))
    });
}

/// One failure or warning.
#[derive(Debug)]
struct Finding {
    algorithm: String,
    note: String,
}

/// All findings must be accepted; an sshd has others, which shows that the audit sees them.
fn judge(findings: &[Finding], accepted: impl Fn(&Finding) -> bool) {
    let others: Vec<_> = findings.iter().filter(|f| !accepted(f)).collect();
    match Kind::asked() {
        Kind::Hop | Kind::Gateway => assert!(others.is_empty(), "ssh-audit says:\n{others:#?}"),
        Kind::Sshd(_) => {
            assert!(others.iter().any(|f| f.note.contains("SHA-1")), "sshd has weak MACs: {others:#?}")
        }
    }
}

/// Audits a server with the kinds of host key that `hop` makes for itself. Keeps the text when results are asked for,
/// and returns failures and warnings.
fn audit(arguments: &[&str], name: &str) -> Vec<Finding> {
    let keys = Scratch::new();
    let rsa = Identity::generate(&keys, "rsa", "rsa", &["-b", "3072"]);
    let rsa = rsa.private.to_string_lossy();
    let hop_arguments = [&["--host-key", &*rsa], arguments].concat().into_iter().map(String::from).collect();
    let sshd_config = format!("HostKey {rsa}\n");
    let server = Server::start_with(&Options { hop_arguments, sshd_config, ..Options::default() });
    let port = server.port().to_string();
    // Without the measurement of denial of service: it floods.
    let run = |format: &[&str]| {
        let home = server.scratch().folder("audit-home");
        Run::new(python_program("ssh-audit"))
            .args(format)
            .args(["--skip-rate-test", "--port", &port, "127.0.0.1"])
            .env("HOME", home)
    };
    let text = run(&["--no-colors", "--verbose"]).finish();
    if let Some(folder) = std::env::var_os("HOP_E2E_RESULTS") {
        let path = std::path::Path::new(&folder).join(format!("ssh-audit-{name}.txt"));
        std::fs::write(path, stable(&text.stdout())).unwrap();
    }
    let report: Value =
        serde_json::from_str(&run(&["--json"]).finish().stdout()).expect("ssh-audit prints JSON");
    let mut findings = Vec::new();
    for kind in ["kex", "key", "enc", "mac"] {
        for algorithm in report[kind].as_array().expect("a list of algorithms") {
            for level in ["fail", "warn"] {
                for note in algorithm["notes"][level].as_array().into_iter().flatten() {
                    let algorithm =
                        algorithm["algorithm"].as_str().expect("an algorithm has a name").to_owned();
                    findings.push(Finding { algorithm, note: note.as_str().unwrap_or_default().to_owned() });
                }
            }
        }
    }
    for cve in report["cves"].as_array().into_iter().flatten() {
        findings.push(Finding { algorithm: "CVE".to_owned(), note: cve.to_string() });
    }
    findings
}

/// The report without what differs from run to run.
fn stable(text: &str) -> String {
    let kept = text
        .lines()
        .filter(|l| !l.contains("SHA256:") && !l.contains("MD5:") && !l.starts_with("Starting audit"));
    kept.flat_map(|l| [l, "\n"]).collect()
}
