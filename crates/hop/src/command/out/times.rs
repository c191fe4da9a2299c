//! Times as people read them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// How long, in at most two units.
pub(crate) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let joined = |big: String, small: u64, unit: &str| {
        if small == 0 { big } else { format!("{big} {small} {unit}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => joined(format!("{hours} h"), minutes, "min"),
        (days, hours, _) => joined(format!("{days} d"), hours, "h"),
    }
}

/// A time of day; with the date when it is not today.
pub(crate) fn clock(at: u64) -> String {
    let zone = jiff::tz::TimeZone::system();
    let local = |seconds: u64| {
        let stamp = i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
        stamp.map(|stamp| stamp.to_zoned(zone.clone()))
    };
    match (local(at), local(now())) {
        (Some(at), Some(today)) if at.date() == today.date() => at.strftime("%H:%M").to_string(),
        (Some(at), _) => at.strftime("%a %d %b, %H:%M").to_string(),
        (None, _) => "never".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (28_740, "7 h 59 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
