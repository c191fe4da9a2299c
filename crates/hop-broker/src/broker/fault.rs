//! What ssh's last words mean for a person: what kind of failure, why, and what to do.
//!
//! Must stay true: ssh's own sentence is always part of the reason; a cause is named only where its words are known.

use super::changed_key::ChangedKey;
use crate::protocol::{Failure, FailureKind};
use hop_connect::Alias;
use hop_connect::resolve::Resolved;
use std::borrow::Cow;

/// What is known of a login that failed.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// The host.
    pub alias: &'a Alias,
    /// Its configuration.
    pub resolved: Option<&'a Resolved>,
    /// What ssh wrote to standard error, the last line last.
    pub said: &'a [String],
    /// Whether a person (or nobody) was asked something.
    pub asked: bool,
}

/// Words of ssh, and what they mean: a kind and a hint. `{alias}` and `{host}` are filled in.
struct Sign {
    words: &'static str,
    kind: FailureKind,
    hint: &'static str,
}

const fn sign(words: &'static str, kind: FailureKind, hint: &'static str) -> Sign {
    Sign { words, kind, hint }
}

/// The first that is found in any line counts: the more particular stand first.
const SIGNS: &[Sign] = &[
    sign(
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        FailureKind::Denied,
        "ask the site whether its host keys changed; if so: ssh-keygen -R {host}, then hop login {alias} shows the new one",
    ),
    sign(
        "Host key verification failed",
        FailureKind::Denied,
        "the host's key was not accepted; hop login {alias} asks again and shows its fingerprint",
    ),
    sign(
        "Could not resolve hostname",
        FailureKind::Unreachable,
        "is the name right (ssh -G {alias} | grep hostname), and does it need a VPN?",
    ),
    sign(
        "administratively prohibited",
        FailureKind::Denied,
        "the jump host does not forward connections (AllowTcpForwarding there)",
    ),
    sign(
        "Connection refused",
        FailureKind::Unreachable,
        "the machine is up and no sshd listens on that port",
    ),
    sign(
        "Network is unreachable",
        FailureKind::Unreachable,
        "is this machine online, or does it need a VPN or a ProxyJump?",
    ),
    sign(
        "No route to host",
        FailureKind::Unreachable,
        "is the machine up, or does it need a VPN or a ProxyJump?",
    ),
    sign("timed out", FailureKind::Unreachable, "is the machine up, or does it need a VPN or a ProxyJump?"),
    sign("Bad configuration option", FailureKind::Config, "ssh -G {alias} says the same"),
    sign("Bad owner or permissions", FailureKind::Config, "chmod 600 the file"),
    sign("UNPROTECTED PRIVATE KEY FILE", FailureKind::Config, "chmod 600 the key file"),
    sign(
        "Too many authentication failures",
        FailureKind::Denied,
        "the agent offers too many keys: name the right one in ~/.ssh/config (IdentityFile, IdentitiesOnly yes)",
    ),
    sign(
        "Connection closed by",
        FailureKind::Later,
        "the host hung up: the login took too long, it has too many connections, or it has banned this address for a while",
    ),
    sign(
        "Connection reset by",
        FailureKind::Later,
        "the host hung up: the login took too long, it has too many connections, or it has banned this address for a while",
    ),
];

/// What ssh calls the far end of a pipe.
const NAMELESS: &str = "UNKNOWN port 65535";

/// Explains a login that failed.
#[must_use]
pub fn explain(attempt: &Failed<'_>) -> Failure {
    if let Some(changed) = ChangedKey::find(attempt.said) {
        let alias = attempt.alias.as_str();
        let reason = format!("cannot log in to {alias}: {}", changed.reason());
        return Failure { kind: FailureKind::Denied, reason, hint: Some(changed.hint(alias)) };
    }
    let last = attempt.said.iter().rfind(|line| !line.is_empty());
    let place = attempt.resolved.map(|resolved| (resolved.host_name.as_str(), resolved.port));
    let reason = match last {
        Some(line) => format!("cannot log in to {}: {}", attempt.alias, named(line, place)),
        None => format!("cannot log in to {}: ssh ended without a word", attempt.alias),
    };
    if let Some(sign) = SIGNS.iter().find(|sign| attempt.said.iter().any(|line| line.contains(sign.words))) {
        let host = attempt.resolved.map_or(attempt.alias.as_str(), |resolved| &resolved.host_name);
        let hint = sign.hint.replace("{alias}", attempt.alias.as_str()).replace("{host}", host);
        return Failure { kind: sign.kind, reason, hint: Some(hint) };
    }
    if last.is_some_and(|line| line.contains("Permission denied")) {
        let hint = if attempt.asked {
            "the answer was wrong, came too late, or was used before: take a new code and try again"
                .to_owned()
        } else {
            format!(
                "is your key there (ssh-add -l), and known to the host? ssh -v {} tells more",
                attempt.alias
            )
        };
        return Failure { kind: FailureKind::Denied, reason, hint: Some(hint) };
    }
    let hint = format!("ssh -v {} tells more", attempt.alias);
    Failure { kind: FailureKind::Unreachable, reason, hint: Some(hint) }
}

