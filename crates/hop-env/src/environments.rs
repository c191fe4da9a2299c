//! All environments of this machine, by project: whoever enters a stopped one starts it, once.

use crate::running::{Place, Running, StartError, Tail};
use crate::sandbox::{Isolation, Limits, Network, Project};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

/// How environments are started here.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How they are kept apart.
    pub isolation: Isolation,
    /// The `hop` program that serves inside.
    pub hop: PathBuf,
    /// A private directory, short enough for sockets; one folder in it for each project.
    pub runtime: PathBuf,
    /// What they reach over the network.
    pub network: Network,
    /// How much each may take.
    pub limits: Limits,
}

/// An environment cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// It cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It was started and is gone, or does not listen.
    #[error("the environment does not answer: {source}")]
    Connect {
        /// What the system said.
        source: io::Error,
        /// The last things it said.
        tail: Tail,
    },
}

/// The environments of this machine.
#[derive(Clone, Debug)]
pub struct Environments {
    settings: Arc<Settings>,
    slots: Arc<Mutex<HashMap<String, Slot>>>,
}

/// One project's environment; the lock makes starting it a matter of the first who comes.
type Slot = Arc<Mutex<Option<Running>>>;

impl Environments {
    /// None is running yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), slots: Arc::default() }
    }

    /// Connects to a project's endpoint, starting its environment if it is not running.
    ///
    /// # Cancel safety
    /// Cancel safe: an environment that was started keeps running.
    pub async fn enter(&self, project: &Project) -> Result<UnixStream, EnterError> {
        let slot = self.slot(&project.id).await;
        let mut slot = slot.lock().await;
        if !slot.as_mut().is_some_and(Running::is_alive) {
            let runtime = self.settings.runtime.join(&project.id);
            let place = Place {
                isolation: &self.settings.isolation,
                hop: &self.settings.hop,
                runtime: &runtime,
                network: self.settings.network,
                limits: self.settings.limits,
            };
            // The old one goes first: its socket has the same name.
            drop(slot.take());
            *slot = Some(Running::start(project, &place)?);
            tracing::info!(project = %project.id, "environment started");
        }
        match slot.as_ref() {
            Some(running) => {
                running.connect().await.map_err(|source| EnterError::Connect { source, tail: running.tail() })
            }
            None => {
                Err(EnterError::Connect { source: io::ErrorKind::NotConnected.into(), tail: Tail::default() })
            }
        }
    }

    /// Whether a project's environment is running.
    pub async fn is_running(&self, project: &str) -> bool {
        let slot = self.slot(project).await;
        let mut slot = slot.lock().await;
        slot.as_mut().is_some_and(Running::is_alive)
    }

    /// Stops a project's environment: asks it, waits, ends it.
    pub async fn stop(&self, project: &str, patience: Duration) {
        let slot = self.slot(project).await;
        let running = slot.lock().await.take();
        if let Some(running) = running {
            running.stop(patience).await;
            tracing::info!(project, "environment stopped");
        }
    }

    async fn slot(&self, project: &str) -> Slot {
        Arc::clone(self.slots.lock().await.entry(project.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests;
