//! An sshd with a configuration of the test's own, and, for PAM, accounts and PAM files of the test's own.
//!
//! The files of the machine stay as they are: PAM tests run sshd where /etc is read-only and its passwd, shadow and
//! pam.d are the test's.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hop_e2e::inetd::Inetd;
use hop_e2e::program::{self, program};
use hop_e2e::sshd::Release;
use hop_e2e::{Identity, Run, Scratch};
use hop_ssh::ClientConfig;

use super::client::judged_by;

/// The account that PAM tests log in to.
pub(crate) const PAM_USER: &str = "alice";
/// Its password.
pub(crate) const PASSWORD: &str = "correct horse";
/// SHA-512 crypt of [`PASSWORD`].
const PASSWORD_HASH: &str = "$6$grasshopper$FVufp1PKu6vrDTfKTRzk.yBH7il2WJIaG1PziW2AlkEeLBbWQMs63J9e0KFvliHOz.\
                             uDDhK7.6xlPeopNWito.";

/// What the test chooses before it starts.
pub(crate) struct Setup {
    pub(crate) scratch: Scratch,
    pub(crate) release: Release,
    /// Lines of sshd_config.
    pub(crate) config: String,
    /// Lines of authorized_keys.
    pub(crate) authorized_keys: String,
    /// What is mounted over the world that sshd sees: arguments of bwrap.
    mounts: Vec<OsString>,
}

/// A running sshd: one process for each connection.
pub(crate) struct Sshd {
    pub(crate) address: SocketAddr,
    /// The account that runs the tests, or [`PAM_USER`].
    pub(crate) user: String,
    /// Its Ed25519 host key.
    pub(crate) host_key: Identity,
    inetd: Inetd,
    pub(crate) scratch: Scratch,
}

impl Setup {
    pub(crate) fn new(release: Release) -> Self {
        Self {
            scratch: Scratch::new(),
            release,
            config: String::new(),
            authorized_keys: String::new(),
            mounts: Vec::new(),
        }
    }

    /// Adds a line to sshd_config.
    pub(crate) fn line(mut self, line: impl AsRef<str>) -> Self {
        self.config += line.as_ref();
        self.config.push('\n');
        self
    }

    /// Lets a key in.
    pub(crate) fn allow(mut self, key: &Identity) -> Self {
        self.authorized_keys += &format!("{}\n", key.public);
        self
    }

    /// Asks PAM, by this stack, for the account [`PAM_USER`], whose password was last changed on `changed` (in days
    /// since 1970; 0 demands a new one).
    pub(crate) fn pam(mut self, stack: &str, changed: u32) -> Self {
        let id = Run::new("id").arg("-u").success().stdout();
        assert_eq!(id.trim(), "0", "sshd asks PAM about other accounts only as root: run this test as root");
        // The account is another one than ours: it must reach its authorized_keys.
        std::fs::set_permissions(self.scratch.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let folder = self.scratch.folder("pam.d");
        self.scratch.write("pam.d/sshd", stack);
        let account = |line: &str, file: &str| {
            let real = std::fs::read_to_string(Path::new("/etc").join(file)).unwrap();
            self.scratch.write(file, format!("{real}{line}\n"))
        };
        let passwd = account(&format!("{PAM_USER}:x:4711:4711::/:/bin/sh"), "passwd");
        let group = account(&format!("{PAM_USER}:x:4711:"), "group");
        let shadow = account(&format!("{PAM_USER}:{PASSWORD_HASH}:{changed}:0:99999:7:::"), "shadow");
        std::fs::set_permissions(&shadow, std::fs::Permissions::from_mode(0o600)).unwrap();
        let etc = match self.release {
            Release::V9_2 => PathBuf::from("/etc"),
            Release::V10_0 => program::trixie().join("etc"),
        };
        let over = [
            (etc, "/etc"),
            (folder, "/etc/pam.d"),
            (passwd, "/etc/passwd"),
            (group, "/etc/group"),
            (shadow, "/etc/shadow"),
        ];
        for (from, to) in over {
            self.mounts.extend(["--ro-bind".into(), from.into_os_string(), to.into()]);
        }
        self.line("UsePAM yes")
    }

    /// Starts it.
    pub(crate) fn start(self) -> Sshd {
        let Self { scratch, release, config, authorized_keys, mounts } = self;
        let host_key = Identity::ed25519(&scratch, "host_key");
        let authorized = scratch.write("authorized_keys", authorized_keys);
        let user = match mounts.is_empty() {
            true => Run::new("id").arg("-un").success().stdout().trim().to_owned(),
            false => PAM_USER.to_owned(),
        };
        let config = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nPermitRootLogin yes\nPrintMotd no\nPrintLastLog no\n\
             PasswordAuthentication no\nLogLevel DEBUG1\nSubsystem sftp /usr/lib/openssh/sftp-server\n{config}",
            host_key.private.display(),
            authorized.display(),
        );
        let config = scratch.write("sshd_config", config);
        if release == Release::V9_2 {
            // Root's sshd refuses to start without it; on a booted Debian systemd makes it.
            let _ = std::fs::create_dir("/run/sshd");
        }
        let words = words(release, mounts);
        let inetd = Inetd::start(&scratch.join("sshd.log"), move || {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).args(["-i", "-e", "-f"]).arg(&config);
            command
        });
        Sshd { address: inetd.address(), user, host_key, inetd, scratch }
    }
}

/// The words that start sshd, its world changed by these mounts.
fn words(release: Release, mounts: Vec<OsString>) -> Vec<OsString> {
    let mut words = release.words("/usr/sbin/sshd");
    if mounts.is_empty() {
        return words;
    }
    let sshd = words.pop().unwrap();
    if words.is_empty() {
        words = vec![program("bwrap").into(), "--dev-bind".into(), "/".into(), "/".into()];
    }
    words.extend(mounts);
    // When its patience ends, sshd ends its other processes only if it leads their group. It still goes with bwrap.
    words.extend(["--new-session".into(), "--die-with-parent".into()]);
    words.push(sshd);
    words
}

impl Sshd {
    /// Accepts its plain host key.
    pub(crate) fn config(&self) -> ClientConfig {
        let port = self.address.port();
        let key = self.host_key.public_without_comment();
        judged_by(&format!("[127.0.0.1]:{port} {key}\n"), "127.0.0.1", port)
    }

    /// What it said so far.
    pub(crate) fn log(&self) -> String {
        self.inetd.log()
    }

    /// Waits until something stands in its log, at most ten seconds. A log is a file: there is no event to await.
    pub(crate) fn wait_for_log(&self, text: &str) {
        for _ in 0..1000 {
            if self.count(text) > 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("sshd never said: {text}");
    }

    /// How often something stands in its log.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }
}

impl Drop for Sshd {
    #[expect(clippy::print_stderr, reason = "nothing else tells why a test failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the sshd at {}:\n{}", self.address, self.log());
        }
    }
}
