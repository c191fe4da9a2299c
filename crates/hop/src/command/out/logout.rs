//! `hop logout`.

use super::broker;
use crate::cli::out;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_broker::{Event, Request};

pub(crate) fn run(arguments: &out::Logout) -> Result<(), CommandError> {
    let host = &arguments.host;
    let not_logged_in = || output::note(&format!("{host} is not logged in"));
    let Some(mut conversation) = broker::running()? else {
        not_logged_in();
        return Ok(());
    };
    let request = Request::Logout { alias: host.clone(), at_once: arguments.now };
    conversation.send(&request).or_fail(ErrorKind::Unavailable)?;
    match conversation.next().or_fail(ErrorKind::Unavailable)? {
        Event::Refused { .. } => not_logged_in(),
        _ => output::note(&format!("{host} is logged out")),
    }
    Ok(())
}
