//! Which programs the tests need, and which package brings each. `cargo xtask setup` installs from the same list.

use std::path::{Path, PathBuf};

/// A program and the Debian package that has it.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The command as typed, or an absolute path.
    pub command: &'static str,
    /// Its Debian 12 package.
    pub package: &'static str,
}

const fn from(package: &'static str, command: &'static str) -> Program {
    Program { command, package }
}

/// Everything that the tests take from Debian.
pub const PROGRAMS: &[Program] = &[
    from("bubblewrap", "bwrap"),
    from("chromium", "chromium"),
    from("coreutils", "sha256sum"),
    from("curl", "curl"),
    from("dbus-daemon", "dbus-daemon"),
    from("dbus-daemon", "dbus-run-session"),
    from("debootstrap", "/usr/sbin/debootstrap"),
    from("dropbear-bin", "dbclient"),
    from("dropbear-bin", "/usr/sbin/dropbear"),
    from("dropbear-bin", "dropbearconvert"),
    from("expect", "expect"),
    from("git", "git"),
    from("gnome-keyring", "gnome-keyring-daemon"),
    from("hydra", "hydra"),
    from("iproute2", "ip"),
    from("krb5-admin-server", "/usr/sbin/kadmin.local"),
    from("krb5-kdc", "/usr/sbin/kdb5_util"),
    from("krb5-kdc", "/usr/sbin/krb5kdc"),
    from("krb5-user", "kinit"),
    from("krb5-user", "klist"),
    from("lftp", "lftp"),
    from("libpam-google-authenticator", "google-authenticator"),
    from("make", "make"),
    from("oathtool", "oathtool"),
    from("munge", "/usr/sbin/munged"),
    from("openssh-client", "ssh"),
    from("openssh-client", "scp"),
    from("openssh-client", "sftp"),
    from("openssh-client", "ssh-add"),
    from("openssh-client", "ssh-agent"),
    from("openssh-client", "ssh-keygen"),
    from("openssh-server", "/usr/sbin/sshd"),
    from("openssh-sftp-server", "/usr/lib/openssh/sftp-server"),
    from("openssh-tests", "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so"),
    from("openssl", "openssl"),
    from("postgresql", "/usr/lib/postgresql/15/bin/initdb"),
    from("postgresql", "/usr/lib/postgresql/15/bin/pg_ctl"),
    from("postgresql", "/usr/lib/postgresql/15/bin/postgres"),
    from("procps", "pgrep"),
    from("putty-tools", "plink"),
    from("putty-tools", "psftp"),
    from("putty-tools", "puttygen"),
    from("python3", "python3"),
    from("python3-venv", "python3"),
    from("rclone", "rclone"),
    from("rsync", "rsync"),
    from("slurm-client", "sbatch"),
    from("slurm-client", "squeue"),
    from("slurmctld", "/usr/sbin/slurmctld"),
    from("slurmd", "/usr/sbin/slurmd"),
    from("socat", "socat"),
    from("sshfs", "sshfs"),
    from("systemd", "systemd-analyze"),
    from("tinysshd", "/usr/sbin/tinysshd"),
    from("tinysshd", "/usr/sbin/tinysshd-makekey"),
    from("tinysshd", "/usr/sbin/tinysshd-printkey"),
    from("tmux", "tmux"),
    from("util-linux", "flock"),
    from("util-linux", "nsenter"),
    from("util-linux", "setsid"),
    from("util-linux", "setpriv"),
    from("util-linux", "unshare"),
    from("vim", "vim"),
    from("x11-utils", "xdpyinfo"),
    from("xauth", "xauth"),
    from("xvfb", "Xvfb"),
];

