//! One session: takes a packet, carries it out, appends the response.
//!
//! Owns the order of things: INIT first, permissions before anything is done, exactly one response per request. The
//! requests themselves are in `files`, `paths` and `copy`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime};

use jiff::tz::TimeZone;
use rustix::process::{Resource, getrlimit};
use tracing::{debug, info, warn};

use super::accounts::Accounts;
use super::aside::{MAX_READS, Read};
use super::directory::WorkingDirectory;
use super::files::{AtHand, MAX_DATA};
use super::handles::{HandleBytes, Handles, Open};
use super::locality::{Links, Pace, is_at_hand, is_parent_at_hand};
use super::output::Output;
use super::status::Refusal;
use super::{ServeError, ServerOptions, Summary};
use crate::codec::{
    Attributes, ClientPacket, Extended, Extension, Hello, Limits, Malformed, NameEntry, OpenFlags, Request,
    Response, StatusCode, VERSION,
};
use crate::escape::Escaped;
use crate::requests::RequestName;

/// The longest packet promised to be taken, in bytes: what OpenSSH states.
const STATED_PACKET_LENGTH: u64 = 256 * 1024;

/// Room that one response can need, in bytes. A full read is the largest.
pub(crate) const MAX_RESPONSE: usize = MAX_DATA + 1024;

/// Descriptors left for everything but handles, as OpenSSH reckons.
const OTHER_DESCRIPTORS: u64 = 5;

/// The state of one session.
pub(crate) struct Session {
    pub(super) options: ServerOptions,
    pub(super) directory: WorkingDirectory,
    pub(super) handles: Handles,
    pub(super) accounts: Accounts,
    pub(super) zone: TimeZone,
    pub(super) summary: Summary,
    pub(super) abandoned: Arc<AtomicBool>,
    /// Whether requests that may wait are to be carried out aside.
    pub(super) careful: bool,
    pace: Pace,
    initialised: bool,
}

/// How a request was dealt with.
pub(crate) enum Answer {
    /// Its response is in the output.
    Given,
    /// It is a read to be done aside.
    ReadAside(Read),
    /// It may have to wait: to be carried out aside, with the session.
    Aside,
    /// Not before the reads under way are finished.
    Later,
}

/// What a request that was carried out is answered with.
pub(super) enum Reply {
    Done,
    Handle(HandleBytes),
    Attributes(Attributes),
    /// One name, without attributes.
    Path(Vec<u8>),
    /// Names with their long names and attributes.
    Names(Vec<(Vec<u8>, Vec<u8>, Attributes)>),
    /// The payload of an EXTENDED_REPLY.
    Payload(Vec<u8>),
    /// The response is already in the output, or will be.
    Elsewhere,
}

impl Session {
    pub(crate) fn new(options: ServerOptions, careful: bool) -> Result<Self, ServeError> {
        let directory = match &options.start_directory {
            None => WorkingDirectory::of_process(),
            Some(path) => WorkingDirectory::at(path).or_else(|error| {
                warn!(%error, "cannot start in {:?}; starting in the process's directory", path);
                WorkingDirectory::of_process()
            }),
        };
        let limit = options.open_handles.unwrap_or_else(handles_of_process);
        info!(
            "SFTP session opened for {:?} in \"{}\"",
            options.account.name,
            Escaped(directory.as_ref().map_or(b"?", WorkingDirectory::path))
        );
        Ok(Self {
            directory: directory.map_err(ServeError::WorkingDirectory)?,
            handles: Handles::new(limit),
            accounts: Accounts::default(),
            zone: TimeZone::system(),
            summary: Summary::default(),
            abandoned: Arc::default(),
            careful,
            pace: Pace::default(),
            initialised: false,
            options,
        })
    }

