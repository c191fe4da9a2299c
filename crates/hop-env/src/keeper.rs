//! The keeper: starts, holds and stops environments, and does nothing else. The only process of a site that may be
//! root: it has no network, no SQL, and knows projects only by id.
//!
//! Must stay true: a request is one of a closed set; who asks is known by the socket (`SO_PEERCRED`); each
//! environment has one owner, a task that takes its commands in turn.

mod doors;
mod environment;
mod request;
mod settings;

use crate::cgroup::{ControlGroups, LimitsInForce};
use crate::homes::{HomeError, Homes};
use crate::inherited;
use crate::made_etc::{HostKeyLine, HostKeyLineError};
use crate::project::ProjectKey;
use crate::protocol::State;
use crate::spawner::Spawner;
use doors::DoorHolder;
use environment::Environment;
pub use settings::KeeperSettings;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many requests are looked after at once; more wait in the socket's backlog.
const MOST_REQUESTS: usize = 4096;

/// A keeper cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// A directory of projects is not as it must be.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Another keeper works here.
    #[error("another keeper holds {}", path.display())]
    Taken {
        /// The lock.
        path: PathBuf,
    },
    /// A file cannot be made or used.
    #[error("cannot make or use {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A setting is wrong.
    #[error(transparent)]
    HostKey(#[from] HostKeyLineError),
    /// Root must have other uids to give to projects.
    #[error("a keeper that is root needs a range of uids for projects, above 0")]
    NoUids,
    /// Somebody else cannot give any.
    #[error("only a keeper that is root can have a range of uids for projects")]
    NotRoot,
    /// The socket cannot be served.
    #[error("cannot serve the keeper's socket: {0}")]
    Serve(#[source] io::Error),
}

/// Starts, holds and stops environments.
#[derive(Clone, Debug)]
pub struct Keeper(Arc<Shared>);

/// What all tasks of a keeper see.
#[derive(Debug)]
struct Shared {
    settings: KeeperSettings,
    gateway_keys: Vec<HostKeyLine>,
    homes: Homes,
    groups: Option<ControlGroups>,
    limits_in_force: LimitsInForce,
    spawner: Spawner,
    environments: Mutex<HashMap<ProjectKey, Environment>>,
    doors: DoorHolder,
    tasks: TaskTracker,
    /// Cancelled when everything is to end.
    stop: CancellationToken,
    /// Held as long as this keeper works here.
    _lock: File,
}

impl Keeper {
    /// Looks at everything that environments will need. Blocks on the disk.
    pub fn new(settings: KeeperSettings) -> Result<Self, KeeperError> {
        let root = rustix::process::geteuid().is_root();
        match &settings.uids {
            Some(_) if !root => return Err(KeeperError::NotRoot),
            Some(range) if *range.start() == 0 || range.is_empty() => return Err(KeeperError::NoUids),
            None if root => return Err(KeeperError::NoUids),
            Some(_) | None => {}
        }
        let gateway_keys = settings
            .gateway_host_keys
            .iter()
            .map(|line| HostKeyLine::parse(line))
            .collect::<Result<_, _>>()?;
        let homes = Homes::open(&settings.projects, settings.uids.clone())?;
        let lock = settings::runtime(&settings)?;
        let (groups, limits_in_force) = match ControlGroups::find(settings.control_group.as_deref()) {
            Ok(groups) => {
                let directory = groups.directory().to_owned();
                (Some(groups), LimitsInForce::ControlGroups { directory })
            }
            Err(why) => (None, LimitsInForce::ResourceLimits { why }),
        };
        tracing::info!("limits of projects: {limits_in_force}");
        inherited::keep_to_ourselves()
            .map_err(|source| KeeperError::File { path: "/proc/self/fd".into(), source })?;
        let spawner =
            Spawner::new().map_err(|source| KeeperError::File { path: "a thread".into(), source })?;
        Ok(Self(Arc::new(Shared {
            gateway_keys,
            homes,
            groups,
            limits_in_force,
            spawner,
            environments: Mutex::default(),
            doors: DoorHolder::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            _lock: lock,
            settings,
        })))
    }

    /// By what the limits of projects are kept here.
    pub fn limits_in_force(&self) -> &LimitsInForce {
        &self.0.limits_in_force
    }

    /// Answers requests of these users until `stop` is cancelled; then stops all environments and returns when they
    /// are gone. Dropping the future leaves them running until the keeper is dropped.
    pub async fn serve(
        &self,
        listener: StdUnixListener,
        allowed_uids: &[u32],
        stop: CancellationToken,
    ) -> Result<(), KeeperError> {
        listener.set_nonblocking(true).map_err(KeeperError::Serve)?;
        let listener = UnixListener::from_std(listener).map_err(KeeperError::Serve)?;
        let places = Arc::new(Semaphore::new(MOST_REQUESTS));
        let accepting = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, _)) => match rustix::net::sockopt::socket_peercred(&stream) {
                        Ok(peer) if allowed_uids.contains(&peer.uid.as_raw()) => {
                            let keeper = Arc::clone(&self.0);
                            self.0.tasks.spawn(async move {
                                request::answer(&keeper, stream).await;
                                drop(place);
                            });
                        }
                        Ok(peer) => {
                            tracing::warn!(uid = peer.uid.as_raw(), "a stranger asked, and was hung up on")
                        }
                        Err(error) => tracing::warn!(%error, "cannot tell who asked"),
                    },
                    Err(error) => {
                        tracing::warn!(%error, "accepting failed");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = accepting => {}
        }
        drop(listener);
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        Ok(())
    }
}

impl Shared {
    /// A directory for one project's sockets and made files.
    fn runtime(&self, key: &ProjectKey) -> Result<PathBuf, KeeperError> {
        let path = self.settings.runtime.join(key.as_str());
        settings::private_directory(&path, self.settings.uids.is_some())?;
        Ok(path)
    }

    /// A project's environment; its task starts with the first who asks for it.
    fn environment(self: &Arc<Self>, key: &ProjectKey) -> Environment {
        let mut environments = self.environments.lock().unwrap_or_else(PoisonError::into_inner);
        environments.entry(key.clone()).or_insert_with(|| Environment::new(self, key)).clone()
    }

    /// A project's environment, if anybody ever asked for it.
    fn known(&self, key: &ProjectKey) -> Option<Environment> {
        self.environments.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// All that are not stopped.
    fn list(&self) -> Vec<(ProjectKey, State)> {
        let known: Vec<_> = {
            let environments = self.environments.lock().unwrap_or_else(PoisonError::into_inner);
            environments.iter().map(|(key, environment)| (key.clone(), environment.clone())).collect()
        };
        let mut listed: Vec<_> = known
            .into_iter()
            .map(|(key, environment)| (key, environment.state()))
            .filter(|(_, state)| *state != State::Stopped)
            .collect();
        listed.sort_by(|(one, _), (other, _)| one.cmp(other));
        listed
    }
}

#[cfg(test)]
mod tests;
