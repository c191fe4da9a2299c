//! Receive windows (RFC 4254 section 5.2) and the memory they may promise.
//!
//! Must stay true: credit is given for bytes that the consumer *took*, never for bytes that arrived;
//! what all windows of a connection promise together stays within its budget, so a peer that floods
//! every channel it can open costs at most that much memory.

use std::collections::VecDeque;
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

/// Credit is given this many bytes at a time, or an eighth of a smaller window: few messages, and the peer
/// never runs dry on account of it.
const GRANT: u32 = 256 * 1024;
/// A window grows when the peer was out of credit for one part in this many of the time …
const DRY_SHARE: u32 = 4;
/// … as far as the distance asks for at this many bytes a second: more is not a matter of windows.
const ENOUGH: u64 = 500_000_000;
/// Grants that must have been used before the distance counts as known.
const TRIPS: u32 = 8;

/// The longest way there and back for which a window of [`INITIAL`] bytes is kept if it has sufficed so far: it carries
/// 100 MB/s then, should more be wanted.
const NEAR: Duration = Duration::from_millis(20);
/// So many whole windows in a row must have sufficed.
const SUFFICED: u32 = 2;

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
    /// Where earlier grants ended that the peer has not used up yet, and when it was given more.
    edges: VecDeque<(u64, Instant)>,
    last_arrival: Option<Instant>,
    /// The shortest time from a grant to its first byte, and how many were measured. No byte comes sooner than the way
    /// there and back takes.
    trip: Duration,
    trips: u32,
    epoch: Option<Epoch>,
    /// How many epochs in a row ended without a reason to grow.
    sufficed: u32,
    /// Somebody else relies on its size.
    is_fixed: bool,
}

