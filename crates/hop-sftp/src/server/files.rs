//! Requests on open files and directories, and their opening and closing.

use std::io::IoSliceMut;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags, retry_on_intr};
use tracing::{debug, info};

use super::aside::Read;
use super::attributes::{Target, apply, attributes_of, mode};
use super::handles::{Open, OpenDirectory, OpenFile};
use super::listing::long_name;
use super::output::Output;
use super::session::{Reply, Session};
use super::status::Refusal;
use crate::codec::{Attributes, OpenFlags, StatusCode};
use crate::escape::Escaped;

/// Longest read answered and write promised to be taken, in bytes: what OpenSSH states.
pub(super) const MAX_DATA: usize = 255 * 1024;

/// Entries per READDIR response: what OpenSSH sends and every client can hold.
const ENTRIES: usize = 100;

/// The mode of a new file when the client gives none; the process's umask applies to both.
const NEW_FILE: u32 = 0o666;

impl Session {
    pub(super) fn open(
        &mut self,
        path: &[u8],
        flags: OpenFlags,
        attributes: &Attributes,
    ) -> Result<Reply, Refusal> {
        let changes = [OpenFlags::WRITE, OpenFlags::CREATE, OpenFlags::TRUNCATE];
        if self.options.read_only && changes.into_iter().any(|flag| flags.contains(flag)) {
            info!("refused open \"{}\" for writing: read-only", Escaped(path));
            return Err(StatusCode::PermissionDenied.into());
        }
        if !self.handles.has_room() {
            info!("refused open \"{}\": {} handles are open", Escaped(path), self.handles.limit());
            return Err(StatusCode::Failure.into());
        }
        let new_mode = mode(attributes.permissions.unwrap_or(NEW_FILE));
        let mut without_waiting = open_flags(flags) | OFlags::NONBLOCK;
        if flags.contains(OpenFlags::CREATE) && !self.may_wait {
            // The directory is at hand; where a link in it leads is not known.
            without_waiting |= OFlags::NOFOLLOW;
        }
        let file = match open_at(self.directory.as_fd(), path, without_waiting, new_mode) {
            Err(Errno::AGAIN | Errno::LOOP) if !self.may_wait => return Ok(Reply::WouldWait),
            // Somebody holds a lease on the file (Samba does): asked to give it up, and waited for.
            Err(Errno::AGAIN) => open_at(self.directory.as_fd(), path, open_flags(flags), new_mode)?,
            other => other?,
        };
        info!("open \"{}\" flags {} mode 0{:o}", Escaped(path), flags, new_mode.as_raw_mode());
        let local = self.careful && self.mounts.is_local(&file);
        let append = flags.contains(OpenFlags::APPEND);
        self.give(Open::File(OpenFile::new(file, local, path.to_vec(), append)))
    }

