//! Times as pages show them: how long ago, and exactly, in UTC.

use hop_store::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A time on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct When {
    /// For machines: `2026-11-22T15:04:00Z`.
    pub(crate) iso: String,
    /// For people: `2026-11-22 15:04 UTC`.
    pub(crate) exact: String,
    /// `3 minutes ago`, `in 2 days`.
    pub(crate) relative: String,
}

impl When {
    pub(crate) fn new(time: Timestamp, now: Timestamp) -> Self {
        let seconds = time.as_micros().div_euclid(1_000_000);
        let (year, month, day) = civil(seconds.div_euclid(DAY));
        let of_day = seconds.rem_euclid(DAY);
        let (hour, minute, second) = (of_day / HOUR, of_day % HOUR / MINUTE, of_day % MINUTE);
        let distance = now.as_micros().div_euclid(1_000_000).saturating_sub(seconds);
        Self {
            iso: format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
            exact: format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC"),
            relative: relative(distance),
        }
    }

    /// The day alone: `2026-11-22`.
    pub(crate) fn day(&self) -> &str {
        self.exact.get(..10).unwrap_or(&self.exact)
    }
}

/// The end of a day in UTC, from `2026-11-22`, as `input type=date` sends it.
pub(crate) fn end_of_day(text: &str) -> Option<Timestamp> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return None;
    }
    let (year, month, day): (i64, i64, i64) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    let days = days_of(year, month, day);
    let is_date = year >= 1970 && (1..=12).contains(&month) && civil(days) == (year, month, day);
    let seconds = u64::try_from(days.checked_add(1)?.checked_mul(DAY)?).ok()?;
    is_date.then(|| Timestamp::from_seconds(seconds))
}

fn relative(ago: i64) -> String {
    let count = |number: i64, unit: &str| match number {
        1 => format!("1 {unit}"),
        _ => format!("{number} {unit}s"),
    };
    let span = match ago.abs() {
        ..MINUTE => return if ago >= 0 { "just now" } else { "in less than a minute" }.to_owned(),
        span @ ..HOUR => count(span / MINUTE, "minute"),
        span @ ..DAY => count(span / HOUR, "hour"),
        span if span < 60 * DAY => count(span / DAY, "day"),
        span if span < 730 * DAY => count(span / (30 * DAY), "month"),
        span => count(span / (365 * DAY), "year"),
    };
    if ago > 0 { format!("{span} ago") } else { format!("in {span}") }
}

/// Year, month and day of a number of days after 1970-01-01, in the Gregorian calendar. Years begin in March here, so
/// that the odd day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The reverse of [`civil`].
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * march_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_round_trip() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (20_779, (2026, 11, 22)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
            (-1, (1969, 12, 31)),
        ] {
            assert_eq!(civil(days), date);
            assert_eq!(days_of(date.0, date.1, date.2), days);
        }
    }

    #[test]
    fn dates_of_forms() {
        assert_eq!(end_of_day("1970-01-01"), Some(Timestamp::from_seconds(86_400)));
        assert_eq!(end_of_day("2026-11-22"), Some(Timestamp::from_seconds(20_780 * 86_400)));
        for bad in [
            "",
            "2026-02-30",
            "2026-13-01",
            "2026-1-1",
            "2026-11-22-1",
            "1969-12-31",
            "abcd-ef-gh",
            "2026-00-10",
        ] {
            assert_eq!(end_of_day(bad), None, "{bad}");
        }
    }

    #[test]
    fn distances() {
        for (ago, wanted) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (7_300, "2 hours ago"),
            (86_400, "1 day ago"),
            (90 * 86_400, "3 months ago"),
            (800 * 86_400, "2 years ago"),
            (-30, "in less than a minute"),
            (-3_600, "in 1 hour"),
        ] {
            assert_eq!(relative(ago), wanted, "{ago}");
        }
        let when = When::new(Timestamp::from_seconds(20_779 * 86_400 + 54_245), Timestamp::from_seconds(0));
        assert_eq!((when.iso.as_str(), when.day()), ("2026-11-22T15:04:05Z", "2026-11-22"));
        assert_eq!(when.exact, "2026-11-22 15:04 UTC");
    }
}
