//! The account that sessions run as: always the one this process runs as, with or without a passwd entry.
//!
//! Looked up once at start. Where there is a passwd entry its fields win, as with sshd; without one
//! (an arbitrary uid in a container) the caller's hints fill the gaps, and then fixed values.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

/// Who sessions run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Real user id of this process.
    pub uid: u32,
    /// Real group id of this process (not the passwd entry's: we cannot change it).
    pub gid: u32,
    /// Login name; the uid in decimal when nothing better is known.
    pub name: String,
    /// Home directory; absolute, not checked for existence.
    pub home: PathBuf,
    /// Login shell; absolute.
    pub shell: PathBuf,
    /// Whether a passwd entry was found.
    pub has_passwd_entry: bool,
}

/// What the caller's own environment says, used only where passwd says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountHints {
    /// `USER` of the caller.
    pub name: Option<String>,
    /// `HOME` of the caller.
    pub home: Option<PathBuf>,
    /// `SHELL` of the caller.
    pub shell: Option<PathBuf>,
}

/// The fields of a passwd entry that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PasswdEntry {
    name: String,
    home: PathBuf,
    shell: PathBuf,
}

impl Account {
    /// The account of this process. Never fails: a broken user database counts as one without an entry,
    /// because a container must not become unreachable when its directory service is.
    pub fn current(hints: &AccountHints) -> Self {
        let uid = rustix::process::getuid().as_raw();
        let gid = rustix::process::getgid().as_raw();
        let entry = match User::from_uid(Uid::from_raw(uid)) {
            Ok(Some(user)) => Some(PasswdEntry { name: user.name, home: user.dir, shell: user.shell }),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(uid, %error, "user database not readable, going on without a passwd entry");
                None
            }
        };
        Self::resolve(uid, gid, entry, hints)
    }

    fn resolve(uid: u32, gid: u32, entry: Option<PasswdEntry>, hints: &AccountHints) -> Self {
        let has_passwd_entry = entry.is_some();
        let (name, home, shell) = match entry {
            Some(entry) => (Some(entry.name), Some(entry.home), Some(entry.shell)),
            None => (None, None, None),
        };
        Self {
            uid,
            gid,
            name: name
                .filter(|name| usable_name(name))
                .or_else(|| hints.name.clone().filter(|name| usable_name(name)))
                .unwrap_or_else(|| uid.to_string()),
            home: usable_path(home).or_else(|| usable_path(hints.home.clone())).unwrap_or_else(|| "/".into()),
            shell: usable_path(shell)
                .or_else(|| usable_path(hints.shell.clone()))
                .unwrap_or_else(|| "/bin/sh".into()),
            has_passwd_entry,
        }
    }

    /// The same with what the hints say about home and shell, where they say something: for a server whose starter
    /// has chosen another home than the user database, as notebooks' spawners do.
    #[must_use]
    pub fn with(self, hints: &AccountHints) -> Self {
        Self {
            home: usable_path(hints.home.clone()).unwrap_or(self.home),
            shell: usable_path(hints.shell.clone()).unwrap_or(self.shell),
            ..self
        }
    }

    /// Last component of the shell's path: what `argv[0]` is made of.
    pub fn shell_name(&self) -> &OsStr {
        self.shell.file_name().unwrap_or(self.shell.as_os_str())
    }

    /// Whether this account is the superuser (its PATH then has the sbin directories).
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// A name that is safe in an environment variable and in a log line.
fn usable_name(name: &str) -> bool {
    (1..=256).contains(&name.len()) && !name.contains(|c: char| c.is_control() || c == '/')
}

fn usable_path(path: Option<PathBuf>) -> Option<PathBuf> {
    path.filter(|path: &PathBuf| Path::is_absolute(path) && !path.as_os_str().as_bytes().contains(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints() -> AccountHints {
        AccountHints {
            name: Some("ada".into()),
            home: Some("/home/ada".into()),
            shell: Some("/bin/zsh".into()),
        }
    }

    #[test]
    fn passwd_wins_then_hints_then_fixed_values() {
        let entry = |name: &str, home: &str, shell: &str| {
            Some(PasswdEntry { name: name.into(), home: home.into(), shell: shell.into() })
        };
        let bad = AccountHints {
            name: Some("a/b".into()),
            home: Some("relative".into()),
            shell: Some("sh".into()),
        };
        let cases = [
            (entry("bob", "/home/bob", "/bin/bash"), hints(), ("bob", "/home/bob", "/bin/bash")),
            // An empty shell field means /bin/sh (passwd(5)) unless the caller knows better.
            (entry("bob", "/home/bob", ""), hints(), ("bob", "/home/bob", "/bin/zsh")),
            (entry("bob", "", ""), AccountHints::default(), ("bob", "/", "/bin/sh")),
            (None, hints(), ("ada", "/home/ada", "/bin/zsh")),
            (None, AccountHints::default(), ("1234567", "/", "/bin/sh")),
            (None, bad, ("1234567", "/", "/bin/sh")),
        ];
        for (entry, hints, (name, home, shell)) in cases {
            let known = entry.is_some();
            let account = Account::resolve(1_234_567, 5, entry, &hints);
            assert_eq!(account.name, name);
            assert_eq!(account.home, Path::new(home));
            assert_eq!(account.shell, Path::new(shell));
            assert_eq!((account.uid, account.gid, account.has_passwd_entry), (1_234_567, 5, known));
        }
    }

    #[test]
    fn shell_name_is_the_last_component() {
        let account = Account::resolve(1, 1, None, &hints());
        assert_eq!(account.shell_name(), "zsh");
    }

    #[test]
    fn current_is_this_process() {
        let account = Account::current(&AccountHints::default());
        assert_eq!(account.uid, rustix::process::getuid().as_raw());
        assert!(account.home.is_absolute() && account.shell.is_absolute());
    }
}
