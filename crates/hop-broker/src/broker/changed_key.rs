//! What ssh says when a host's key is another one than before, taken apart: a person in a hurry reads one sentence, not
//! a screen of capitals.
//!
//! Must stay true: what is not found in ssh's words is not said; nothing is advised before comparing fingerprints.

/// What ssh knows of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChangedKey<'s> {
    /// As known_hosts has it: an address, `[address]:port`, or what HostKeyAlias says.
    name: &'s str,
    /// Of the key that was shown now.
    fingerprint: &'s str,
    /// The file and line of the one that was known.
    known: Option<&'s str>,
}

impl<'s> ChangedKey<'s> {
    /// Finds it in what ssh wrote (OpenSSH: `warn_changed_key`, `check_host_key`).
    pub(super) fn find(said: &'s [String]) -> Option<Self> {
        let after = |before: &str, after: &str| {
            said.iter()
                .find_map(|line| line.trim().strip_prefix(before)?.split_once(after).map(|(found, _)| found))
        };
        let fingerprint =
            said.iter().skip_while(|line| !line.contains("key sent by the remote host is")).nth(1)?;
        Some(Self {
            name: after("Host key for ", " has changed")?,
            fingerprint: fingerprint.trim().trim_end_matches('.'),
            known: said
                .iter()
                .find_map(|line| line.trim().strip_prefix("Offending ")?.split_once(" key in "))
                .map(|(_, at)| at),
        })
    }

    /// What is wrong.
    pub(super) fn reason(&self) -> String {
        let known = self.known.map(|at| format!(", and {at} has another one")).unwrap_or_default();
        format!("Host key verification failed: {} shows the key {}{known}", self.name, self.fingerprint)
    }

    /// What to do.
    pub(super) fn hint(&self, alias: &str) -> String {
        format!(
            "somebody may stand in between: compare the key with what the site publishes. If it is the site's: \
             ssh-keygen -R '{}', then hop login {alias} asks for it anew",
            self.name
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Someone could be eavesdropping on you right now (man-in-the-middle attack)!
It is also possible that a host key has just been changed.
The fingerprint for the ED25519 key sent by the remote host is
SHA256:ouKMrRKs4dnxDjWzh1NBRB6aXzsOdU9v+URfIk5uh+E.
Please contact your system administrator.
Add correct host key in /home/a/.ssh/known_hosts to get rid of this message.
Offending ED25519 key in /home/a/.ssh/known_hosts:3
  remove with:
  ssh-keygen -f \"/home/a/.ssh/known_hosts\" -R \"[10.0.0.1]:2222\"
Host key for [10.0.0.1]:2222 has changed and you have requested strict checking.
Host key verification failed.";

    #[test]
    fn the_screen_of_capitals_becomes_a_sentence() {
        let said: Vec<String> = SAID.lines().map(str::to_owned).collect();
        let found = ChangedKey::find(&said).unwrap();
        assert_eq!(
            found.reason(),
            "Host key verification failed: [10.0.0.1]:2222 shows the key SHA256:ouKMrRKs4dnxDjWzh1NBRB6aXzsOdU9v+URfIk5uh+E, \
             and /home/a/.ssh/known_hosts:3 has another one"
        );
        assert!(found.hint("saga").contains("ssh-keygen -R '[10.0.0.1]:2222', then hop login saga"));
        // Other words of another version: the general sentence is left.
        assert_eq!(ChangedKey::find(&said[..6]), None);
        assert_eq!(ChangedKey::find(&said[7..]), None);
    }
}
