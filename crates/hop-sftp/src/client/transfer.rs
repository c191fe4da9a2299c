//! One file, whole, from here to there or back.
//!
//! Owns the order of requests of a transfer. Reads and writes are answered in any order the server likes and taken in
//! the order sent; a transfer that is dropped closes its remote file. Local files are read and written by plain
//! calls in the task that transfers: they block it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::fs::{Timespec, Timestamps};
use rustix::io::{pread, pwrite, retry_on_intr};
use tokio::sync::OwnedSemaphorePermit;

use super::error::{ConnectionError, RequestError, TransferError};
use super::file::{RemoteFile, chunk_of};
use super::reply::Pending;
use super::window::Window;
use super::{BUDGET, BUDGET_UNIT, Client};
use crate::codec::{Attributes, Extended, Extension, OpenFlags, Request, Times};

/// What goes along with a file's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransferOptions {
    /// Give the copy the original's mode (the twelve bits).
    pub permissions: bool,
    /// Give the copy the original's times.
    pub times: bool,
    /// Wait until the copy is on the disk, where the server can (for a put).
    pub sync: bool,
    /// Start at this offset, in bytes, and leave what is before it as it is; 0 replaces the whole file.
    pub from: u64,
}

/// What a transfer moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transferred {
    /// Bytes.
    pub bytes: u64,
}

impl Client {
    /// Copies a remote file into an open local one, which is cut to the length received.
    ///
    /// Cancel safe in that nothing is left open; what was received by then is in the file.
    pub async fn get(
        &self,
        remote: &[u8],
        local: &File,
        options: &TransferOptions,
    ) -> Result<Transferred, TransferError> {
        let file = self.open(remote, OpenFlags::READ, Attributes::default()).await?;
        // The first read does not wait for the attributes: a small file takes two round trips in all.
        let attributes = file.submit(&Request::Fstat { handle: file.handle() }).await?;
        let mut get = Get::new(self, &file, local, options.from);
        get.fill().await?;
        let attributes = attributes.answer().await?.attributes()?;
        get.size = attributes.size.filter(|size| *size > 0);
        let end = get.run().await?;
        local.set_len(end).map_err(here("cutting"))?;
        if options.permissions
            && let Some(permissions) = attributes.permissions
        {
            let mode = rustix::fs::Mode::from_raw_mode(permissions & 0o7777);
            rustix::fs::fchmod(local, mode).map_err(|error| here("setting the mode of")(error.into()))?;
        }
        if options.times
            && let Some(times) = attributes.times
        {
            set_times(local, times).map_err(here("setting the times of"))?;
        }
        // Closed by dropping it: nothing was written, so nothing is to be learnt from the answer.
        Ok(Transferred { bytes: end.saturating_sub(options.from) })
    }

    /// Copies an open local file to a remote one.
    ///
    /// Cancel safe in that nothing is left open; what was sent by then is in the remote file.
    pub async fn put(
        &self,
        local: &File,
        remote: &[u8],
        options: &TransferOptions,
    ) -> Result<Transferred, TransferError> {
        let metadata = local.metadata().map_err(here("looking at"))?;
        let (mode, times) = attributes_of(&metadata);
        let mut flags = OpenFlags::WRITE | OpenFlags::CREATE;
        if options.from == 0 {
            flags = flags | OpenFlags::TRUNCATE;
        }
        let created =
            Attributes { permissions: options.permissions.then_some(mode), ..Attributes::default() };
        let file = self.open(remote, flags, created).await?;
        let mut put = Put::new(self, &file, local, metadata.len(), options.from);
        put.send_all().await?;
        // The rest follows without waiting for the writes: requests on one file take effect in order.
        let mut last = Vec::new();
        if options.permissions || options.times {
            let attributes = Attributes {
                permissions: options.permissions.then_some(mode),
                times: options.times.then_some(times),
                ..Attributes::default()
            };
            last.push(file.submit(&Request::Fsetstat { handle: file.handle(), attributes }).await?);
        }
        if options.sync && self.server().offers(Extension::Fsync) {
            let sync = Request::Extended(Extended::Fsync { handle: file.handle() });
            last.push(file.submit(&sync).await?);
        }
        put.finish().await?;
        let bytes = put.offset.saturating_sub(options.from);
        last.push(file.submit_close().await?);
        for pending in last {
            pending.answer().await?.done()?;
        }
        Ok(Transferred { bytes })
    }

    /// Room in the budget for a request of this many bytes; only for a transfer that holds none, so that those which
    /// wait never wait for one another.
    async fn room_for(&self, length: u32) -> Result<OwnedSemaphorePermit, RequestError> {
        let budget = Arc::clone(&self.shared.budget);
        // The budget is never closed.
        budget
            .acquire_many_owned(units(length))
            .await
            .map_err(|_| RequestError::Connection(ConnectionError::Abandoned))
    }

