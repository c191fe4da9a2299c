//! What a keeper is told, and the directory that it works in.

use super::KeeperError;
use crate::homes;
use crate::sandbox::{Isolation, Limits, Network, Shown};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How environments are started here.
#[derive(Clone, Debug)]
pub struct KeeperSettings {
    /// How they are kept apart.
    pub isolation: Isolation,
    /// The `hop` program that serves inside; every project's user can read and run it.
    pub hop: PathBuf,
    /// The directory of all projects; made if it is not there.
    pub projects: PathBuf,
    /// A private directory for sockets and made files, for this keeper alone; made if it is not there. It may be
    /// emptied while no keeper runs.
    pub runtime: PathBuf,
    /// The uids of projects: there must be some when the keeper is root, and none otherwise.
    pub uids: Option<RangeInclusive<u32>>,
    /// What projects reach over the network.
    pub network: Network,
    /// Directories of this machine that every project sees under the same path: software, data.
    pub shown: Vec<Shown>,
    /// How much each may take.
    pub limits: Limits,
    /// A control group of version 2 that is ours, empty or with this service's processes; looked for if not given.
    pub control_group: Option<PathBuf>,
    /// An environment to which nobody had a connection for this long is stopped; `None` is never.
    pub idle_stop: Option<Duration>,
    /// How long an endpoint may take to answer for the first time.
    pub start_timeout: Duration,
    /// How long an environment that is stopped has before it is killed.
    pub stop_patience: Duration,
    /// The gateway's host keys, `ALGORITHM BASE64` each (or `@cert-authority ALGORITHM BASE64`): projects know them
    /// when they go to `ssh`.
    pub gateway_host_keys: Vec<String>,
}

impl KeeperSettings {
    /// The usual settings, for a keeper that is not root: no network, stopped after half an hour alone.
    pub fn new(isolation: Isolation, hop: PathBuf, projects: PathBuf, runtime: PathBuf) -> Self {
        Self {
            isolation,
            hop,
            projects,
            runtime,
            uids: None,
            network: Network::None,
            shown: Vec::new(),
            limits: Limits::default(),
            control_group: None,
            idle_stop: Some(Duration::from_secs(30 * 60)),
            start_timeout: Duration::from_secs(60),
            stop_patience: Duration::from_secs(5),
            gateway_host_keys: Vec::new(),
        }
    }
}

/// Makes the keeper's own directory and takes it.
pub(super) fn runtime(settings: &KeeperSettings) -> Result<File, KeeperError> {
    let path = &settings.runtime;
    private_directory(path, settings.uids.is_some())?;
    if settings.uids.is_some() {
        homes::passable(path)?;
    }
    let lock_path = path.join("lock");
    let open = File::options().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
    let lock = open.map_err(|source| KeeperError::File { path: lock_path.clone(), source })?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(KeeperError::Taken { path: lock_path }),
        Err(error) => Err(KeeperError::File { path: lock_path, source: error.into() }),
    }
}

/// Makes a directory that only this keeper changes. The projects' users pass through, and see nothing of it.
pub(super) fn private_directory(path: &Path, passable: bool) -> Result<(), KeeperError> {
    let at = |source| KeeperError::File { path: path.to_owned(), source };
    let mode = if passable { 0o711 } else { 0o700 };
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(at)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(at(error)),
    }
    Ok(homes::check_own(path)?)
}
