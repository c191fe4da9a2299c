//! `hop exec`: a command over a held connection, without another ssh.

use super::broker;
use super::login::{self, Ready};
use super::place::Place;
use super::terminal::Terminal;
use crate::cli::out;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_broker::Request;
use hop_connect::mux::client::{Ended, OpenSession};
use hop_connect::mux::{MuxClient, MuxError};
use hop_connect::session::Remote;
use rustix::termios::{self, OptionalActions, Termios};
use std::io::{self, Stdin};
use std::os::fd::AsFd;
use std::process::ExitCode;

/// What ssh(1) exits with when it was ssh that failed.
const OURS: u8 = 255;
/// Dead connections are replaced, but not for ever.
const REPLACEMENTS: usize = 3;

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
    // The conversation lasts as long as the session, so that the broker knows of it.
    let (_place, opened) = open(arguments)?;
    // The master has read the terminal's size and modes by now, and does the rest.
    let raw = if arguments.tty { Raw::of(io::stdin()) } else { None };
    let ended = opened.wait(|| output::note("the host gave no terminal")).or_fail(ErrorKind::Unavailable);
    drop(raw);
    match ended? {
        Ended::Exit(status) => Ok(u8::try_from(status).unwrap_or(OURS)),
        Ended::WithoutStatus => Ok(OURS),
    }
}

fn open(arguments: &out::Exec) -> Result<(Place, OpenSession), CommandError> {
    let host = &arguments.host;
    let mut broker = broker::reached_or_started()?;
    let terminal = Terminal::of_process();
    let wanted = wanted(arguments, terminal.is_some());
    broker.send(&wanted).or_fail(ErrorKind::Unavailable)?;
    let mut place = Place::new(broker.hello().or_fail(ErrorKind::Unavailable)?, terminal);
    let mut replacements = 0;
    loop {
        let ready = login::wait(&mut place)?;
        let request = match open_once(arguments, &ready) {
            Ok(opened) => return Ok((place, opened)),
            // The broker says when it is worth another attempt.
            Err(error) if error.is_full() => Request::Full { alias: host.clone() },
            Err(error) if error.is_dead() && replacements < REPLACEMENTS => {
                replacements += 1;
                Request::Silent { alias: host.clone(), master: ready.master }
            }
            Err(error) => {
                let message = format!("cannot open a session on {host}: {error}");
                return Err(CommandError::new(ErrorKind::Unavailable, message));
            }
        };
        place.send(&request)?;
        // When it has been heard, the next try finds what came of it.
        place.next()?;
        place.send(&wanted)?;
    }
}

fn wanted(arguments: &out::Exec, attended: bool) -> Request {
    let program = arguments.command.first().map(String::as_str).unwrap_or_default();
    Request::Use {
        alias: arguments.host.clone(),
        purpose: format!("hop exec {program}"),
        takes_session: true,
        attended,
        environment: broker::environment(),
    }
}

fn open_once(arguments: &out::Exec, ready: &Ready) -> Result<OpenSession, MuxError> {
    let terminal = std::env::var("TERM").unwrap_or_default();
    let remote = Remote { command: arguments.command.join(" "), tty: arguments.tty, terminal };
    let session = remote.session(&ready.resolved, std::env::vars());
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    MuxClient::open_session(&ready.socket, session, [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()])
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
