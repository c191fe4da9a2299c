//! What time it is, for expiry dates: passed in, so that a test can say another.

#![expect(unsafe_code, reason = "no safe crate of ours knows the local time zone")]

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time as rules about logins see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Unix time in seconds.
    pub now: u64,
    /// Seconds that local time is ahead of UTC at that time.
    pub utc_offset: i32,
}

/// A source of [`Moment`]s.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Moment + Send + Sync>);

impl Clock {
    /// The clock and time zone of this machine.
    pub fn system() -> Self {
        Self::new(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            Moment { now, utc_offset: local_offset(now) }
        })
    }

    /// Another clock.
    pub fn new(read: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The present.
    pub fn read(&self) -> Moment {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Clock")
    }
}

fn local_offset(now: u64) -> i32 {
    let Ok(now) = libc::time_t::try_from(now) else { return 0 };
    // SAFETY: the C type is plain data for which zero bytes are a value.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live objects of ours. The function reads TZ, which nothing in this
    // program changes.
    let filled = unsafe { libc::localtime_r(&raw const now, &raw mut local) };
    if filled.is_null() { 0 } else { i32::try_from(local.tm_gmtoff).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_system_clock_agrees_with_date() {
        let before = Clock::system().read();
        let output = Command::new("date").args(["+%s %z"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (seconds, zone) = text.trim().split_once(' ').unwrap();
        assert!(seconds.parse::<u64>().unwrap().abs_diff(before.now) <= 60);
        let zone: i32 = zone.parse().unwrap();
        assert_eq!(before.utc_offset, (zone / 100 * 60 + zone % 100) * 60);
    }

    #[test]
    fn another_time_can_be_said() {
        let moment = Moment { now: 5, utc_offset: -3600 };
        assert_eq!(Clock::new(move || moment).read(), moment);
    }
}