    /// Room in the budget, if there is any just now.
    fn room_now(&self, length: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.shared.budget).try_acquire_many_owned(units(length)).ok()
    }
}

fn units(length: u32) -> u32 {
    let most = u32::try_from(BUDGET.div_euclid(BUDGET_UNIT)).unwrap_or(u32::MAX);
    length.div_ceil(u32::try_from(BUDGET_UNIT).unwrap_or(1)).clamp(1, most)
}

/// A request in flight.
struct InFlight {
    pending: Pending,
    offset: u64,
    length: u32,
    sent: Instant,
    room: OwnedSemaphorePermit,
}

/// A get under way.
struct Get<'a> {
    client: &'a Client,
    file: &'a RemoteFile,
    local: &'a File,
    /// Where the file is thought to end; unknown for files that have no length, like those of /proc.
    size: Option<u64>,
    /// Where the next read starts.
    next: u64,
    in_flight: VecDeque<InFlight>,
    window: Window,
    began: Instant,
}

impl<'a> Get<'a> {
    fn new(client: &'a Client, file: &'a RemoteFile, local: &'a File, from: u64) -> Self {
        Self {
            client,
            file,
            local,
            size: None,
            next: from,
            in_flight: VecDeque::new(),
            window: Window::new(),
            began: Instant::now(),
        }
    }

    /// Sends a read of the next bytes.
    async fn ask(&mut self, length: u32, room: OwnedSemaphorePermit) -> Result<(), RequestError> {
        let offset = self.next;
        let read = self.read(offset, length, room).await?;
        self.in_flight.push_back(read);
        self.next = offset.saturating_add(u64::from(length));
        Ok(())
    }

    async fn read(
        &self,
        offset: u64,
        length: u32,
        room: OwnedSemaphorePermit,
    ) -> Result<InFlight, RequestError> {
        let pending = self.file.submit_read(offset, length).await?;
        Ok(InFlight { pending, offset, length, sent: Instant::now(), room })
    }

    /// Sends as many reads as the window and the budget allow, one at least.
    async fn fill(&mut self) -> Result<(), RequestError> {
        let chunk = self.client.server().read_length;
        while self.in_flight.len() < self.window.limit() {
            let length = match self.size {
                Some(size) if self.next >= size => return Ok(()),
                Some(size) => chunk.min(u32::try_from(size.saturating_sub(self.next)).unwrap_or(u32::MAX)),
                // One by one until the end shows.
                None if self.in_flight.is_empty() => chunk,
                None => return Ok(()),
            };
            let room = match self.client.room_now(length) {
                Some(room) => room,
                None if self.in_flight.is_empty() => self.client.room_for(length).await?,
                None => return Ok(()),
            };
            self.ask(length, room).await?;
        }
        Ok(())
    }

    /// Reads all there is; where the file ended.
    async fn run(&mut self) -> Result<u64, TransferError> {
        loop {
            self.fill().await?;
            let Some(InFlight { pending, offset, length, sent, room }) = self.in_flight.pop_front() else {
                return Ok(self.next);
            };
            let Some(data) = chunk_of(pending, length).await? else {
                // Shorter than it said, or without a length. What was asked for behind it is behind the end too.
                self.in_flight.clear();
                return Ok(offset);
            };
            self.window.answered(sent.elapsed(), self.began.elapsed());
            write_all(self.local, &data, offset).map_err(here("writing"))?;
            let count = u32::try_from(data.len()).unwrap_or(u32::MAX).min(length);
            let end = offset.saturating_add(u64::from(count));
            match self.size {
                _ if count == length => {}
                // A short answer in the middle: ask for the rest.
                Some(size) if end < size => {
                    let left = size.saturating_sub(end).min(u64::from(length.saturating_sub(count)));
                    let left = u32::try_from(left).unwrap_or(u32::MAX);
                    let rest = self.read(end, left, room).await?;
                    self.in_flight.push_front(rest);
                }
                // The end of the file: the first read asked for more than there was.
                Some(_) | None => self.next = end,
            }
        }
    }
}

/// A put under way.
struct Put<'a> {
    client: &'a Client,
    file: &'a RemoteFile,
    local: &'a File,
    /// How long the local file was at the start; it may grow or shrink meanwhile.
    expected: u64,
    offset: u64,
    in_flight: VecDeque<InFlight>,
    window: Window,
    began: Instant,
}

