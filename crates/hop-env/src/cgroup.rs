//! Control groups (version 2): how much a whole project may take, where a part of the tree is ours.
//!
//! Ours is a directory that the settings name, or one that systemd delegated to the unit in which this process runs
//! (`Delegate=yes` leaves a mark on it). Processes may only be in leaves, so those of the unit itself are moved
//! into a leaf first, as systemd's documentation of delegation asks for.

use crate::project::ProjectKey;
use crate::sandbox::Limits;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The controllers that limits need.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];
/// Where the unit's own processes go.
const OWN_LEAF: &str = "site";
/// How long a group that was killed may take to be empty.
const PATIENCE: Duration = Duration::from_secs(5);

/// By what the limits of projects are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitsInForce {
    /// Processes and memory of each project as a whole, by a control group; open files by process.
    ControlGroups {
        /// In which all groups of projects are.
        directory: PathBuf,
    },
    /// Processes of each project, and memory and open files of each of its processes.
    ResourceLimits {
        /// Why there are no control groups.
        why: String,
    },
}

impl fmt::Display for LimitsInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ControlGroups { directory } => {
                write!(f, "processes and memory of each project by control groups in {}", directory.display())
            }
            Self::ResourceLimits { why } => write!(
                f,
                "processes by resource limits, memory of each process only (no control groups: {why})"
            ),
        }
    }
}

/// A part of the tree in which groups for projects can be made.
#[derive(Clone, Debug)]
pub(crate) struct ControlGroups {
    directory: PathBuf,
}

impl ControlGroups {
    /// Takes the part that is named, or that was delegated to us. The error says why there is none.
    pub(crate) fn find(named: Option<&Path>) -> Result<Self, String> {
        let directory = match named {
            Some(named) => named.to_owned(),
            None => delegated()?,
        };
        let groups = Self { directory };
        groups.switch_on().map_err(|why| format!("{}: {why}", groups.directory.display()))?;
        Ok(groups)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn switch_on(&self) -> Result<(), String> {
        let read = |name: &str| {
            std::fs::read_to_string(self.directory.join(name)).map_err(|error| format!("{name}: {error}"))
        };
        let missing = |listed: &str| {
            CONTROLLERS
                .into_iter()
                .find(|wanted| !listed.split_ascii_whitespace().any(|word| word == *wanted))
        };
        if let Some(missing) = missing(&read("cgroup.controllers")?) {
            return Err(format!("the {missing} controller is not there"));
        }
        if missing(&read("cgroup.subtree_control")?).is_none() {
            return Ok(());
        }
        let processes = read("cgroup.procs")?;
        if !processes.trim().is_empty() {
            let leaf = self.directory.join(OWN_LEAF);
            make(&leaf).map_err(|error| format!("cannot make {OWN_LEAF}: {error}"))?;
            for process in processes.split_ascii_whitespace() {
                // One that has ended is not there to be moved.
                let _ended = write(&leaf, "cgroup.procs", process);
            }
        }
        write(&self.directory, "cgroup.subtree_control", "+memory +pids")
            .map_err(|error| format!("cannot switch the controllers on: {error}"))
    }

    /// A group for a project, empty and with its limits.
    pub(crate) fn make(&self, project: &ProjectKey, limits: Limits) -> io::Result<PathBuf> {
        let group = self.of(project);
        make(&group)?;
        // From a keeper before this one.
        empty(&group)?;
        write(&group, "pids.max", &limits.processes.to_string())?;
        let memory = limits.memory.map_or("max".to_owned(), |bytes| bytes.to_string());
        write(&group, "memory.max", &memory)?;
        // What may not be in memory may not be swapped out instead. Absent where there is no swap accounting.
        if limits.memory.is_some()
            && let Err(error) = write(&group, "memory.swap.max", "0")
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        Ok(group)
    }

    /// Ends what is in a project's group, and the group.
    pub(crate) fn remove(&self, project: &ProjectKey) {
        let group = self.of(project);
        if let Err(error) = empty(&group).and_then(|()| std::fs::remove_dir(&group)) {
            tracing::warn!(%project, %error, "its control group stays");
        }
    }

    fn of(&self, project: &ProjectKey) -> PathBuf {
        self.directory.join(format!("project-{project}"))
    }
}

fn make(group: &Path) -> io::Result<()> {
    match std::fs::create_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Kills everything in a group and waits until it is empty. Blocks.
fn empty(group: &Path) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let inside = || std::fs::read_to_string(group.join("cgroup.procs"));
    if inside()?.trim().is_empty() {
        return Ok(());
    }
    write(group, "cgroup.kill", "1")?;
    while !inside()?.trim().is_empty() {
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Files of a control group are there or not; they are never made.
fn write(group: &Path, name: &str, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(group.join(name))?.write_all(text.as_bytes())
}

/// The directory that systemd delegated to our unit.
fn delegated() -> Result<PathBuf, String> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let own = own(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)
        .ok_or("there is no tree of version 2")?;
    // With DelegateSubgroup= we are one below.
    own.ancestors()
        .take(2)
        .find(|directory| is_delegated(directory))
        .map(Path::to_owned)
        .ok_or_else(|| format!("{} was not delegated to this service", own.display()))
}

fn is_delegated(directory: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].into_iter().any(|name| {
        let mut value = [0; 8];
        matches!(rustix::fs::getxattr(directory, name, &mut value), Ok(1) if value.first() == Some(&b'1'))
    })
}

/// Our own group's directory, by what the kernel says of this process and of its mounts.
fn own(groups: &str, mounts: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        // "36 35 98:0 /root /mount options - type source options"
        let (before, after) = line.split_once(" - ")?;
        if !after.starts_with("cgroup2 ") {
            return None;
        }
        let mut words = before.split_ascii_whitespace().skip(3);
        let (root, mount) = (words.next()?, words.next()?);
        let below = Path::new(path).strip_prefix(root).ok()?;
        Some(Path::new(mount).join(below))
    })
}

#[cfg(test)]
mod tests;
