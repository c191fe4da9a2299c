//! One session: takes a packet, carries it out, appends the response.
//!
//! Owns the order of things: INIT first, permissions before anything is done, exactly one response per request. The
//! requests themselves are in `files`, `paths` and `copy`; when each is carried out is in `order`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use jiff::tz::TimeZone;
use rustix::process::{Resource, getrlimit};
use tracing::{debug, info, warn};

use super::accounts::Accounts;
use super::directory::WorkingDirectory;
use super::files::MAX_DATA;
use super::handles::{HandleBytes, Handles, Open};
use super::locality::{Began, Mounts, Pace};
use super::output::Output;
use super::status::Refusal;
use super::{ServeError, ServerOptions, Summary};
use crate::codec::{
    Attributes, ClientPacket, Extended, Extension, Hello, Limits, Malformed, NameEntry, Request, Response,
    StatusCode, VERSION,
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
    /// Whether the request being carried out may wait.
    pub(super) may_wait: bool,
    pub(super) pace: Pace,
    pub(super) mounts: Mounts,
    initialised: bool,
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
    /// The response is already in the output.
    InOutput,
    /// None yet: the request would have to wait, which it must not here.
    WouldWait,
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
            may_wait: true,
            pace: Pace::default(),
            mounts: Mounts::default(),
            initialised: false,
            options,
        })
    }

    /// Carries out one request and appends its response. With `may_wait` it takes as long as it takes; otherwise a request
    /// that turns out to have to wait is left undone, and the result is `false`.
    pub(crate) fn carry_out_packet(
        &mut self,
        packet: &[u8],
        may_wait: bool,
        output: &mut Output,
    ) -> Result<bool, ServeError> {
        self.may_wait = may_wait;
        match ClientPacket::decode(packet) {
            Ok(ClientPacket::Init(hello)) => self.initialise(&hello, output),
            Ok(_) | Err(_) if !self.initialised => return Err(ServeError::NotInitialised),
            Ok(ClientPacket::Request { id, request }) => {
                let began = self.careful.then(Began::now);
                let outcome = self.permit(&request).and_then(|()| self.carry_out(id, &request, output));
                if let Ok(Reply::WouldWait) = outcome {
                    return Ok(false);
                }
                if let Some(began) = began {
                    self.pace.note(&began);
                }
                self.count_request();
                if let Err(refusal) = &outcome {
                    note_refusal(&request, refusal);
                }
                respond(id, outcome, output);
            }
            Err(Malformed { id: Some(id), field }) => {
                debug!(id, field, "malformed request");
                self.count_request();
                Response::status(StatusCode::BadMessage).encode(id, output);
            }
            Err(Malformed { id: None, .. }) => {
                return Err(ServeError::NoRequestId { kind: packet.first().copied().unwrap_or(0) });
            }
        }
        Ok(true)
    }

    /// Whether the client has sent INIT.
    pub(super) fn is_initialised(&self) -> bool {
        self.initialised
    }

    /// A flag that makes a long request end early.
    pub(crate) fn abandonment(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.abandoned)
    }

    /// Notes a request that is answered.
    pub(super) fn count_request(&mut self) {
        self.summary.requests = self.summary.requests.saturating_add(1);
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
        if !self.is_permitted(name) {
            info!("refused {name} request");
            return Err(StatusCode::PermissionDenied.into());
        }
        Ok(())
    }

    /// Whether a request is served at all.
    pub(super) fn is_permitted(&self, name: RequestName) -> bool {
        self.options.permitted.contains(name) && !(self.options.read_only && name.writes())
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
        Ok(Reply::InOutput | Reply::WouldWait) => {}
        Err(Refusal { code, message, .. }) => {
            Response::Status { code, message: message.as_bytes(), language: b"" }.encode(id, output);
        }
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
