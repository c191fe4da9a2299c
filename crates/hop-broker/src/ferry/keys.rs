//! The host key that carried clients know us by, the key by which we know those of the port, and the port's number.
//!
//! Must stay true: made once for this user and kept (0600, in a directory of the user's alone); OpenSSH finds the host
//! key in a known_hosts file of ours, by a name that is no host's, so that nobody is asked and nobody's own file is
//! touched. The port belongs to a machine, not to a home that several share.

use hop_connect::ssh_config::HOST_KEY_ALIAS;
use hop_endpoint::host_keys::{self, HostKeyError};
use hop_keys::{KeyAlgorithm, PrivateKey, PublicKey, known_hosts_line, load_private_key, save_private_key};
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
    /// The key of the port.
    #[error(transparent)]
    File(#[from] hop_keys::FileError),
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

    /// The file of the key that opens the port.
    #[must_use]
    pub fn client_key_file(&self) -> PathBuf {
        self.0.join("id_ed25519")
    }

    /// Our side of SSH, with the host key; both are made if they are not there.
    ///
    /// # Errors
    /// When a file cannot be read or made, or others could have read the key.
    pub fn server(&self) -> Result<Arc<ServerConfig>, KeysError> {
        let key = host_keys::keep_ed25519(&self.0)?.private;
        self.tell_known_hosts(key.public())?;
        Ok(Arc::new(ServerConfig::new(vec![HostKey::new(key)])))
    }

    fn tell_known_hosts(&self, key: &PublicKey) -> Result<(), KeysError> {
        let port = self.port().map(|port| ("127.0.0.1", port));
        let places = [Some((HOST_KEY_ALIAS, 22)), port].into_iter().flatten();
        let lines: Vec<_> = places.filter_map(|(host, port)| known_hosts_line(host, port, key)).collect();
        let lines: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
        self.write_if_other("known_hosts", &lines.join("\n"))
    }

    /// The key that opens the port, made if it is not there.
    ///
    /// # Errors
    /// As for [`Self::server`], which goes first: it makes the directory.
    pub fn client_key(&self) -> Result<PrivateKey, KeysError> {
        let path = self.client_key_file();
        if !path.exists() {
            let key = PrivateKey::generate(KeyAlgorithm::Ed25519).map_err(HostKeyError::Generate)?;
            match save_private_key(&path, &key, "hop ssh-config --plain") {
                // Somebody else has made it meanwhile.
                Err(_) if path.exists() => {}
                saved => saved?,
            }
        }
        Ok(load_private_key(&path, None)?)
    }

    /// The port of before on this machine.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        std::fs::read_to_string(self.0.join(port_file())).ok()?.trim().parse().ok()
    }

    /// Keeps the port's number for the next time, and for those who look up its host key.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remember_port(&self, port: u16) -> Result<(), KeysError> {
        self.write_if_other(&port_file(), &port.to_string())?;
        self.server().map(drop)
    }

    /// Forgets the port: the next broker does not listen.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget_port(&self) -> Result<(), KeysError> {
        let path = self.0.join(port_file());
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(KeysError::Io { doing: "remove", path, source })
            }
            _ => Ok(()),
        }
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

fn port_file() -> String {
    format!("port-{}", rustix::system::uname().nodename().to_string_lossy().replace('/', "_"))
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
        state.client_key().unwrap();
        assert_eq!(state.port(), None);
        state.remember_port(40123).unwrap();
        assert_eq!(state.port(), Some(40123));
        let told = std::fs::read_to_string(state.known_hosts()).unwrap();
        assert!(told.contains("\n[127.0.0.1]:40123 ssh-ed25519 AAAA"), "{told}");
        state.forget_port().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = home.path().join(".local/state/hop");
        assert_eq!((mode(&folder), mode(&folder.join("ssh_host_ed25519_key"))), (0o700, 0o600));
        assert_eq!(
            std::fs::read_dir(&folder).unwrap().count(),
            5,
            "two keys, each with its other half, one file"
        );
        assert_eq!(mode(&state.client_key_file()), 0o600);
    }
}
