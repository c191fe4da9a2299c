//! The directory of the control sockets and of the broker's own socket: one per user and machine.
//!
//! Must stay true: it is fixed (the same for a shell, a cron job and a daemon, whatever their environment); owned by
//! the user, closed to others, no link; on a local file system; and short, because `ssh` binds `<path>.<16 characters>`
//! first and a socket's path ends at 107 bytes.

use crate::alias::Alias;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// What `ssh` appends while it binds a control socket: a dot and sixteen characters.
const WHILE_BINDING: usize = 17;
/// macOS has room for 104 bytes, Linux for 108; both with the final zero. Four more are kept.
const LONGEST_PATH: usize = 100;
/// Aliases' file names are at most this long.
const LONGEST_NAME: usize = 32;

/// Where this user's sockets are on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketDirectory(PathBuf);

/// Why a directory cannot hold sockets.
#[derive(Debug, thiserror::Error)]
pub enum SocketDirectoryError {
    /// It could not be made or looked at.
    #[error("cannot use {path} for sockets: {source}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a link, somebody else's, or open to others.
    #[error(
        "cannot use {path} for sockets: {reason}\nhint: look at who made it (ls -ld {path}), then remove it"
    )]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Sockets in it would have names that the system cannot take.
    #[error("cannot use {path} for sockets: its name is {length} bytes long, and at most {most} leave room")]
    TooLong {
        /// The directory.
        path: PathBuf,
        /// Its length.
        length: usize,
        /// The longest that works.
        most: usize,
    },
    /// On a file system that other machines share.
    #[error("cannot use {path} for sockets: it is on a network file system")]
    Remote {
        /// The directory.
        path: PathBuf,
    },
}

impl SocketDirectory {
    /// The place for a user. `/tmp` and not `$XDG_RUNTIME_DIR`: that one is not set for a daemon or a cron job, and
    /// goes when the last session of the user ends. systemd-tmpfiles leaves directories alone that are locked.
    #[must_use]
    pub fn of_user(uid: u32) -> Self {
        Self(PathBuf::from(format!("/tmp/hop-{uid}")))
    }

    /// A directory that the user chose.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The control socket of a host.
    #[must_use]
    pub fn control_socket(&self, alias: &Alias) -> PathBuf {
        self.0.join(alias.file_name())
    }

    /// The broker's own socket. Its name, like all that are not a host's, begins with a dot, which no alias does.
    #[must_use]
    pub fn broker_socket(&self) -> PathBuf {
        self.0.join(".broker")
    }

    /// The socket of the agent that all share.
    #[must_use]
    pub fn agent(&self) -> PathBuf {
        self.0.join(".agent")
    }

    /// The name under which `ssh` calls our program for prompts (it can pass no arguments).
    #[must_use]
    pub fn askpass(&self) -> PathBuf {
        self.0.join(".bin").join("hop-askpass")
    }

    /// What programs show to the broker's HTTP API.
    #[must_use]
    pub fn api_token(&self) -> PathBuf {
        self.0.join(".api-token")
    }