    /// Carries out a request that can be carried out at once, while `reads` reads are under way aside, and appends its
    /// response, for which `output` must have [`MAX_RESPONSE`] bytes of room.
    pub(crate) fn answer(
        &mut self,
        packet: &[u8],
        reads: usize,
        output: &mut Output,
    ) -> Result<Answer, ServeError> {
        let decoded = ClientPacket::decode(packet);
        if let Ok(ClientPacket::Request { id, request }) = &decoded
            && self.careful
            && self.initialised
            && self.permit(request).is_ok()
        {
            if reads > 0 && !is_observation(request) {
                return Ok(Answer::Later);
            }
            if let Request::Read { handle, offset, length } = request {
                match self.read_at_hand(*id, handle, *offset, *length, output) {
                    AtHand::Given => {
                        self.summary.requests = self.summary.requests.saturating_add(1);
                        return Ok(Answer::Given);
                    }
                    AtHand::Not(_) if reads >= MAX_READS => return Ok(Answer::Later),
                    AtHand::Not(read) => {
                        self.summary.requests = self.summary.requests.saturating_add(1);
                        return Ok(Answer::ReadAside(read));
                    }
                    AtHand::Unknown => {}
                }
            } else if self.may_wait(request) {
                return Ok(if reads > 0 { Answer::Later } else { Answer::Aside });
            }
        }
        self.carry_out_decoded(decoded, packet, output)?;
        Ok(Answer::Given)
    }

    /// Carries out one request, however long it takes, and appends its response.
    pub(crate) fn answer_whatever_it_takes(
        &mut self,
        packet: &[u8],
        output: &mut Output,
    ) -> Result<(), ServeError> {
        self.carry_out_decoded(ClientPacket::decode(packet), packet, output)
    }

