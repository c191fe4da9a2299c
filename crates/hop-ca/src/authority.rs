//! The CA keys on disk: one for users, one for hosts, made once and kept.

use hop_keys::{FileError, load_private_key, save_private_key};
use hop_keys::{KeyAlgorithm, PrivateKey, PrivateKeyError};
use std::io;
use std::path::{Path, PathBuf};

use crate::request::PublicKeys;

/// The CA keys. Two, so that a certificate made for one purpose is worth nothing for the other.
#[derive(Debug)]
pub struct Authority {
    pub(crate) user_ca: PrivateKey,
    pub(crate) host_ca: PrivateKey,
}

/// CA keys that cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A key file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The library could not make a key.
    #[error("cannot make the CA key {}: {source}", path.display())]
    Generate {
        /// Where it would have been kept.
        path: PathBuf,
        /// Why.
        source: PrivateKeyError,
    },
}

impl Authority {
    /// Reads `user_ca` and `host_ca` in `directory`, which exists; makes those that are missing (0600).
    pub fn keep(directory: &Path) -> Result<Self, AuthorityError> {
        Ok(Self {
            user_ca: keep_one(&directory.join("user_ca"), "user CA")?,
            host_ca: keep_one(&directory.join("host_ca"), "host CA")?,
        })
    }

    /// The halves that everybody may know.
    pub fn public_keys(&self) -> PublicKeys {
        let line = |key: &PrivateKey| key.public().to_line(key.comment()).trim().to_owned();
        PublicKeys { user_ca: line(&self.user_ca), host_ca: line(&self.host_ca) }
    }
}

fn keep_one(path: &Path, comment: &str) -> Result<PrivateKey, AuthorityError> {
    match load_private_key(path, None) {
        Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        other => return Ok(other?),
    }
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519)
        .map_err(|source| AuthorityError::Generate { path: path.to_owned(), source })?;
    save_private_key(path, &key, comment)?;
    // What counts is what is on disk: another process may have been faster.
    Ok(load_private_key(path, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_made_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let first = Authority::keep(directory.path()).unwrap().public_keys();
        assert_ne!(first.user_ca, first.host_ca);
        assert_eq!(Authority::keep(directory.path()).unwrap().public_keys(), first);
        let mode = std::fs::metadata(directory.path().join("user_ca")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_others_could_read_is_refused_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("user_ca");
        Authority::keep(directory.path()).unwrap();
        let before = std::fs::read(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Authority::keep(directory.path()).unwrap_err().to_string();
        assert!(error.contains("user_ca"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
