//! The one ssh-agent that a user's shells and daemons share: found, or started on a socket that does not move.
//!
//! Must stay true: an agent that runs is used and never replaced; keys that are added go after a time; which keys were
//! there is remembered by their files' names, so that a restart of the machine can be told.

use crate::SocketDirectory;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A program could not be run.
    #[error("cannot run {program}: {source}\nhint: install OpenSSH's client (Debian: openssh-client)")]
    Start {
        /// Which.
        program: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// It did not do it.
    #[error("ssh-agent did not start on {}: {said}", socket.display())]
    Refused {
        /// Where.
        socket: PathBuf,
        /// What it said.
        said: String,
    },
    /// The record of keys.
    #[error("cannot {doing} {}: {source}", path.display())]
    Record {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// An agent that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    socket: PathBuf,
    /// It is the desktop's or a shell's, and not ours.
    pub is_others: bool,
}

/// The fingerprints that an agent has.
pub type Fingerprints = BTreeSet<String>;

impl Agent {
    /// The agent that a process has by its environment, or ours, if one of them answers.
    #[must_use]
    pub fn find(given: Option<&Path>, sockets: &SocketDirectory) -> Option<Self> {
        let given = given.map(|socket| Self { socket: socket.to_owned(), is_others: true });
        let ours = Self { socket: sockets.agent(), is_others: false };
        let is_ours = given.as_ref().is_some_and(|given| given.socket == ours.socket);
        given.filter(|given| !is_ours && given.answers()).or_else(|| Some(ours).filter(Self::answers))
    }

    /// Finds it, or starts ours. The directory must be prepared.
    ///
    /// # Errors
    /// When none runs and none can be started.
    pub fn find_or_start(given: Option<&Path>, sockets: &SocketDirectory) -> Result<Self, AgentError> {
        if let Some(found) = Self::find(given, sockets) {
            return Ok(found);
        }
        let socket = sockets.agent();
        // What a dead one left; a new one would not start.
        let _ = std::fs::remove_file(&socket);
        let started = Command::new("ssh-agent")
            .args(["-s", "-a"])
            .arg(&socket)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| AgentError::Start { program: "ssh-agent", source })?;
        let agent = Self { socket: socket.clone(), is_others: false };
        if started.status.success() && agent.answers() {
            return Ok(agent);
        }
        // Two at once: the other's is as good.
        if agent.answers() {
            return Ok(agent);
        }
        let said = String::from_utf8_lossy(&started.stderr).trim().to_owned();
        Err(AgentError::Refused { socket, said })
    }

    /// Its socket, for `SSH_AUTH_SOCK`.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The keys that it has.
    ///
    /// # Errors
    /// When `ssh-add` cannot be run.
    pub fn fingerprints(&self) -> Result<Fingerprints, AgentError> {
        let listed = self.ssh_add().arg("-l").output();
        let listed = listed.map_err(|source| AgentError::Start { program: "ssh-add", source })?;
        Ok(fingerprints(&String::from_utf8_lossy(&listed.stdout)))
    }

    /// `ssh-add` for this agent.
    #[must_use]
    pub fn ssh_add(&self) -> Command {
        let mut command = Command::new("ssh-add");
        command.env("SSH_AUTH_SOCK", &self.socket);
        command
    }

    fn answers(&self) -> bool {
        let is_socket = std::fs::metadata(&self.socket).is_ok_and(|found| found.file_type().is_socket());
        // 2 is "no agent"; 1 is one without keys.
        is_socket
            && self
                .ssh_add()
                .arg("-l")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| matches!(status.code(), Some(0 | 1)))
    }
}

/// The second word of each line of `ssh-add -l` and of `ssh-keygen -l`.
fn fingerprints(listed: &str) -> Fingerprints {
    let second = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    listed.lines().filter_map(second).filter(|word| word.contains(':')).collect()
}

/// The fingerprint of a key file; `None` when it is none.
#[must_use]
pub fn fingerprint_of(key: &Path) -> Option<String> {
    let said = Command::new("ssh-keygen").args(["-l", "-f"]).arg(key).stdin(Stdio::null()).output().ok()?;
    fingerprints(&String::from_utf8_lossy(&said.stdout)).into_iter().next()
}

/// The key files that were added, remembered beyond the agent's life.
#[derive(Clone, Debug)]
pub struct AddedKeys(PathBuf);

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    keys: BTreeSet<PathBuf>,
}

impl AddedKeys {
    /// The record in the folder of what is to be remembered.
    #[must_use]
    pub fn within(state: &Path) -> Self {
        Self(state.join("agent.json"))
    }

    /// What was added; nothing where nothing is known.
    #[must_use]
    pub fn list(&self) -> BTreeSet<PathBuf> {
        let text = std::fs::read(&self.0).unwrap_or_default();
        serde_json::from_slice::<Record>(&text).unwrap_or_default().keys
    }

    /// Those that an agent does not have (any more): their time is over, or it is another agent, as after a restart.
    ///
    /// # Errors
    /// When `ssh-add` cannot be run.
    pub fn missing_from(&self, agent: &Agent) -> Result<Vec<PathBuf>, AgentError> {
        let known = agent.fingerprints()?;
        let is_missing = |key: &PathBuf| fingerprint_of(key).is_some_and(|key| !known.contains(&key));
        Ok(self.list().into_iter().filter(is_missing).collect())
    }

    /// Remembers more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self, keys: impl IntoIterator<Item = PathBuf>) -> Result<(), AgentError> {
        let mut record = Record { version: 1, keys: self.list() };
        record.keys.extend(keys);
        let failed = |source| AgentError::Record { doing: "write", path: self.0.clone(), source };
        let text = serde_json::to_vec_pretty(&record).map_err(|error| failed(error.into()))?;
        let written = || {
            if let Some(folder) = self.0.parent() {
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let new = self.0.with_extension("new");
            let mut options = std::fs::File::options();
            let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&new)?;
            file.write_all(&text)?;
            std::fs::rename(&new, &self.0)
        };
        written().map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_of_a_list() {
        let listed = "256 SHA256:abc ada@laptop (ED25519)\n3072 SHA256:def no comment (RSA)\n";
        assert_eq!(fingerprints(listed).into_iter().collect::<Vec<_>>(), ["SHA256:abc", "SHA256:def"]);
        assert!(fingerprints("The agent has no identities.\n").is_empty());
    }

    #[test]
    fn what_was_added_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let added = AddedKeys::within(&folder.path().join("state"));
        assert!(added.list().is_empty());
        added.remember(["/k/a".into()]).unwrap();
        added.remember(["/k/b".into(), "/k/a".into()]).unwrap();
        assert_eq!(added.list().len(), 2);
    }
}
