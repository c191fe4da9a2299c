//! Unix sockets by name, whatever the length of the path: an address holds 108 bytes, so the directory is opened
//! and the socket named through `/proc/self/fd`.

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;

/// How many connections may wait to be accepted; the system lowers it to its own limit.
const BACKLOG: i32 = 4096;

/// Who may connect to a socket that is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketAccess {
    /// As in `0o600`, whatever the umask; there is no moment in which more is open.
    pub mode: u32,
    /// The user and group who get it; whoever binds it otherwise.
    pub owner: Option<(u32, u32)>,
}

impl SocketAccess {
    /// Whoever binds it, nobody else.
    pub const PRIVATE: Self = Self { mode: 0o600, owner: None };
}

/// Binds a socket. A socket that lies there from before is replaced; anything else there is an error.
pub fn bind(path: &Path, access: SocketAccess) -> io::Result<UnixListener> {
    let (directory, name) = opened(path)?;
    match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if rustix::fs::FileType::from_raw_mode(found.st_mode).is_socket() => {
            rustix::fs::unlinkat(&directory, name, AtFlags::empty())?;
        }
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Linux makes the file with the socket's own mode: there is no moment in which others may connect.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(access.mode & 0o777))?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(through(&directory, name))?)?;
    // Our umask has made it narrower, perhaps.
    rustix::fs::chmodat(&directory, name, Mode::from_raw_mode(access.mode & 0o777), AtFlags::empty())?;
    if let Some((uid, gid)) = access.owner {
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        rustix::fs::chownat(&directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Connects to a socket.
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (directory, name) = opened(path)?;
    UnixStream::connect(through(&directory, name)).await
}

/// The directory of a path, opened, and the name in it.
fn opened(path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok((rustix::fs::open(parent, flags, Mode::empty())?, name))
}

fn through(directory: &OwnedFd, name: &OsStr) -> PathBuf {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.as_bytes());
    OsStr::from_bytes(&path).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[tokio::test]
    async fn a_long_path_works_and_the_mode_holds() {
        let directory = tempfile::TempDir::new().unwrap();
        let deep = directory.path().join("a".repeat(100)).join("b".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let path = deep.join("socket");
        for _twice in 0..2 {
            let shared = bind(&path, SocketAccess { mode: 0o666, owner: None }).unwrap();
            assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o666);
            drop(shared);
            let listener = bind(&path, SocketAccess::PRIVATE).unwrap();
            assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
            let _connected = connect(&path).await.unwrap();
            listener.accept().unwrap();
        }
    }

    #[test]
    fn what_is_no_socket_stays() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "precious").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let error = bind(&path, SocketAccess::PRIVATE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
