//! When a request is carried out: at once, aside, or not before what is under way.
//!
//! What must stay true: the effects are those of carrying out the requests one by one in the order sent. Reads aside
//! overlap only with requests that change nothing; every other request waits for them, and one that is
//! carried out aside has the session for itself.

use super::ServeError;
use super::aside::{MAX_READS, Read};
use super::files::AtHand;
use super::handles::Open;
use super::locality::{Links, is_at_hand, is_parent_at_hand};
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
        let directory = &self.directory;
        match request {
            Request::Extended(Extended::Limits | Extended::Unknown { .. }) | Request::Unknown(_) => true,
            _ if self.pace.is_slow() => false,
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
