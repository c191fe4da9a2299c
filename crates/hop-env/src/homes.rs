//! The homes of projects: `projects/<id>/home`, made on first entry.
//!
//! Must stay true: a project's uid is the owner of its home, never 0, never outside the range, never that of
//! another project, and not given out again while any directory has it. Nothing is followed by name that
//! somebody else could have put there.

use crate::project::{Project, ProjectKey, RunAs};
use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const HOME: &str = "home";
/// A home that has no owner yet. It gets its name when it is complete.
const UNFINISHED: &str = "home.new";
/// The user name inside.
const USER: &str = "project";

/// A home cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A call of the system failed.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is something else than a directory.
    #[error("{} is not a directory (a link, perhaps): it is not used", path.display())]
    NotADirectory {
        /// Where.
        path: PathBuf,
    },
    /// A directory belongs to somebody who must not have it.
    #[error("{} belongs to uid {owner}, {expected}: it is not used", path.display())]
    Owner {
        /// Where.
        path: PathBuf,
        /// Who has it.
        owner: u32,
        /// Who should.
        expected: String,
    },
    /// Others can change what is in a directory of the site.
    #[error("{} can be written by others (mode {mode:o}): it is not used\nhint: chmod go-w", path.display())]
    Writable {
        /// Where.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Two homes have one owner.
    #[error("{} and {} belong to the same uid {uid}: neither would be safe from the other", path.display(), other.display())]
    Shared {
        /// This one.
        path: PathBuf,
        /// The other.
        other: PathBuf,
        /// Whose both are.
        uid: u32,
    },
    /// No uid is left.
    #[error("all uids from {} to {} belong to projects\nhint: a larger range", range.start(), range.end())]
    NoUid {
        /// All of them.
        range: RangeInclusive<u32>,
    },
    /// Projects run as uids of their own, which do not come this far.
    #[error(
        "the projects' users cannot reach {}: {} is closed to others (mode {mode:o})\nhint: a data directory where all may pass, such as /var/lib/grasshopper, or chmod o+x",
        home.display(), closed.display()
    )]
    Unreachable {
        /// Where they would go.
        home: PathBuf,
        /// Where the way ends.
        closed: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// All homes.
#[derive(Debug)]
pub(crate) struct Homes {
    path: PathBuf,
    directory: OwnedFd,
    /// The uids of projects, when there is more than our own.
    uids: Option<RangeInclusive<u32>>,
    /// One home is made at a time, so that no uid is given out twice.
    making: Mutex<()>,
}

impl Homes {
    /// Opens the directory of all projects; makes it if it is not there.
    pub(crate) fn open(path: &Path, uids: Option<RangeInclusive<u32>>) -> Result<Self, HomeError> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        let parent_directory = open_directory(rustix::fs::CWD, parent, parent, true)?;
        let name = path.file_name().map(Path::new).unwrap_or(Path::new("."));
        let directory = ours(parent_directory.as_fd(), name, path, uids.is_some())?;
        if uids.is_some() {
            passable(path)?;
        }
        Ok(Self { path: path.to_owned(), directory, uids, making: Mutex::new(()) })
    }

    /// Where a project lives and who it is; its home is made if this is the first time. Blocks on the disk.
    pub(crate) fn find_or_make(&self, key: &ProjectKey) -> Result<Project, HomeError> {
        let _one_at_a_time = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let folder_path = self.path.join(key.as_str());
        let folder =
            ours(self.directory.as_fd(), Path::new(key.as_str()), &folder_path, self.uids.is_some())?;
        let home = folder_path.join(HOME);
        let found = match status(folder.as_fd(), HOME, &home)? {
            Some(found) => found,
            None => {
                self.make(&folder, &folder_path)?;
                status(folder.as_fd(), HOME, &home)?.ok_or(HomeError::NotADirectory { path: home.clone() })?
            }
        };
        if !rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir() {
            return Err(HomeError::NotADirectory { path: home });
        }
        let run_as = self.owner(&found, &home)?;
        Ok(Project { key: key.clone(), user: USER.to_owned(), home, run_as })
    }

    /// Who a home belongs to, if that is somebody a project may be.
    fn owner(&self, found: &Stat, home: &Path) -> Result<RunAs, HomeError> {
        let refused =
            |expected: String| HomeError::Owner { path: home.to_owned(), owner: found.st_uid, expected };
        match &self.uids {
            None => {
                let own = rustix::process::geteuid().as_raw();
                if found.st_uid != own || own == 0 {
                    return Err(refused(format!("and projects run as {own}, never as root")));
                }
                Ok(RunAs { uid: own, gid: rustix::process::getegid().as_raw() })
            }
            Some(range) => {
                if found.st_uid == 0 || !range.contains(&found.st_uid) {
                    let (first, last) = (range.start(), range.end());
                    return Err(refused(format!("and uids of projects go from {first} to {last}")));
                }
                for (other, uid) in self.all_owners()? {
                    if uid == found.st_uid && other != home && other.parent() != home.parent() {
                        return Err(HomeError::Shared { path: home.to_owned(), other, uid });
                    }
                }
                Ok(RunAs { uid: found.st_uid, gid: found.st_uid })
            }
        }
    }

    /// Makes a home under another name, and renames it when it is complete.
    fn make(&self, folder: &OwnedFd, path: &Path) -> Result<(), HomeError> {
        let unfinished = path.join(UNFINISHED);
        let at = |doing: &'static str| {
            let path = unfinished.clone();
            move |source: Errno| HomeError::File { doing, path, source: source.into() }
        };
        // One that was never finished is empty; if it is not, somebody should look.
        match rustix::fs::unlinkat(folder, UNFINISHED, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(at("remove")(error)),
        }
        let next = self.uids.as_ref().map(|range| self.next_uid(range)).transpose()?;
        rustix::fs::mkdirat(folder, UNFINISHED, Mode::RWXU).map_err(at("make"))?;
        // Whatever the umask was.
        let made = open_directory(folder, Path::new(UNFINISHED), &unfinished, false)?;
        rustix::fs::fchmod(&made, Mode::RWXU).map_err(at("set the mode of"))?;
        if let Some(uid) = next {
            let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
            rustix::fs::fchown(&made, Some(user), Some(group)).map_err(at("give away"))?;
        }
        rustix::fs::renameat_with(folder, UNFINISHED, folder, HOME, RenameFlags::NOREPLACE)
            .map_err(at("name"))?;
        rustix::fs::fsync(folder).map_err(at("write down"))?;
        tracing::info!(home = %path.join(HOME).display(), uid = next, "home made");
        Ok(())
    }

    /// The uid after the highest that a directory has; the lowest free one when the range is used to its end.
    fn next_uid(&self, range: &RangeInclusive<u32>) -> Result<u32, HomeError> {
        let taken: BTreeSet<u32> =
            self.all_owners()?.into_iter().map(|(_, uid)| uid).filter(|uid| range.contains(uid)).collect();
        let after = match taken.last() {
            None => Some(*range.start()),
            Some(last) => last.checked_add(1),
        };
        let free = |uid: &u32| *uid != 0 && range.contains(uid) && !taken.contains(uid);
        after
            .filter(free)
            .or_else(|| range.clone().find(free))
            .ok_or(HomeError::NoUid { range: range.clone() })
    }

    /// Every directory under the projects' folders, with its owner.
    fn all_owners(&self) -> Result<Vec<(PathBuf, u32)>, HomeError> {
        let mut owners = Vec::new();
        for project in names(self.directory.as_fd(), &self.path)? {
            let path = self.path.join(&project);
            // What is no directory is nobody's home.
            let Ok(folder) = open_directory(&self.directory, Path::new(&project), &path, false) else {
                continue;
            };
            for name in names(folder.as_fd(), &path)? {
                if let Some(found) = status(folder.as_fd(), &name, &path)? {
                    owners.push((path.join(&name), found.st_uid));
                }
            }
        }
        Ok(owners)
    }
}