impl<'a> Put<'a> {
    fn new(client: &'a Client, file: &'a RemoteFile, local: &'a File, expected: u64, from: u64) -> Self {
        Self {
            client,
            file,
            local,
            expected,
            offset: from,
            in_flight: VecDeque::new(),
            window: Window::new(),
            began: Instant::now(),
        }
    }

    /// Sends the local file up to its end; some of the writes are not answered then.
    async fn send_all(&mut self) -> Result<(), TransferError> {
        let chunk = self.client.server().write_length;
        loop {
            // One byte more than there should be: a packet that is not filled was the last.
            let left = u32::try_from(self.expected.saturating_sub(self.offset)).unwrap_or(u32::MAX);
            let asked = chunk.min(left.saturating_add(1));
            while self.in_flight.len() >= self.window.limit() {
                self.take_answer().await?;
            }
            let room = loop {
                match self.client.room_now(asked) {
                    Some(room) => break room,
                    None if self.in_flight.is_empty() => break self.client.room_for(asked).await?,
                    None => self.take_answer().await?,
                }
            };
            let (packet, length) =
                write_packet(self.file.handle(), self.offset, self.local, asked).map_err(here("reading"))?;
            if length == 0 {
                return Ok(());
            }
            let pending = self.file.submit_write(packet).await?;
            let offset = self.offset;
            self.offset = offset.saturating_add(u64::from(length));
            self.in_flight.push_back(InFlight { pending, offset, length, sent: Instant::now(), room });
            if length < asked {
                return Ok(());
            }
        }
    }

    async fn finish(&mut self) -> Result<(), RequestError> {
        while !self.in_flight.is_empty() {
            self.take_answer().await?;
        }
        Ok(())
    }

    async fn take_answer(&mut self) -> Result<(), RequestError> {
        if let Some(InFlight { pending, sent, .. }) = self.in_flight.pop_front() {
            pending.answer().await?.done()?;
            self.window.answered(sent.elapsed(), self.began.elapsed());
        }
        Ok(())
    }
}

/// A WRITE of the next bytes of a local file, and how many they are. The file is read straight into the packet.
fn write_packet(handle: &[u8], offset: u64, local: &File, asked: u32) -> io::Result<(Vec<u8>, u32)> {
    let chunk = usize::try_from(asked).unwrap_or(usize::MAX);
    let mut packet = Vec::new();
    Request::Write { handle, offset, data: &[] }.encode(0, &mut packet);
    let header = packet.len();
    packet.reserve_exact(chunk);
    let mut length = 0_usize;
    while length < chunk {
        let at = offset.saturating_add(u64::try_from(length).unwrap_or(0));
        // Room is exactly a chunk, so that no more is read.
        let count = retry_on_intr(|| pread(local, spare_capacity(&mut packet), at))?;
        length = length.saturating_add(count);
        if count == 0 {
            break;
        }
    }
    // An allocator may have given more room than asked for.
    packet.truncate(header.saturating_add(chunk));
    let length = u32::try_from(length.min(chunk)).unwrap_or(u32::MAX);
    let body = u32::try_from(packet.len().saturating_sub(4)).unwrap_or(u32::MAX);
    for (at, value) in [(0, body), (header.saturating_sub(4), length)] {
        crate::codec::Sink::patch_u32(&mut packet, at, value);
    }
    Ok((packet, length))
}

fn write_all(local: &File, data: &[u8], offset: u64) -> io::Result<()> {
    let mut rest = data;
    let mut at = offset;
    while !rest.is_empty() {
        let count = retry_on_intr(|| pwrite(local, rest, at))?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = rest.get(count..).unwrap_or_default();
        at = at.saturating_add(u64::try_from(count).unwrap_or(0));
    }
    Ok(())
}

fn set_times(local: &File, times: Times) -> io::Result<()> {
    let seconds = |seconds: u32| Timespec { tv_sec: i64::from(seconds), tv_nsec: 0 };
    let times =
        Timestamps { last_access: seconds(times.accessed), last_modification: seconds(times.modified) };
    Ok(rustix::fs::futimens(local, &times)?)
}

fn attributes_of(metadata: &std::fs::Metadata) -> (u32, Times) {
    use std::os::unix::fs::MetadataExt as _;
    // Times outside of 1970 to 2106 cannot be said in version 3.
    let seconds = |time: i64| u32::try_from(time).unwrap_or(if time < 0 { 0 } else { u32::MAX });
    let times = Times { accessed: seconds(metadata.atime()), modified: seconds(metadata.mtime()) };
    (metadata.mode() & 0o7777, times)
}

/// An error of a local file that the caller opened.
fn here(action: &'static str) -> impl Fn(io::Error) -> TransferError {
    move |source| TransferError::Local { action, path: PathBuf::new(), source }
}
