//! One running environment: the endpoint's process and the sockets that lead in and out.

use crate::made_etc::{self, HostKeyLine};
use crate::processes::{self, Process};
use crate::project::Project;
use crate::proxy;
use crate::sandbox::{HOP, Inside, Isolation, IsolationError, Limits, Network, Shown};
use crate::socket::{self, SocketAccess};
use crate::spawner::Spawner;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::Child;

use crate::tail::Tail;

/// How long a sandbox may take to be gone after its endpoint is.
const REMAINS: Duration = Duration::from_secs(5);

/// An environment cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Isolation(#[from] IsolationError),
    #[error("cannot make {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot start the environment: {0}")]
    Spawn(#[source] io::Error),
}

/// Why a started environment cannot be entered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotUp {
    #[error("the environment ended as it was started ({0})")]
    Ended(ExitStatus),
    #[error("the environment does not answer: {0}")]
    Connect(#[from] io::Error),
}

/// A running environment. Dropping it kills everything in it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    sandboxed: bool,
    endpoint: PathBuf,
    tail: Tail,
}

/// Where things are, and how environments are started.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) isolation: &'a Isolation,
    /// The `hop` program.
    pub(crate) hop: &'a Path,
    /// A private directory for this project's sockets and made files.
    pub(crate) runtime: &'a Path,
    pub(crate) network: &'a Network,
    pub(crate) shown: &'a [Shown],
    pub(crate) limits: Limits,
    pub(crate) gateway_keys: &'a [HostKeyLine],
    /// The project's control group, empty.
    pub(crate) group: Option<&'a Path>,
}

impl Running {
    /// Starts a project's endpoint; the listener is that of the project's door.
    pub(crate) async fn start(
        spawner: &Spawner,
        project: &Project,
        place: &Place<'_>,
    ) -> Result<(Self, StdUnixListener), StartError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::File { path, source }
        };
        let etc = place.runtime.join("etc");
        made_etc::write(&etc, project, place.network, place.gateway_keys).map_err(at(&etc))?;
        let endpoint = place.runtime.join("endpoint");
        let listener = socket::bind(&endpoint, SocketAccess::PRIVATE).map_err(at(&endpoint))?;
        let door = place.runtime.join("door");
        let owner = rustix::process::geteuid().is_root().then_some((project.run_as.uid, project.run_as.gid));
        let door_listener = socket::bind(&door, SocketAccess { mode: 0o600, owner }).map_err(at(&door))?;
        let sandboxed = !matches!(place.isolation, Isolation::Unsandboxed);
        let hop = if sandboxed { HOP.into() } else { place.hop.as_os_str().to_owned() };
        let program = match place.network {
            Network::Proxy { socket } if sandboxed => {
                // The port is the endpoint's child: it goes when that goes.
                let script = "\"$0\" proxy-port \"$1\" & exec \"$0\" endpoint --site";
                let socket = Path::new(proxy::DIRECTORY).join(socket.file_name().unwrap_or_default());
                vec!["/bin/sh".into(), "-c".into(), script.into(), hop, socket.into()]
            }
            Network::None | Network::Host | Network::Proxy { .. } => {
                vec![hop, "endpoint".into(), "--site".into()]
            }
        };
        let inside = Inside {
            etc: &etc,
            hop: place.hop,
            door: Some(&door),
            network: place.network,
            shown: place.shown,
            limits: place.limits,
            group: place.group,
        };
        let mut command = place.isolation.command(project, &inside, &program)?;
        if !sandboxed {
            command
                .env("HOME", &project.home)
                .env("USER", &project.user)
                .env("PATH", "/usr/local/bin:/usr/bin:/bin");
        }
        command
            // The listener is inherited: its path is nowhere to be seen inside.
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = spawner.spawn(command).await.map_err(StartError::Spawn)?;
        let tail = Tail::default();
        if let Some(stderr) = child.stderr.take() {
            // Ends with the process, whose end of the pipe it reads.
            tokio::spawn(tail.clone().follow(stderr, project.key.clone()));
        }
        Ok((Self { child, sandboxed, endpoint, tail }, door_listener))
    }

    /// Waits until the endpoint answers: it hangs up on a connection that hangs up without a word.
    pub(crate) async fn answers(&mut self) -> Result<(), NotUp> {
        let answered = async {
            let mut probe = socket::connect(&self.endpoint).await?;
            probe.shutdown().await?;
            probe.read(&mut [0; 1]).await
        };
        match answered.await {
            Ok(_) => Ok(()),
            // Its socket went with the last process that had it.
            Err(error) => match tokio::time::timeout(REMAINS, self.child.wait()).await {
                Ok(Ok(status)) => Err(NotUp::Ended(status)),
                Ok(Err(_)) | Err(_) => Err(NotUp::Connect(error)),
            },
        }
    }

    /// Where the endpoint listens.
    pub(crate) fn endpoint(&self) -> &Path {
        &self.endpoint
    }

    pub(crate) fn tail(&self) -> Tail {
        self.tail.clone()
    }

    /// Waits until its process is gone. Cancel safe.
    pub(crate) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Asks everything in it to end, the endpoint last, waits, and kills what is left. Returns when nothing is left.
    ///
    /// # Cancel safety
    /// Cancel safe: it is killed then.
    pub(crate) async fn stop(mut self, patience: Duration) {
        let Some(root) = self.child.id() else { return };
        let mut inside = processes::below(root);
        // In a sandbox the first is bubblewrap's, which goes when the endpoint goes, and everything else with it.
        let init = (self.sandboxed && !inside.is_empty()).then(|| inside.remove(0));
        let endpoint = match self.sandboxed {
            true => (!inside.is_empty()).then(|| inside.remove(0)),
            false => Process::open(root),
        };
        let ended = tokio::task::spawn_blocking(move || {
            inside.iter().for_each(Process::ask_to_end);
            processes::gone_within(&inside, patience);
            if let Some(endpoint) = &endpoint {
                endpoint.ask_to_end();
            }
            inside
        });
        // A task that only waits does not fail.
        let inside = ended.await.unwrap_or_default();
        if tokio::time::timeout(patience, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
        // The first of a sandbox is gone when all that was in it is.
        let rest = init.into_iter().chain(inside).collect::<Vec<_>>();
        match tokio::task::spawn_blocking(move || processes::gone_within(&rest, REMAINS)).await {
            Ok(true) => {}
            Ok(false) | Err(_) => tracing::warn!("something of a stopped environment is still there"),
        }
    }
}

/// Connects to an endpoint. When its backlog is full it is asked again: a stream socket has no event for that.
pub(crate) async fn enter(endpoint: &Path, patience: Duration) -> io::Result<UnixStream> {
    let connecting = async {
        loop {
            match socket::connect(endpoint).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                connected => return connected,
            }
        }
    };
    tokio::time::timeout(patience, connecting).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}
