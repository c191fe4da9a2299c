//! A private folder for one test. It has a short path (Unix socket paths end at 107 bytes) and goes with its owner.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::server::Kind;

/// A folder that is removed on drop; kept and named on stderr when the test panicked.
#[derive(Debug)]
pub struct Scratch {
    folder: Option<TempDir>,
}

impl Scratch {
    /// Makes a new folder below the system's temporary folder, readable by its owner only.
    #[expect(clippy::new_without_default, reason = "a default that touches the disk would surprise")]
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("hop-").tempdir().expect("create a temporary folder");
        share(folder.path());
        Self { folder: Some(folder) }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.as_ref().expect("present until drop").path()
    }

    /// A name inside the folder; nothing is created.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Creates a folder inside.
    #[must_use]
    pub fn folder(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.join(name);
        std::fs::create_dir_all(&path).unwrap_or_else(|e| fail(&path, &e));
        share(&path);
        path
    }

    /// Writes a file inside.
    pub fn write(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        std::fs::write(&path, contents).unwrap_or_else(|e| fail(&path, &e));
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("files of the failed test: {}", folder.keep().display());
        }
    }
}

/// Behind a gateway the server is another user than the test, and works in the same folders.
fn share(folder: &Path) {
    if Kind::asked() == Kind::Gateway {
        let all = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder, all).unwrap_or_else(|e| fail(folder, &e));
    }
}

/// Stops the test because a file of its own could not be written.
fn fail<T>(path: &Path, error: &std::io::Error) -> T {
    panic!("writing {}: {error}", path.display())
}
