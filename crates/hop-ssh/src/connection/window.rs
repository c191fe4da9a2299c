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
    climb: Climb,
}

/// Whether doubling the window pays. On a fast line a saturated flow looks as if the window bounded it, since a
/// grant's first byte waits behind a whole window of others; and a peer that is given 64 MiB fills 64 MiB of its own
/// buffers (OpenSSH's client then spends its time moving them). So a doubling must raise the rate, or is taken back.
#[derive(Debug, Default)]
struct Climb {
    /// Bytes per second before the last doubling; `None` when there is nothing to compare with.
    before: Option<f64>,
    /// The best rate seen since.
    best: f64,
    /// Whole windows received since.
    windows: u32,
    /// Whole windows to go until the next try.
    resting: u32,
}

/// A doubling must raise the rate by this factor.
const GAIN: f64 = 1.25;
/// Whole windows after which a doubling is judged: the first may still be of the old size.
const TRIAL: u32 = 3;
/// Whole windows until a doubling that brought nothing is tried again: lines and peers change.
const REST: u32 = 64;

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
            climb: Climb::default(),
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
    /// consumer kept up: then the window, not the consumer, may be what bounds it. A round trip is measured
    /// from a grant to its first byte, because that, unlike a ping, crosses a relay. A doubling that did not
    /// raise the rate is taken back.
    fn grow(&mut self, budget: &mut Budget, now: Instant) {
        let (start, since) = *self.epoch.get_or_insert((self.received, now));
        let received = self.received - start;
        if received < u64::from(self.size) {
            return;
        }
        let elapsed = now.duration_since(since);
        let quick = self.round_trip.is_some_and(|trip| elapsed <= trip * 2);
        let drained = std::mem::take(&mut self.drained);
        self.epoch = Some((self.received, now));

        let climb = &mut self.climb;
        climb.windows += 1;
        climb.best = climb.best.max(received as f64 / elapsed.as_secs_f64().max(1e-6));
        if climb.resting > 0 {
            climb.resting -= 1;
            return;
        }
        if let Some(before) = climb.before {
            if climb.windows < TRIAL {
                return;
            }
            if climb.best < before * GAIN {
                self.size /= 2;
                budget.left += u64::from(self.size);
                self.climb = Climb { resting: REST, ..Climb::default() };
                return;
            }
        }
        if quick && drained && self.size <= MOST / 2 && budget.grow(self.size) {
            self.size *= 2;
            *climb = Climb { before: Some(climb.best), ..Climb::default() };
        }
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

    /// A peer that sends as fast as it is let over a line with this round trip and this many bytes a second, to a
    /// consumer that does or does not keep up; the window at the end, and the largest on the way.
    fn after_transfer(trip: Duration, rate: f64, keeps_up: bool) -> (u32, u32) {
        let mut budget = Budget::new(256 * MIB);
        let mut window = budget.open().unwrap();
        let start = Instant::now();
        let mut now = start;
        // Credit on its way to the peer, and what it may send now.
        let mut grants = std::collections::VecDeque::new();
        let mut allowed = u64::from(window.size());
        let mut largest = 0;
        for _ in 0..60_000 {
            while grants.front().is_some_and(|(at, _)| *at <= now) {
                allowed += grants.pop_front().map_or(0, |(_, credit)| credit);
            }
            if allowed < 32_768 {
                let Some((at, _)) = grants.front() else { panic!("the flow stands still") };
                now = *at;
                continue;
            }
            allowed -= 32_768;
            now += Duration::from_secs_f64(32_768.0 / rate);
            window.receive(32_768, now).unwrap();
            if let Some(credit) = window.consume(32_768, keeps_up, &mut budget, now) {
                grants.push_back((now + trip, u64::from(credit)));
            }
            largest = largest.max(window.size());
        }
        (window.size(), largest)
    }

    #[test]
    fn a_window_that_bounds_the_peer_grows_until_the_line_is_full() {
        let trip = Duration::from_millis(20);
        // 1 GB/s over 20 ms is 20 MB in flight.
        let (window, _) = after_transfer(trip, 1e9, true);
        assert!(window >= 16 << 20, "{window}");
        // 50 MB/s over 20 ms is 1 MB: the first window is enough.
        let (window, largest) = after_transfer(trip, 5e7, true);
        assert!(window <= 4 << 20 && largest <= 4 << 20, "{window} {largest}");
        assert_eq!(after_transfer(trip, 1e9, false).0, INITIAL);
    }

    #[test]
    fn a_saturated_line_without_delay_keeps_a_small_window() {
        let (window, largest) = after_transfer(Duration::from_micros(50), 1e9, true);
        assert!(window <= 4 << 20 && largest <= 4 << 20, "{window} {largest}");
    }
}
