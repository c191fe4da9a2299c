//! The command line of `sftp-server`, as sshd's `Subsystem` line gives it.
//!
//! Owns the meaning of the flags, which are OpenSSH's. Reads no environment and prints nothing: the
//! program that was started decides what "standard error" and "syslog" are.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use thiserror::Error;

use crate::requests::{RequestSet, UnknownRequest};
use crate::server::{Account, ServerOptions};

/// The flags, for a usage message behind the program's name.
pub const USAGE: &str = "[-ehR] [-d start_directory] [-f log_facility] [-l log_level]\n\
    \t[-P denied_requests] [-p allowed_requests] [-u umask]\n\
    \t-Q protocol_feature";

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Serve a session.
    Serve(Arguments),
    /// `-Q requests`: print the names of all requests, one per line.
    ListRequests,
    /// `-h`: print how the program is used.
    Help,
}

/// The flags of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// `-R`: refuse whatever changes the file system.
    pub read_only: bool,
    /// `-P` and `-p`: what is allowed and not denied.
    pub permitted: RequestSet,
    /// `-d`: where to start, with `%d` or `%h` (home directory), `%u` (user name) and `%%` not yet replaced.
    pub start_directory: Option<OsString>,
    /// `-u`: the process's umask. A session cannot have its own: whoever owns the process sets it.
    pub umask: Option<u32>,
    /// `-e`, `-l`, `-f`: the log.
    pub log: LogArguments,
}

/// Where the log goes and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogArguments {
    /// To standard error; otherwise to syslog.
    pub to_stderr: bool,
    /// How much.
    pub level: LogLevel,
    /// Under which syslog facility.
    pub facility: Facility,
}

macro_rules! words {
    ($(#[$meta:meta])* $type:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names are OpenSSH's own")]
        pub enum $type { $($variant),* }

        impl $type {
            /// The words, as on the command line.
            pub const WORDS: &[&str] = &[$($word),*];

            /// The value for a word, in upper or lower case.
            pub fn parse(word: &str) -> Option<Self> {
                $(if word.eq_ignore_ascii_case($word) { return Some(Self::$variant); })*
                None
            }
        }
    };
}

words! {
    /// A log level of `-l`. `Info` and `Verbose` log what is done for the client.
    LogLevel {
        Quiet = "QUIET", Fatal = "FATAL", Error = "ERROR", Info = "INFO", Verbose = "VERBOSE", Debug = "DEBUG",
        Debug1 = "DEBUG1", Debug2 = "DEBUG2", Debug3 = "DEBUG3",
    }
}

words! {
    /// A syslog facility of `-f`.
    Facility {
        Daemon = "DAEMON", User = "USER", Auth = "AUTH", AuthPriv = "AUTHPRIV", Local0 = "LOCAL0", Local1 = "LOCAL1",
        Local2 = "LOCAL2", Local3 = "LOCAL3", Local4 = "LOCAL4", Local5 = "LOCAL5", Local6 = "LOCAL6",
        Local7 = "LOCAL7",
    }
}

/// A command line that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ArgumentError {
    #[error("unknown option -{option}")]
    UnknownOption { option: char },
    #[error("option -{option} needs a value")]
    MissingValue { option: char },
    #[error("option -{option}: {source}")]
    Requests { option: char, source: UnknownRequest },
    #[error("option -{option}: {value:?} is none of {}", .allowed.join(", "))]
    Word { option: char, value: OsString, allowed: &'static [&'static str] },
    #[error("option -u: {value:?} is no umask (an octal number up to 777)")]
    Umask { value: OsString },
    #[error("option -d: %{token} is no token (%d home directory, %u user name, %% percent sign)")]
    Token { token: char },
}

impl Arguments {
    /// Without any flag.
    pub fn new() -> Self {
        Self {
            read_only: false,
            permitted: RequestSet::ALL,
            start_directory: None,
            umask: None,
            log: LogArguments { to_stderr: false, level: LogLevel::Error, facility: Facility::Auth },
        }
    }

