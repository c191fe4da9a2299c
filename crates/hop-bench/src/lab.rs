//! What all measurements share: the account, keys, configurations and files, all on a file system in memory.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::account::Account;
use crate::error::Error;
use crate::process;
use crate::server::{Kind, Running};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// The size of the large file and of what passes through a forwarding.
    pub(crate) large: u64,
    /// Sessions that are held at a time.
    pub(crate) sessions: usize,
    /// Accounts of a large site.
    pub(crate) accounts: u64,
}

impl Sizes {
    /// Those of the page.
    pub(crate) const WHOLE: Self = Self { large: 1 << 30, sessions: 200, accounts: 100_000 };
    /// Enough to see whether it works.
    pub(crate) const QUICK: Self = Self { large: 1 << 26, sessions: 40, accounts: 2000 };
}

/// What is sent over the long line.
pub(crate) const LONG_LINE: u64 = 512 << 20;
/// How many small files there are, and how large each is.
pub(crate) const SMALL_FILES: usize = 5000;
const SMALL: usize = 4096;
/// The only key exchange: the default of OpenSSH 9.2 costs its client 70 ms, which would hide everything else.
pub(crate) const KEX: &str = "curve25519-sha256";

/// What must be there, and the Debian package that brings it.
const PROGRAMS: [(&str, &str); 7] = [
    ("/usr/bin/bwrap", "bubblewrap"),
    ("/bin/dash", "dash"),
    ("/usr/bin/ssh", "openssh-client"),
    ("/usr/bin/sftp", "openssh-client"),
    ("/usr/bin/ssh-keygen", "openssh-client"),
    ("/usr/sbin/sshd", "openssh-server"),
    ("/usr/lib/openssh/sftp-server", "openssh-sftp-server"),
];

/// A cipher that both sides are pinned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cipher {
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl Cipher {
    pub(crate) const ALL: [Self; 2] = [Self::Aes256Gcm, Self::ChaCha20Poly1305];

    /// As negotiated.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes256-gcm@openssh.com",
            Self::ChaCha20Poly1305 => "chacha20-poly1305@openssh.com",
        }
    }

    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes256-gcm",
            Self::ChaCha20Poly1305 => "chacha20",
        }
    }
}

/// Keys, files and the account; removed when dropped.
pub(crate) struct Lab {
    pub(crate) hop: PathBuf,
    /// `hop-relay`.
    pub(crate) relay: Option<PathBuf>,
    /// The store's own measurement of a key lookup.
    pub(crate) lookup: Option<PathBuf>,
    pub(crate) sizes: Sizes,
    pub(crate) account: Account,
    folder: TempDir,
    in_memory: bool,
}

