//! An authentication script: what is run before each new connection to a host.
//!
//! Must stay true: a script that somebody else can change is not run; it never runs twice at once, whatever process of
//! this user starts it.

use rustix::fs::FlockOperation;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The longest name of a file that most file systems take is 255; a lock's name is at most this long.
const LONGEST_NAME: usize = 200;

/// Why a script is not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScriptError {
    #[error("cannot look at its authentication script {}: {source}", path.display())]
    Unseen { path: PathBuf, source: io::Error },
    #[error(
        "its authentication script {} {reason}\nhint: ls -l {}; it has to be executable, yours or root's, and \
         writable by nobody else (chmod 700)",
        path.display(),
        path.display()
    )]
    Unsafe { path: PathBuf, reason: &'static str },
    #[error("cannot lock {}, so that no script runs twice: {source}", path.display())]
    Lock { path: PathBuf, source: io::Error },
}

/// A script that may be run.
#[derive(Debug)]
pub(crate) struct Script(PathBuf);

impl Script {
    /// Looks at who could have written it.
    pub(crate) fn check(path: PathBuf) -> Result<Self, ScriptError> {
        let look = |at: &Path| {
            std::fs::metadata(at).map_err(|source| ScriptError::Unseen { path: path.clone(), source })
        };
        let refused = |reason| Err(ScriptError::Unsafe { path: path.clone(), reason });
        let user = rustix::process::geteuid().as_raw();
        let found = look(&path)?;
        if !found.is_file() || found.mode() & 0o111 == 0 {
            return refused("is no executable file");
        }
        if found.uid() != user && found.uid() != 0 {
            return refused("belongs to another user");
        }
        if found.mode() & 0o022 != 0 {
            return refused("can be changed by others");
        }
        // Whoever can write the folder can put another in its place, unless it is sticky, as /tmp is.
        let folder = look(path.parent().unwrap_or(Path::new("/")))?;
        if folder.mode() & 0o022 != 0 && folder.mode() & 0o1000 == 0 {
            return refused("lies in a folder that others can change");
        }
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Waits until it runs nowhere else; held as long as the result is. The lock is a file of its own: scripts lock
    /// themselves, too.
    pub(crate) async fn lock(&self, state: &Path) -> Result<File, ScriptError> {
        let name: String = self.0.as_os_str().as_bytes().escape_ascii().to_string().replace('/', "%");
        let kept = name.len().saturating_sub(LONGEST_NAME);
        let path = state.join(format!("script{}.lock", name.get(kept..).unwrap_or_default()));
        let lock = path.clone();
        let locking = tokio::task::spawn_blocking(move || {
            if let Some(folder) = lock.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&lock)?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        });
        let locked = locking.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        locked.map_err(|source| ScriptError::Lock { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_script_that_others_could_change_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let (folder, path) = (scratch.path().join("bin"), scratch.path().join("bin/fetch"));
        std::fs::create_dir(&folder).unwrap();
        assert!(matches!(Script::check(path.clone()), Err(ScriptError::Unseen { .. })));
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        for (of_folder, of_file, said) in [
            (0o755, 0o700, None),
            (0o755, 0o755, None),
            (0o755, 0o600, Some("is no executable file")),
            (0o755, 0o775, Some("can be changed by others")),
            (0o777, 0o755, Some("lies in a folder")),
            (0o1777, 0o755, None),
        ] {
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(of_folder)).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(of_file)).unwrap();
            let refused = Script::check(path.clone()).err().map(|error| error.to_string());
            assert_eq!(refused.is_some(), said.is_some(), "{of_folder:o} {of_file:o}: {refused:?}");
            assert!(said.is_none_or(|said| refused.unwrap().contains(said)));
        }
    }

    #[tokio::test]
    async fn it_never_runs_twice_at_once() {
        let scratch = tempfile::tempdir().unwrap();
        let script = Script(scratch.path().join("fetch"));
        let state = scratch.path().join("state");
        let held = script.lock(&state).await.unwrap();
        let second = script.lock(&state);
        tokio::pin!(second);
        let early = tokio::time::timeout(std::time::Duration::from_millis(100), &mut second).await;
        assert!(early.is_err(), "it is locked twice");
        drop(held);
        second.await.unwrap();
    }
}