    /// The options of a session for this account.
    pub fn server_options(&self, account: Account) -> Result<ServerOptions, ArgumentError> {
        let start_directory = self.start_directory.as_deref();
        Ok(ServerOptions {
            start_directory: start_directory.map(|template| expand(template, &account)).transpose()?,
            read_only: self.read_only,
            permitted: self.permitted,
            ..ServerOptions::new(account)
        })
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads the arguments behind the program's name, in the manner of getopt(3).
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, ArgumentError> {
    let mut parsed = Arguments::new();
    let mut denied = RequestSet::NONE;
    let mut allowed = None;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut letters = match argument.as_bytes() {
            [b'-', letters @ ..] if !letters.is_empty() && letters != b"-" => letters,
            // The end of the options. What follows is passed over, as OpenSSH does: `scp -D` puts a host there.
            _ => break,
        };
        while let [letter, rest @ ..] = letters {
            letters = rest;
            let option = char::from(*letter);
            if !b"dflPpQu".contains(letter) {
                match option {
                    'e' => parsed.log.to_stderr = true,
                    'R' => parsed.read_only = true,
                    'h' => return Ok(Command::Help),
                    // Started as a login shell ("-c command"): the rest is the shell's command line, not ours.
                    'c' => return Ok(serve(parsed, denied, allowed)),
                    _ => return Err(ArgumentError::UnknownOption { option }),
                }
                continue;
            }
            let value = match std::mem::take(&mut letters) {
                [] => arguments.next().ok_or(ArgumentError::MissingValue { option })?,
                attached => OsStr::from_bytes(attached).to_owned(),
            };
            match option {
                'd' => parsed.start_directory = Some(value),
                'f' => parsed.log.facility = word(option, value, Facility::parse, Facility::WORDS)?,
                'l' => parsed.log.level = word(option, value, LogLevel::parse, LogLevel::WORDS)?,
                'P' => denied = requests(option, &value)?,
                'p' => allowed = Some(requests(option, &value)?),
                'u' => parsed.umask = Some(umask(value)?),
                _ => {
                    let list = |word: &str| (word == "requests").then_some(Command::ListRequests);
                    return word(option, value, list, &["requests"]);
                }
            }
        }
    }
    Ok(serve(parsed, denied, allowed))
}

fn serve(mut parsed: Arguments, denied: RequestSet, allowed: Option<RequestSet>) -> Command {
    parsed.permitted = allowed.unwrap_or(RequestSet::ALL).without(denied);
    Command::Serve(parsed)
}

fn word<T>(
    option: char,
    value: OsString,
    parse: impl Fn(&str) -> Option<T>,
    allowed: &'static [&'static str],
) -> Result<T, ArgumentError> {
    value.to_str().and_then(parse).ok_or(ArgumentError::Word { option, value, allowed })
}

fn requests(option: char, list: &OsStr) -> Result<RequestSet, ArgumentError> {
    RequestSet::parse(&list.to_string_lossy()).map_err(|source| ArgumentError::Requests { option, source })
}

fn umask(value: OsString) -> Result<u32, ArgumentError> {
    let digits = value.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|text| u32::from_str_radix(text, 8).ok()) {
        Some(umask @ 0..=0o777) => Ok(umask),
        Some(_) | None => Err(ArgumentError::Umask { value }),
    }
}

