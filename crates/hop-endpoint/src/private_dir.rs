//! A directory that only we can enter, for sockets and cookies of one connection.
//!
//! Created 0700 and exclusively under a random name, so that nobody can have put something there before;
//! removed with everything in it when the value is dropped.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Attempts at a free name: a collision of 64 random bits means that somebody works against us.
const ATTEMPTS: usize = 8;

/// A directory that exists as long as this value.
#[derive(Debug)]
pub struct PrivateDir {
    path: PathBuf,
}

/// The directory could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a private directory in {parent}: {source}")]
pub struct PrivateDirError {
    /// Where it was to be.
    pub parent: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl PrivateDir {
    /// Makes `parent/hop-RANDOM`; `parent` is usually the caller's temporary directory.
    pub fn create(parent: &Path) -> Result<Self, PrivateDirError> {
        let failed = |source: io::Error| PrivateDirError { parent: parent.to_owned(), source };
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700);
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..ATTEMPTS {
            let path = parent.join(format!("hop-{}", random_name().map_err(failed)?));
            match builder.create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(last))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        // remove_dir_all does not follow symbolic links, and nobody else could write here.
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "private directory not removed");
        }
    }
}

/// Sixteen hexadecimal digits.
pub(crate) fn random_name() -> io::Result<String> {
    let mut bytes = [0_u8; 8];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn is_private_and_gone_with_its_contents() {
        let directory = PrivateDir::create(&std::env::temp_dir()).unwrap();
        let path = directory.path().to_owned();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o700);
        assert_eq!(metadata.uid(), rustix::process::getuid().as_raw());
        std::fs::create_dir(path.join("inner")).unwrap();
        std::fs::write(path.join("inner/file"), b"x").unwrap();
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn a_missing_parent_is_named() {
        let error = PrivateDir::create(Path::new("/nonexistent/place")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/place"), "{error}");
    }
}
