//! A way to the data directory for users who cannot pass the folders above it: root's home is closed to all others, and
//! a site that root starts there runs as others.
//!
//! Must stay true: nothing on the disk gets another mode. The way is a mount that this process and those that it starts
//! see, and nobody else on the machine. Others see an empty folder, which is locked while the site runs: removed, it would
//! take the mount along; unlocked, it is what a site left behind, and the next one that starts removes it.

use super::users::Users;
use crate::error::{CommandError, ErrorKind};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open as open_file};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_bind_recursive, mount_change};
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where ways begin; everybody can pass it, and only root can make anything there.
const PLACE: &str = "/run";

/// The path by which the site's users reach a data directory: its own where they can, else a new one. Call it before
/// there are other threads: those that are there already would not see it.
pub(super) fn to(root: &Path, users: &Users) -> Result<PathBuf, CommandError> {
    let Some(projects) = users.projects() else { return Ok(root.to_owned()) };
    let Some(closed) = closed_folder(root) else { return Ok(root.to_owned()) };
    remove_left_behind(Path::new(PLACE));
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
    let lock =
        locked(way, FlockOperation::NonBlockingLockShared).map_err(at(&format!("lock {}", way.display())))?;
    // Held until this process ends, however it ends; those that it starts do not have it. (Shared: the parts of a site may
    // have a supervisor each.)
    let _held = lock.into_raw_fd();
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| ("have mounts of its own".to_owned(), error.into()))?;
    // What the machine mounts later is still seen; what is mounted here stays here.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(at("have mounts of its own"))?;
    mount_bind_recursive(root, way).map_err(at(&format!("mount it at {}", way.display())))
}

/// A folder, with a lock on it.
fn locked(folder: &Path, how: FlockOperation) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = open_file(folder, flags, Mode::empty())?;
    flock(&folder, how)?;
    Ok(folder)
}

/// Removes what sites that run no more left in `place`. What cannot be removed does no harm.
fn remove_left_behind(place: &Path) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("hop-"));
        if number.is_none_or(|number| number.parse::<u32>().is_err()) {
            continue;
        }
        // Held until it is gone, so that no site that starts now takes it.
        if let Ok(_held) = locked(&entry.path(), FlockOperation::NonBlockingLockExclusive) {
            let _filled = std::fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dead_sites_left_is_removed_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = place.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        let [dead, held, foreign] = ["hop-700000", "hop-765536", "hop-files"].map(folder);
        let filled = folder("hop-831072");
        std::fs::write(filled.join("kept"), "").unwrap();
        let lock = locked(&held, FlockOperation::NonBlockingLockShared).unwrap();
        remove_left_behind(place.path());
        let are_there = [&dead, &held, &foreign, &filled].map(|folder| folder.is_dir());
        assert_eq!(are_there, [false, true, true, true]);
        drop(lock);
        remove_left_behind(place.path());
        assert!(!held.exists());
    }
}