/// ssh has no name for the far end of a ProxyCommand or a jump.
fn named<'a>(line: &'a str, place: Option<(&str, u16)>) -> Cow<'a, str> {
    match place {
        Some((host, port)) if line.contains(NAMELESS) => {
            line.replace(NAMELESS, &format!("{host} port {port}")).into()
        }
        _ => line.into(),
    }
}

/// Whether the host hung up while somebody was being asked: it does not wait longer than its LoginGraceTime.
#[must_use]
pub fn is_hung_up(said: &[String]) -> bool {
    let signs = ["Connection closed by", "Connection reset by", "Broken pipe", "Connection to "];
    said.iter().rev().take(3).any(|line| signs.iter().any(|sign| line.contains(sign)))
}

/// Whether it is the network that ended it, and not the host: nothing was refused.
#[must_use]
pub fn is_of_the_line(said: &[String]) -> bool {
    let signs = ["timed out", "Network is unreachable", "No route to host", "not responding", "Broken pipe"];
    said.iter().rev().take(3).any(|line| signs.iter().any(|sign| line.contains(sign)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(said: &[&str], asked: bool) -> Failure {
        let said: Vec<String> = said.iter().map(|line| (*line).to_owned()).collect();
        let alias = Alias::parse("saga").unwrap();
        explain(&Failed { alias: &alias, resolved: None, said: &said, asked })
    }

    #[test]
    fn sentences_of_ssh_and_what_they_mean() {
        use FailureKind::{Config, Denied, Later, Unreachable};
        let cases: &[(&[&str], FailureKind, &str)] = &[
            (
                &["ssh: Could not resolve hostname saga: Name or service not known"],
                Unreachable,
                "ssh -G saga",
            ),
            (&["ssh: connect to host 127.0.0.1 port 2: Connection refused"], Unreachable, "no sshd listens"),
            (&["ssh: connect to host 10.0.0.1 port 22: Connection timed out"], Unreachable, "VPN"),
            (&["ssh: connect to host 10.0.0.1 port 22: Network is unreachable"], Unreachable, "online"),
            (
                &["@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!  @", "Host key verification failed."],
                Denied,
                "ssh-keygen -R saga",
            ),
            (&["Host key verification failed."], Denied, "fingerprint"),
            (
                &[
                    "channel 0: open failed: administratively prohibited: open failed",
                    "stdio forwarding failed",
                ],
                Denied,
                "jump host",
            ),
            (&["Connection closed by 10.0.0.1 port 22"], Later, "hung up"),
            (&["kex_exchange_identification: read: Connection reset by peer"], Later, "banned"),
            (&["/home/a/.ssh/config: line 3: Bad configuration option: x"], Config, "ssh -G saga"),
            (&["Received disconnect from x: Too many authentication failures"], Denied, "IdentitiesOnly"),
            (&[], Unreachable, "ssh -v saga"),
            (&["something new"], Unreachable, "ssh -v saga"),
        ];
        for (said, kind, hint) in cases {
            let failure = explained(said, false);
            assert_eq!(failure.kind, *kind, "{said:?}");
            assert!(failure.hint.as_ref().unwrap().contains(hint), "{said:?}: {failure:?}");
            if let Some(line) = said.last() {
                assert!(failure.reason.ends_with(line), "{failure:?}");
            }
        }
    }

    #[test]
    fn the_far_end_of_a_jump_has_its_name() {
        let said = "Connection to UNKNOWN port 65535 timed out";
        assert_eq!(named(said, Some(("10.77.2.2", 22))), "Connection to 10.77.2.2 port 22 timed out");
        assert_eq!(named(said, None), said);
        assert_eq!(named("Connection refused", Some(("10.77.2.2", 22))), "Connection refused");
    }

    #[test]
    fn a_wrong_answer_and_a_missing_key_are_told_apart() {
        let denied = ["alice@10.77.1.1: Permission denied (keyboard-interactive)."];
        assert!(explained(&denied, true).hint.unwrap().contains("take a new code"));
        assert!(explained(&denied, false).hint.unwrap().contains("ssh-add -l"));
    }
}
