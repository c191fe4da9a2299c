//! Whose turn it is to send: round robin by bytes, with small interactive output first.
//!
//! Must stay true: a channel is in at most one queue, once; whoever keeps the small-output queue busy
//! cannot shut the others out.

use std::collections::VecDeque;

/// Output up to this many bytes counts as interactive: a screenful of text, a few sftp replies.
pub(crate) const SMALL: usize = 2048;
/// What a bulk channel sends before the next one's turn, in bytes; also what interactive channels may
/// send before one bulk channel is let in between.
pub(crate) const TURN: usize = 32 * 1024;

/// The order of channels that have something to send.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    small: VecDeque<u32>,
    bulk: VecDeque<u32>,
    /// What interactive channels sent since bulk was last let in between.
    small_sent: usize,
    /// Whether the channel just taken is interactive: a bulk channel's own turn is no reason for another one.
    took_small: bool,
}

impl Schedule {
    /// Puts a channel at the end of its queue. The caller must not add one twice.
    pub(crate) fn add(&mut self, channel: u32, queued: usize) {
        if queued <= SMALL { self.small.push_back(channel) } else { self.bulk.push_back(channel) }
    }

    /// Takes the channel whose turn it is.
    pub(crate) fn next(&mut self) -> Option<u32> {
        if self.small_sent >= TURN || self.small.is_empty() {
            self.small_sent = 0;
            if let Some(channel) = self.bulk.pop_front() {
                self.took_small = false;
                return Some(channel);
            }
        }
        self.took_small = true;
        self.small.pop_front()
    }

    /// Counts what the channel just taken sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        if self.took_small {
            self.small_sent += bytes;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.bulk.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_output_overtakes_bulk_but_does_not_starve_it() {
        let mut schedule = Schedule::default();
        schedule.add(1, 1 << 20);
        schedule.add(2, 10);
        assert_eq!(schedule.next(), Some(2));
        schedule.sent(10);
        let mut turns_until_bulk = 0;
        loop {
            schedule.add(2, SMALL);
            let turn = schedule.next().unwrap();
            if turn == 1 {
                break;
            }
            schedule.sent(SMALL);
            turns_until_bulk += 1;
        }
        assert_eq!(turns_until_bulk, TURN / SMALL);
    }

    #[test]
    fn bulk_that_never_ends_does_not_starve_small_output() {
        let mut schedule = Schedule::default();
        schedule.add(1, 1 << 20);
        for _ in 0..10 {
            assert_eq!(schedule.next(), Some(1));
            schedule.sent(TURN);
            schedule.add(1, 1 << 20);
            schedule.add(2, 10);
            assert_eq!(schedule.next(), Some(2));
            schedule.sent(10);
        }
    }

    #[test]
    fn bulk_channels_take_turns() {
        let mut schedule = Schedule::default();
        for channel in 0..3 {
            schedule.add(channel, 1 << 20);
        }
        let mut order = Vec::new();
        for _ in 0..6 {
            let turn = schedule.next().unwrap();
            order.push(turn);
            schedule.sent(TURN);
            schedule.add(turn, 1 << 20);
        }
        assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    }
}
