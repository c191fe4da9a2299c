//! How many requests of a transfer to have in flight.
//!
//! Starts small and doubles per round trip, until answers take twice as long as the fastest one: then more
//! requests only wait in queues. From there it follows the path's bandwidth times its delay, twice. Knows no
//! clock: it is told how long each answer took.

use std::time::Duration;

/// Requests in flight at the start of a transfer.
const START: usize = 4;

/// Never fewer: with less than two the path idles while an answer is handled.
const LEAST: usize = 4;

/// Never more: 64 full chunks are 16 MiB, enough for 800 MB/s at a delay of 20 ms.
const MOST: usize = 64;

/// Answers taken together for one estimate of the rate.
const ROUND: usize = 16;

#[derive(Debug)]
pub(super) struct Window {
    limit: usize,
    growing: bool,
    fastest: Option<Duration>,
    /// The present round: its answers, and the times of the first and the last, since the transfer's start.
    answers: usize,
    began: Duration,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { limit: START, growing: true, fastest: None, answers: 0, began: Duration::ZERO }
    }

    /// How many requests may be in flight.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes note of an answer: how long it took, and when it came, counted from the transfer's start.
    pub(super) fn answered(&mut self, took: Duration, now: Duration) {
        let fastest = self.fastest.map_or(took, |fastest| fastest.min(took)).max(Duration::from_micros(1));
        self.fastest = Some(fastest);
        if self.growing {
            // One more per answer doubles the window per round trip.
            self.limit = MOST.min(self.limit.saturating_add(1));
            self.growing = self.limit < MOST && took < fastest.saturating_mul(2).saturating_add(SLACK);
            self.answers = 0;
            self.began = now;
            return;
        }
        self.answers = self.answers.saturating_add(1);
        if self.answers < ROUND {
            return;
        }
        // Answers per round trip at the present rate, twice: so that the rate can grow when the path allows it.
        let elapsed = now.saturating_sub(self.began).max(Duration::from_micros(1));
        let per_round_trip =
            self.answers.saturating_mul(2) as f64 * fastest.as_secs_f64() / elapsed.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded just below")]
        let wanted = per_round_trip.ceil().min(MOST as f64) as usize;
        self.limit = wanted.clamp(LEAST, MOST);
        self.answers = 0;
        self.began = now;
    }
}

/// Differences below this are the scheduler's noise, not a queue.
const SLACK: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use super::{LEAST, MOST, Window};

    /// A path that carries one chunk per `gap` and has `delay`; the rate reached, in chunks per second, and the
    /// window at the end.
    fn simulate(gap: Duration, delay: Duration, chunks: usize) -> (f64, usize) {
        let mut window = Window::new();
        let mut now = Duration::ZERO;
        let mut free_at = Duration::ZERO;
        let mut in_flight: VecDeque<(Duration, Duration)> = VecDeque::new();
        for _ in 0..chunks {
            while in_flight.len() < window.limit() {
                free_at = free_at.max(now) + gap;
                in_flight.push_back((now, free_at + delay));
            }
            let (sent, arrives) = in_flight.pop_front().expect("at least one");
            now = now.max(arrives);
            window.answered(now - sent, now);
        }
        (chunks as f64 / now.as_secs_f64(), window.limit())
    }

    #[test]
    fn a_fast_path_is_filled_and_a_slow_one_is_not_flooded() {
        for (gap_us, delay_ms, least_share, most_in_flight) in [
            // Loopback: 255 KiB in 100 µs.
            (100, 0, 0.9, MOST),
            // 1 Gbit/s, 20 ms: 10 chunks cover it.
            (2_100, 20, 0.85, 30),
            // 10 Gbit/s, 10 ms: 48 chunks.
            (210, 10, 0.8, MOST),
            // 20 Mbit/s, 50 ms: one at a time would nearly do.
            (105_000, 50, 0.9, 8),
        ] {
            let gap = Duration::from_micros(gap_us);
            let (rate, limit) = simulate(gap, Duration::from_millis(delay_ms), 3000);
            let share = rate * gap.as_secs_f64();
            assert!(
                share >= least_share,
                "gap {gap_us} delay {delay_ms}: {share:.2} of the path, window {limit}"
            );
            assert!(
                (LEAST..=most_in_flight).contains(&limit),
                "gap {gap_us} delay {delay_ms}: window {limit}"
            );
        }
    }
}