/// The time in which the peer uses one whole window.
#[derive(Debug)]
struct Epoch {
    start: u64,
    since: Instant,
    /// How long the peer had sent all it was allowed to while more credit was on its way.
    dry: Duration,
    /// The consumer took everything there was, at least once.
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
            edges: VecDeque::new(),
            last_arrival: None,
            trip: Duration::MAX,
            trips: 0,
            epoch: None,
            sufficed: 0,
            is_fixed: false,
        }
    }

    /// What to announce when the channel is opened.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// How many bytes the peer may still send.
    pub(crate) fn outstanding(&self) -> u64 {
        self.limit.saturating_sub(self.received)
    }

    /// Whether the window is as large as it needs to be, as far as one can know.
    pub(crate) fn suffices(&self) -> bool {
        self.sufficed >= SUFFICED && self.trip <= NEAR
    }

    /// Keeps its size until it is [settled](Self::settle).
    pub(crate) fn fix(&mut self) {
        self.is_fixed = true;
    }

    /// Counts what somebody else has received, handed on and granted.
    pub(crate) fn settle(&mut self, moved: u64, granted: u64) {
        self.received = self.received.saturating_add(moved);
        self.consumed = self.consumed.saturating_add(moved);
        self.limit = self.limit.saturating_add(granted);
        // When it was granted is not known here.
        self.edges.clear();
        (self.epoch, self.last_arrival) = (None, None);
        self.is_fixed = false;
    }

    /// Counts received bytes.
    pub(crate) fn receive(&mut self, count: usize, now: Instant) -> Result<(), Overrun> {
        self.received += count as u64;
        while let Some((_, given)) = self.edges.front().copied().filter(|(edge, _)| *edge < self.received) {
            self.edges.pop_front();
            self.trip = self.trip.min(now.saturating_duration_since(given));
            self.trips = self.trips.saturating_add(1);
            // These bytes could not have come without that grant. If there was silence before them, the peer was out of
            // credit, or had less than it wants to send at once.
            if let Some(last) = self.last_arrival
                && let Some(epoch) = &mut self.epoch
            {
                epoch.dry += now.saturating_duration_since(last.max(given));
            }
            self.last_arrival = Some(now);
        }
        self.last_arrival = Some(now);
        if self.received > self.limit { Err(Overrun) } else { Ok(()) }
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
        if !self.is_fixed {
            self.grow(drained, budget, now);
        }
        let mut owed = (self.consumed + u64::from(self.size)).saturating_sub(self.limit);
        // A window that grew by mistake, since all went slowly at first, shrinks as its credit comes back.
        let spare = self.size.saturating_sub(self.needed().max(INITIAL));
        if spare > 0 {
            let kept = spare.min(u32::try_from(owed).unwrap_or(u32::MAX));
            self.size -= kept;
            budget.left += u64::from(kept);
            owed -= u64::from(kept);
        }
        if owed < u64::from(GRANT.min(self.size / 8)) {
            return None;
        }
        self.edges.push_back((self.limit, now));
        self.limit += owed;
        u32::try_from(owed).ok()
    }

    /// Lets the window grow by a quarter when the peer, for a good part of the time in which it used a whole
    /// one, stood where its credit ended while more was on its way, and the consumer kept up: then the window bounds it,
    /// and neither its source, nor the line, nor the consumer. All of it is seen from the data alone, so it holds across
    /// a relay.
    ///
    /// A window larger than needed is no gift, hence the small steps and the bound: OpenSSH's client reads a file ahead
    /// by what it may send, into a buffer that it copies whenever it grows (1 s of CPU for 8 MiB, 25 s for 64 MiB). And
    /// two processes that wait for each other on a busy machine look like a long way, but not every time.
    fn grow(&mut self, drained: bool, budget: &mut Budget, now: Instant) {
        let start = self.received;
        let epoch =
            self.epoch.get_or_insert(Epoch { start, since: now, dry: Duration::ZERO, drained: false });
        epoch.drained |= drained;
        if self.received - epoch.start < u64::from(self.size) {
            return;
        }
        let took = now.saturating_duration_since(epoch.since);
        let bound = epoch.drained && epoch.dry > Duration::ZERO && epoch.dry * DRY_SHARE >= took;
        self.epoch = None;
        if !bound {
            self.sufficed = self.sufficed.saturating_add(1);
            return;
        }
        if self.trips < TRIPS {
            self.sufficed = 0;
            return;
        }
        let by = self.needed().saturating_sub(self.size).min(self.size / 4);
        self.sufficed = if by > 0 { 0 } else { self.sufficed.saturating_add(1) };
        if by > 0 && budget.grow(by) {
            self.size += by;
        }
    }

    /// The size that the distance asks for, as far as it is known: the most, before it is.
    fn needed(&self) -> u32 {
        let needed = u128::from(ENOUGH) * self.trip.as_nanos() / 1_000_000_000;
        u32::try_from(needed).unwrap_or(MOST).min(MOST)
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

    /// A peer that sends `rate` bytes a second if it is let, `trip` away; the window in the end.
    fn after_transfer(trip: Duration, rate: f64, keeps_up: bool) -> Window {
        let mut budget = Budget::new(256 * MIB);
        let mut window = budget.open().unwrap();
        transfer(&mut window, &mut budget, trip, rate, keeps_up);
        window
    }

    fn transfer(window: &mut Window, budget: &mut Budget, trip: Duration, rate: f64, keeps_up: bool) {
        let mut clock = Instant::now();
        let packet = 32_768;
        let each = Duration::from_secs_f64(packet as f64 / rate);
        // Credit that has reached the peer, and credit on its way: when it will have.
        let (mut credit, mut coming) = (window.outstanding(), VecDeque::new());
        for _ in 0..40_000 {
            while credit < packet {
                let (when, count): (Instant, u32) = coming.pop_front().expect("a peer without credit waits");
                clock = clock.max(when);
                credit += u64::from(count);
            }
            while coming.front().is_some_and(|(when, _)| *when <= clock) {
                credit += coming.pop_front().map_or(0, |(_, count)| u64::from(count));
            }
            credit -= packet;
            clock += each;
            // The way there is in `trip` as well: only the sum is seen.
            window.receive(packet as usize, clock).unwrap();
            if let Some(count) = window.consume(packet as usize, keeps_up, budget, clock) {
                coming.push_back((clock + trip, count));
            }
            assert!(window.outstanding() <= u64::from(window.size()));
        }
    }

    #[test]
    fn a_window_that_grew_while_all_was_slow_becomes_small_again() {
        let mut budget = Budget::new(256 * MIB);
        let whole = budget.left;
        let mut window = budget.open().unwrap();
        transfer(&mut window, &mut budget, Duration::from_millis(20), 1e9, true);
        assert!(u64::from(window.size()) > 8 * MIB && !window.suffices());
        transfer(&mut window, &mut budget, Duration::from_micros(50), 1e9, true);
        assert_eq!((window.size(), window.suffices()), (INITIAL, true));
        budget.close(&window);
        assert_eq!(budget.left, whole);
    }

    #[test]
    fn a_window_grows_as_far_as_it_bounds_the_peer() {
        let far = Duration::from_millis(20);
        let near = Duration::from_micros(50);
        let cases = [
            // No more than 500 MB/s is aimed at.
            (far, 1e9, true, 9 * MIB, 10 * MIB, false),
            (far, 3e8, true, 4 * MIB, 8 * MIB, false),
            (far, 1e8, true, 2 * MIB, 2 * MIB, false),
            (far, 1e9, false, 2 * MIB, 2 * MIB, false),
            (near, 1e9, true, 2 * MIB, 2 * MIB, true),
            (near, 2e8, true, 2 * MIB, 2 * MIB, true),
            (near, 1e9, false, 2 * MIB, 2 * MIB, true),
            (near, 5e9, true, 2 * MIB, 2 * MIB, true),
            (Duration::from_millis(200), 1e7, true, 2 * MIB, 2 * MIB, false),
            (Duration::from_millis(200), 1e9, true, 64 * MIB, 64 * MIB, false),
        ];
        for (trip, rate, keeps_up, least, most, suffices) in cases {
            let window = after_transfer(trip, rate, keeps_up);
            let size = u64::from(window.size());
            assert!(least <= size && size <= most, "{trip:?}, {rate} B/s, keeps up: {keeps_up}: {size}");
            assert_eq!(window.suffices(), suffices, "{trip:?}, {rate} B/s, keeps up: {keeps_up}");
        }
    }

    #[test]
    fn a_window_that_somebody_relies_on_does_not_grow() {
        let mut budget = Budget::new(256 * MIB);
        let mut window = budget.open().unwrap();
        window.fix();
        let far = Duration::from_millis(20);
        transfer(&mut window, &mut budget, far, 1e9, true);
        assert_eq!(window.size(), INITIAL);
        window.settle(0, 0);
        transfer(&mut window, &mut budget, far, 1e9, true);
        assert!(window.size() > INITIAL);
    }

    #[test]
    fn what_is_known_of_grants_stays_small() {
        let mut budget = Budget::new(256 * MIB);
        let mut window = budget.open().unwrap();
        let now = Instant::now();
        for _ in 0..100_000 {
            window.receive(1000, now).unwrap();
            window.consume(1000, true, &mut budget, now);
            assert!(window.edges.len() <= 9, "{}", window.edges.len());
        }
        assert_eq!(window.size(), INITIAL);
    }
}
