//! Receive windows (RFC 4254 section 5.2) and the memory they may promise.
//!
//! Must stay true: credit is given for bytes that the consumer *took*, never for bytes that arrived;
//! what all windows of a connection promise together stays within its budget, so a peer that floods
//! every channel it can open costs at most that much memory.

use std::time::{Duration, Instant};

/// The window that a channel starts with, if the budget allows, in bytes.
pub(crate) const INITIAL: u32 = 2 * 1024 * 1024;
/// The least that a channel starts with.
const LEAST: u32 = 64 * 1024;
/// The most that a window grows to.
const MOST: u32 = 64 * 1024 * 1024;
/// A new channel gets at most this share of what is left of the budget's first half. The other half is
/// kept for many channels with the least window, which grow if they need it: a browser on a dynamic
/// forward opens hundreds.
const SHARE: u64 = 4;

/// The memory that all channels of one connection share, in bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    whole: u64,
    left: u64,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { whole: bytes, left: bytes }
    }

    /// Sets memory aside for a new channel; `None` when there is not enough.
    pub(crate) fn open(&mut self) -> Option<Window> {
        let share = self.left.saturating_sub(self.whole / 2) / SHARE;
        let share = u32::try_from(share).unwrap_or(INITIAL).clamp(LEAST, INITIAL);
        self.left = self.left.checked_sub(u64::from(share))?;
        Some(Window::new(share))
    }

    fn grow(&mut self, by: u32) -> bool {
        // Growth never takes the room in which new channels start.
        match self.left.checked_sub(u64::from(by)) {
            Some(left) if left >= u64::from(INITIAL) => {
                self.left = left;
                true
            }
            _ => false,
        }
    }

    /// Takes the memory of a closed channel back.
    pub(crate) fn close(&mut self, window: &Window) {
        self.left += u64::from(window.size);
    }
}

/// The receive window of one channel. Offsets count the channel's bytes from its start.
#[derive(Debug)]
pub(crate) struct Window {
    size: u32,
    /// The peer may send up to this offset.
    limit: u64,
    received: u64,
    consumed: u64,
    /// A grant whose first byte has not come yet: its offset, and when it was sent.
    awaited: Option<(u64, Instant)>,
    round_trip: Option<Duration>,
    epoch: Option<(u64, Instant)>,
    drained: bool,
}

/// A peer sent more than it was given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overrun;

impl Window {
    fn new(size: u32) -> Self {
        Self {
            size,
            limit: u64::from(size),
            received: 0,
            consumed: 0,
            awaited: None,
            round_trip: None,
            epoch: None,
            drained: false,
        }
    }

    /// What to announce when the channel is opened.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// Counts received bytes.
    pub(crate) fn receive(&mut self, count: usize, now: Instant) -> Result<(), Overrun> {
        self.received += count as u64;
        if self.received > self.limit {
            return Err(Overrun);
        }
        if let Some((_, sent)) = self.awaited.filter(|(offset, _)| self.received > *offset) {
            self.round_trip = Some(now.duration_since(sent));
            self.awaited = None;
        }
        Ok(())
    }

    /// Counts bytes that the consumer took; `drained` says that it left nothing. The credit to send now,
    /// if any.
    pub(crate) fn consume(
        &mut self,
        count: usize,
        drained: bool,
        budget: &mut Budget,
        now: Instant,
    ) -> Option<u32> {
        self.consumed += count as u64;
        self.drained |= drained;
        self.grow(budget, now);
        let owed = (self.consumed + u64::from(self.size)).saturating_sub(self.limit);
        // An eighth of a window at a time: few messages, and the peer never runs dry on account of it.
        if owed < u64::from(self.size / 8) {
            return None;
        }
        if self.awaited.is_none() {
            self.awaited = Some((self.limit, now));
        }
        self.limit += owed;
        u32::try_from(owed).ok()
    }

    /// Doubles the window when the peer used a whole one within two credit round trips while the
    /// consumer kept up: then the window, not the consumer, is what bounds it. A round trip is measured
    /// from a grant to its first byte, because that, unlike a ping, crosses a relay.
    fn grow(&mut self, budget: &mut Budget, now: Instant) {
        let (start, since) = *self.epoch.get_or_insert((self.received, now));
        if self.received - start < u64::from(self.size) {
            return;
        }
        let quick = self.round_trip.is_some_and(|trip| now.duration_since(since) <= trip * 2);
        if quick && self.drained && self.size <= MOST / 2 && budget.grow(self.size) {
            self.size *= 2;
        }
        self.epoch = Some((self.received, now));
        self.drained = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn channels_share_the_budget_and_never_promise_more() {
        let mut budget = Budget::new(64 * MIB);
        let mut windows = Vec::new();
        while let Some(window) = budget.open() {
            windows.push(window);
        }
        let promised: u64 = windows.iter().map(|window| u64::from(window.size())).sum();
        assert!(promised <= 64 * MIB, "{promised}");
        assert_eq!(windows[0].size(), INITIAL);
        assert!(windows.len() > 500, "{}", windows.len());
        assert!(windows.iter().all(|window| window.size() >= LEAST));
        let last = windows.pop().unwrap();
        budget.close(&last);
        assert!(budget.open().is_some());
        assert!(budget.open().is_none());
    }

    #[test]
    fn credit_follows_the_consumer_and_not_the_arrival() {
        let mut budget = Budget::new(64 * MIB);
        let mut window = budget.open().unwrap();
        let now = Instant::now();
        window.receive(INITIAL as usize, now).unwrap();
        assert_eq!(window.receive(1, now), Err(Overrun));
        let mut window = budget.open().unwrap();
        window.receive(1_000_000, now).unwrap();
        assert_eq!(window.consume(1000, false, &mut budget, now), None);
        assert_eq!(window.consume(299_000, false, &mut budget, now), Some(300_000));
        assert_eq!(window.consume(0, false, &mut budget, now), None);
    }

    /// A peer that sends as fast as it is let, `trip` away, to a consumer that does or does not keep up.
    fn after_transfer(keeps_up: bool) -> u32 {
        let mut budget = Budget::new(256 * MIB);
        let mut window = budget.open().unwrap();
        let trip = Duration::from_millis(20);
        let mut now = Instant::now();
        let mut credit = u64::from(window.size());
        for _ in 0..20 {
            let burst = credit;
            credit = 0;
            for _ in 0..burst / 32_768 {
                window.receive(32_768, now).unwrap();
                credit += u64::from(window.consume(32_768, keeps_up, &mut budget, now).unwrap_or(0));
            }
            now += trip;
        }
        window.size()
    }

    #[test]
    fn a_window_that_bounds_the_peer_grows_and_others_do_not() {
        assert_eq!(after_transfer(true), MOST);
        assert_eq!(after_transfer(false), INITIAL);
    }
}
