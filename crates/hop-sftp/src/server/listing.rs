//! The line that READDIR gives for each file, in the form of `ls -l`.
//!
//! The protocol says that nobody may parse it; some clients do, so it has OpenSSH's columns to the byte.

use std::io::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::fs::{FileType, Stat};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Files older than this (half a year), and files of the future, show the year instead of the time of day.
const RECENT: i64 = 365 * 24 * 60 * 60 / 2;

/// Formats one line. `user` and `group` are names or numbers; `now` is in seconds since 1970.
pub(crate) fn long_name(
    name: &[u8],
    stat: &Stat,
    user: &[u8],
    group: &[u8],
    now: i64,
    zone: &TimeZone,
) -> Vec<u8> {
    let mut line = Vec::with_capacity(name.len().saturating_add(64));
    line.extend_from_slice(&mode_letters(stat.st_mode));
    // Writing to a vector cannot fail.
    let _ = write!(line, "  {:>3} ", stat.st_nlink);
    padded(&mut line, user);
    padded(&mut line, group);
    let _ = write!(line, "{:>8} {} ", stat.st_size, date(stat.st_mtime, now, zone));
    line.extend_from_slice(name);
    line
}

fn padded(line: &mut Vec<u8>, word: &[u8]) {
    line.extend_from_slice(word);
    for _ in word.len()..8 {
        line.push(b' ');
    }
    line.push(b' ');
}

fn date(modified: i64, now: i64, zone: &TimeZone) -> String {
    let Ok(timestamp) = Timestamp::from_second(modified) else { return String::new() };
    let local = zone.to_datetime(timestamp);
    let month = usize::try_from(local.month()).unwrap_or(0).wrapping_sub(1);
    let month = MONTHS.get(month).copied().unwrap_or_default();
    if now.saturating_sub(RECENT) < modified && now >= modified {
        format!("{month} {:>2} {:02}:{:02}", local.day(), local.hour(), local.minute())
    } else {
        format!("{month} {:>2}  {}", local.day(), local.year())
    }
}

/// The ten letters of a mode, as strmode(3) gives them.
fn mode_letters(mode: u32) -> [u8; 10] {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::RegularFile => b'-',
        FileType::Directory => b'd',
        FileType::Symlink => b'l',
        FileType::CharacterDevice => b'c',
        FileType::BlockDevice => b'b',
        FileType::Fifo => b'p',
        FileType::Socket => b's',
        FileType::Unknown => b'?',
    };
    let letter = |bit: u32, letter: u8| if mode & bit != 0 { letter } else { b'-' };
    let execute = |bit: u32, special: u32, both: u8, alone: u8| match (mode & bit != 0, mode & special != 0) {
        (true, true) => both,
        (false, true) => alone,
        (true, false) => b'x',
        (false, false) => b'-',
    };
    [
        kind,
        letter(0o400, b'r'),
        letter(0o200, b'w'),
        execute(0o100, 0o4000, b's', b'S'),
        letter(0o040, b'r'),
        letter(0o020, b'w'),
        execute(0o010, 0o2000, b's', b'S'),
        letter(0o004, b'r'),
        letter(0o002, b'w'),
        execute(0o001, 0o1000, b't', b'T'),
    ]
}

#[cfg(test)]
mod tests {
    use jiff::tz::{Offset, TimeZone};

    use super::{date, mode_letters};

    #[test]
    fn modes() {
        for (mode, letters) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o041_777, "drwxrwxrwt"),
            (0o041_666, "drw-rw-rwT"),
            (0o104_755, "-rwsr-xr-x"),
            (0o106_644, "-rwSr-Sr--"),
            (0o120_777, "lrwxrwxrwx"),
            (0o010_000, "p---------"),
            (0o140_111, "s--x--x--x"),
            (0o020_620, "crw--w----"),
            (0o060_660, "brw-rw----"),
        ] {
            assert_eq!(String::from_utf8_lossy(&mode_letters(mode)), letters);
        }
    }

    #[test]
    fn dates_show_the_time_for_half_a_year() {
        let now = 1_800_000_000; // 2027-01-15 08:00 UTC
        let utc = TimeZone::UTC;
        for (modified, shown) in [
            (now, "Jan 15 08:00"),
            (now - 3600, "Jan 15 07:00"),
            (now - 182 * 86400, "Jul 17 08:00"),
            (now - 183 * 86400, "Jul 16  2026"),
            (now + 1, "Jan 15  2027"),
            (0, "Jan  1  1970"),
            (-1, "Dec 31  1969"),
        ] {
            assert_eq!(date(modified, now, &utc), shown);
        }
        let east = TimeZone::fixed(Offset::constant(9));
        assert_eq!(date(now, now, &east), "Jan 15 17:00");
        assert_eq!(date(i64::MAX, now, &utc), "");
    }
}
