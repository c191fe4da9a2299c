//! How many sessions a host takes at once (its sshd's MaxSessions), found out without failing anybody.
//!
//! Must stay true: a session that is over what was seen to work is tried with a session of our own first; where nobody
//! has one, the next is always let through.

use std::time::Duration;

/// How long after it was let through a session may not be open yet.
pub(super) const OPENING: Duration = Duration::from_millis(400);
/// How long after its end a session still counts where somebody waits for its place. sshd frees the place only after it
/// has read everything that came with the close; an open that arrives with it is refused, and nothing tells when it would
/// not be. (An unknown channel through the master's proxy mode would be answered in order, but OpenSSH 9.2's master ends
/// with "chan_send_close2: no remote_id" when it is refused.)
pub(super) const CLOSING: Duration = Duration::from_millis(250);

/// What is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// So many worked at once.
    proven: usize,
    /// With so many open, one more was refused.
    limit: Option<usize>,
    /// A session of ours is on its way to find out.
    is_probing: bool,
    /// A session has ended since: what it finds out says nothing about how many there is room for.
    is_void: bool,
}

/// What becomes of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It may open its session.
    Now,
    /// After a session of ours has shown that there is room; one is to be opened.
    Probe,
    /// When something changes.
    Wait,
}

impl Default for Room {
    fn default() -> Self {
        Self { proven: 1, limit: None, is_probing: false, is_void: false }
    }
}

impl Room {
    /// Whose turn it is with so many sessions open.
    pub(super) fn turn(&mut self, open: usize) -> Turn {
        // Nobody may take the place that is being tried.
        if self.is_probing {
            return Turn::Wait;
        }
        if open < self.proven.min(self.limit.unwrap_or(usize::MAX)) || open == 0 {
            return Turn::Now;
        }
        if self.limit.is_some_and(|limit| open >= limit) {
            return Turn::Wait;
        }
        (self.is_probing, self.is_void) = (true, false);
        Turn::Probe
    }

    /// A session has ended.
    pub(super) fn ended(&mut self) {
        self.is_void = true;
    }

    /// A session of ours went through while so many were open.
    pub(super) fn is_free(&mut self, open: usize) {
        self.is_probing = false;
        if !self.is_void {
            self.proven = self.proven.max(open + 1);
        }
    }

    /// One was refused while so many were open.
    pub(super) fn is_full(&mut self, open: usize) {
        self.is_probing = false;
        self.limit = Some(open.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_out_step_by_step() {
        let mut room = Room::default();
        assert_eq!(room.turn(0), Turn::Now);
        assert_eq!((room.turn(1), room.turn(1)), (Turn::Probe, Turn::Wait));
        room.is_free(1);
        assert_eq!((room.turn(1), room.turn(2)), (Turn::Now, Turn::Probe));
        room.is_full(2);
        assert_eq!((room.turn(1), room.turn(2), room.turn(3)), (Turn::Now, Turn::Wait, Turn::Wait));
    }

    #[test]
    fn a_proof_is_void_when_a_session_ended_meanwhile() {
        let mut room = Room::default();
        assert_eq!(room.turn(1), Turn::Probe);
        room.ended();
        room.is_free(1);
        assert_eq!(room.turn(1), Turn::Probe, "it is tried again");
    }

    #[test]
    fn a_host_that_refuses_the_first_is_still_tried() {
        let mut room = Room::default();
        room.is_full(0);
        assert_eq!((room.turn(0), room.turn(1)), (Turn::Now, Turn::Wait));
    }
}
