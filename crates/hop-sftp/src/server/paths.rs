//! Requests on paths.

use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, StatVfs, StatVfsMountFlags};
use rustix::io::Errno;
use tracing::{debug, info};

use super::accounts::home_of;
use super::attributes::{Target, apply, apply_to_link, attributes_of, mode};
use super::files::MAX_DATA;
use super::realpath::resolve;
use super::session::{Reply, Session};
use super::status::Refusal;
use crate::codec::{Attributes, FileSystemStatistics, IdNames, StatusCode};
use crate::escape::Escaped;

/// The mode of a new directory when the client gives none; the process's umask applies to both.
const NEW_DIRECTORY: u32 = 0o777;

impl Session {
    pub(super) fn stat(&self, path: &[u8]) -> Result<Reply, Refusal> {
        let stat = rustix::fs::statat(&self.directory, path, AtFlags::empty())?;
        Ok(Reply::Attributes(attributes_of(&stat)))
    }

    pub(super) fn lstat(&self, path: &[u8]) -> Result<Reply, Refusal> {
        let stat = rustix::fs::statat(&self.directory, path, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Reply::Attributes(attributes_of(&stat)))
    }

    pub(super) fn setstat(&self, path: &[u8], attributes: &Attributes) -> Result<Reply, Refusal> {
        info!(?attributes, "set \"{}\"", Escaped(path));
        apply(Target::Path(&self.directory, path), attributes)?;
        Ok(Reply::Done)
    }

    pub(super) fn lsetstat(&self, path: &[u8], attributes: &Attributes) -> Result<Reply, Refusal> {
        info!(?attributes, "set link \"{}\"", Escaped(path));
        apply_to_link(&self.directory, path, attributes)?;
        Ok(Reply::Done)
    }

    pub(super) fn remove(&self, path: &[u8]) -> Result<Reply, Refusal> {
        info!("remove \"{}\"", Escaped(path));
        rustix::fs::unlinkat(&self.directory, path, AtFlags::empty())?;
        Ok(Reply::Done)
    }

    pub(super) fn mkdir(&self, path: &[u8], attributes: &Attributes) -> Result<Reply, Refusal> {
        let mode = mode(attributes.permissions.unwrap_or(NEW_DIRECTORY));
        info!("mkdir \"{}\" mode 0{:o}", Escaped(path), mode.as_raw_mode());
        rustix::fs::mkdirat(&self.directory, path, mode)?;
        Ok(Reply::Done)
    }

    pub(super) fn rmdir(&self, path: &[u8]) -> Result<Reply, Refusal> {
        info!("rmdir \"{}\"", Escaped(path));
        rustix::fs::unlinkat(&self.directory, path, AtFlags::REMOVEDIR)?;
        Ok(Reply::Done)
    }

    pub(super) fn realpath(&self, path: &[u8]) -> Result<Reply, Refusal> {
        debug!("realpath \"{}\"", Escaped(path));
        Ok(Reply::Path(resolve(self.directory.path(), path)?))
    }

    pub(super) fn readlink(&self, path: &[u8]) -> Result<Reply, Refusal> {
        let target = rustix::fs::readlinkat(&self.directory, path, Vec::new())?;
        Ok(Reply::Path(target.into_bytes()))
    }

    pub(super) fn symlink(&self, target: &[u8], link_path: &[u8]) -> Result<Reply, Refusal> {
        info!("symlink old \"{}\" new \"{}\"", Escaped(target), Escaped(link_path));
        rustix::fs::symlinkat(target, &self.directory, link_path)?;
        Ok(Reply::Done)
    }

    pub(super) fn hardlink(&self, old_path: &[u8], new_path: &[u8]) -> Result<Reply, Refusal> {
        info!("hardlink old \"{}\" new \"{}\"", Escaped(old_path), Escaped(new_path));
        rustix::fs::linkat(&self.directory, old_path, &self.directory, new_path, AtFlags::empty())?;
        Ok(Reply::Done)
    }

    pub(super) fn posix_rename(&self, old_path: &[u8], new_path: &[u8]) -> Result<Reply, Refusal> {
        info!("posix-rename old \"{}\" new \"{}\"", Escaped(old_path), Escaped(new_path));
        rustix::fs::renameat(&self.directory, old_path, &self.directory, new_path)?;
        Ok(Reply::Done)
    }

