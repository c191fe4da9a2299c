//! A way to the data directory for users who cannot pass the folders above it: root's home is closed to all others, and
//! a site that root starts there runs as others.
//!
//! Must stay true: nothing on the disk gets another mode. The way is a mount that this process and those that it starts
//! see, and nobody else on the machine.

use super::users::Users;
use crate::error::{CommandError, ErrorKind};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_bind_recursive, mount_change};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where ways begin; everybody can pass it, and only root can make anything there.
const PLACE: &str = "/run";

/// The path by which the site's users reach a data directory: its own where they can, else a new one. Call it before
/// there are other threads: those that are there already would not see it.
pub(super) fn to(root: &Path, users: &Users) -> Result<PathBuf, CommandError> {
    let Some(projects) = users.projects() else { return Ok(root.to_owned()) };
    let Some(closed) = closed_folder(root) else { return Ok(root.to_owned()) };
    // No two sites have the same users.
    let way = Path::new(PLACE).join(format!("hop-{}", projects.start));
    match open(root, &way) {
        Ok(()) => Ok(way),
        Err((what, error)) => Err(CommandError::new(
            ErrorKind::Config,
            format!(
                "started by root, the site runs its parts and projects as other users; they cannot pass {}, and a way \
                 around it cannot be made: cannot {what}: {error}",
                closed.display()
            ),
        )
        .hint("--data /var/lib/hop is a place that they reach; or start hop as an ordinary user")),
    }
}

/// The folder above `root` that users who own nothing cannot pass.
fn closed_folder(root: &Path) -> Option<&Path> {
    root.ancestors()
        .skip(1)
        .find(|folder| std::fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 == 0))
}

/// Makes `root` appear at `way`, from here on and for those that are started from here.
fn open(root: &Path, way: &Path) -> Result<(), (String, io::Error)> {
    let at = |what: &str| {
        let what = what.to_owned();
        move |error: Errno| (what, error.into())
    };
    match rustix::fs::mkdir(way, Mode::from_raw_mode(0o711)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(at(&format!("make {}", way.display()))(error)),
    }
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| ("have mounts of its own".to_owned(), error.into()))?;
    // What the machine mounts later is still seen; what is mounted here stays here.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(at("have mounts of its own"))?;
    mount_bind_recursive(root, way).map_err(at(&format!("mount it at {}", way.display())))
}
