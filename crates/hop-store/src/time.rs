//! A point in time as stored: microseconds since 1970. The library has no clock; whoever calls says what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From seconds since 1970; beyond the year 294,000 it stays there.
    pub fn from_seconds(seconds: u64) -> Self {
        Self(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000))
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, 0 for times before.
    pub fn as_seconds(self) -> u64 {
        u64::try_from(self.0 / 1_000_000).unwrap_or(0)
    }

    /// This much later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }

    /// This much earlier.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(micros(span)))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(micros(after)),
            Err(before) => Self(micros(before.duration()).saturating_neg()),
        }
    }
}

/// A span as stored; the longest that fits for longer ones.
pub(crate) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_spans() {
        let time = Timestamp::from_seconds(1_000);
        assert_eq!(time.as_micros(), 1_000_000_000);
        assert_eq!(time.plus(Duration::from_millis(1)).minus(Duration::from_millis(1)), time);
        assert_eq!(time.plus(Duration::from_micros(7)).as_seconds(), 1_000);
        assert_eq!(Timestamp::from_seconds(u64::MAX).plus(Duration::MAX), Timestamp::from_micros(i64::MAX));
        assert_eq!(Timestamp::from(UNIX_EPOCH + Duration::from_secs(1_000)), time);
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)).as_micros(), -1_000_000);
        assert_eq!(Timestamp::from_micros(-1).as_seconds(), 0);
    }
}
