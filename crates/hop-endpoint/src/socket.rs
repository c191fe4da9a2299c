//! Listening sockets as forwardings need them: exact about what is bound, and cleaned up after.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// Connections that may wait to be accepted; the kernel allows at most net.core.somaxconn (4096).
const BACKLOG: i32 = 1024;
/// How long a listener rests when the process has no descriptors left: its peers wait in the backlog.
const REST: Duration = Duration::from_millis(100);

/// Binds one address and no other: an IPv6 wildcard does not take the IPv4 one along, so that both can be
/// bound to one port and either alone means what it says.
pub(crate) fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    if address.is_ipv6() {
        set_ipv6_v6only(&socket, true)?;
    }
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    TcpListener::from_std(StdTcpListener::from(socket))
}

/// A listening Unix socket whose file is 0600 from the moment it exists, and goes when this is dropped,
/// unless somebody has put another file in its place.
#[derive(Debug)]
pub(crate) struct UnixSocketFile {
    listener: UnixListener,
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl UnixSocketFile {
    /// Binds `path`. A file that is there already is an error, except a socket of ours that nobody listens
    /// on any more (a server that was killed leaves those behind).
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let socket = match bind_private(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
                std::fs::remove_file(path)?;
                bind_private(path)?
            }
            other => other?,
        };
        let metadata = std::fs::symlink_metadata(path)?;
        let listener = UnixListener::from_std(StdUnixListener::from(socket))?;
        Ok(Self { listener, path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return Ok(stream),
                Err(error) => recover(error).await?,
            }
        }
    }
}

impl Drop for UnixSocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "socket file not removed");
        }
    }
}

fn bind_private(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Linux gives the file the mode of the socket's own inode less the umask, so that there is no moment at
    // which others could connect; changing the umask instead would change it for every thread.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A socket of our user that refuses connections.
fn is_stale(path: &Path) -> bool {
    let ours = std::fs::symlink_metadata(path).is_ok_and(|found| {
        found.file_type().is_socket() && found.uid() == rustix::process::geteuid().as_raw()
    });
    ours && StdUnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// After an error of accept: returns when it is worth trying again, or the error if it never will be. A peer that
/// left early is nobody's error; want of descriptors or memory passes (and would otherwise spin, since the
/// listener stays readable).
pub(crate) async fn recover(error: io::Error) -> io::Result<()> {
    use rustix::io::Errno;
    match Errno::from_io_error(&error) {
        Some(Errno::CONNABORTED | Errno::INTR | Errno::PERM | Errno::PROTO) => Ok(()),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
            tracing::warn!(%error, "cannot accept a connection now");
            tokio::time::sleep(REST).await;
            Ok(())
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private_dir::PrivateDir;

    fn directory() -> PrivateDir {
        PrivateDir::create(&std::env::temp_dir()).unwrap()
    }

    #[tokio::test]
    async fn a_socket_file_is_private_and_temporary() {
        let directory = directory();
        let path = directory.path().join("s");
        let socket = UnixSocketFile::bind(&path).unwrap();
        assert_eq!(std::fs::symlink_metadata(&path).unwrap().mode() & 0o777, 0o600);
        let (accepted, connected) = tokio::join!(socket.accept(), UnixStream::connect(&path));
        accepted.unwrap();
        connected.unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_lives_at_the_path_is_respected() {
        let directory = directory();
        let path = directory.path().join("s");
        let living = UnixSocketFile::bind(&path).unwrap();
        let in_use = UnixSocketFile::bind(&path).unwrap_err();
        assert_eq!(in_use.kind(), io::ErrorKind::AddrInUse);
        // A file that took our place is not ours to remove.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, b"precious").unwrap();
        drop(living);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        assert_eq!(UnixSocketFile::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced() {
        let directory = directory();
        let path = directory.path().join("s");
        drop(StdUnixListener::bind(&path).unwrap());
        assert!(path.exists());
        UnixSocketFile::bind(&path).unwrap();
    }

    #[tokio::test]
    async fn both_wildcards_fit_one_port() {
        let six = match listen_tcp("[::]:0".parse().unwrap()) {
            Ok(six) => six,
            // A kernel without IPv6 has nothing to share a port with.
            Err(error) => {
                let missing = rustix::io::Errno::from_io_error(&error);
                assert_eq!(missing, Some(rustix::io::Errno::AFNOSUPPORT));
                return;
            }
        };
        let port = six.local_addr().unwrap().port();
        listen_tcp(SocketAddr::new("0.0.0.0".parse().unwrap(), port)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn passing_errors_are_waited_out_and_others_are_told() {
        use rustix::io::Errno;
        for passing in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::CONNABORTED, Errno::INTR] {
            recover(passing.into()).await.unwrap();
        }
        let told = recover(Errno::BADF.into()).await.unwrap_err();
        assert_eq!(Errno::from_io_error(&told), Some(Errno::BADF));
    }
}
