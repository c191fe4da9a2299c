//! How many descriptors that were handed out are still open somewhere.
//!
//! A descriptor that went to another process is out of sight, and the kernel tells nobody when it is closed. But an
//! epoll set watches the *open file*, not the number: an entry stays, when its own descriptor here is closed, for
//! as long as any process (or a message on its way) holds the file, and goes with the last. So each handed-out
//! connection is put into a set that nobody waits on, and the entries are counted in the set's `fdinfo`. It needs no
//! word of the site (which may have been killed) nor of the endpoint (which belongs to its tenant).

use rustix::event::epoll;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Connections that were handed out.
#[derive(Debug)]
pub(crate) struct Connections(OwnedFd);

impl Connections {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Counts this one from now on. Call it before the descriptor is sent away.
    pub(crate) fn watch(&self, connection: impl AsFd) -> io::Result<()> {
        let data = epoll::EventData::new_u64(0);
        Ok(epoll::add(&self.0, connection, data, epoll::EventFlags::empty())?)
    }

    /// How many of them are open.
    pub(crate) fn count(&self) -> io::Result<usize> {
        let shown = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.0.as_raw_fd()))?;
        Ok(shown.lines().filter(|line| line.starts_with("tfd:")).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    #[test]
    fn a_connection_counts_until_its_last_holder_closes() {
        let connections = Connections::new().unwrap();
        let (_far, near) = UnixStream::pair().unwrap();
        connections.watch(&near).unwrap();
        assert_eq!(connections.count().unwrap(), 1);
        // Another process takes it; our own goes.
        let mut holder =
            Command::new("sleep").arg("1000").stdin(Stdio::from(OwnedFd::from(near))).spawn().unwrap();
        assert_eq!(connections.count().unwrap(), 1);
        // The same number, another connection.
        let (_far, near) = UnixStream::pair().unwrap();
        connections.watch(&near).unwrap();
        assert_eq!(connections.count().unwrap(), 2);
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert_eq!(connections.count().unwrap(), 1);
        drop(near);
        assert_eq!(connections.count().unwrap(), 0);
    }
}
