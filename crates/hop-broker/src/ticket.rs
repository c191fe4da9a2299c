//! The person's Kerberos ticket, as `klist` tells of it.
//!
//! Must stay true: whether there is a valid one is `klist -s`'s word; its end is only for people.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::{Duration, SystemTime};
use tokio::process::Command;

/// `klist` reads a file or asks the kernel.
const LIMIT: Duration = Duration::from_secs(10);

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ticket {
    /// There is no `klist`.
    NoProgram,
    /// None, or one that is over.
    Missing,
    /// A valid one; its end where it is known.
    Valid(Option<SystemTime>),
}

impl Ticket {
    /// Asks for the one in this environment (KRB5CCNAME).
    pub(crate) async fn find(environment: &[(OsString, OsString)]) -> Self {
        let run = |word: &'static str| {
            let mut command = Command::new("klist");
            command
                .args(Some(word).filter(|word| !word.is_empty()))
                .envs(environment.iter().map(|(name, value)| (name, value)))
                // Its dates follow the language and the time zone.
                .env("LC_ALL", "C")
                .env("TZ", "UTC")
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true);
            tokio::time::timeout(LIMIT, async move { command.output().await })
        };
        match run("-s").await {
            Ok(Ok(output)) if output.status.success() => {}
            Ok(Err(_)) => return Self::NoProgram,
            Ok(Ok(_)) | Err(_) => return Self::Missing,
        }
        match run("").await {
            Ok(Ok(listed)) => Self::Valid(end(&String::from_utf8_lossy(&listed.stdout))),
            Ok(Err(_)) | Err(_) => Self::Valid(None),
        }
    }

    /// Whether it is good for so long yet.
    pub(crate) fn lasts(self, time: Duration, now: SystemTime) -> bool {
        match self {
            Self::NoProgram | Self::Missing => false,
            Self::Valid(end) => end.is_none_or(|end| end > now + time),
        }
    }
}

/// The end of the ticket that gets tickets, in MIT's list: two dates and the principal.
fn end(listed: &str) -> Option<SystemTime> {
    let line = listed.lines().find(|line| line.contains(" krbtgt/"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, _, day, clock, _] = words.as_slice() else { return None };
    // Which of the two it is depends on the version.
    let form = if day.len() == 10 { "%m/%d/%Y %H:%M:%S" } else { "%m/%d/%y %H:%M:%S" };
    let at = jiff::civil::DateTime::strptime(form, format!("{day} {clock}"));
    Some(at.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_ticket_in_mits_list() {
        let listed = "Ticket cache: FILE:/tmp/krb5cc_0\nDefault principal: ada@TEST\n\n\
            Valid starting       Expires              Service principal\n\
            11/22/2026 22:57:11  11/23/2026 08:57:11  krbtgt/TEST@TEST\n\trenew until 11/23/2026 22:57:11\n";
        let at = end(listed).unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(at, 1_795_424_231);
        let short = "11/22/26 23:02:29  11/23/26 08:57:11  krbtgt/TEST@TEST";
        assert_eq!(end(short), end(listed));
        for other in ["", "krbtgt/", "a b c d krbtgt/TEST@TEST", " krbtgt/ x"] {
            assert_eq!(end(other), None, "{other}");
        }
    }

    #[test]
    fn a_ticket_that_is_about_to_end_is_none() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let minute = Duration::from_secs(60);
        assert!(!Ticket::Missing.lasts(minute, now) && Ticket::Valid(None).lasts(minute, now));
        assert!(!Ticket::Valid(Some(now + minute)).lasts(minute, now));
        assert!(Ticket::Valid(Some(now + minute * 2)).lasts(minute, now));
    }
}