    /// Renames, but never onto something that exists (draft section 6.5).
    pub(super) fn rename(&self, old_path: &[u8], new_path: &[u8]) -> Result<Reply, Refusal> {
        info!("rename old \"{}\" new \"{}\"", Escaped(old_path), Escaped(new_path));
        let directory = &self.directory;
        match rustix::fs::renameat_with(directory, old_path, directory, new_path, RenameFlags::NOREPLACE) {
            // The file system cannot do it in one step.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                self.rename_in_steps(old_path, new_path)?
            }
            // A new name that is taken is said before an old one that is missing; the client wants the latter.
            Err(Errno::EXIST) => {
                rustix::fs::statat(directory, old_path, AtFlags::SYMLINK_NOFOLLOW)?;
                return Err(Errno::EXIST.into());
            }
            other => other?,
        }
        Ok(Reply::Done)
    }

    /// For file systems without an exclusive rename: a regular file gets its new name by a hard link, which fails
    /// when the name is taken; for anything else there is only looking first.
    fn rename_in_steps(&self, old_path: &[u8], new_path: &[u8]) -> Result<(), Errno> {
        let directory = &self.directory;
        let stat = rustix::fs::statat(directory, old_path, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            match rustix::fs::linkat(directory, old_path, directory, new_path, AtFlags::empty()) {
                Ok(()) => {
                    return rustix::fs::unlinkat(directory, old_path, AtFlags::empty()).inspect_err(|_| {
                        // Back to one name; the error that is reported is the first one.
                        let _ = rustix::fs::unlinkat(directory, new_path, AtFlags::empty());
                    });
                }
                // No hard links here.
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::XDEV | Errno::PERM) => {}
                Err(error) => return Err(error),
            }
        }
        match rustix::fs::statat(directory, new_path, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => rustix::fs::renameat(directory, old_path, directory, new_path),
            Ok(_) => Err(Errno::EXIST),
            Err(error) => Err(error),
        }
    }

    pub(super) fn statvfs(&self, path: &[u8]) -> Result<Reply, Refusal> {
        // By descriptor: statvfs itself knows only the process's working directory.
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, path, flags, Mode::empty())?;
        Ok(statistics(&rustix::fs::fstatvfs(file)?))
    }

    pub(super) fn fstatvfs(&mut self, handle: &[u8]) -> Result<Reply, Refusal> {
        let descriptor = self.descriptor(handle)?;
        Ok(statistics(&rustix::fs::fstatvfs(descriptor)?))
    }

    /// A path as a shell reads it: `~` and `~user` at its start are home directories.
    pub(super) fn expand_path(&self, path: &[u8]) -> Result<Reply, Refusal> {
        let Some(after) = path.strip_prefix(b"~") else { return self.realpath(path) };
        let slash = after.iter().position(|byte| *byte == b'/').unwrap_or(after.len());
        let (user, rest) = after.split_at_checked(slash).unwrap_or((after, b""));
        let mut expanded = match user {
            b"" => self.options.account.home.as_os_str().as_bytes().to_vec(),
            name => home_of(name).ok_or(Refusal::NO_SUCH_USER)?,
        };
        expanded.extend_from_slice(rest);
        self.realpath(&expanded)
    }

    pub(super) fn home_directory(&self, user: &[u8]) -> Result<Reply, Refusal> {
        match user {
            b"" => Ok(Reply::Path(self.options.account.home.as_os_str().as_bytes().to_vec())),
            name => home_of(name).map(Reply::Path).ok_or(StatusCode::Failure.into()),
        }
    }

    pub(super) fn users_groups_by_id(&mut self, users: &[u32], groups: &[u32]) -> Result<Reply, Refusal> {
        let accounts = &mut self.accounts;
        let mut names = IdNames::default();
        let mut length = 0_usize;
        for id in users {
            let name = accounts.user(*id).unwrap_or_default().to_vec();
            length = length.saturating_add(name.len()).saturating_add(4);
            names.users.push(name);
        }
        for id in groups {
            let name = accounts.group(*id).unwrap_or_default().to_vec();
            length = length.saturating_add(name.len()).saturating_add(4);
            names.groups.push(name);
        }
        // The answer can be longer than the question; it must still fit a packet.
        if length > MAX_DATA {
            return Err(StatusCode::Failure.into());
        }
        let mut payload = Vec::with_capacity(length.saturating_add(8));
        names.encode(&mut payload);
        Ok(Reply::Payload(payload))
    }
}

fn statistics(stat: &StatVfs) -> Reply {
    let bit = |flag, bit| if stat.f_flag.contains(flag) { bit } else { 0 };
    let statistics = FileSystemStatistics {
        block_size: stat.f_bsize,
        fragment_size: stat.f_frsize,
        blocks: stat.f_blocks,
        blocks_free: stat.f_bfree,
        blocks_available: stat.f_bavail,
        files: stat.f_files,
        files_free: stat.f_ffree,
        files_available: stat.f_favail,
        id: stat.f_fsid,
        flags: bit(StatVfsMountFlags::RDONLY, FileSystemStatistics::READ_ONLY)
            | bit(StatVfsMountFlags::NOSUID, FileSystemStatistics::NO_SET_USER_ID),
        name_length: stat.f_namemax,
    };
    let mut payload = Vec::new();
    statistics.encode(&mut payload);
    Reply::Payload(payload)
}