    /// A flag that makes a long request end early.
    pub(crate) fn abandonment(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.abandoned)
    }

    fn carry_out_decoded(
        &mut self,
        decoded: Result<ClientPacket<'_>, Malformed>,
        packet: &[u8],
        output: &mut Output,
    ) -> Result<(), ServeError> {
        match decoded {
            Ok(ClientPacket::Init(hello)) => self.initialise(&hello, output),
            Ok(_) | Err(_) if !self.initialised => return Err(ServeError::NotInitialised),
            Ok(ClientPacket::Request { id, request }) => {
                self.summary.requests = self.summary.requests.saturating_add(1);
                let began = Instant::now();
                let outcome = self.permit(&request).and_then(|()| self.carry_out(id, &request, output));
                self.pace.note(began.elapsed());
                if let Err(refusal) = &outcome {
                    note_refusal(&request, refusal);
                }
                respond(id, outcome, output);
            }
            Err(Malformed { id: Some(id), field }) => {
                debug!(id, field, "malformed request");
                Response::status(StatusCode::BadMessage).encode(id, output);
            }
            Err(Malformed { id: None, .. }) => {
                return Err(ServeError::NoRequestId { kind: packet.first().copied().unwrap_or(0) });
            }
        }
        Ok(())
    }

    /// Whether a request, other than a read, may have to wait for a disk or a network.
    fn may_wait(&mut self, request: &Request<'_>) -> bool {
        let directory = &self.directory;
        let at_hand = match request {
            Request::Extended(Extended::Limits | Extended::Unknown { .. }) | Request::Unknown(_) => {
                return false;
            }
            _ if self.pace.is_slow() => return true,
            Request::Open { path, flags, .. } if flags.contains(OpenFlags::CREATE) => {
                is_parent_at_hand(directory, path)
            }
            Request::Open { path, .. } | Request::Stat { path } | Request::Setstat { path, .. } => {
                is_at_hand(directory, path, Links::Follow)
            }
            Request::Lstat { path } => is_at_hand(directory, path, Links::Stay),
            Request::Remove { path } | Request::Mkdir { path, .. } | Request::Rmdir { path } => {
                is_parent_at_hand(directory, path)
            }
            Request::Rename { old_path, new_path }
            | Request::Extended(Extended::PosixRename { old_path, new_path }) => {
                is_parent_at_hand(directory, old_path) && is_parent_at_hand(directory, new_path)
            }
            Request::Close { handle }
            | Request::Read { handle, .. }
            | Request::Write { handle, .. }
            | Request::Fstat { handle }
            | Request::Fsetstat { handle, .. } => match self.handles.find(handle) {
                Some(Open::File(open)) => open.local,
                // Closing a listing tells nobody anything.
                Some(Open::Directory(_)) => matches!(request, Request::Close { .. }),
                None => true,
            },
            // Seldom, or as good as never without waiting: a listing looks at every entry, and one may
            // be the root of a mount that hangs; names of users come from anywhere.
            Request::Opendir { .. }
            | Request::Readdir { .. }
            | Request::Realpath { .. }
            | Request::Readlink { .. }
            | Request::Symlink { .. }
            | Request::Extended(
                Extended::Statvfs { .. }
                | Extended::Fstatvfs { .. }
                | Extended::Hardlink { .. }
                | Extended::Fsync { .. }
                | Extended::Lsetstat { .. }
                | Extended::ExpandPath { .. }
                | Extended::CopyData(_)
                | Extended::HomeDirectory { .. }
                | Extended::UsersGroupsById { .. },
            ) => false,
        };
        !at_hand
    }

    /// Closes what the client left open and says what the session did.
    pub(crate) fn finish(mut self) -> Summary {
        for open in self.handles.drain() {
            match open {
                Open::File(file) => info!(
                    "forced close \"{}\" bytes read {} written {}",
                    Escaped(&file.path),
                    file.read,
                    file.written
                ),
                Open::Directory(directory) => info!("forced closedir \"{}\"", Escaped(&directory.path)),
            }
        }
        let Summary { requests, bytes_read, bytes_written } = self.summary;
        info!(requests, bytes_read, bytes_written, "SFTP session closed for {:?}", self.options.account.name);
        self.summary
    }

    /// Now, in seconds since 1970.
    pub(super) fn now(&self) -> i64 {
        let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
    }

    fn initialise(&mut self, hello: &Hello<'_>, output: &mut Output) {
        debug!(version = hello.version, "client's INIT");
        self.initialised = true;
        let extensions = Extension::ALL
            .iter()
            .map(|known| (known.name().as_bytes(), known.version().as_bytes()))
            .collect();
        crate::codec::ServerPacket::Version(Hello { version: VERSION, extensions }).encode(output);
    }

    fn permit(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let Some(name) = RequestName::of(request) else {
            // Answered with "unsupported" when it is carried out.
            return Ok(());
        };
        let allowed = self.options.permitted.contains(name) && !(self.options.read_only && name.writes());
        if !allowed {
            info!("refused {name} request");
            return Err(StatusCode::PermissionDenied.into());
        }
        Ok(())
    }

    fn carry_out(&mut self, id: u32, request: &Request<'_>, output: &mut Output) -> Result<Reply, Refusal> {
        match request {
            Request::Open { path, flags, attributes } => self.open(path, *flags, attributes),
            Request::Close { handle } => self.close(handle),
            Request::Read { handle, offset, length } => self.read(id, handle, *offset, *length, output),
            Request::Write { handle, offset, data } => self.write(handle, *offset, data),
            Request::Lstat { path } => self.lstat(path),
            Request::Fstat { handle } => self.fstat(handle),
            Request::Setstat { path, attributes } => self.setstat(path, attributes),
            Request::Fsetstat { handle, attributes } => self.fsetstat(handle, attributes),
            Request::Opendir { path } => self.opendir(path),
            Request::Readdir { handle } => self.readdir(handle),
            Request::Remove { path } => self.remove(path),
            Request::Mkdir { path, attributes } => self.mkdir(path, attributes),
            Request::Rmdir { path } => self.rmdir(path),
            Request::Realpath { path } => self.realpath(path),
            Request::Stat { path } => self.stat(path),
            Request::Rename { old_path, new_path } => self.rename(old_path, new_path),
            Request::Readlink { path } => self.readlink(path),
            Request::Symlink { target, link_path } => self.symlink(target, link_path),
            Request::Extended(extended) => self.carry_out_extended(extended),
            Request::Unknown(kind) => {
                debug!(kind = kind.byte(), "unknown request");
                Err(StatusCode::OpUnsupported.into())
            }
        }
    }

    fn carry_out_extended(&mut self, extended: &Extended<'_>) -> Result<Reply, Refusal> {
        match extended {
            Extended::PosixRename { old_path, new_path } => self.posix_rename(old_path, new_path),
            Extended::Statvfs { path } => self.statvfs(path),
            Extended::Fstatvfs { handle } => self.fstatvfs(handle),
            Extended::Hardlink { old_path, new_path } => self.hardlink(old_path, new_path),
            Extended::Fsync { handle } => self.fsync(handle),
            Extended::Lsetstat { path, attributes } => self.lsetstat(path, attributes),
            Extended::Limits => Ok(self.limits()),
            Extended::ExpandPath { path } => self.expand_path(path),
            Extended::CopyData(copy) => self.copy_data(copy),
            Extended::HomeDirectory { user } => self.home_directory(user),
            Extended::UsersGroupsById { users, groups } => self.users_groups_by_id(users, groups),
            Extended::Unknown { name, .. } => {
                debug!("unknown extension \"{}\"", Escaped(name));
                Err(StatusCode::OpUnsupported.into())
            }
        }
    }

    fn limits(&self) -> Reply {
        let data = u64::try_from(MAX_DATA).unwrap_or(0);
        let limits = Limits {
            packet_length: STATED_PACKET_LENGTH,
            read_length: data,
            write_length: data,
            open_handles: u64::from(self.handles.limit()),
        };
        let mut payload = Vec::new();
        limits.encode(&mut payload);
        Reply::Payload(payload)
    }
}

