//! How many sessions a host takes at once (its sshd's MaxSessions), as its refusals tell.
//!
//! Must stay true: a refusal fails nobody, since whoever is refused waits in line (an ssh by way of `hop dial`); what is
//! known may be wrong, too low or too high, and comes right by itself: while somebody waits, the first in line tries now
//! and then.

use std::time::Duration;

/// How long after a session's end the next in line is let through. sshd frees a place only after it has read everything
/// that came with the close, and nothing tells when; an ssh that is refused because it came too early is served all the
/// same, but it has printed a line about it.
pub(super) const HANDOVER: Duration = Duration::from_millis(100);
/// The longest pause between two attempts to get one more in.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// With so many open, one more was refused.
    limit: Option<usize>,
    /// After which the next in line may try whether that is still so.
    pause: Duration,
    /// That time is running.
    is_pausing: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self { limit: None, pause: HANDOVER, is_pausing: false }
    }
}

impl Room {
    /// Whether one more may open its session with so many open.
    pub(super) fn has_place(&self, open: usize) -> bool {
        self.limit.is_none_or(|limit| open < limit)
    }

    /// One was refused while so many were open.
    pub(super) fn is_full(&mut self, open: usize) {
        self.limit = Some(open);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// A session has ended: there may be a place soon.
    pub(super) fn ended(&mut self) {
        self.pause = HANDOVER;
    }

    /// Somebody waits in line: how long from now the first of them may try, unless that is arranged already.
    pub(super) fn begin_pause(&mut self) -> Option<Duration> {
        let begins = !self.is_pausing;
        self.is_pausing = true;
        begins.then_some(self.pause)
    }

    /// That time is over with so many open; whether the first in line goes beyond what is known.
    pub(super) fn end_pause(&mut self, open: usize) -> bool {
        self.is_pausing = false;
        let is_beyond = !self.has_place(open);
        if is_beyond {
            // If it is refused, that says so.
            self.limit = Some(open + 1);
        }
        is_beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_tells() {
        let mut room = Room::default();
        assert!(room.has_place(500), "nothing is known");
        // Twelve were let through at once; two are refused, one after the other.
        room.is_full(11);
        room.is_full(10);
        assert!(room.has_place(9) && !room.has_place(10));
    }

    #[test]
    fn what_was_too_low_comes_right() {
        let mut room = Room::default();
        // One was refused while nine that had ended were not counted any more.
        room.is_full(1);
        for open in 1..10 {
            assert!(!room.has_place(open));
            assert!(room.begin_pause().is_some());
            assert_eq!(room.begin_pause(), None, "one at a time");
            assert!(room.end_pause(open), "the first in line is let through");
        }
        assert!(room.begin_pause().is_some());
        assert!(room.end_pause(10));
        room.is_full(10);
        assert!(!room.has_place(10));
    }

    #[test]
    fn a_host_that_stays_full_is_tried_ever_more_rarely() {
        let mut room = Room::default();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            room.is_full(10);
            pauses.push(room.begin_pause().unwrap());
            room.end_pause(10);
        }
        assert!(pauses.is_sorted());
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
        room.ended();
        assert_eq!(room.begin_pause(), Some(HANDOVER));
    }

    #[test]
    fn sessions_that_nobody_knows_of() {
        let mut room = Room::default();
        room.is_full(0);
        assert!(!room.has_place(0), "it is not tried again at once");
        assert!(room.begin_pause().is_some() && room.end_pause(0));
        assert!(room.has_place(0), "whoever is not refused has shown that there is room");
    }
}
