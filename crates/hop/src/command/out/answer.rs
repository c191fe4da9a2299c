//! `hop answer`: a terminal, or a page, where every login's questions are asked.

use super::broker;
use super::place::{Place, Waited};
use super::terminal::Terminal;
use crate::cli::out;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_broker::{Event, Request};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Questions that are open are shown at once.
const AT_ONCE: Duration = Duration::from_millis(300);

pub(crate) fn run(arguments: &out::Answer) -> Result<(), CommandError> {
    if arguments.page {
        return page(!arguments.no_open);
    }
    let Some(terminal) = Terminal::of_process() else {
        return Err(CommandError::new(ErrorKind::Denied, "there is no terminal to ask at"));
    };
    let Some(conversation) = broker::running()? else {
        output::note("Nothing is asked: no login is in progress.");
        return Ok(());
    };
    let mut place = Place::new(conversation, Some(terminal));
    place.send(&Request::Attend)?;
    let mut is_told = false;
    loop {
        match place.next_within(Some(AT_ONCE).filter(|_| arguments.once || !is_told))? {
            Waited::Event(event) => {
                if let Event::Refused { reason } = *event {
                    return Err(CommandError::new(ErrorKind::Denied, reason));
                }
            }
            Waited::TooLong if arguments.once => {
                output::note("Nothing is asked.");
                return Ok(());
            }
            Waited::TooLong => {
                is_told = true;
                output::note("Waiting for questions. Ctrl-C ends.");
            }
        }
    }
}

/// Has a link made, and opened where there is a desktop.
fn page(open: bool) -> Result<(), CommandError> {
    let mut conversation = broker::running_or_started()?;
    conversation.send(&Request::Page).or_fail(ErrorKind::Unavailable)?;
    let link = match conversation.next().or_fail(ErrorKind::Unavailable)? {
        Event::Page { link } => link,
        Event::Refused { reason } => return Err(CommandError::new(ErrorKind::Unavailable, reason)),
        _ => return Err(CommandError::new(ErrorKind::Internal, "the broker said something else")),
    };
    output::line(link.expose());
    if open && opened(link.expose()) {
        output::note("It opens in your browser.");
    } else {
        output::note("Open it in a browser on this computer; it is good once, for ten minutes.");
    }
    Ok(())
}

/// Asks the desktop to open a link; whether it took it.
fn opened(link: &str) -> bool {
    let has = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if has("DISPLAY") || has("WAYLAND_DISPLAY") {
        "xdg-open"
    } else {
        return false;
    };
    let streams = (Stdio::null(), Stdio::null(), Stdio::null());
    let started =
        Command::new(program).arg(link).stdin(streams.0).stdout(streams.1).stderr(streams.2).spawn();
    // It ends when it has passed the link on.
    started.and_then(|mut child| child.wait()).is_ok_and(|status| status.success())
}
