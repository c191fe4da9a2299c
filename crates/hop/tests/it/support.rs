//! Runs the built program in a home of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// A home directory with a key pair in `~/.ssh`.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self(TempDir::new().unwrap());
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        home.make_key(".ssh/id_ed25519");
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes a key pair; the private key's path.
    pub(crate) fn make_key(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
            .arg(&path)
            .status()
            .expect("ssh-keygen is missing: install the Debian package openssh-client");
        assert!(made.success());
        path
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// `hop` with these arguments, in this home.
    pub(crate) fn hop(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hop"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::from(self.hop(arguments).output().unwrap())
    }

    /// Makes everything in it somebody's.
    pub(crate) fn give_to(&self, user: u32) {
        let given = Command::new("chown").args(["-R", &format!("{user}:{user}")]).arg(self.path()).status();
        assert!(given.unwrap().success());
    }

    /// Starts a server and waits for the line that it prints.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        self.started(self.hop(arguments))
    }

    /// The same by a program that becomes what its last words say.
    pub(crate) fn serve_by(&self, program: &[&str], arguments: &[&str]) -> Server {
        let hop = self.hop(arguments);
        let (name, words) = program.split_first().unwrap();
        let mut command = Command::new(name);
        command
            .args(words)
            .arg(hop.get_program())
            .args(hop.get_args())
            .current_dir(self.path())
            .env_clear()
            .envs(hop.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdin(Stdio::null());
        self.started(command)
    }

    fn started(&self, mut command: Command) -> Server {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(self.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let announced = serde_json::from_str(&line).unwrap_or_else(|error| {
            let said = std::fs::read_to_string(self.path().join("stderr")).unwrap();
            panic!("no announcement ({error}): {line:?}, {said}")
        });
        Server { child, announced }
    }

    /// Runs ssh with a key against a port of loopback, logging in as `user`.
    pub(crate) fn ssh(&self, key: &Path, port: u16, user: &str, command: &str) -> Ended {
        Ended::from(self.ssh_command(key, port, &[&format!("{user}@127.0.0.1"), command]).output().unwrap())
    }

    /// ssh with further words, not started yet.
    pub(crate) fn ssh_command(&self, key: &Path, port: u16, words: &[&str]) -> Command {
        self.client_command("ssh", key, &[&["-F", "none", "-p", &port.to_string()], words].concat())
    }

    /// A program of OpenSSH's that logs in with this key and asks nobody.
    pub(crate) fn client_command(&self, program: &str, key: &Path, words: &[&str]) -> Command {
        let mut client = Command::new(program);
        client
            .args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "LogLevel=ERROR"])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", self.path().join("known_hosts").display()))
            .arg("-i")
            .arg(key)
            .args(words)
            .stdin(Stdio::null());
        client
    }

    /// The documents that `hop … --json` printed.
    pub(crate) fn documents(&self, words: &[&str]) -> Vec<serde_json::Value> {
        let ended = self.run(&[words, &["--json"]].concat());
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.stderr);
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A running server; killed at the end.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) announced: serde_json::Value,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The port at the end of an address.
pub(crate) fn port_of(address: &serde_json::Value) -> u16 {
    address.as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
}

/// The name that the tests run as.
pub(crate) fn user_name() -> String {
    let id = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}
