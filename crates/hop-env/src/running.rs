//! One running environment: the endpoint's process and the socket that leads to it.

use crate::made_etc;
use crate::sandbox::{HOP, Isolation, IsolationError, Limits, Network, Project};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::Child;

/// How many lines of what an endpoint says are kept, to be shown when it fails.
const KEPT_LINES: usize = 20;
/// The longest line that is kept, in bytes.
const LONGEST_LINE: u64 = 1024;

/// An environment cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its walls cannot be built.
    #[error(transparent)]
    Isolation(#[from] IsolationError),
    /// A file or socket cannot be made.
    #[error("cannot make {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process cannot be started.
    #[error("cannot start the environment: {0}")]
    Spawn(#[source] io::Error),
}

/// The last lines that an endpoint said. They are the tenant's: escape them before showing them.
#[derive(Clone, Debug, Default)]
pub struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    /// The lines, oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// A running environment. Dropping it kills everything in it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    socket: PathBuf,
    tail: Tail,
}

/// Where things are, and how environments are started.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) isolation: &'a Isolation,
    /// The `hop` program.
    pub(crate) hop: &'a Path,
    /// A private directory for this project's socket and made files.
    pub(crate) runtime: &'a Path,
    pub(crate) network: Network,
    pub(crate) limits: Limits,
}

impl Running {
    pub(crate) fn start(project: &Project, place: &Place<'_>) -> Result<Self, StartError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::File { path, source }
        };
        std::fs::create_dir_all(place.runtime).map_err(at(place.runtime))?;
        let etc = place.runtime.join("etc");
        made_etc::write(&etc, project, place.network).map_err(at(&etc))?;
        let socket = place.runtime.join("endpoint");
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&socket)(error)),
            Ok(()) | Err(_) => {}
        }
        let listener = StdUnixListener::bind(&socket).map_err(at(&socket))?;
        let sandboxed = matches!(place.isolation, Isolation::Sandbox { .. });
        let hop = if sandboxed { HOP.into() } else { place.hop.as_os_str().to_owned() };
        let program = [hop, "endpoint".into(), "--site".into()];
        let mut command =
            place.isolation.command(project, &etc, place.hop, place.network, place.limits, &program)?;
        if !sandboxed {
            command
                .env("HOME", &project.home)
                .env("USER", &project.user)
                .env("PATH", "/usr/local/bin:/usr/bin:/bin");
        }
        let mut child = command
            // The listener is inherited: its path is nowhere to be seen inside.
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(StartError::Spawn)?;
        let tail = Tail::default();
        if let Some(stderr) = child.stderr.take() {
            let (tail, id) = (tail.clone(), project.id.clone());
            // Ends with the process, whose end of the pipe it reads.
            tokio::spawn(async move {
                let mut reader = BufReader::new(stderr);
                loop {
                    let mut line = Vec::new();
                    match (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
                        Ok(0) | Err(_) => return,
                        Ok(_) => {
                            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                            tracing::debug!(project = %id, line = %line.escape_debug(), "endpoint");
                            tail.push(line);
                        }
                    }
                }
            });
        }
        Ok(Self { child, socket, tail })
    }

    /// Whether its process is still there.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn tail(&self) -> Tail {
        self.tail.clone()
    }

    /// Connects to the endpoint. It may still be starting: the connection waits in the socket's backlog.
    pub(crate) async fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(&self.socket).await
    }

    /// Asks it to end, and ends it when it does not.
    pub(crate) async fn stop(mut self, patience: std::time::Duration) {
        if let Some(pid) =
            self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            // It may have ended by itself in between.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(patience, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A new start makes a new socket; a stale one only misleads.
        let _ = std::fs::remove_file(&self.socket);
    }
}