    pub(super) fn opendir(&mut self, path: &[u8]) -> Result<Reply, Refusal> {
        if !self.handles.has_room() {
            info!("refused opendir \"{}\": {} handles are open", Escaped(path), self.handles.limit());
            return Err(StatusCode::Failure.into());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let directory = rustix::fs::openat(&self.directory, path, flags, Mode::empty())?;
        let entries = Dir::new(directory)?;
        info!("opendir \"{}\"", Escaped(path));
        self.give(Open::Directory(OpenDirectory { entries, path: path.to_vec() }))
    }

    fn give(&mut self, open: Open) -> Result<Reply, Refusal> {
        self.handles.insert(open).map(Reply::Handle).ok_or(StatusCode::Failure.into())
    }

    pub(super) fn close(&mut self, handle: &[u8]) -> Result<Reply, Refusal> {
        match self.handles.remove(handle) {
            Some(Open::File(OpenFile { file, path, read, written, .. })) => {
                info!("close \"{}\" bytes read {read} written {written}", Escaped(&path));
                // No read aside outlives the requests after it, so this is the only owner.
                Arc::into_inner(file).map_or(Ok(()), close_file)?;
                Ok(Reply::Done)
            }
            Some(Open::Directory(directory)) => {
                info!("closedir \"{}\"", Escaped(&directory.path));
                Ok(Reply::Done)
            }
            None => Err(StatusCode::NoSuchFile.into()),
        }
    }

    pub(super) fn read(
        &mut self,
        id: u32,
        handle: &[u8],
        offset: u64,
        length: u32,
        output: &mut Output,
    ) -> Result<Reply, Refusal> {
        if let Some(Open::Directory(_)) = self.handles.find(handle) {
            return Err(Errno::ISDIR.into());
        }
        let open = self.handles.file(handle).ok_or(StatusCode::Failure)?;
        let count = read_waiting(id, &open.file, offset, read_length(length), output)?;
        self.count_read(handle, count);
        Ok(Reply::InOutput)
    }

    /// A read that is answered from memory, or else not at all.
    pub(super) fn read_at_hand(
        &mut self,
        id: u32,
        handle: &[u8],
        offset: u64,
        length: u32,
        output: &mut Output,
    ) -> AtHand {
        let Some(open) = self.handles.file(handle) else { return AtHand::Unknown };
        let length = read_length(length);
        // What others promise about reading without waiting is not relied on.
        if open.local && open.reads_without_waiting {
            let outcome = output.data(id, length, |space| read_without_waiting(&open.file, space, offset));
            match outcome {
                Ok(count) => {
                    self.count_read(handle, count);
                    return AtHand::Given;
                }
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => open.reads_without_waiting = false,
                Err(Errno::AGAIN) => {}
                Err(_) => return AtHand::Unknown,
            }
        }
        if open.local && !open.reads_without_waiting {
            return AtHand::Unknown;
        }
        let Some(handle) = handle.first_chunk() else { return AtHand::Unknown };
        AtHand::Not(Read { id, handle: *handle, file: Arc::clone(&open.file), offset, length })
    }

    /// Notes bytes read.
    pub(super) fn count_read(&mut self, handle: &[u8], count: usize) {
        let count = u64::try_from(count).unwrap_or(0);
        if let Some(open) = self.handles.file(handle) {
            open.read = open.read.saturating_add(count);
        }
        self.summary.bytes_read = self.summary.bytes_read.saturating_add(count);
    }

    pub(super) fn write(&mut self, handle: &[u8], offset: u64, data: &[u8]) -> Result<Reply, Refusal> {
        let open = self.handles.file(handle).ok_or(StatusCode::Failure)?;
        write_all(&open.file, offset, data)?;
        let count = u64::try_from(data.len()).unwrap_or(0);
        open.written = open.written.saturating_add(count);
        self.summary.bytes_written = self.summary.bytes_written.saturating_add(count);
        Ok(Reply::Done)
    }

    pub(super) fn fstat(&mut self, handle: &[u8]) -> Result<Reply, Refusal> {
        let stat = rustix::fs::fstat(self.descriptor(handle)?)?;
        Ok(Reply::Attributes(attributes_of(&stat)))
    }

    pub(super) fn fsetstat(&mut self, handle: &[u8], attributes: &Attributes) -> Result<Reply, Refusal> {
        if let Some(Open::File(OpenFile { path, .. }) | Open::Directory(OpenDirectory { path, .. })) =
            self.handles.find(handle)
        {
            debug!(?attributes, "set \"{}\"", Escaped(path));
        }
        apply(Target::Open(self.descriptor(handle)?), attributes)?;
        Ok(Reply::Done)
    }

    pub(super) fn fsync(&mut self, handle: &[u8]) -> Result<Reply, Refusal> {
        let descriptor = self.descriptor(handle).map_err(|_| StatusCode::NoSuchFile)?;
        retry_on_intr(|| rustix::fs::fsync(descriptor))?;
        Ok(Reply::Done)
    }

    /// The descriptor behind a handle, of a file or of a directory.
    pub(super) fn descriptor(&mut self, handle: &[u8]) -> Result<BorrowedFd<'_>, Refusal> {
        match self.handles.find(handle) {
            Some(Open::File(open)) => Ok(open.file.as_fd()),
            Some(Open::Directory(open)) => Ok(open.entries.fd()?),
            None => Err(StatusCode::Failure.into()),
        }
    }

