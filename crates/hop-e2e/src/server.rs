//! The server under test: `hop endpoint`, a project behind the gateway of a whole site, or OpenSSH's sshd to check the
//! tests themselves.
//!
//! `HOP_E2E_SERVER` chooses (`hop`, `gateway`, `sshd-9.2`, `sshd-10.0`; default `hop`). `HOP_BIN` names the binary; without it the
//! first test that needs it asks cargo to build it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;

use crate::gateway::{self, Gateway};
use crate::inetd::Inetd;
use crate::run::Background;
use crate::sshd::{Release, Settings, serve_one};
use crate::{Identity, Run, Scratch, program};

/// Which program serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `hop endpoint`.
    Hop,
    /// A project of a site: clients meet its gateway.
    Gateway,
    /// OpenSSH's sshd.
    Sshd(Release),
}

impl Kind {
    /// The kind that the environment asks for.
    #[must_use]
    pub fn asked() -> Self {
        match std::env::var("HOP_E2E_SERVER").as_deref() {
            Err(_) | Ok("hop") => Self::Hop,
            Ok("gateway") => Self::Gateway,
            Ok("sshd-9.2") => Self::Sshd(Release::V9_2),
            Ok("sshd-10.0") => Self::Sshd(Release::V10_0),
            Ok(other) => panic!("HOP_E2E_SERVER={other}: give hop, gateway, sshd-9.2 or sshd-10.0"),
        }
    }
}

/// A running server that accepts one user key, and everything a client needs to reach it.
#[derive(Debug)]
pub struct Server {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    /// The account to log in as: the one that runs the tests.
    pub user: String,
    /// The server's host key.
    pub host_key: Identity,
    /// A key that may log in.
    pub user_key: Identity,
    /// A key that may not.
    pub stranger: Identity,
    /// A known_hosts file that has this server under its address and under the alias `hop`.
    pub known_hosts: PathBuf,
    /// An ssh_config in which the host `hop` is this server.
    pub ssh_config: PathBuf,
    process: Process,
    // Last: the process must be gone before its files are.
    scratch: Scratch,
}

#[derive(Debug)]
enum Process {
    Hop(Background),
    Gateway(Gateway),
    Sshd(Inetd),
}

/// What a test may choose about its server.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Put before the user key in authorized_keys, for example `restrict,pty`.
    pub key_options: String,
    /// More lines for authorized_keys.
    pub more_keys: String,
    /// More arguments for `hop endpoint`.
    pub hop_arguments: Vec<String>,
    /// More lines for sshd_config, to the same effect.
    pub sshd_config: String,
}

