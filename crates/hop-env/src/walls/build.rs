//! Raises the walls: a new root, made of the pieces of a plan, in place of the host's.

use super::plan::{Piece, Plan};
use super::{Step, WallsError, devices, mounts};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where the new root is built; every host has it, and nobody else sees what is mounted over it here.
const ROOT: &str = "/tmp";

/// What pieces are made of, opened as long as the host is in view: a path below [`ROOT`] means something else later.
pub(super) struct Sources {
    /// One for each bind, in order.
    binds: Vec<OwnedFd>,
    nodes: Vec<OwnedFd>,
}

impl Sources {
    /// Opens all of them.
    pub(super) fn open(plan: &Plan) -> Result<Self, WallsError> {
        let binds = plan.pieces.iter().filter_map(|piece| match piece {
            Piece::Bind { source, .. } => Some(open(source)),
            _ => None,
        });
        let nodes = devices::NODES.iter().map(|name| open(&Path::new("/dev").join(name)));
        Ok(Self { binds: binds.collect::<Result<_, _>>()?, nodes: nodes.collect::<Result<_, _>>()? })
    }
}

fn open(path: &Path) -> Result<OwnedFd, WallsError> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .step(|| format!("open {}", path.display()))
}

/// Builds the new root and leaves the old one.
pub(super) fn raise(plan: &Plan, sources: &Sources) -> Result<(), WallsError> {
    let root = Path::new(ROOT);
    // Nothing of ours is seen by the host.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .step(|| "leave the host's mounts".to_owned())?;
    tmpfs(root, None, MountFlags::NODEV)?;
    let mut binds = sources.binds.iter();
    for piece in &plan.pieces {
        match piece {
            Piece::Bind { target, writable, .. } => {
                let Some(source) = binds.next() else { continue };
                let place = mounts::placed(root, target);
                let found = rustix::fs::fstat(source)
                    .step(|| format!("look at the source of {}", target.display()))?;
                if rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir() {
                    directory(&place)?;
                } else {
                    file(&place)?;
                }
                let source = PathBuf::from(format!("/proc/self/fd/{}", source.as_raw_fd()));
                mounts::bind(&source, &place, *writable)?;
            }
            Piece::Symlink { text, target } => {
                let place = mounts::placed(root, target);
                std::os::unix::fs::symlink(text, &place).step(|| format!("make {}", target.display()))?;
            }
            Piece::Directory(target) => directory(&mounts::placed(root, target))?,
            Piece::Tmpfs { target, size } => {
                let place = mounts::placed(root, target);
                directory(&place)?;
                tmpfs(&place, *size, MountFlags::NODEV)?;
            }
            Piece::Proc(target) => {
                let place = mounts::placed(root, target);
                directory(&place)?;
                devices::processes(&place)?;
            }
            Piece::Devices(target) => {
                let place = mounts::placed(root, target);
                directory(&place)?;
                tmpfs(&place, Some(64 * 1024), MountFlags::empty())?;
                devices::fill(&place, &sources.nodes)?;
            }
            Piece::ReadOnly(target) => mounts::freeze(&mounts::placed(root, target))?,
        }
    }
    // The old root lands on top of the new one, and is let go.
    rustix::process::chdir(root).step(|| "enter the new root".to_owned())?;
    rustix::process::pivot_root(".", ".").step(|| "change the root".to_owned())?;
    unmount(".", UnmountFlags::DETACH).step(|| "leave the old root".to_owned())?;
    rustix::process::chdir("/").step(|| "enter the new root".to_owned())
}

fn tmpfs(place: &Path, size: Option<u64>, flags: MountFlags) -> Result<(), WallsError> {
    let options = match size {
        Some(bytes) => format!("mode=0755,size={bytes}\0"),
        None => "mode=0755\0".to_owned(),
    };
    let options = std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).ok();
    mount("tmpfs", place, "tmpfs", flags | MountFlags::NOSUID, options)
        .step(|| format!("mount a tmpfs at {}", place.display()))
}

/// Makes a directory and those above it; one that is there will do.
fn directory(place: &Path) -> Result<(), WallsError> {
    std::fs::create_dir_all(place).step(|| format!("make {}", place.display()))
}

/// Makes an empty file to mount over; one that is there will do.
pub(super) fn file(place: &Path) -> Result<(), WallsError> {
    if let Some(parent) = place.parent() {
        directory(parent)?;
    }
    if place.exists() {
        return Ok(());
    }
    std::fs::write(place, "").step(|| format!("make {}", place.display()))
}
