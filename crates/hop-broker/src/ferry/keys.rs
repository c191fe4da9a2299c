//! The host key that carried clients know us by, and the file that tells them.
//!
//! Must stay true: made once for this user and kept (0600, in a directory of the user's alone); OpenSSH finds it in a
//! known_hosts file of ours, by a name that is no host's, so that nobody is asked and nobody's own file is touched.

use hop_connect::ssh_config::HOST_KEY_ALIAS;
use hop_endpoint::host_keys::{self, HostKeyError};
use hop_keys::known_hosts_line;
use hop_ssh::{HostKey, ServerConfig};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a user's broker keeps what outlives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDirectory(PathBuf);

/// Keys that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The host key.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// Another file.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StateDirectory {
    /// The directory below a home. Not `$XDG_STATE_HOME`, which a daemon and an ssh may see differently.
    #[must_use]
    pub fn of_home(home: &Path) -> Self {
        Self(home.join(".local/state/hop"))
    }

    /// The file that tells OpenSSH our host key.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.0.join("known_hosts")
    }

    /// Our side of SSH, with the host key; both are made if they are not there.
    ///
    /// # Errors
    /// When a file cannot be read or made, or others could have read the key.
    pub fn server(&self) -> Result<Arc<ServerConfig>, KeysError> {
        let key = host_keys::keep_ed25519(&self.0)?;
        let line = known_hosts_line(HOST_KEY_ALIAS, 22, key.private.public()).unwrap_or_default();
        self.write_if_other("known_hosts", line.trim_end())?;
        Ok(Arc::new(ServerConfig::new(vec![HostKey::new(key.private)])))
    }

    /// Replaces a file whole: others may be reading it, or writing the same.
    pub(super) fn write_if_other(&self, name: &str, line: &str) -> Result<(), KeysError> {
        let path = self.0.join(name);
        let text = format!("{line}\n");
        if std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
            return Ok(());
        }
        let beside = self.0.join(format!(".{name}.{}", std::process::id()));
        let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, &path));
        written.map_err(|source| KeysError::Io { doing: "write", path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn made_once_and_told() {
        let home = tempfile::tempdir().unwrap();
        let state = StateDirectory::of_home(home.path());
        state.server().unwrap();
        let told = std::fs::read_to_string(state.known_hosts()).unwrap();
        assert!(told.starts_with("grasshopper ssh-ed25519 AAAA"), "{told}");
        state.server().unwrap();
        assert_eq!(std::fs::read_to_string(state.known_hosts()).unwrap(), told);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = home.path().join(".local/state/hop");
        assert_eq!((mode(&folder), mode(&folder.join("ssh_host_ed25519_key"))), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3, "two keys, one file; nothing beside them");
    }
}