fn expand(template: &OsStr, account: &Account) -> Result<PathBuf, ArgumentError> {
    let mut path = Vec::new();
    let mut bytes = template.as_bytes().iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'%' {
            path.push(*byte);
            continue;
        }
        match bytes.next() {
            Some(b'%') => path.push(b'%'),
            Some(b'd' | b'h') => path.extend_from_slice(account.home.as_os_str().as_bytes()),
            Some(b'u') => path.extend_from_slice(account.name.as_bytes()),
            other => return Err(ArgumentError::Token { token: other.copied().map_or(' ', char::from) }),
        }
    }
    Ok(PathBuf::from(OsString::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{ArgumentError, Arguments, Command, Facility, LogLevel, parse};
    use crate::requests::{RequestName, RequestSet};
    use crate::server::Account;

    fn serve(line: &str) -> Arguments {
        match parse(line.split_whitespace().map(Into::into)) {
            Ok(Command::Serve(arguments)) => arguments,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn error(line: &str) -> String {
        parse(line.split_whitespace().map(Into::into)).expect_err(line).to_string()
    }

    #[test]
    fn flags() {
        assert_eq!(serve(""), Arguments::new());
        let all = serve("-eR -l verbose -fLOCAL3 -P remove,rmdir -u 027 -d /srv/%u");
        assert!(all.read_only && all.log.to_stderr);
        assert_eq!((all.log.level, all.log.facility), (LogLevel::Verbose, Facility::Local3));
        assert_eq!(all.umask, Some(0o27));
        assert!(!all.permitted.contains(RequestName::Rmdir) && all.permitted.contains(RequestName::Open));
        assert_eq!(serve("-Rl DEBUG3").log.level, LogLevel::Debug3);
        assert_eq!(serve("-e --"), serve("-e"));
        assert_eq!(parse(["-Q".into(), "requests".into()]), Ok(Command::ListRequests));
        assert_eq!(parse(["-eh".into()]), Ok(Command::Help));
        // Under `scp -D`, and what getopt does with the rest.
        assert_eq!(serve("-e somehost -X"), serve("-e"));
        assert_eq!(serve("-e -- -X"), serve("-e"));
        assert_eq!(serve("-e -"), serve("-e"));
        // As a login shell.
        assert_eq!(serve("-c /usr/lib/openssh/sftp-server -X"), Arguments::new());
    }

    #[test]
    fn denied_wins_over_allowed() {
        let both = serve("-p open,read,close -P read");
        assert_eq!(both.permitted, RequestSet::parse("open,close").expect("requests"));
        assert_eq!(serve("-P read -p open,read,close"), both);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (line, message) in [
            ("-x", "unknown option -x"),
            ("-eX", "unknown option -X"),
            ("-d", "option -d needs a value"),
            ("-P open,raed", "option -P: \"raed\" is no SFTP request (-Q requests lists them)"),
            (
                "-l LOUD",
                "option -l: \"LOUD\" is none of QUIET, FATAL, ERROR, INFO, VERBOSE, DEBUG, DEBUG1, DEBUG2, DEBUG3",
            ),
            ("-Q ciphers", "option -Q: \"ciphers\" is none of requests"),
            ("-u 8", "option -u: \"8\" is no umask (an octal number up to 777)"),
            ("-u 1000", "option -u: \"1000\" is no umask (an octal number up to 777)"),
            ("-u +7", "option -u: \"+7\" is no umask (an octal number up to 777)"),
        ] {
            assert_eq!(error(line), message);
        }
        assert!(error("-f MAIL").starts_with("option -f: \"MAIL\" is none of DAEMON, USER, AUTH"));
    }

    #[test]
    fn tokens_of_the_start_directory() {
        let account = Account { name: "ada".into(), home: "/home/ada".into() };
        let start = |template: &str| {
            let arguments = Arguments { start_directory: Some(template.into()), ..Arguments::new() };
            arguments.server_options(account.clone()).map(|options| options.start_directory)
        };
        for (template, path) in
            [("%d/in", "/home/ada/in"), ("/srv/%u/100%%", "/srv/ada/100%"), ("%h", "/home/ada"), ("x", "x")]
        {
            assert_eq!(start(template), Ok(Some(Path::new(path).to_owned())));
        }
        assert_eq!(start("%x"), Err(ArgumentError::Token { token: 'x' }));
        assert_eq!(start("/srv/%"), Err(ArgumentError::Token { token: ' ' }));
    }
}
