//! A person's own machine before a Hub: a home of its own where ssh looks for one (the passwd entry's), an encrypted file of
//! secrets whose passphrase nobody has to type, and nothing of the desktop of whoever runs the tests.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::program::program;
use crate::server::hop_binary;
use crate::{Identity, Run, Scratch};

/// The machine; its home ends with it.
#[derive(Debug)]
pub struct Laptop {
    /// `~/.ssh/id_ed25519`.
    pub key: Identity,
    passwd_home: PathBuf,
    scratch: Scratch,
}

impl Laptop {
    /// One with a key and an empty `~/.ssh/config`.
    #[must_use]
    pub fn new() -> Self {
        let scratch = Scratch::new();
        let ssh = scratch.folder("home/.ssh");
        std::fs::set_permissions(&ssh, PermissionsExt::from_mode(0o700)).expect("a private folder");
        let key = Identity::ed25519(&scratch, "home/.ssh/id_ed25519");
        let passphrase = scratch.write("passphrase", "a horse in a well\n");
        std::fs::set_permissions(&passphrase, PermissionsExt::from_mode(0o600)).expect("a private file");
        let account = Run::new("sh").args(["-c", "getent passwd $(id -u)"]).success().stdout();
        let passwd_home = account.trim().split(':').nth(5).expect("a passwd entry has a home").into();
        Self { key, passwd_home, scratch }
    }

    /// A file of the home.
    #[must_use]
    pub fn home(&self, path: impl AsRef<Path>) -> PathBuf {
        self.scratch.join("home").join(path)
    }

    /// A program of this machine.
    #[must_use]
    pub fn run(&self, command: impl AsRef<std::ffi::OsStr>) -> Run {
        let run = Run::new(program("bwrap")).args(["--dev-bind", "/", "/", "--bind"]);
        let run = run.arg(self.scratch.join("home")).arg(&self.passwd_home);
        let run = run.args(["--die-with-parent", "--new-session"]);
        let run = ["DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "SSH_AUTH_SOCK", "HOP_TOKEN"]
            .iter()
            .fold(run, |run, name| run.args(["--unsetenv", name]));
        run.args(["--setenv", "HOME"])
            .arg(&self.passwd_home)
            // The kernel holds a key by the file's path: one of each test's own.
            .args(["--setenv", "XDG_DATA_HOME"])
            .arg(self.home(".data"))
            .args(["--setenv", "HOP_PASSPHRASE_FILE"])
            .arg(self.scratch.join("passphrase"))
            .arg("--")
            .arg(command)
    }

    /// `hop`.
    #[must_use]
    pub fn hop(&self, arguments: &[&str]) -> Run {
        self.run(hop_binary()).args(arguments)
    }

    /// `ssh NAME COMMAND`, as typed.
    #[must_use]
    pub fn ssh(&self, name: &str, command: &str) -> Run {
        self.run(program("ssh")).args(["-o", "BatchMode=yes", name, command])
    }
}

impl Default for Laptop {
    fn default() -> Self {
        Self::new()
    }
}