/// Appends the response to a request.
fn respond(id: u32, outcome: Result<Reply, Refusal>, output: &mut Output) {
    match outcome {
        Ok(Reply::Done) => Response::status(StatusCode::Ok).encode(id, output),
        Ok(Reply::Handle(handle)) => Response::Handle(&handle).encode(id, output),
        Ok(Reply::Attributes(attributes)) => Response::Attributes(attributes).encode(id, output),
        Ok(Reply::Path(path)) => {
            // OpenSSH repeats the path where a listing has the long name.
            let entry = NameEntry { name: &path, long_name: &path, attributes: Attributes::default() };
            Response::Name(vec![entry]).encode(id, output);
        }
        Ok(Reply::Names(names)) => {
            let entries = names.iter().map(|(name, long_name, attributes)| NameEntry {
                name,
                long_name,
                attributes: attributes.clone(),
            });
            Response::Name(entries.collect()).encode(id, output);
        }
        Ok(Reply::Payload(payload)) => Response::ExtendedReply(&payload).encode(id, output),
        Ok(Reply::Elsewhere) => {}
        Err(Refusal { code, message, .. }) => {
            Response::Status { code, message: message.as_bytes(), language: b"" }.encode(id, output);
        }
    }
}

/// Whether a request changes nothing that a read under way could see, nor takes its file away.
fn is_observation(request: &Request<'_>) -> bool {
    match request {
        Request::Open { flags, .. } => {
            !flags.contains(OpenFlags::CREATE) && !flags.contains(OpenFlags::TRUNCATE)
        }
        Request::Read { .. }
        | Request::Lstat { .. }
        | Request::Fstat { .. }
        | Request::Stat { .. }
        | Request::Extended(Extended::Limits) => true,
        _ => false,
    }
}

fn note_refusal(request: &Request<'_>, refusal: &Refusal) {
    // The end of a file or directory is no event.
    if refusal.code == StatusCode::Eof {
        return;
    }
    let name = match RequestName::of(request) {
        Some(name) => name.as_str(),
        None => "unknown request",
    };
    match refusal.cause {
        Some(cause) => debug!("{name}: {} ({cause})", refusal.code.message()),
        None => debug!("{name}: {}", refusal.code.message()),
    }
}

/// The handles that the process's limit on open files leaves.
fn handles_of_process() -> u32 {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::from(u32::MAX));
    u32::try_from(limit.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(u32::MAX)
}