    /// Where the broker's messages go.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join(".log")
    }

    /// Makes it if needed, and checks it.
    ///
    /// # Errors
    /// When it cannot be made, is not this user's alone, or has too long a name.
    pub fn prepare(&self) -> Result<(), SocketDirectoryError> {
        let length = self.0.as_os_str().len();
        let most = LONGEST_PATH - WHILE_BINDING - LONGEST_NAME - 1;
        if length > most {
            return Err(SocketDirectoryError::TooLong { path: self.0.clone(), length, most });
        }
        match std::fs::DirBuilder::new().mode(0o700).create(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(self.io(error)),
            _ => {}
        }
        self.check()
    }

    /// Checks it, making nothing; `false` when it does not exist.
    ///
    /// # Errors
    /// When it is there and not this user's alone.
    pub fn exists(&self) -> Result<bool, SocketDirectoryError> {
        match self.check() {
            Ok(()) => Ok(true),
            Err(SocketDirectoryError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn check(&self) -> Result<(), SocketDirectoryError> {
        let unsafe_because = |reason| SocketDirectoryError::Unsafe { path: self.0.clone(), reason };
        let stat =
            rustix::fs::statat(CWD, &self.0, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| self.io(e.into()))?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::Directory {
            return Err(unsafe_because("it is no directory"));
        }
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(unsafe_because("it belongs to another user"));
        }
        if stat.st_mode & 0o077 != 0 {
            return Err(unsafe_because("others can enter it (its mode must be 0700)"));
        }
        if is_remote(&self.0).map_err(|e| self.io(e))? {
            return Err(SocketDirectoryError::Remote { path: self.0.clone() });
        }
        Ok(())
    }

    /// The lock that only one broker holds; `None` when another has it. Held for as long as the file is open.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    pub fn lock(&self) -> Result<Option<File>, SocketDirectoryError> {
        // The directory itself: that is the lock which systemd-tmpfiles looks at.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&self.0, flags, Mode::empty()).map_err(|e| self.io(e.into()))?;
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(directory.into())),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(self.io(error.into())),
        }
    }

    fn io(&self, source: io::Error) -> SocketDirectoryError {
        SocketDirectoryError::Io { path: self.0.clone(), source }
    }
}

/// Whether other machines see it too (NFS, SMB, Lustre, BeeGFS, GPFS, AFS, CephFS, 9p, FUSE is judged as local).
#[cfg(target_os = "linux")]
fn is_remote(path: &Path) -> io::Result<bool> {
    // The magic numbers of statfs(2).
    const REMOTE: &[u32] = &[
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x0bd0_0bd0,
        0x1983_0326,
        0x4750_4653,
        0x5346_414f,
        0x6b41_4653,
        0x00c3_6400,
        0x0102_1997,
    ];
    // Its type differs between processors.
    let kind = u32::try_from(rustix::fs::statfs(path)?.f_type);
    Ok(kind.is_ok_and(|kind| REMOTE.contains(&kind)))
}

/// Not known how to tell; /tmp is local there.
#[cfg(not(target_os = "linux"))]
fn is_remote(_path: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn scratch() -> tempfile::TempDir {
        tempfile::Builder::new().prefix("h").tempdir().unwrap()
    }

    #[test]
    fn made_closed_to_others_and_found_again() {
        let scratch = scratch();
        let sockets = SocketDirectory::at(scratch.path().join("s"));
        assert!(!sockets.exists().unwrap());
        sockets.prepare().unwrap();
        sockets.prepare().unwrap();
        assert!(sockets.exists().unwrap());
        assert_eq!(std::fs::metadata(sockets.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_is_not_this_users_alone_is_refused() {
        let scratch = scratch();
        let path = scratch.path().join("s");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
        let refused = |at: &Path| SocketDirectory::at(at.to_owned()).prepare().unwrap_err().to_string();
        assert!(refused(&path).contains("others can enter it"), "{}", refused(&path));
        let link = scratch.path().join("l");
        symlink(&path, &link).unwrap();
        assert!(refused(&link).contains("it is no directory"), "{}", refused(&link));
        let long = scratch.path().join("x".repeat(60));
        assert!(refused(&long).contains("bytes long"), "{}", refused(&long));
        if rustix::process::geteuid().is_root() {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
            std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
            assert!(refused(&path).contains("another user"), "{}", refused(&path));
        }
    }

    #[test]
    fn one_holds_the_lock() {
        let scratch = scratch();
        let sockets = SocketDirectory::at(scratch.path().join("s"));
        sockets.prepare().unwrap();
        let held = sockets.lock().unwrap();
        assert!(held.is_some());
        assert!(sockets.lock().unwrap().is_none());
        drop(held);
        assert!(sockets.lock().unwrap().is_some());
    }
}
