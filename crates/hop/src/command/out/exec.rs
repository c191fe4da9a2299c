//! `hop exec`: a command over a held connection, without another ssh.

use super::place::Place;
use super::terminal::Terminal;
use super::{broker, login};
use crate::cli::out;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_broker::Request;
use hop_connect::mux::client::Ended;
use hop_connect::mux::{MuxClient, MuxError};
use hop_connect::session::Remote;
use rustix::termios::{self, OptionalActions, Termios};
use std::io::{self, Stdin};
use std::os::fd::AsFd;
use std::process::ExitCode;

/// What ssh(1) exits with when it was ssh that failed.
const OURS: u8 = 255;

pub(crate) fn run(arguments: &out::Exec) -> ExitCode {
    match execute(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::error(&error);
            ExitCode::from(OURS)
        }
    }
}

fn execute(arguments: &out::Exec) -> Result<u8, CommandError> {
    let host = &arguments.host;
    let command = arguments.command.join(" ");
    let mut place = Place::new(broker::running_or_started()?, Terminal::of_process());
    place.send(&Request::Use {
        alias: host.clone(),
        purpose: format!("hop exec {}", arguments.command.first().map(String::as_str).unwrap_or_default()),
        attended: place.terminal.is_some(),
        environment: broker::environment(),
    })?;
    let mut ready = login::wait(&mut place)?;
    let client = match MuxClient::connect(&ready.socket) {
        Ok(client) => client,
        Err(MuxError::Silent | MuxError::Absent { .. } | MuxError::Closed) => {
            // It is dead and nobody has noticed: replaced, once.
            place.send(&Request::Silent { alias: host.clone(), master: ready.master })?;
            place = Place::new(broker::running_or_started()?, Terminal::of_process());
            place.send(&Request::Use {
                alias: host.clone(),
                purpose: "hop exec".to_owned(),
                attended: place.terminal.is_some(),
                environment: broker::environment(),
            })?;
            ready = login::wait(&mut place)?;
            MuxClient::connect(&ready.socket).or_fail(ErrorKind::Unavailable)?
        }
        Err(error) => return Err(CommandError::new(ErrorKind::Unavailable, error)),
    };
    let terminal = std::env::var("TERM").unwrap_or_default();
    let remote = Remote { command, tty: arguments.tty, terminal };
    let session = remote.session(&ready.resolved, std::env::vars());
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let opened = client.open_session(&session, [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]);
    let opened = opened.map_err(|error| not_opened(host, &error))?;
    // The master has read the terminal's size and modes by now, and does the rest.
    let raw = if arguments.tty { Raw::of(stdin) } else { None };
    let ended = opened.wait(|| output::note("the host gave no terminal")).or_fail(ErrorKind::Unavailable);
    drop(raw);
    match ended? {
        Ended::Exit(status) => Ok(u8::try_from(status).unwrap_or(OURS)),
        Ended::WithoutStatus => Ok(OURS),
    }
}

fn not_opened(host: &hop_connect::Alias, error: &MuxError) -> CommandError {
    let message = format!("cannot open a session on {host}: {error}");
    match error {
        MuxError::Refused { reason } if reason.contains("refused by peer") => {
            CommandError::new(ErrorKind::Later, message)
                .hint("the host takes no more sessions at once (MaxSessions); hop status shows who has them")
        }
        _ => CommandError::new(ErrorKind::Unavailable, message),
    }
}

/// A terminal that passes everything on, until it is dropped.
struct Raw {
    stdin: Stdin,
    before: Termios,
}

impl Raw {
    fn of(stdin: Stdin) -> Option<Self> {
        let before = termios::tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self { stdin, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(&self.stdin, OptionalActions::Now, &self.before);
    }
}
