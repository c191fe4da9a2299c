//! `hop login`: a person opens a connection for everything that follows.

use super::place::Place;
use super::terminal::Terminal;
use super::{broker, times};
use crate::cli::out;
use crate::error::{CommandError, ErrorKind};
use crate::output;
use hop_broker::{Event, Request};
use hop_connect::Alias;
use hop_connect::resolve::Resolved;
use hop_connect::ssh_config::{SshConfig, Standing};
use std::path::PathBuf;

/// A connection that can be used.
pub(crate) struct Ready {
    pub(crate) socket: PathBuf,
    pub(crate) master: u32,
    pub(crate) until: u64,
    pub(crate) was_up: bool,
    pub(crate) resolved: Box<Resolved>,
}

pub(crate) fn run(arguments: &out::Login) -> Result<(), CommandError> {
    let host = &arguments.host;
    let mut place = Place::new(broker::running_or_started()?, Terminal::of_process());
    place.send(&Request::Login {
        alias: host.clone(),
        given: None,
        lifetime: arguments.lifetime.map(|time| time.as_secs()),
        idle: arguments.idle.map(|time| time.as_secs()),
        attended: place.terminal.is_some(),
        environment: broker::environment(),
    })?;
    let ready = wait(&mut place)?;
    let (until, left) =
        (times::clock(ready.until), times::span(ready.until.saturating_sub(times::now()) + 1));
    let already = if ready.was_up { " already" } else { "" };
    output::note(&format!("{host} is up{already}, until {until} ({left} left)"));
    if !is_enabled(host) {
        output::hint(&format!("hop ssh-config enable {host} lets ssh, scp, rsync and git use this login"));
    }
    Ok(())
}

/// Waits until the connection can be used, answering what is asked.
pub(crate) fn wait(place: &mut Place) -> Result<Ready, CommandError> {
    loop {
        match place.next()? {
            Event::Up { socket, master, until, was_up, resolved } => {
                return Ok(Ready { socket, master, until, was_up, resolved });
            }
            Event::Failed(failure) => return Err(broker::failed(failure)),
            Event::Progress { text } | Event::InLine { text } => output::note(&text),
            Event::Refused { reason } => return Err(CommandError::new(ErrorKind::Denied, reason)),
            _ => {}
        }
    }
}

fn is_enabled(host: &Alias) -> bool {
    let config = SshConfig::of_home(&super::ssh_config::home());
    // What cannot be read is said by the command that is about it.
    config.standing(host).is_ok_and(|standing| standing == Standing::Enabled)
}
