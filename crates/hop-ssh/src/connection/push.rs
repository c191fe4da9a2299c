//! A packet after a pause that wants nothing: it pushes on what a program on the way holds back.
//!
//! websocat 1.x tries once to flush what is behind the last line end of what it writes; when its pipe is full at that
//! moment, up to 1 KiB stays with it until more comes. Nothing comes, if those bytes say that a command has ended.
//!
//! What must stay true: one such packet follows whatever was sent, however long the silence; none follows it.

use std::time::{Duration, Instant};

/// Decides when to push.
#[derive(Debug)]
pub(super) struct Push {
    /// For how long nothing is sent before.
    after: Duration,
    /// The sequence number of what would be sent next, as it was at the last look.
    seen: Option<u32>,
    /// When to look again.
    look: Option<Instant>,
    /// The sequence number behind the last push.
    settled: Option<u32>,
}

impl Push {
    pub(super) fn new(after: Duration) -> Self {
        Self { after, seen: None, look: None, settled: None }
    }

    /// When to look. `next` is the sequence number of the next packet; `past` any time that is over.
    pub(super) fn deadline(&self, next: Option<u32>, past: Instant) -> Option<Instant> {
        (next.is_some() && next != self.settled).then(|| self.look.unwrap_or(past))
    }

    /// Looks: whether to push now. Then [`pushed`](Self::pushed) must be told.
    pub(super) fn is_due(&mut self, next: Option<u32>, now: Instant) -> bool {
        if next.is_none() || next == self.settled || self.look.is_some_and(|look| now < look) {
            return false;
        }
        let is_still = self.look.is_some() && next == self.seen;
        if !is_still {
            self.seen = next;
            self.look = Some(now + self.after);
        }
        is_still
    }

    /// The push has been sent.
    pub(super) fn pushed(&mut self, next: Option<u32>) {
        self.settled = next;
        self.look = None;
    }
}
