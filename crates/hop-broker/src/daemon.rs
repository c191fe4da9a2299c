//! The broker as a process: the lock, the socket, the name that ssh calls for prompts.

use crate::broker::{Broker, Settings};
use hop_connect::SocketDirectory;
use hop_connect::mux::MuxClient;
use hop_connect::socket_directory::SocketDirectoryError;
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// Why a broker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Its directory.
    #[error(transparent)]
    Directory(#[from] SocketDirectoryError),
    /// One runs already.
    #[error("a broker is running already")]
    Running,
    /// A file of its own.
    #[error("cannot make {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The one broker of this user and machine.
#[derive(Debug)]
pub struct Daemon {
    broker: Broker,
    listener: UnixListener,
    sockets: SocketDirectory,
    _lock: File,
}

impl Daemon {
    /// Takes the lock and binds the socket. `program` is this program, which ssh calls to ask something. Must be called
    /// inside a runtime.
    ///
    /// # Errors
    /// [`DaemonError::Running`] when another broker has the lock.
    pub fn bind(sockets: SocketDirectory, program: &Path, settings: Settings) -> Result<Self, DaemonError> {
        sockets.prepare()?;
        let lock = sockets.lock()?.ok_or(DaemonError::Running)?;
        name_for_prompts(&sockets.askpass(), program)?;
        end_leftovers(&sockets);
        let path = sockets.broker_socket();
        // Whoever had the lock is gone, so this is nobody's.
        remove(&path)?;
        let listener =
            UnixListener::bind(&path).map_err(|source| DaemonError::Io { path: path.clone(), source })?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .map_err(|source| DaemonError::Io { path, source })?;
        Ok(Self { broker: Broker::new(sockets.clone(), settings), listener, sockets, _lock: lock })
    }

    /// Serves until nothing is left, or until `stop` completes.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        self.broker.run(self.listener, stop).await;
        let _ = std::fs::remove_file(self.sockets.broker_socket());
        let _ = std::fs::remove_file(self.sockets.api_token());
    }
}

/// A broker that was killed leaves its masters, which nobody would end on time. They are ended: what they were promised
/// is not known any more.
fn end_leftovers(sockets: &SocketDirectory) {
    let Ok(entries) = std::fs::read_dir(sockets.path()) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_ours = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_ours {
            continue;
        }
        match MuxClient::connect(&path).and_then(|mut master| master.terminate()) {
            Ok(()) => tracing::info!(socket = %path.display(), "ended what an earlier broker left"),
            // Nobody is there, or nobody who listens: its socket goes, so that nothing new uses it.
            Err(error) => tracing::debug!(socket = %path.display(), %error, "a socket without a master"),
        }
        let _ = std::fs::remove_file(&path);
    }
}

/// ssh runs its askpass program by name only, so the name has to say it all.
fn name_for_prompts(link: &Path, program: &Path) -> Result<(), DaemonError> {
    let failed = |source| DaemonError::Io { path: link.to_owned(), source };
    if let Some(folder) = link.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    remove(link)?;
    std::os::unix::fs::symlink(program, link).map_err(failed)
}

fn remove(path: &Path) -> Result<(), DaemonError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DaemonError::Io { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
