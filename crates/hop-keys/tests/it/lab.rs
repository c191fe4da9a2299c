//! The real sshd and ssh, one login at a time, each over a loopback connection of its own.

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use hop_keys::{KeyAlgorithm, PrivateKey, save_private_key};

/// Where Debian's openssh-server has it; it insists on being called by its whole path.
const SSHD: &str = "/usr/sbin/sshd";

/// Keys and a directory for one test, removed afterwards.
pub(crate) struct Lab {
    directory: PathBuf,
    pub(crate) user: String,
    pub(crate) key: PrivateKey,
    pub(crate) ca: PrivateKey,
}

impl Lab {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("hop-keys-sshd-{}-{number}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).unwrap();
        let keys = ["id", "ca", "host"].map(|name| {
            let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
            save_private_key(&directory.join(name), &key, name).unwrap();
            key
        });
        let [key, ca, host] = keys;
        std::fs::write(directory.join("known_hosts"), format!("lab {}\n", host.public().to_line("")))
            .unwrap();
        // Made at boot by systemd, which containers lack; only root's sshd wants it.
        let _ = std::fs::create_dir("/run/sshd");
        let whoami = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(whoami.stdout).unwrap().trim().to_owned();
        Self { directory, user, key, ca }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        std::fs::write(self.directory.join(name), contents).unwrap();
        self.path(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.directory.join(name)).unwrap()
    }

    /// Certifies the user's key with ssh-keygen; the certificate lies where ssh finds it by itself.
    pub(crate) fn certify(&self, arguments: &[&str]) {
        let done = Command::new("ssh-keygen")
            .args(["-q", "-s", &self.path("ca"), "-I", "key id", "-z", "100"])
            .args(arguments)
            .arg(self.path("id.pub"))
            .output()
            .expect("ssh-keygen is missing: install the Debian package openssh-client");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Whether sshd, with these lines of configuration, lets the key (or its certificate) in from 127.0.0.1.
    pub(crate) fn sshd_lets_in(&self, configuration: &str) -> bool {
        let common = format!(
            "HostKey {}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin yes\nPermitUserEnvironment yes\nPermitUserRC no\nLogLevel QUIET\n{configuration}\n",
            self.path("host")
        );
        let file = self.write("sshd_config", common);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let mut ssh = Command::new("ssh")
            .args(["-F", "none", "-n", "-p", &port, "-i", &self.path("id"), "-l", &self.user])
            .args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"])
            .args([
                "-o",
                "HostKeyAlias=lab",
                "-o",
                "StrictHostKeyChecking=yes",
                "-o",
                "GlobalKnownHostsFile=none",
            ])
            .args(["-o", &format!("UserKnownHostsFile={}", self.path("known_hosts"))])
            .args(["-o", "PreferredAuthentications=publickey", "-o", "LogLevel=ERROR", "127.0.0.1", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ssh is missing: install the Debian package openssh-client");
        let socket = OwnedFd::from(listener.accept().unwrap().0);
        let mut sshd = Command::new(SSHD)
            .args(["-i", "-f", &file])
            .stdout(socket.try_clone().unwrap())
            .stdin(socket)
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd is missing: install the Debian package openssh-server");
        let let_in = ssh.wait().unwrap().success();
        sshd.wait().unwrap();
        if !let_in {
            let mut said = String::new();
            std::io::Read::read_to_string(&mut ssh.stderr.take().unwrap(), &mut said).unwrap();
            assert!(said.contains("Permission denied"), "ssh failed for another reason: {said}");
        }
        let_in
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The real time, which sshd goes by.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
