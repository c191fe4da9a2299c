//! What ssh runs when it should ride and cannot: there is no login, or the host takes no more sessions.

use super::broker;
use crate::cli::out;
use crate::error::{CommandError, ErrorKind};
use crate::output;
use hop_broker::protocol::{ConnectionStatus, StateName};
use hop_broker::{Event, Request};
use std::process::ExitCode;

pub(crate) fn run(arguments: &out::Dial) -> ExitCode {
    output::error(&why(arguments));
    ExitCode::from(255)
}

fn why(arguments: &out::Dial) -> CommandError {
    let host = &arguments.id;
    let connection = match status(arguments) {
        Ok(Some(connection)) => connection,
        Ok(None) => {
            return CommandError::new(ErrorKind::Denied, format!("{host} is not logged in"))
                .hint(format!("hop login {host}"));
        }
        Err(error) => return error,
    };
    match connection.state {
        StateName::Up => {
            let message = format!("{host} takes no more sessions at once; {}", used_by(&connection));
            CommandError::new(ErrorKind::Later, message).hint("end one of them, or try again later")
        }
        StateName::Draining => CommandError::new(ErrorKind::Later, format!("{host} is being logged out"))
            .hint(format!("hop logout --now {host} ends it at once, hop login {host} starts anew")),
        StateName::Starting => {
            let asks = connection.asks.map(|asks| format!(" and asks for: {asks}")).unwrap_or_default();
            CommandError::new(ErrorKind::Later, format!("the login to {host} is in progress{asks}"))
                .hint(format!("hop login {host} in a terminal, or hop answer"))
        }
        StateName::Down => {
            let reason = connection.reason.unwrap_or_else(|| "nobody has logged in".to_owned());
            CommandError::new(ErrorKind::Denied, format!("{host} is not logged in: {reason}"))
                .hint(format!("hop login {host}"))
        }
    }
}

fn used_by(connection: &ConnectionStatus) -> String {
    match connection.users.as_slice() {
        [] => "nobody is known to use one".to_owned(),
        users => {
            let names: Vec<_> = users.iter().map(|user| format!("{} ({})", user.what, user.pid)).collect();
            format!("used by {}", names.join(", "))
        }
    }
}

fn status(arguments: &out::Dial) -> Result<Option<ConnectionStatus>, CommandError> {
    let Some(mut conversation) = broker::running()? else { return Ok(None) };
    let unavailable = |error| CommandError::new(ErrorKind::Unavailable, error);
    conversation.send(&Request::Status).map_err(unavailable)?;
    let Event::Status(status) = conversation.next().map_err(unavailable)? else { return Ok(None) };
    let found = status.connections.into_iter().find(|c| c.alias == arguments.id);
    if found.as_ref().is_some_and(|connection| connection.state == StateName::Up) {
        // Somebody uses it whom the broker does not know; from now on it counts with them.
        conversation.send(&Request::Full { alias: arguments.id.clone() }).map_err(unavailable)?;
        let _ = conversation.next();
    }
    Ok(found)
}