impl Server {
    /// Starts the kind of server that the environment asks for.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&Options::default())
    }

    /// The same with choices.
    #[must_use]
    pub fn start_with(options: &Options) -> Self {
        Self::start_kind(Kind::asked(), options)
    }

    /// Starts this kind of server.
    #[must_use]
    pub fn start_kind(kind: Kind, options: &Options) -> Self {
        let scratch = Scratch::new();
        let mut host_key = Identity::ed25519(&scratch, "host_key");
        let user_key = Identity::ed25519(&scratch, "user_key");
        let stranger = Identity::ed25519(&scratch, "stranger");
        // As in a real file: options, a space, the key.
        let space = if options.key_options.is_empty() { "" } else { " " };
        let authorized_keys =
            format!("{}{space}{}\n{}", options.key_options, user_key.public, options.more_keys);
        let (process, address) = match kind {
            Kind::Hop => start_hop(&scratch, &host_key, &authorized_keys, &options.hop_arguments),
            Kind::Gateway => {
                assert!(options.key_options.is_empty(), "a site has no authorized_keys");
                let gateway = Gateway::start(&scratch, &user_key, options);
                let address = gateway.address;
                host_key.clone_from(&gateway.host_key);
                (Process::Gateway(gateway), address)
            }
            Kind::Sshd(release) => {
                let settings = Settings {
                    host_key: host_key.clone(),
                    authorized_keys,
                    extra: options.sshd_config.clone(),
                };
                let inetd = Inetd::start(&scratch.join("sshd.log"), serve_one(release, &scratch, &settings));
                let address = inetd.address();
                (Process::Sshd(inetd), address)
            }
        };
        let port = address.port();
        let keys = match &process {
            Process::Gateway(gateway) => gateway.host_keys.clone(),
            Process::Hop(_) | Process::Sshd(_) => vec![host_key.public_without_comment()],
        };
        let known = keys.iter().map(|key| format!("[127.0.0.1]:{port} {key}\nhop {key}\n"));
        let known_hosts = scratch.write("known_hosts", known.collect::<String>());
        let user = match kind {
            Kind::Gateway => gateway::PROJECT.to_owned(),
            Kind::Hop | Kind::Sshd(_) => Run::new("id").arg("-un").success().stdout().trim().to_owned(),
        };
        let ssh_config =
            scratch.write("ssh_config", ssh_config(port, &user, &user_key.private, &known_hosts));
        Self { address, user, host_key, user_key, stranger, known_hosts, ssh_config, process, scratch }
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The server's own folder, for more files that live as long.
    #[must_use]
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// All host keys that a client may learn, without comments.
    #[must_use]
    pub fn host_keys(&self) -> Vec<String> {
        match &self.process {
            Process::Gateway(gateway) => gateway.host_keys.clone(),
            Process::Hop(_) | Process::Sshd(_) => vec![self.host_key.public_without_comment()],
        }
    }

    /// Lets one more key in.
    pub fn allow(&self, key: &Identity) {
        match &self.process {
            Process::Gateway(gateway) => gateway.allow(key),
            Process::Hop(_) | Process::Sshd(_) => {
                let path = self.scratch.join("authorized_keys");
                let old = std::fs::read_to_string(&path).expect("the server's keys");
                std::fs::write(&path, format!("{old}{}\n", key.public)).expect("one key more");
            }
        }
    }

    /// Gives files to whoever sessions run as, where that is not the test's own user.
    pub fn give(&self, path: &Path) {
        if let Process::Gateway(gateway) = &self.process {
            gateway.give(path);
        }
    }

    /// What the server logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        match &self.process {
            Process::Hop(background) => background.output(),
            Process::Gateway(gateway) => gateway.background.output(),
            Process::Sshd(inetd) => inetd.log(),
        }
    }

    /// The server's process: for signals and for reading its memory. Only `hop` has one for all connections.
    #[must_use]
    pub fn process(&mut self) -> &mut Background {
        match &mut self.process {
            Process::Hop(background) => background,
            Process::Gateway(gateway) => &mut gateway.background,
            Process::Sshd(_) => panic!("an sshd here is one process per connection"),
        }
    }

    /// The process behind the listener of a gateway: for reading its memory.
    #[must_use]
    pub fn gateway_process(&self) -> Option<u32> {
        match &self.process {
            Process::Gateway(gateway) => Some(gateway.site_process()),
            Process::Hop(_) | Process::Sshd(_) => None,
        }
    }

    /// An ssh of this release with everything said except what to do: ends with the host.
    #[must_use]
    pub fn ssh(&self, release: Release) -> Run {
        self.openssh(release, "ssh").arg("hop")
    }

    /// The ssh_config in which the host `hop` is this server and the only key is the one that may not log in.
    #[must_use]
    pub fn stranger_config(&self) -> PathBuf {
        let config = ssh_config(self.port(), &self.user, &self.stranger.private, &self.known_hosts);
        self.scratch.write("ssh_config.stranger", config)
    }

    /// One of OpenSSH's clients with its configuration given.
    #[must_use]
    pub fn openssh(&self, release: Release, command: &str) -> Run {
        Run::from_words(&release.words(command)).arg("-F").arg(&self.ssh_config)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the server at {}:\n{}", self.address, self.log());
        }
    }
}

fn ssh_config(port: u16, user: &str, key: &Path, known_hosts: &Path) -> String {
    format!(
        "Host hop\n  HostName 127.0.0.1\n  HostKeyAlias hop\n  Port {port}\n  User {user}\nHost *\n  IdentityFile {}\n  \
         IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  \
         StrictHostKeyChecking yes\n  BatchMode yes\n  ControlPath none\n  UpdateHostKeys no\n  LogLevel ERROR\n",
        key.display(),
        known_hosts.display(),
    )
}

/// The line that `hop endpoint --json` prints when it listens.
#[derive(Debug, Deserialize)]
struct Listening {
    listen: Vec<String>,
    host_keys: Vec<ListeningKey>,
}

#[derive(Debug, Deserialize)]
struct ListeningKey {
    algorithm: String,
    fingerprint: String,
}

fn start_hop(
    scratch: &Scratch,
    host_key: &Identity,
    authorized_keys: &str,
    more: &[String],
) -> (Process, SocketAddr) {
    let authorized = scratch.write("authorized_keys", authorized_keys);
    let background = Run::new(hop_binary())
        .args(["endpoint", "--listen", "127.0.0.1:0", "--json", "--host-key"])
        .arg(&host_key.private)
        .arg("--authorized-keys")
        .arg(&authorized)
        .args(more)
        .background();
    let said: Listening = background.wait_for("a JSON line saying where it listens", |text| {
        text.lines().find_map(|line| serde_json::from_str(line).ok())
    });
    let first = said.host_keys.first().expect("at least one host key is announced");
    assert_eq!(first.algorithm, "ssh-ed25519");
    assert_eq!(
        first.fingerprint,
        host_key.fingerprint(),
        "the announced fingerprint is that of the given key"
    );
    let address: SocketAddr =
        said.listen.first().and_then(|a| a.parse().ok()).expect("an address is announced");
    assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
    (Process::Hop(background), address)
}

/// The binary under test.
#[must_use]
pub fn hop_binary() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(set) = std::env::var_os("HOP_BIN") {
            return set.into();
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let _ = Run::new(cargo)
            .args(["build", "--quiet", "--package", "hop"])
            .current_dir(&program::workspace())
            .limit(std::time::Duration::from_secs(1800))
            .success();
        program::target_folder().join("debug/hop")
    })
}
