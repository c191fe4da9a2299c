//! Servers that are not ours, for our client to log in to: OpenSSH's sshd, dropbear, tinysshd.
//!
//! dropbear and tinysshd read `~/.ssh/authorized_keys` of the account's real home and can be told no other place: they
//! run in a mount namespace where a folder of the test lies over that home.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::inetd::Inetd;
use crate::program::program;
use crate::sshd::{Release, Settings, serve_one};
use crate::{Identity, Run, Scratch};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Software {
    /// OpenSSH's sshd.
    Sshd(Release),
    /// dropbear 2022.83.
    Dropbear,
    /// tinysshd 20230101: Ed25519, chacha20 and curve25519 or sntrup761 only, no forwarding.
    Tinysshd,
}

impl Software {
    /// As it calls itself, with its version.
    #[must_use]
    pub fn version(self) -> String {
        match self {
            Self::Sshd(release) => {
                Run::from_words(&release.words("ssh")).arg("-V").success().stderr().trim().to_owned()
            }
            Self::Dropbear => package("dropbear-bin"),
            Self::Tinysshd => package("tinysshd"),
        }
    }
}

/// A Debian package's name and version.
fn package(name: &str) -> String {
    Run::new("dpkg-query").args(["-W", "-f", "${Package} ${Version}", name]).success().stdout()
}

/// A running server that accepts one user key, for the account that runs the tests.
#[derive(Debug)]
pub struct Foreign {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    /// The account to log in as.
    pub user: String,
    /// Algorithm and key of the host key, as in known_hosts.
    pub host_key: String,
    /// A key that may log in.
    pub user_key: Identity,
    /// A key that may not.
    pub stranger: Identity,
    /// Has the server under its address.
    pub known_hosts: PathBuf,
    inetd: Inetd,
    scratch: Scratch,
}

impl Foreign {
    /// Starts it.
    #[must_use]
    pub fn start(software: Software) -> Self {
        let scratch = Scratch::new();
        let user_key = Identity::ed25519(&scratch, "user_key");
        let stranger = Identity::ed25519(&scratch, "stranger");
        let log = scratch.join("server.log");
        let (inetd, host_key) = match software {
            Software::Sshd(release) => {
                let host_key = Identity::ed25519(&scratch, "host_key");
                let public = host_key.public_without_comment();
                let authorized_keys = format!("{}\n", user_key.public);
                let settings = Settings { host_key, authorized_keys, extra: String::new() };
                (Inetd::start(&log, serve_one(release, &scratch, &settings)), public)
            }
            Software::Dropbear => start_dropbear(&scratch, &log, &user_key),
            Software::Tinysshd => start_tinysshd(&scratch, &log, &user_key),
        };
        let address = inetd.address();
        let known_hosts =
            scratch.write("known_hosts", format!("[127.0.0.1]:{} {host_key}\n", address.port()));
        let user = account().0;
        Self { address, user, host_key, user_key, stranger, known_hosts, inetd, scratch }
    }

    /// The server's own folder.
    #[must_use]
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// What the server said so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.inetd.log()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the server at {}:\n{}", self.address, self.log());
        }
    }
}

fn start_dropbear(scratch: &Scratch, log: &Path, user_key: &Identity) -> (Inetd, String) {
    let host_key = Identity::ed25519(scratch, "host_key");
    let (words, key) = (over_home(scratch, user_key), host_key.dropbear());
    let inetd = Inetd::start(log, move || {
        let mut command = Command::new(program("bwrap"));
        // One connection, no passwords. Its log goes to syslog: in this mode it refuses to use stderr.
        command.args(&words).arg(program("/usr/sbin/dropbear")).args(["-i", "-s", "-r"]).arg(&key);
        command
    });
    (inetd, host_key.public_without_comment())
}

fn start_tinysshd(scratch: &Scratch, log: &Path, user_key: &Identity) -> (Inetd, String) {
    let keys = scratch.join("tinyssh-keys");
    let _ = Run::new(program("/usr/sbin/tinysshd-makekey")).arg(&keys).success();
    let printed = Run::new(program("/usr/sbin/tinysshd-printkey")).arg(&keys).success().stdout();
    let public = printed.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    assert!(public.starts_with("ssh-ed25519 "), "tinysshd printed no key: {printed}");
    let words = over_home(scratch, user_key);
    let inetd = Inetd::start(log, move || {
        let mut command = Command::new(program("bwrap"));
        command.args(&words).arg(program("/usr/sbin/tinysshd")).arg("-v");
        command.args(["-x", "sftp=/usr/lib/openssh/sftp-server"]).arg(&keys);
        command
    });
    (inetd, public)
}

/// bwrap's arguments for: everything as it is, but a home of our own with an authorized_keys file.
fn over_home(scratch: &Scratch, user_key: &Identity) -> Vec<std::ffi::OsString> {
    let home = scratch.folder("home");
    let _ = scratch.folder("home/.ssh");
    let _ = scratch.write("home/.ssh/authorized_keys", format!("{}\n", user_key.public));
    // Both servers refuse a file or a folder that others may write.
    let _ = Run::new("chmod").args(["-R", "go="]).arg(&home).success();
    let real = account().1;
    ["--dev-bind".into(), "/".into(), "/".into(), "--bind".into(), home.into_os_string(), real.into()].into()
}

/// The account's name and its home according to passwd.
fn account() -> (String, String) {
    let name = Run::new("id").arg("-un").success().stdout().trim().to_owned();
    let line = Run::new("getent").args(["passwd", &name]).success().stdout();
    let home = line.split(':').nth(5).expect("a passwd line has a home").to_owned();
    (name, home)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a fixture must do before our client is judged by it: OpenSSH's ssh gets in, and only with the right key.
    fn serves(software: Software) {
        let server = Foreign::start(software);
        let login = |key: &Identity, command: &str| {
            Run::new(program("ssh"))
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
                .args(["-o", &format!("UserKnownHostsFile={}", server.known_hosts.display())])
                .args(["-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR"])
                .args(["-p", &server.address.port().to_string(), "-l", &server.user, "-i"])
                .arg(&key.private)
                .args(["127.0.0.1", command])
                .finish()
        };
        let finished = login(&server.user_key, "echo in; exit 7");
        assert_eq!((finished.status, &*finished.stdout()), (Some(7), "in\n"), "{finished}");
        let refused = login(&server.stranger, "echo in");
        assert_eq!(refused.status, Some(255), "{refused}");
        assert!(refused.stderr().contains("Permission denied"), "{refused}");
    }

    #[test]
    fn sshd_9_2_serves() {
        serves(Software::Sshd(Release::V9_2));
    }

    #[test]
    fn sshd_10_0_serves() {
        serves(Software::Sshd(Release::V10_0));
    }

    #[test]
    fn dropbear_serves() {
        serves(Software::Dropbear);
    }

    #[test]
    fn tinysshd_serves() {
        serves(Software::Tinysshd);
    }
}
