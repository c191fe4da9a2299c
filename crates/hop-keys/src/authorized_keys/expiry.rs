//! The time of `expiry-time="YYYYMMDD[HHMM[SS]][Z]"`.

/// A moment as a calendar and a clock show it, local or in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expiry {
    /// Seconds since 1970 if the clock showed UTC.
    shown: i64,
    utc: bool,
}

impl Expiry {
    /// Reads a date, with or without a time of day; `Z` or `UTC` at the end means UTC.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (digits, utc) = match text.strip_suffix('Z').or_else(|| text.strip_suffix("UTC")) {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = |range: std::ops::Range<usize>| match digits.get(range) {
            Some(part) => part.parse::<i64>().ok(),
            None => Some(0),
        };
        let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
        let (hour, minute, second) = (number(8..10)?, number(10..12)?, number(12..14)?);
        let valid = (1970..).contains(&year)
            && (1..=days_in_month(year, month)?).contains(&day)
            && hour <= 23
            && minute <= 59
            && second <= 60;
        let days = days_before(year, month)? + day - 1;
        valid.then_some(Self { shown: ((days * 24 + hour) * 60 + minute) * 60 + second, utc })
    }

    /// Unix time in seconds. `utc_offset` is what the local clock shows beyond UTC now; since `now` is
    /// compared with the result, that is exactly "the local clock has shown this time".
    pub(super) fn unix_time(self, utc_offset: i32) -> u64 {
        let shift = if self.utc { 0 } else { i64::from(utc_offset) };
        u64::try_from(self.shown - shift).unwrap_or(0)
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> Option<i64> {
    match month {
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if is_leap(year) { 29 } else { 28 }),
        1..=12 => Some(31),
        _ => None,
    }
}

/// Days from 1970-01-01 to the first of a month.
fn days_before(year: i64, month: i64) -> Option<i64> {
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    let mut days = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    for earlier in 1..month {
        days += days_in_month(year, earlier)?;
    }
    Some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        // Checked with: date -u -d '…' +%s
        let table: &[(&str, Option<u64>)] = &[
            ("19700101Z", Some(0)),
            ("20000229Z", Some(951_782_400)),
            ("20260308Z", Some(1_772_928_000)),
            ("202603081530Z", Some(1_772_983_800)),
            ("20260308153059Z", Some(1_772_983_859)),
            ("20260308153059UTC", Some(1_772_983_859)),
            ("21000301Z", Some(4_107_542_400)),
            ("20250229Z", None),
            ("20261301Z", None),
            ("20260001Z", None),
            ("20260132Z", None),
            ("202603082430Z", None),
            ("202603081560Z", None),
            ("2026030815Z", None),
            ("2026-03-08", None),
            ("19691231Z", None),
            ("", None),
            ("Z", None),
        ];
        for &(text, expected) in table {
            assert_eq!(Expiry::parse(text).map(|time| time.unix_time(7200)), expected, "{text}");
        }
    }

    #[test]
    fn without_z_the_local_clock_counts() {
        let noon = Expiry::parse("202603081200").unwrap();
        let utc = Expiry::parse("202603081200Z").unwrap().unix_time(0);
        assert_eq!(noon.unix_time(3600), utc - 3600);
        assert_eq!(noon.unix_time(-3600), utc + 3600);
    }
}
