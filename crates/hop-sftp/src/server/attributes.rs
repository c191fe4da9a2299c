//! File attributes between the protocol and the system.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::directory::WorkingDirectory;
use super::status::Refusal;
use crate::codec::{Attributes, Owner, StatusCode, Times};

/// Everything version 3 can say about a file.
pub(crate) fn attributes_of(stat: &Stat) -> Attributes {
    Attributes {
        size: Some(u64::try_from(stat.st_size).unwrap_or(0)),
        owner: Some(Owner { user: stat.st_uid, group: stat.st_gid }),
        permissions: Some(stat.st_mode),
        times: Some(Times { accessed: wire_time(stat.st_atime), modified: wire_time(stat.st_mtime) }),
        extended: Vec::new(),
    }
}

/// The low 32 bits, as OpenSSH sends them; right for times from 1970 to 2106.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the wire has 32 bits; OpenSSH wraps too"
)]
fn wire_time(seconds: i64) -> u32 {
    seconds as u32
}

/// The twelve mode bits a client may set.
pub(crate) fn mode(permissions: u32) -> Mode {
    Mode::from_raw_mode(permissions & 0o7777)
}

/// What attributes are set on.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// A path; symbolic links are followed.
    Path(&'a WorkingDirectory, &'a [u8]),
    /// A path; a symbolic link at its end is changed itself.
    Link(&'a WorkingDirectory, &'a [u8]),
    /// An open file or directory.
    Open(BorrowedFd<'a>),
}

/// Sets what is present, in OpenSSH's order: size, mode, times, owner. Each is tried also when one before it failed;
/// the last failure is reported.
pub(crate) fn apply(target: Target<'_>, attributes: &Attributes) -> Result<(), Refusal> {
    let mut outcome = Ok(());
    let mut note = |result: Result<(), Errno>| {
        if let Err(error) = result {
            outcome = Err(error.into());
        }
    };
    if let Some(size) = attributes.size {
        note(target.set_size(size));
    }
    if let Some(permissions) = attributes.permissions {
        note(target.set_mode(mode(permissions)));
    }
    if let Some(times) = attributes.times {
        note(target.set_times(times));
    }
    if let Some(owner) = attributes.owner {
        note(target.set_owner(owner));
    }
    outcome
}

/// Sets attributes of a symbolic link. A size makes no sense for one and refuses the whole request.
pub(crate) fn apply_to_link(
    directory: &WorkingDirectory,
    path: &[u8],
    attributes: &Attributes,
) -> Result<(), Refusal> {
    if attributes.size.is_some() {
        return Err(StatusCode::BadMessage.into());
    }
    apply(Target::Link(directory, path), attributes)
}

impl Target<'_> {
    fn set_size(self, size: u64) -> Result<(), Errno> {
        match self {
            // What truncate(2) says before it looks for the file.
            _ if i64::try_from(size).is_err() => Err(Errno::INVAL),
            Self::Path(directory, path) => {
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                let file = rustix::fs::openat(directory, path, flags, Mode::empty())?;
                rustix::fs::ftruncate(file, size)
            }
            Self::Link(..) => Err(Errno::INVAL),
            Self::Open(file) => rustix::fs::ftruncate(file, size),
        }
    }

    fn set_mode(self, mode: Mode) -> Result<(), Errno> {
        match self {
            Self::Path(directory, path) => rustix::fs::chmodat(directory, path, mode, AtFlags::empty()),
            Self::Link(directory, path) => {
                // Only the newest kernels have a chmod that does not follow links, and links have no mode to
                // change: pin the file, see that it is none, change it through its descriptor.
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(directory, path, flags, Mode::empty())?;
                if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) == FileType::Symlink {
                    return Err(Errno::OPNOTSUPP);
                }
                let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
                rustix::fs::chmodat(CWD, link, mode, AtFlags::empty())
            }
            Self::Open(file) => rustix::fs::fchmod(file, mode),
        }
    }

    fn set_times(self, times: Times) -> Result<(), Errno> {
        let seconds = |seconds: u32| Timespec { tv_sec: i64::from(seconds), tv_nsec: 0 };
        let times =
            Timestamps { last_access: seconds(times.accessed), last_modification: seconds(times.modified) };
        match self {
            Self::Path(directory, path) => rustix::fs::utimensat(directory, path, &times, AtFlags::empty()),
            Self::Link(directory, path) => {
                rustix::fs::utimensat(directory, path, &times, AtFlags::SYMLINK_NOFOLLOW)
            }
            Self::Open(file) => rustix::fs::futimens(file, &times),
        }
    }

    fn set_owner(self, owner: Owner) -> Result<(), Errno> {
        // All ones means "leave as it is" to the system call, and is no id to rustix.
        let user = (owner.user != u32::MAX).then(|| Uid::from_raw(owner.user));
        let group = (owner.group != u32::MAX).then(|| Gid::from_raw(owner.group));
        match self {
            Self::Path(directory, path) => {
                rustix::fs::chownat(directory, path, user, group, AtFlags::empty())
            }
            Self::Link(directory, path) => {
                rustix::fs::chownat(directory, path, user, group, AtFlags::SYMLINK_NOFOLLOW)
            }
            Self::Open(file) => rustix::fs::fchown(file, user, group),
        }
    }
}
