//! Files whose secrets others could read, or that are about to be published.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that must not hold a secret as it is.
#[derive(Debug, thiserror::Error)]
pub enum Exposed {
    /// Others may read or change it.
    #[error("{} can be used by others (mode {mode:04o})\nhint: chmod 600 {}", path.display(), path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{} belongs to user {owner}\nhint: make one of your own", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// One commit, and everybody has it.
    #[error("{} lies in the git work tree {}\nhint: move it elsewhere, for example below ~/.ssh", path.display(), tree.display())]
    GitWorkTree {
        /// The file.
        path: PathBuf,
        /// The tree.
        tree: PathBuf,
    },
    /// It cannot be looked at.
    #[error("cannot look at {}: {source}", path.display())]
    Unseen {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Refuses a file that others than `user` can read, or that is in a git work tree. One that is not there yet is judged
/// by its place. A link is judged by what it leads to.
pub fn check_unexposed(path: &Path, user: u32) -> Result<(), Exposed> {
    let unseen = |source| Exposed::Unseen { path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Ok(found) => {
            let mode = found.mode() & 0o7777;
            if mode & 0o077 != 0 {
                return Err(Exposed::Open { path: path.to_owned(), mode });
            }
            if found.uid() != user {
                return Err(Exposed::Foreign { path: path.to_owned(), owner: found.uid() });
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unseen(error)),
    }
    check_unpublished(path)
}

/// Refuses a file in a git work tree: a certificate names its person and where it opens doors, and may be read otherwise. A
/// link is judged by what it leads to.
pub fn check_unpublished(path: &Path) -> Result<(), Exposed> {
    let unseen = |source| Exposed::Unseen { path: path.to_owned(), source };
    let place = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::path::absolute(path).map_err(unseen)?,
        other => other.map_err(unseen)?,
    };
    // A work tree has a folder .git, or a file of that name when it is a linked one.
    match place.ancestors().skip(1).find(|folder| folder.join(".git").symlink_metadata().is_ok()) {
        None => Ok(()),
        Some(tree) => Err(Exposed::GitWorkTree { path: path.to_owned(), tree: tree.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_that_others_could_have() {
        let folder = tempfile::tempdir().unwrap();
        let user = std::fs::metadata(folder.path()).unwrap().uid();
        let path = folder.path().join("deep/secret");
        assert!(check_unexposed(&path, user).is_ok());
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::fs::write(&path, "").unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(check_unexposed(&path, user).is_ok(), good, "{mode:o}");
            assert!(check_unpublished(&path).is_ok(), "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(check_unexposed(&path, user + 1), Err(Exposed::Foreign { .. })));
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        let error = check_unexposed(&path, user).unwrap_err();
        assert!(matches!(error, Exposed::GitWorkTree { .. }), "{error}");
        assert!(matches!(
            check_unexposed(&folder.path().join("new"), user),
            Err(Exposed::GitWorkTree { .. })
        ));
        assert!(matches!(check_unpublished(&path), Err(Exposed::GitWorkTree { .. })));
        let elsewhere = tempfile::tempdir().unwrap();
        let link = elsewhere.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(check_unexposed(&link, user), Err(Exposed::GitWorkTree { .. })));
    }
}
