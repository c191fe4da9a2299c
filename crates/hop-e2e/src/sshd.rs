//! OpenSSH programs of two versions: Debian 12's 9.2, installed here, and Debian 13's 10.0, in a tree of its own.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::program::{self, program};
use crate::{Identity, Scratch};

/// Which OpenSSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 9.2p1 of Debian 12.
    V9_2,
    /// 10.0p2 of Debian 13.
    V10_0,
}

impl Release {
    /// The words that start one of its programs (`ssh`, `scp`, `sftp`, `/usr/sbin/sshd`, …).
    #[must_use]
    pub fn words(self, command: &str) -> Vec<OsString> {
        match self {
            Self::V9_2 => vec![program(command).into()],
            Self::V10_0 => {
                let mut words = trixie_words();
                words.push(command.into());
                words
            }
        }
    }
}

/// The prefix that runs a program inside the Debian 13 tree with the world around it left visible: same network, same
/// processes, same /tmp, same accounts.
fn trixie_words() -> Vec<OsString> {
    let tree = program::trixie();
    let target = program::target_folder();
    let workspace = program::workspace();
    let regress = Path::new("/usr/lib/openssh/regress");
    let _ = program(crate::identity::SK_DUMMY);
    let mut words: Vec<OsString> = vec![program("bwrap").into()];
    let mut add = |items: &[&std::ffi::OsStr]| words.extend(items.iter().map(OsString::from));
    add(&["--bind".as_ref(), tree.as_ref(), "/".as_ref()]);
    add(&["--dev-bind".as_ref(), "/dev".as_ref(), "/dev".as_ref()]);
    add(&["--bind".as_ref(), "/proc".as_ref(), "/proc".as_ref()]);
    for shared in [Path::new("/tmp"), &std::env::temp_dir(), &target, &workspace] {
        add(&["--bind".as_ref(), shared.as_ref(), shared.as_ref()]);
    }
    add(&["--ro-bind".as_ref(), regress.as_ref(), regress.as_ref()]);
    for file in ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/hosts"] {
        add(&["--ro-bind-try".as_ref(), file.as_ref(), file.as_ref()]);
    }
    // sshd wants its empty folder, owned by root.
    add(&["--tmpfs".as_ref(), "/run".as_ref(), "--dir".as_ref(), "/run/sshd".as_ref()]);
    words
}

/// What a test server is told besides where it listens.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The host key.
    pub host_key: Identity,
    /// Lines of the authorized_keys file.
    pub authorized_keys: String,
    /// More lines for sshd_config.
    pub extra: String,
}

/// The command that serves one connection on stdin and stdout, as an sshd of this release.
pub fn serve_one(
    release: Release,
    scratch: &Scratch,
    settings: &Settings,
) -> impl Fn() -> Command + Send + 'static + use<> {
    let authorized = scratch.write("authorized_keys", &settings.authorized_keys);
    let xauthority = scratch.join("server.Xauthority");
    let config = format!(
        "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nMaxSessions 64\nLogLevel VERBOSE\nX11Forwarding yes\nPrintMotd no\n\
         AcceptEnv LANG LC_* GIT_PROTOCOL\nSetEnv XAUTHORITY={}\nSubsystem sftp /usr/lib/openssh/sftp-server\n{}",
        settings.host_key.private.display(),
        authorized.display(),
        xauthority.display(),
        settings.extra,
    );
    let config = scratch.write("sshd_config", config);
    if release == Release::V9_2 {
        // Root's sshd refuses to start without it; on a booted Debian systemd makes it.
        let _ = std::fs::create_dir("/run/sshd");
    }
    let words = release.words("/usr/sbin/sshd");
    move || {
        let (first, rest) = words.split_first().expect("a command has at least its program");
        let mut command = Command::new(first);
        command.args(rest).args(["-i", "-e", "-f"]).arg(&config);
        command
    }
}
