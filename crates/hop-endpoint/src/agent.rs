//! The agent socket of one *connection* (not of one session): the first session that asks makes it, later
//! ones share it, and it stays when that first session ends, because tools such as VS Code read SSH_AUTH_SOCK
//! in one session and use it from the next.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use crate::private_dir::PrivateDir;
use crate::socket::UnixSocketFile;

/// Where programs on this side reach the client's agent. Removed when dropped, with the connection.
#[derive(Debug)]
pub struct AgentSocket {
    socket: UnixSocketFile,
}

/// The agent cannot be forwarded.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the agent socket {}: {source}", path.display())]
pub struct AgentError {
    path: PathBuf,
    source: io::Error,
}

impl AgentSocket {
    /// Listens in the connection's private directory, which is what keeps others out.
    pub fn listen(directory: &PrivateDir) -> Result<Self, AgentError> {
        let path = directory.path().join("agent");
        match UnixSocketFile::bind(&path) {
            Ok(socket) => Ok(Self { socket }),
            Err(source) => Err(AgentError { path, source }),
        }
    }

    /// For SSH_AUTH_SOCK.
    pub fn path(&self) -> &Path {
        self.socket.path()
    }

    /// The next program that wants the agent; its bytes pass through unread. Cancel-safe.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.socket.accept().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn programs_reach_it_until_the_connection_ends() {
        let directory = PrivateDir::create(&std::env::temp_dir()).unwrap();
        let agent = AgentSocket::listen(&directory).unwrap();
        let path = agent.path().to_owned();
        for _ in 0..3 {
            let (accepted, connected) = tokio::join!(agent.accept(), UnixStream::connect(&path));
            let (mut accepted, mut connected) = (accepted.unwrap(), connected.unwrap());
            connected.write_all(b"\0\0\0\x01\x0b").await.unwrap();
            let mut request = [0; 5];
            accepted.read_exact(&mut request).await.unwrap();
            assert_eq!(&request, b"\0\0\0\x01\x0b");
        }
        drop(agent);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_named() {
        let parent = PrivateDir::create(&std::env::temp_dir()).unwrap();
        let deep = parent.path().join("d".repeat(100));
        std::fs::create_dir(&deep).unwrap();
        let directory = PrivateDir::create(&deep).unwrap();
        let error = AgentSocket::listen(&directory).unwrap_err();
        assert!(error.to_string().contains("agent: "), "{error}");
    }
}
