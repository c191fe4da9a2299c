//! How many sessions a host takes at once (its sshd's MaxSessions), found out without failing anybody.
//!
//! Must stay true: a session that is over what was seen to work is tried with sessions of our own first; where nobody
//! has one, the next is always let through.

use std::time::Duration;

/// How long after it was let through a session may not be open yet.
pub(super) const OPENING: Duration = Duration::from_millis(400);
/// How long after its end a session still counts where somebody waits for its place. sshd frees the place only after it
/// has read everything that came with the close; an open that arrives with it is refused, and nothing tells when it would
/// not be. (An unknown channel through the master's proxy mode would be answered in order, but OpenSSH 9.2's master ends
/// with "chan_send_close2: no remote_id" when it is refused.)
pub(super) const CLOSING: Duration = Duration::from_millis(250);

/// What an sshd takes that nobody told otherwise (sshd_config(5), MaxSessions).
const USUAL: usize = 10;

/// What is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// So many worked at once.
    proven: usize,
    /// With so many open, one more was refused.
    limit: Option<usize>,
    /// Sessions of ours are on their way to find out.
    trial: Option<Trial>,
}

/// An attempt to find out more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trial {
    /// So many sessions are tried.
    most: usize,
    /// A session of others has ended since: how many there were beside ours is not known.
    is_void: bool,
}

/// What becomes of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It may open its session.
    Now,
    /// After sessions of ours have shown for how many there is room; so many are to be opened.
    Probe {
        /// At most.
        most: usize,
    },
    /// When something changes.
    Wait,
}

impl Default for Room {
    fn default() -> Self {
        Self { proven: 1, limit: None, trial: None }
    }
}

impl Room {
    /// Whose turn it is with so many sessions open.
    pub(super) fn turn(&mut self, open: usize) -> Turn {
        // Nobody may take the place that is being tried.
        if self.trial.is_some() {
            return Turn::Wait;
        }
        if open < self.proven.min(self.limit.unwrap_or(usize::MAX)) || open == 0 {
            return Turn::Now;
        }
        if self.limit.is_some_and(|limit| open >= limit) {
            return Turn::Wait;
        }
        // The first time sees as far as most hosts go; later ones go on step by step.
        let most = if self.proven == 1 { USUAL - 1 } else { 1 };
        self.trial = Some(Trial { most, is_void: false });
        Turn::Probe { most }
    }

    /// A session has ended.
    pub(super) fn ended(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.is_void = true;
        }
    }

    /// While `open` sessions of others were open, `free` of ours were at once, and then one was refused or all were
    /// there; `None` when it failed for another reason, which whoever comes next finds out.
    pub(super) fn found(&mut self, open: usize, free: Option<usize>) {
        let Some(trial) = self.trial.take() else { return };
        // When others have left, ours were there all the same.
        let beside = if trial.is_void { 0 } else { open };
        self.proven = self.proven.max(beside + free.unwrap_or(1));
        if let Some(free) = free.filter(|free| *free < trial.most && !trial.is_void) {
            self.limit = Some((open + free).max(1));
        }
    }

    /// One was refused while so many were open.
    pub(super) fn is_full(&mut self, open: usize) {
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
        assert_eq!((room.turn(1), room.turn(1)), (Turn::Probe { most: 9 }, Turn::Wait));
        room.found(1, Some(9));
        assert_eq!((room.turn(9), room.turn(10)), (Turn::Now, Turn::Probe { most: 1 }));
        room.found(10, Some(0));
        assert_eq!((room.turn(9), room.turn(10), room.turn(11)), (Turn::Now, Turn::Wait, Turn::Wait));
    }

    #[test]
    fn a_host_that_takes_fewer_than_usual() {
        let mut room = Room::default();
        assert_eq!(room.turn(1), Turn::Probe { most: 9 });
        room.found(1, Some(3));
        assert_eq!((room.turn(3), room.turn(4)), (Turn::Now, Turn::Wait));
    }

    #[test]
    fn when_a_session_ended_meanwhile_only_ours_count() {
        let mut room = Room::default();
        assert_eq!(room.turn(3), Turn::Probe { most: 9 });
        room.ended();
        room.found(3, Some(5));
        assert_eq!((room.turn(4), room.turn(5)), (Turn::Now, Turn::Probe { most: 1 }));
    }

    #[test]
    fn what_is_no_refusal_is_no_limit() {
        let mut room = Room::default();
        assert_eq!(room.turn(1), Turn::Probe { most: 9 });
        room.found(1, None);
        assert_eq!((room.turn(1), room.turn(2)), (Turn::Now, Turn::Probe { most: 1 }));
    }

    #[test]
    fn a_host_that_refuses_the_first_is_still_tried() {
        let mut room = Room::default();
        room.is_full(0);
        assert_eq!((room.turn(0), room.turn(1)), (Turn::Now, Turn::Wait));
    }
}
