//! A made /dev: the devices that every program expects, and no others.

use super::build::file;
use super::mounts::bind;
use super::{Step, WallsError};
use rustix::mount::{MountFlags, mount};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What is taken from the host.
pub(super) const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Builds it at `target`, an empty tmpfs that allows devices. `nodes` are the host's, opened.
pub(super) fn fill(target: &Path, nodes: &[OwnedFd]) -> Result<(), WallsError> {
    for (name, node) in NODES.iter().zip(nodes) {
        let place = target.join(name);
        file(&place)?;
        let source = PathBuf::from(format!("/proc/self/fd/{}", node.as_raw_fd()));
        rustix::mount::mount_bind(&source, &place).step(|| format!("mount {}", place.display()))?;
    }
    for (name, text) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("core", "/proc/kcore"),
        ("ptmx", "pts/ptmx"),
    ] {
        let place = target.join(name);
        std::os::unix::fs::symlink(text, &place).step(|| format!("make {}", place.display()))?;
    }
    for name in ["shm", "pts"] {
        let place = target.join(name);
        std::fs::create_dir(&place).step(|| format!("make {}", place.display()))?;
    }
    let terminals = target.join("pts");
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("devpts", &terminals, "devpts", flags, c"newinstance,ptmxmode=0666,mode=620")
        .step(|| "mount new terminals".to_owned())
}

/// /proc, with what concerns the whole machine read-only.
pub(super) fn processes(target: &Path) -> Result<(), WallsError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", target, "proc", flags, None).step(|| "mount /proc".to_owned())?;
    for name in ["sysrq-trigger", "irq", "bus"] {
        let place = target.join(name);
        if place.exists() {
            bind(&place, &place, false)?;
        }
    }
    Ok(())
}
