//! The session's own working directory.
//!
//! A server in a larger process must not change that process's directory: relative paths go to the system
//! together with this open directory instead.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::realpath::resolve;

/// Where relative paths start.
pub(crate) struct WorkingDirectory {
    directory: OwnedFd,
    /// Its absolute path, without symbolic links.
    path: Vec<u8>,
}

impl WorkingDirectory {
    /// The process's directory.
    pub(crate) fn of_process() -> Result<Self, Errno> {
        let path = rustix::process::getcwd(Vec::new())?.into_bytes();
        Ok(Self { directory: open(&path)?, path })
    }

    /// Another directory; a relative path is taken from the process's directory.
    pub(crate) fn at(path: &Path) -> Result<Self, Errno> {
        let base = match path.is_absolute() {
            true => Vec::new(),
            false => rustix::process::getcwd(Vec::new())?.into_bytes(),
        };
        let path = resolve(&base, path.as_os_str().as_bytes())?;
        Ok(Self { directory: open(&path)?, path })
    }

    /// Its absolute path.
    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }
}

impl AsFd for WorkingDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

fn open(path: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
