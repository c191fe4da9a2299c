//! From what the client asks for to what is run: a forced command stands before everything.

use std::ffi::OsString;

use hop_sftp::arguments::{ArgumentError, Arguments, Command, parse};

use super::Wanted;
use crate::process::Program;

/// What a forced command or a subsystem is called that we serve ourselves; OpenSSH's word for it, which users have
/// in their authorized_keys files.
const INTERNAL_SFTP: &str = "internal-sftp";

/// What a session will run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// The shell, alone or with a command.
    Program {
        /// `None`: a login shell.
        command: Option<Vec<u8>>,
        /// What the client asked for, when a forced command stands in for it.
        original: Option<Vec<u8>>,
    },
    /// SFTP, served in this process.
    Sftp(Arguments),
}

/// A request that cannot be served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("there is no subsystem {0:?}")]
    UnknownSubsystem(String),
    #[error("the forced command {INTERNAL_SFTP}: {0}")]
    Arguments(#[from] ArgumentError),
    #[error("the forced command {INTERNAL_SFTP} serves sessions only")]
    NotASession,
    #[error("the command contains a NUL byte")]
    Nul,
}

impl Plan {
    pub(super) fn of(wanted: &Wanted, forced: Option<&str>) -> Result<Self, Refused> {
        let original = match wanted {
            Wanted::Shell => None,
            Wanted::Exec(command) if command.contains(&0) => return Err(Refused::Nul),
            Wanted::Exec(command) => Some(command.clone()),
            Wanted::Subsystem(name) if name == b"sftp" => Some(INTERNAL_SFTP.into()),
            Wanted::Subsystem(name) => {
                return Err(Refused::UnknownSubsystem(String::from_utf8_lossy(name).into_owned()));
            }
        };
        let Some(forced) = forced else {
            return Ok(match wanted {
                Wanted::Subsystem(_) => Self::Sftp(Arguments::new()),
                Wanted::Shell | Wanted::Exec(_) => Self::Program { command: original, original: None },
            });
        };
        let mut words = forced.split_ascii_whitespace();
        if words.next() == Some(INTERNAL_SFTP) {
            return match parse(words.map(OsString::from))? {
                Command::Serve(arguments) => Ok(Self::Sftp(arguments)),
                Command::ListRequests | Command::Help => Err(Refused::NotASession),
            };
        }
        Ok(Self::Program { command: Some(forced.into()), original })
    }

    pub(super) fn program(command: Option<&[u8]>) -> Program<'_> {
        command.map_or(Program::LoginShell, Program::Command)
    }

    /// For the log; never the command itself, which may hold secrets.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Program { command: None, .. } => "shell",
            Self::Program { command: Some(_), .. } => "exec",
            Self::Sftp(_) => "sftp",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(command: &str) -> Wanted {
        Wanted::Exec(command.into())
    }

    fn program(command: Option<&str>, original: Option<&str>) -> Plan {
        Plan::Program { command: command.map(Into::into), original: original.map(Into::into) }
    }

    #[test]
    fn what_is_asked_and_what_is_forced_decide() {
        let sftp = || Wanted::Subsystem(b"sftp".to_vec());
        let read_only = Arguments { read_only: true, ..Arguments::new() };
        let cases = [
            (Wanted::Shell, None, program(None, None)),
            (exec("ls"), None, program(Some("ls"), None)),
            // Only a forced command has this meaning; a client's is a program's name like any other.
            (exec("internal-sftp"), None, program(Some("internal-sftp"), None)),
            (sftp(), None, Plan::Sftp(Arguments::new())),
            (Wanted::Shell, Some("only this"), program(Some("only this"), None)),
            (exec("ls"), Some("only this"), program(Some("only this"), Some("ls"))),
            (sftp(), Some("only this"), program(Some("only this"), Some("internal-sftp"))),
            (Wanted::Shell, Some("internal-sftp"), Plan::Sftp(Arguments::new())),
            (exec("ls"), Some(" internal-sftp  -R "), Plan::Sftp(read_only)),
        ];
        for (wanted, forced, plan) in cases {
            assert_eq!(Plan::of(&wanted, forced), Ok(plan), "{wanted:?} under {forced:?}");
        }
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        let unknown = || Wanted::Subsystem(b"netconf".to_vec());
        for (wanted, forced) in [
            (unknown(), None),
            (unknown(), Some("only this")),
            (exec("a\0b"), None),
            (exec("a\0b"), Some("only this")),
            (Wanted::Shell, Some("internal-sftp --nonsense")),
            (Wanted::Shell, Some("internal-sftp -Q requests")),
        ] {
            assert!(Plan::of(&wanted, forced).is_err(), "{wanted:?} under {forced:?}");
        }
    }
}