/// The Debian packages of [`PROGRAMS`], each once, sorted.
#[must_use]
pub fn debian_packages() -> Vec<&'static str> {
    let mut packages: Vec<_> = PROGRAMS.iter().map(|p| p.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// The path of a program of [`PROGRAMS`]; panics with the package's name when it is not there.
#[must_use]
pub fn program(command: &str) -> PathBuf {
    let Some(known) = PROGRAMS.iter().find(|p| p.command == command) else {
        panic!("`{command}` is not in the list of programs (crates/hop-e2e/src/program.rs)");
    };
    find(command).unwrap_or_else(|| {
        panic!(
            "`{command}` is missing: install the Debian package {} (`cargo xtask setup` does)",
            known.package
        )
    })
}

/// Looks a command up as a shell would.
#[must_use]
pub fn find(command: &str) -> Option<PathBuf> {
    if command.contains('/') {
        return Path::new(command).exists().then(|| command.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(command)).find(|p| p.is_file())
}

/// The folder where `cargo xtask setup` puts the peers that do not come as Debian packages.
#[must_use]
pub fn peers_folder() -> PathBuf {
    target_folder().join("peers")
}

/// Cargo's target folder: the one this test binary lies in.
#[must_use]
pub fn target_folder() -> PathBuf {
    if let Some(set) = std::env::var_os("CARGO_TARGET_DIR") {
        return set.into();
    }
    workspace().join("target")
}

/// The root of the source tree.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("crates/hop-e2e is two below the root").to_owned()
}

/// Where this crate keeps the peers' scripts and their lists of versions.
#[must_use]
pub fn scripts_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// The Python that has the PyPI peers (paramiko, asyncssh, libssh, libssh2, ssh-audit).
#[must_use]
pub fn python() -> PathBuf {
    from_setup("venv/bin/python", "the PyPI packages of crates/hop-e2e/peers/requirements.txt")
}

/// A program of the Python environment.
#[must_use]
pub fn python_program(name: &str) -> PathBuf {
    from_setup(&format!("venv/bin/{name}"), &format!("the PyPI package {name}"))
}

/// A program of the Python environment that has a JupyterHub, and clients for WebSockets.
#[must_use]
pub fn hub_program(name: &str) -> PathBuf {
    from_setup(
        &format!("hub/venv/bin/{name}"),
        "the PyPI packages of crates/hop-e2e/peers/hub/requirements.txt",
    )
}

/// The Python of that environment.
#[must_use]
pub fn python_of_hub() -> PathBuf {
    hub_program("python")
}

/// The folder with the package jupyter-sshd-proxy and what it needs besides those of the Hub.
#[must_use]
pub fn jupyter_sshd_proxy() -> PathBuf {
    let _ = from_setup(
        "hub/jupyter-sshd-proxy/jupyter_sshd_proxy",
        "the PyPI packages of crates/hop-e2e/peers/hub/jupyter-sshd-proxy.txt",
    );
    peers_folder().join("hub/jupyter-sshd-proxy")
}

/// The Python that has AiiDA.
#[must_use]
pub fn aiida_python() -> PathBuf {
    from_setup("aiida/bin/python", "the PyPI packages of crates/hop-e2e/peers/aiida/requirements.txt")
}

/// JupyterHub's proxy.
#[must_use]
pub fn hub_proxy() -> PathBuf {
    from_setup("hub/npm/node_modules/.bin/configurable-http-proxy", "the npm package configurable-http-proxy")
}

/// The folder whose `node_modules` holds the npm peers.
#[must_use]
pub fn node_folder() -> PathBuf {
    let _ = from_setup("npm/node_modules/ssh2", "the npm package ssh2");
    peers_folder().join("npm")
}

/// The Debian 13 tree with OpenSSH 10.0.
#[must_use]
pub fn trixie() -> PathBuf {
    let _ = from_setup("trixie/usr/sbin/sshd", "a Debian 13 tree with openssh-server");
    peers_folder().join("trixie")
}

fn from_setup(path: &str, what: &str) -> PathBuf {
    let found = peers_folder().join(path);
    assert!(found.exists(), "{} is missing ({what}): run `cargo xtask setup`", found.display());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_listed_once() {
        let packages = debian_packages();
        let mut unique = packages.clone();
        unique.dedup();
        assert_eq!(packages, unique);
        assert!(packages.contains(&"openssh-server"));
    }

    #[test]
    #[should_panic(expected = "not in the list of programs")]
    fn an_unlisted_program_is_refused() {
        let _ = program("no-such-program");
    }
}
