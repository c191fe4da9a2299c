//! A command over a held connection: what goes along with it.

use crate::mux::message::NewSession;
use crate::resolve::Resolved;

/// What a person or program wants to run there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The command; empty is a login shell.
    pub command: String,
    /// A terminal is wanted.
    pub tty: bool,
    /// `$TERM`.
    pub terminal: String,
}

impl Remote {
    /// The session to ask for: with the environment that the host's configuration sends along, as ssh would.
    #[must_use]
    pub fn session(
        self,
        resolved: &Resolved,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> NewSession {
        let sent = environment.into_iter().filter(|(name, _)| is_sent(&resolved.send_env, name));
        let mut entries: Vec<String> = sent.map(|(name, value)| format!("{name}={value}")).collect();
        entries.extend(resolved.set_env.iter().cloned());
        NewSession {
            tty: self.tty,
            x11: false,
            agent: resolved.forward_agent,
            subsystem: false,
            terminal: self.terminal,
            command: self.command,
            environment: entries,
        }
    }
}

/// Whether a variable matches one of SendEnv's patterns.
fn is_sent(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
}

/// ssh_config(5) PATTERNS: `*` is any number of characters, `?` is one.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            matches(rest, text) || text.split_first().is_some_and(|(_, tail)| matches(pattern, tail))
        }
        (Some((b'?', rest)), Some((_, tail))) => matches(rest, tail),
        (Some((wanted, rest)), Some((found, tail))) if wanted == found => matches(rest, tail),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::tests::cluster;

    #[test]
    fn patterns_of_ssh_config() {
        for (pattern, name, sent) in [
            ("LANG", "LANG", true),
            ("LANG", "LANGUAGE", false),
            ("LC_*", "LC_ALL", true),
            ("LC_*", "LC_", true),
            ("LC_?", "LC_", false),
            ("*", "X", true),
            ("*_X", "A_B_X", true),
        ] {
            assert_eq!(is_sent(&[pattern.to_owned()], name), sent, "{pattern} {name}");
        }
    }

    #[test]
    fn what_goes_along() {
        let remote = Remote { command: "id".into(), tty: false, terminal: "xterm".into() };
        let given =
            [("LANG", "C"), ("SECRET", "x"), ("LC_TIME", "de")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        let session = remote.session(&cluster(), given);
        assert_eq!(session.environment, ["LANG=C", "LC_TIME=de", "FOO=a b"]);
    }
}