    pub(super) fn readdir(&mut self, handle: &[u8]) -> Result<Reply, Refusal> {
        let now = self.now();
        let Some(Open::Directory(directory)) = self.handles.find(handle) else {
            return Err(StatusCode::Failure.into());
        };
        let mut names = Vec::with_capacity(ENTRIES);
        while names.len() < ENTRIES {
            let Some(entry) = directory.entries.read() else { break };
            let name = entry?.file_name().to_bytes().to_vec();
            // What is gone by now, or hidden, is no longer listed.
            let Ok(stat) = rustix::fs::statat(directory.entries.fd()?, &name, AtFlags::SYMLINK_NOFOLLOW)
            else {
                continue;
            };
            names.push((name, stat));
        }
        if names.is_empty() {
            return Err(StatusCode::Eof.into());
        }
        let listed = names.into_iter().map(|(name, stat)| {
            let user = name_or_number(self.accounts.user(stat.st_uid), stat.st_uid);
            let group = name_or_number(self.accounts.group(stat.st_gid), stat.st_gid);
            let line = long_name(&name, &stat, &user, &group, now, &self.zone);
            (name, line, attributes_of(&stat))
        });
        Ok(Reply::Names(listed.collect()))
    }
}

/// What became of [`Session::read_at_hand`].
pub(super) enum AtHand {
    /// The response is in the output.
    Given,
    /// To be read aside.
    Not(Read),
    /// Nothing to wait for: to be carried out as any other request.
    Unknown,
}

fn read_length(asked: u32) -> usize {
    MAX_DATA.min(usize::try_from(asked).unwrap_or(MAX_DATA))
}

/// Reads from a file and appends the DATA response; at the file's end it is refused with EOF.
pub(super) fn read_waiting(
    id: u32,
    file: &OwnedFd,
    offset: u64,
    length: usize,
    output: &mut Output,
) -> Result<usize, Refusal> {
    output.data(id, length, |space| match retry_on_intr(|| rustix::io::pread(file, &mut *space, offset)) {
        Ok(0) if length > 0 => Err(StatusCode::Eof.into()),
        other => Ok(other?),
    })
}

/// Reads what is in the page cache: all of `space`, or up to the end of the file; otherwise "again".
fn read_without_waiting(file: &OwnedFd, space: &mut [u8], offset: u64) -> Result<usize, Errno> {
    if i64::try_from(offset).is_err() {
        // pread refuses it too; but to preadv2 an offset of -1 is "where the file stands".
        return Err(Errno::INVAL);
    }
    let mut count = 0_usize;
    while let Some(rest) = space.get_mut(count..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(count).unwrap_or(0));
        match rustix::io::preadv2(file, &mut [IoSliceMut::new(rest)], at, ReadWriteFlags::NOWAIT) {
            // At the very start it is the end of the file: refused, so not for here.
            Ok(0) if count == 0 => return Err(Errno::NODATA),
            Ok(0) => break,
            Ok(more) => count = count.saturating_add(more),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

fn name_or_number(name: Option<&[u8]>, id: u32) -> Vec<u8> {
    name.map_or_else(|| id.to_string().into_bytes(), <[u8]>::to_vec)
}

fn open_flags(flags: OpenFlags) -> OFlags {
    let mut system = match (flags.contains(OpenFlags::READ), flags.contains(OpenFlags::WRITE)) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        (true | false, false) => OFlags::RDONLY,
    };
    for (flag, bit) in [
        (OpenFlags::APPEND, OFlags::APPEND),
        (OpenFlags::CREATE, OFlags::CREATE),
        (OpenFlags::TRUNCATE, OFlags::TRUNC),
        (OpenFlags::EXCLUSIVE, OFlags::EXCL),
    ] {
        if flags.contains(flag) {
            system |= bit;
        }
    }
    system
}

/// Opens a file; a terminal does not become the process's own.
///
/// With NONBLOCK it waits for no peer: the open of a FIFO would hang the session, and no FIFO can be
/// read or written at an offset anyway.
fn open_at(directory: BorrowedFd<'_>, path: &[u8], flags: OFlags, new_mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
    retry_on_intr(|| rustix::fs::openat(directory, path, flags, new_mode))
}

pub(super) fn write_all(file: &OwnedFd, offset: u64, data: &[u8]) -> Result<(), Errno> {
    let mut rest = data;
    let mut at = offset;
    loop {
        // Also with nothing to write: whether the file may be written is then still said.
        let count = retry_on_intr(|| rustix::io::pwrite(file, rest, at))?;
        rest = rest.get(count..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        if count == 0 {
            return Err(Errno::IO);
        }
        // A file opened for appending ignores the offset (Linux's pwrite).
        at = at.saturating_add(u64::try_from(count).unwrap_or(0));
    }
}

/// Closes a file and reports what a network file system has to say only now (NFS, quota).
fn close_file(file: OwnedFd) -> Result<(), Errno> {
    nix::unistd::close(file).map_err(|error| Errno::from_raw_os_error(error as i32))
}