/// Opens a directory of the site, making it if need be; refused unless it is ours alone to change.
fn ours(
    parent: rustix::fd::BorrowedFd<'_>,
    name: &Path,
    path: &Path,
    for_others: bool,
) -> Result<OwnedFd, HomeError> {
    // The projects' users pass through, and see nothing of it.
    let mode = if for_others { Mode::from_raw_mode(0o711) } else { Mode::RWXU };
    let at =
        |doing| move |source: Errno| HomeError::File { doing, path: path.to_owned(), source: source.into() };
    let made = match rustix::fs::mkdirat(parent, name, mode) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(error) => return Err(at("make")(error)),
    };
    let directory = open_directory(parent, name, path, false)?;
    if made {
        rustix::fs::fchmod(&directory, mode).map_err(at("set the mode of"))?;
    }
    own_alone(&rustix::fs::fstat(&directory).map_err(at("look at"))?, path)?;
    Ok(directory)
}

/// Refuses a directory, a link to one, or anything else that others could have put there.
pub(crate) fn check_own(path: &Path) -> Result<(), HomeError> {
    let found = rustix::fs::lstat(path).map_err(|source| HomeError::File {
        doing: "look at",
        path: path.to_owned(),
        source: source.into(),
    })?;
    if !rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir() {
        return Err(HomeError::NotADirectory { path: path.to_owned() });
    }
    own_alone(&found, path)
}

fn own_alone(found: &Stat, path: &Path) -> Result<(), HomeError> {
    let own = rustix::process::geteuid().as_raw();
    if found.st_uid != own {
        let expected = format!("and should belong to {own}");
        return Err(HomeError::Owner { path: path.to_owned(), owner: found.st_uid, expected });
    }
    if found.st_mode & 0o022 != 0 {
        return Err(HomeError::Writable { path: path.to_owned(), mode: found.st_mode & 0o7777 });
    }
    Ok(())
}

/// Whether users that own nothing on the way can come to a directory.
pub(crate) fn passable(home: &Path) -> Result<(), HomeError> {
    let home = home.canonicalize().map_err(|source| HomeError::File {
        doing: "find",
        path: home.to_owned(),
        source,
    })?;
    for closed in home.ancestors() {
        let found = rustix::fs::stat(closed).map_err(|source| HomeError::File {
            doing: "look at",
            path: closed.to_owned(),
            source: source.into(),
        })?;
        if found.st_mode & 0o001 == 0 {
            let (home, closed, mode) = (home.clone(), closed.to_owned(), found.st_mode & 0o7777);
            return Err(HomeError::Unreachable { home, closed, mode });
        }
    }
    Ok(())
}

fn open_directory(parent: impl AsFd, name: &Path, path: &Path, follow: bool) -> Result<OwnedFd, HomeError> {
    let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOTDIR | Errno::LOOP => HomeError::NotADirectory { path: path.to_owned() },
        error => HomeError::File { doing: "open", path: path.to_owned(), source: error.into() },
    })
}

fn status(folder: rustix::fd::BorrowedFd<'_>, name: &str, path: &Path) -> Result<Option<Stat>, HomeError> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(source) => {
            Err(HomeError::File { doing: "look at", path: path.to_owned(), source: source.into() })
        }
    }
}

fn names(folder: rustix::fd::BorrowedFd<'_>, path: &Path) -> Result<Vec<String>, HomeError> {
    let at = |source: Errno| HomeError::File { doing: "list", path: path.to_owned(), source: source.into() };
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).map_err(at)? {
        match entry.map_err(at)?.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => names.push(name.to_owned()),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
