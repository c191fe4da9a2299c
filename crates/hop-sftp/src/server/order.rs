//! When a request is carried out: at once, aside, or not before what is under way.
//!
//! What must stay true: the effects are those of carrying out the requests one by one in the order sent. Reads aside
//! overlap only with requests that change nothing; every other request waits for them, and one that is
//! carried out aside has the session for itself.

use super::ServeError;
use super::aside::{MAX_READS, Read};
use super::files::AtHand;
use super::handles::Open;
use super::locality::Links;
use super::output::Output;
use super::session::Session;
use crate::codec::{ClientPacket, Extended, OpenFlags, Request};
use crate::requests::RequestName;

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

impl Session {
    /// Carries out a request at once if that needs no waiting. `reads` reads are under way aside; `output` must have room
    /// for a response.
    pub(crate) fn answer(
        &mut self,
        packet: &[u8],
        reads: usize,
        output: &mut Output,
    ) -> Result<Answer, ServeError> {
        if !self.careful {
            return self.carry_out_packet(packet, true, output).map(|_| Answer::Given);
        }
        // Not for a bad packet or one before INIT: those need no file.
        if let Ok(ClientPacket::Request { id, request }) = ClientPacket::decode(packet)
            && self.is_initialised()
            && RequestName::of(&request).is_some_and(|name| self.is_permitted(name))
        {
            if reads > 0 && !is_observation(&request) {
                return Ok(Answer::Later);
            }
            if let Request::Read { handle, offset, length } = request {
                match self.read_at_hand(id, handle, offset, length, output) {
                    AtHand::Given => {
                        self.count_request();
                        return Ok(Answer::Given);
                    }
                    AtHand::Not(_) if reads >= MAX_READS => return Ok(Answer::Later),
                    AtHand::Not(read) => {
                        self.count_request();
                        return Ok(Answer::ReadAside(read));
                    }
                    AtHand::Unknown => {}
                }
            }
            if !self.needs_no_waiting(&request) {
                return Ok(if reads > 0 { Answer::Later } else { Answer::Aside });
            }
        }
        match self.carry_out_packet(packet, false, output)? {
            true => Ok(Answer::Given),
            false if reads > 0 => Ok(Answer::Later),
            false => Ok(Answer::Aside),
        }
    }

