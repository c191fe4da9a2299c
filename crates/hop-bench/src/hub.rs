//! A JupyterHub with two servers of one person: one that has our extension, one that has jupyter-sshd-proxy.
//!
//! Must stay true: both have the same packages, account, login shell and kind of host key, and take the same key; a shell
//! reads no start-up files in either.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hop_e2e::hub::{Hub, Options};
use hop_e2e::program::hub_program;
use nix::unistd::{Uid, User};

use crate::error::Error;
use crate::lab::{Cipher, KEX, Lab};
use crate::process::{self, clock, clock_below, descendants};

/// Which of the two servers, and how a client gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Ours, by `hop proxy`.
    Ours,
    /// That with jupyter-sshd-proxy, by websocat.
    Theirs,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Ours, Self::Theirs];

    /// The server's name, and that of the host in the clients' configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
        }
    }
}

/// Processor time so far, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    /// Of the Hub's proxy.
    pub(crate) proxy: f64,
    /// Of the Jupyter server's own process.
    pub(crate) jupyter: f64,
    /// Of the SSH server below it, and all that it started.
    pub(crate) ssh: f64,
}

/// The running Hub.
pub(crate) struct Beside {
    // First: it ends before its files do.
    hub: Hub,
    config: PathBuf,
}

/// The settings of both servers: Python, which knows in which of them it is.
const SERVERS: &str = r#"
import os
if os.environ.get("JUPYTERHUB_SERVER_NAME") == "theirs":
    c.GrasshopperSSH.enabled = False
    c.ServerApp.jpserver_extensions = {"jupyter_server_proxy": True}
"#;

impl Beside {
    /// Starts it with both servers.
    pub(crate) fn open(lab: &Lab) -> Result<Self, Error> {
        let account = User::from_uid(Uid::effective()).ok().flatten();
        let account = account.ok_or(Error::Unexpected("this account is not in passwd"))?;
        if !account.uid.is_root() {
            return Err(Error::Unexpected(
                "the chapter jupyter needs root, which shows servers another ~/.ssh",
            ));
        }
        let keys = lab.empty_folder("keys", false)?;
        let listed = keys.join("authorized_keys");
        std::fs::copy(lab.path("user_key.pub"), &listed).map_err(Error::file(&listed))?;
        // Its sshd may need it; it may be there.
        let _there = std::fs::create_dir("/run/sshd");
        let hub = Hub::start(&Options {
            server_config: SERVERS.to_owned(),
            hub_config: format!("c.Spawner.cmd = {} + c.Spawner.cmd\n", shown(&account.dir, &keys)),
            jupyter_sshd_proxy: true,
            hop: Some(lab.hop.clone()),
            ..Options::default()
        });
        let of_person = hub.home().join(".ssh");
        let listed = of_person.join("authorized_keys");
        std::fs::copy(lab.path("user_key.pub"), &listed).map_err(Error::file(&listed))?;
        // The key that jupyter-sshd-proxy looks for, and that ours takes over; it would make an RSA key.
        process::run("ssh-keygen", |command| {
            command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(of_person.join("jupyter_sshd_hostkey"));
        })?;
        let token = hub.token(&["access:servers!user=alice"]);
        let config = lab.path("hub_config");
        std::fs::write(&config, client_config(lab, &hub, &token, &account.name)?)
            .map_err(Error::file(&config))?;
        for side in Side::BOTH {
            hub.start_server(side.name());
        }
        let beside = Self { hub, config };
        for side in Side::BOTH {
            beside.check(side)?;
        }
        Ok(beside)
    }

    /// Whether the right one of the two serves there: each could, and nothing else would show it.
    fn check(&self, side: Side) -> Result<(), Error> {
        let said = self.client("ssh").args(["-v", side.name(), "true"]).output();
        let said = said.map_err(Error::system("asking who serves"))?;
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        let version = said.lines().find_map(|line| line.split_once("remote software version "));
        match version {
            Some((_, version)) if version.starts_with("OpenSSH") == (side == Side::Theirs) => Ok(()),
            Some(_) | None => {
                Err(Error::NotServing { program: format!("the SSH server of {}", side.name()), output: said })
            }
        }
    }

    /// One of OpenSSH's clients with the Hub's configuration, told everything but what to do.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_remove("SSH_AUTH_SOCK").arg("-F").arg(&self.config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// What has been used on the way to one server.
    pub(crate) fn clocks(&self, side: Side) -> Result<Clocks, Error> {
        let (mut proxy, mut jupyter) = (None, None);
        for id in descendants(self.hub.id())? {
            // A process may end between the listing and this.
            let Ok(line) = std::fs::read(format!("/proc/{id}/cmdline")) else { continue };
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.contains("configurable-http-proxy") {
                proxy = Some(id);
            } else if line.contains("jupyterhub.singleuser") && is_named(id, side) {
                jupyter = Some(id);
            }
        }
        let proxy = proxy.ok_or(Error::Unexpected("the Hub's proxy is not there"))?;
        let jupyter = jupyter.ok_or(Error::Unexpected("a Jupyter server is not there"))?;
        Ok(Clocks { proxy: clock(proxy)?, jupyter: clock(jupyter)?, ssh: clock_below(jupyter)? })
    }
}

/// Whether a process has the environment of this server.
fn is_named(process: u32, side: Side) -> bool {
    let wanted = format!("JUPYTERHUB_SERVER_NAME={}", side.name());
    let environment = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
}

/// The words before a server's own, in Python: it sees these keys as its account's `~/.ssh`, and no start-up file of the
/// shell. OpenSSH's sshd knows that home from passwd alone.
fn shown(home: &Path, keys: &Path) -> String {
    let steps = format!(
        "mkdir -p {home}/.ssh && mount --bind {keys} {home}/.ssh; \
         if [ -e {home}/.bashrc ]; then mount --bind /dev/null {home}/.bashrc; fi; exec \"$@\"",
        home = home.display(),
        keys = keys.display(),
    );
    format!("[\"unshare\", \"--mount\", \"sh\", \"-ec\", {steps:?}, \"sh\"]")
}

fn client_config(lab: &Lab, hub: &Hub, token: &Path, user: &str) -> Result<String, Error> {
    let word = std::fs::read_to_string(token).map_err(Error::file(token))?;
    let ours = format!(
        "{} proxy --token-file {} {}",
        lab.path("bin/hop").display(),
        token.display(),
        hub.url(Side::Ours.name())
    );
    let theirs = format!(
        "{} --binary -H=\"Authorization: token {}\" asyncstdio: {}",
        hub_program("websocat").display(),
        word.trim(),
        hub.url(Side::Theirs.name())
    );
    let hosts = format!("Host ours\n  ProxyCommand {ours}\nHost theirs\n  ProxyCommand {theirs}\n");
    // websocat keeps a session's last bytes to itself now and then; sshd answers after so long, which pushes them on. By
    // itself ssh waits five minutes. Nothing else here is silent.
    Ok(format!("{hosts}Host *\n  User {user}\n  ServerAliveInterval 5\n{}", common(lab)))
}

/// What all clients of this chapter have in common.
pub(crate) fn common(lab: &Lab) -> String {
    format!(
        "  IdentityFile {}\n  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile /dev/null\n  \
         GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n  UpdateHostKeys no\n  BatchMode yes\n  \
         ControlPath none\n  LogLevel ERROR\n  Compression no\n  KexAlgorithms {KEX}\n  Ciphers {}\n  \
         HostKeyAlgorithms ssh-ed25519\n  SendEnv -*\n",
        lab.path("user_key").display(),
        Cipher::Aes256Gcm.name(),
    )
}
