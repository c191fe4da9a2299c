//! `hop answer`: a terminal where every login's questions are asked.

use super::broker;
use super::place::{Place, Waited};
use super::terminal::Terminal;
use crate::cli::out;
use crate::error::{CommandError, ErrorKind};
use crate::output;
use hop_broker::{Event, Request};
use std::time::Duration;

/// Questions that are open are shown at once.
const AT_ONCE: Duration = Duration::from_millis(300);

pub(crate) fn run(arguments: &out::Answer) -> Result<(), CommandError> {
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