    /// Whether a request can be expected to return from memory.
    fn needs_no_waiting(&mut self, request: &Request<'_>) -> bool {
        let Self { directory, mounts, .. } = self;
        match request {
            Request::Extended(Extended::Limits | Extended::Unknown { .. }) | Request::Unknown(_) => true,
            _ if self.pace.is_slow() => false,
            Request::Open { path, flags, .. } if flags.contains(OpenFlags::CREATE) => {
                mounts.is_parent_at_hand(directory, path)
            }
            Request::Open { path, .. } | Request::Stat { path } | Request::Setstat { path, .. } => {
                mounts.is_at_hand(directory, path, Links::Follow)
            }
            Request::Lstat { path } => mounts.is_at_hand(directory, path, Links::Stay),
            Request::Remove { path } | Request::Mkdir { path, .. } | Request::Rmdir { path } => {
                mounts.is_parent_at_hand(directory, path)
            }
            Request::Rename { old_path, new_path }
            | Request::Extended(Extended::PosixRename { old_path, new_path }) => {
                mounts.is_parent_at_hand(directory, old_path) && mounts.is_parent_at_hand(directory, new_path)
            }
            Request::Close { handle }
            | Request::Read { handle, .. }
            | Request::Write { handle, .. }
            | Request::Fstat { handle }
            | Request::Fsetstat { handle, .. } => match self.handles.find(handle) {
                Some(Open::File(open)) => open.local,
                // The end of a listing touches no file.
                Some(Open::Directory(_)) => matches!(request, Request::Close { .. }),
                None => true,
            },
            // Seldom, or next to never without waiting: a listing looks at every entry, and one may be the root
            // of a mount that hangs; names of users come from anywhere.
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::aside::MAX_READS;
    use super::super::locality::{Mounts, Pace};
    use super::super::output::Output;
    use super::super::session::Session;
    use super::super::{Account, ServerOptions};
    use super::Answer;
    use crate::codec::{
        Attributes, ClientPacket, Extended, Hello, LENGTH_PREFIX, OpenFlags, Request, Response, ServerPacket,
    };

    fn session(folder: &Path) -> Session {
        assert!(
            Mounts::default().is_local(std::fs::File::open(folder).expect("it opens")),
            "{} is not on a local file system; set TMPDIR",
            folder.display()
        );
        let options = ServerOptions {
            start_directory: Some(folder.to_owned()),
            ..ServerOptions::new(Account { name: "tester".into(), home: folder.to_owned() })
        };
        let mut session = Session::new(options, true).expect("the folder opens");
        let mut init = Vec::new();
        ClientPacket::Init(Hello { version: 3, extensions: Vec::new() }).encode(&mut init);
        session.carry_out_packet(&init[LENGTH_PREFIX..], true, &mut Output::new()).expect("INIT");
        session
    }

    fn answer(session: &mut Session, request: &Request<'_>, reads: usize) -> &'static str {
        let mut packet = Vec::new();
        request.encode(1, &mut packet);
        let mut output = Output::new();
        // On a busy machine a call may have looked slow.
        session.pace = Pace::default();
        let answer = session.answer(&packet[LENGTH_PREFIX..], reads, &mut output).expect("no fatal error");
        let kind = match answer {
            Answer::Given => "given",
            Answer::ReadAside(_) => "read aside",
            Answer::Aside => "aside",
            Answer::Later => "later",
        };
        assert_eq!(output.is_empty(), kind != "given", "only what is given is in the output: {request:?}");
        kind
    }

    /// Opens a file, whatever it takes.
    fn open(session: &mut Session, path: &[u8], flags: OpenFlags) -> Vec<u8> {
        let mut packet = Vec::new();
        Request::Open { path, flags, attributes: Attributes::default() }.encode(1, &mut packet);
        let mut output = Output::new();
        session.carry_out_packet(&packet[LENGTH_PREFIX..], true, &mut output).expect("no fatal error");
        match ServerPacket::decode(&output.pending()[LENGTH_PREFIX..]) {
            Ok(ServerPacket::Response { response: Response::Handle(handle), .. }) => handle.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_done_at_once_aside_and_later() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("file"), b"contents").expect("write");
        let mut session = session(folder.path());
        let local = open(&mut session, b"file", OpenFlags::READ | OpenFlags::WRITE);
        let slow = open(&mut session, b"/proc/version", OpenFlags::READ);
        let none = Attributes::default;
        let create = OpenFlags::WRITE | OpenFlags::CREATE;
        for (request, alone, beside_reads) in [
            // On a local file system, in the cache.
            (Request::Stat { path: b"file" }, "given", "given"),
            (Request::Lstat { path: b"file" }, "given", "given"),
            (Request::Open { path: b"file", flags: OpenFlags::READ, attributes: none() }, "given", "given"),
            (Request::Open { path: b"new", flags: create, attributes: none() }, "given", "later"),
            (Request::Setstat { path: b"file", attributes: none() }, "given", "later"),
            (Request::Mkdir { path: b"dir", attributes: none() }, "given", "later"),
            (Request::Rmdir { path: b"dir" }, "given", "later"),
            (Request::Rename { old_path: b"new", new_path: b"newer" }, "given", "later"),
            (Request::Remove { path: b"newer" }, "given", "later"),
            (Request::Fstat { handle: &local }, "given", "given"),
            (Request::Read { handle: &local, offset: 0, length: 4 }, "given", "given"),
            (Request::Write { handle: &local, offset: 0, data: b"x" }, "given", "later"),
            (Request::Fsetstat { handle: &local, attributes: none() }, "given", "later"),
            // Slow by nature.
            (Request::Opendir { path: b"." }, "aside", "later"),
            (Request::Realpath { path: b"." }, "aside", "later"),
            (Request::Extended(Extended::Fsync { handle: &local }), "aside", "later"),
            (
                Request::Extended(Extended::UsersGroupsById { users: vec![0], groups: vec![] }),
                "aside",
                "later",
            ),
            // Not on a local file system.
            (Request::Stat { path: b"/proc/version" }, "aside", "later"),
            (Request::Lstat { path: b"/proc" }, "aside", "later"),
            (
                Request::Open { path: b"/proc/version", flags: OpenFlags::READ, attributes: none() },
                "aside",
                "later",
            ),
            (Request::Rename { old_path: b"file", new_path: b"/proc/file" }, "aside", "later"),
            (Request::Fstat { handle: &slow }, "aside", "later"),
            (Request::Read { handle: &slow, offset: 0, length: 4 }, "read aside", "read aside"),
            (Request::Close { handle: &slow }, "aside", "later"),
            // No file at all.
            (Request::Extended(Extended::Limits), "given", "given"),
            (Request::Close { handle: b"unknown" }, "given", "later"),
        ] {
            assert_eq!(answer(&mut session, &request, 2), beside_reads, "beside reads: {request:?}");
            assert_eq!(answer(&mut session, &request, 0), alone, "alone: {request:?}");
        }
        let read = Request::Read { handle: &slow, offset: 0, length: 4 };
        assert_eq!(answer(&mut session, &read, MAX_READS), "later");
    }
}