impl Lab {
    pub(crate) fn set_up(hop: &Path, sizes: Sizes) -> Result<Self, Error> {
        for (program, package) in PROGRAMS {
            if !Path::new(program).exists() {
                return Err(Error::Missing { program, package });
            }
        }
        let shared_memory = Path::new("/dev/shm");
        let in_memory = shared_memory.is_dir();
        let parent = if in_memory { shared_memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("hop-bench-").tempdir_in(&parent);
        let folder = folder.map_err(Error::file(&parent))?;
        // The account goes through it to its own.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))
            .map_err(Error::file(folder.path()))?;
        let account = Account::set_up(&folder.path().join("home"))?;
        let hop = hop.canonicalize().map_err(Error::file(hop))?;
        let lab = Self { hop, relay: None, lookup: None, sizes, account, folder, in_memory };
        lab.make_folder("home", true)?;
        lab.make_folder("local", false)?;
        for key in ["host_key", "user_key"] {
            lab.make_key(key)?;
        }
        lab.copy_server()?;
        let public = lab.read("user_key.pub")?;
        lab.write("authorized_keys", &public)?;
        let host = lab.read("host_key.pub")?;
        lab.write("known_hosts", &format!("server {host}"))?;
        lab.write("sshd_config", &sshd_config(&lab))?;
        lab.make_large()?;
        lab.make_small()?;
        Ok(lab)
    }

    /// A path in the lab's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Whether the files lie in memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    /// A folder below the account's home or our own, new and empty.
    pub(crate) fn empty_folder(&self, name: &str, of_account: bool) -> Result<PathBuf, Error> {
        let path = self.path(name);
        self.remove(name)?;
        self.make_folder(name, of_account)?;
        Ok(path)
    }

    /// Removes a file or folder that may be there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(&path)(error)),
            _ => Ok(()),
        }
    }

    /// One of OpenSSH's clients, told everything but what to do; the host's name is `server`.
    pub(crate) fn client(&self, program: &str, server: &Running, cipher: Cipher) -> Result<Command, Error> {
        self.client_at(program, server.port(), cipher)
    }

    /// The same through another port.
    pub(crate) fn client_at(&self, program: &str, port: u16, cipher: Cipher) -> Result<Command, Error> {
        let config = self.path("ssh_config");
        let text = format!(
            "Host server\n  HostName 127.0.0.1\n  HostKeyAlias server\n  Port {port}\n  User {}\n  IdentityFile {}\n  \
             IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  \
             StrictHostKeyChecking yes\n  UpdateHostKeys no\n  BatchMode yes\n  ControlPath none\n  LogLevel ERROR\n  \
             Compression no\n  KexAlgorithms {KEX}\n  Ciphers {}\n  HostKeyAlgorithms ssh-ed25519\n  SendEnv -*\n",
            self.account.name,
            self.path("user_key").display(),
            self.path("known_hosts").display(),
            cipher.name(),
        );
        std::fs::write(&config, text).map_err(Error::file(&config))?;
        let mut command = Command::new(program);
        command.env_remove("SSH_AUTH_SOCK").arg("-F").arg(config);
        Ok(command)
    }

    /// The command that serves on this port (`hop` may be given 0).
    pub(crate) fn server_command(&self, kind: Kind, port: u16) -> Command {
        match kind {
            Kind::Hop => {
                let mut command = Command::new(self.path("bin/hop"));
                command.arg("endpoint").arg("--json").args(["--max-startups", "1000"]);
                command.arg("--listen").arg(format!("127.0.0.1:{port}"));
                command.arg("--host-key").arg(self.path("host_key"));
                command.arg("--authorized-keys").arg(self.path("authorized_keys"));
                if self.account.is_made() {
                    use std::os::unix::process::CommandExt;
                    command.uid(self.account.uid).gid(self.account.gid);
                    command.env("HOME", self.path("home")).current_dir(self.path("home"));
                }
                command
            }
            Kind::Sshd => {
                let mut command = Command::new("/usr/sbin/sshd");
                command.args(["-D", "-e", "-p"]).arg(port.to_string());
                command.arg("-f").arg(self.path("sshd_config"));
                command
            }
        }
    }

    fn make_folder(&self, name: &str, of_account: bool) -> Result<(), Error> {
        let path = self.path(name);
        std::fs::create_dir_all(&path).map_err(Error::file(&path))?;
        if of_account { self.give(&path) } else { Ok(()) }
    }

    fn give(&self, path: &Path) -> Result<(), Error> {
        if !self.account.is_made() {
            return Ok(());
        }
        chown(path, Some(self.account.uid), Some(self.account.gid)).map_err(Error::file(path))
    }

    fn make_key(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        process::run("ssh-keygen", |command| {
            command.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path);
        })?;
        // `hop endpoint` runs as the account and reads its key, which nobody else may read.
        if name == "host_key" { self.give(&path) } else { Ok(()) }
    }

    /// The account must be able to run it, wherever it was built.
    fn copy_server(&self) -> Result<(), Error> {
        self.make_folder("bin", false)?;
        let copy = self.path("bin/hop");
        std::fs::copy(&self.hop, &copy).map_err(Error::file(&copy))?;
        std::fs::set_permissions(&copy, Permissions::from_mode(0o755)).map_err(Error::file(&copy))
    }

    fn make_large(&self) -> Result<(), Error> {
        let path = self.path("large");
        let mut file = std::fs::File::create(&path).map_err(Error::file(&path))?;
        let block: Vec<u8> = (0..1 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for _ in 0..self.sizes.large >> 20 {
            file.write_all(&block).map_err(Error::file(&path))?;
        }
        Ok(())
    }

    fn make_small(&self) -> Result<(), Error> {
        let folder = self.empty_folder("small", false)?;
        for number in 0..SMALL_FILES {
            let path = folder.join(format!("file-{number:04}"));
            std::fs::write(&path, vec![b'x'; SMALL]).map_err(Error::file(&path))?;
        }
        Ok(())
    }

    fn read(&self, name: &str) -> Result<String, Error> {
        let path = self.path(name);
        std::fs::read_to_string(&path).map_err(Error::file(&path))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.path(name);
        std::fs::write(&path, text).map_err(Error::file(&path))
    }
}

fn sshd_config(lab: &Lab) -> String {
    format!(
        "ListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nUseDNS no\n\
         PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\n\
         MaxStartups 1000\nMaxSessions 1000\nPidFile none\nSubsystem sftp /usr/lib/openssh/sftp-server\n",
        lab.path("host_key").display(),
        lab.path("authorized_keys").display(),
    )
}
