//! What ssh runs when it should ride and cannot. Where the host takes no more sessions, it is served over the connection
//! all the same, by our own engine; where there is no login, it hears why.

use super::{broker, ssh_config};
use crate::cli::out;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_broker::ferry::{self, Fare};
use hop_broker::protocol::{ConnectionStatus, StateName};
use hop_broker::{Event, Request};
use hop_connect::Alias;
use hop_endpoint::listener::Incoming;
use hop_ssh::driver::serve_known;
use std::process::ExitCode;

/// Who is served, for people.
const PURPOSE: &str = "ssh by hop dial";

pub(crate) fn run(arguments: &out::Dial) -> ExitCode {
    let tried = match status(arguments) {
        Ok(Some(connection)) if connection.state == StateName::Up => serve(&arguments.id),
        Ok(connection) => Err(why(&arguments.id, connection)),
        Err(error) => Err(error),
    };
    match tried {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::from(255)
        }
    }
}

/// Serves the ssh at the other end of standard input and output, until it goes.
fn serve(host: &Alias) -> Result<(), CommandError> {
    let server = ssh_config::state().server().or_fail(ErrorKind::Config)?;
    let fare = Fare {
        sockets: broker::sockets(),
        alias: host.clone(),
        purpose: PURPOSE.to_owned(),
        environment: broker::environment(),
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().or_fail(ErrorKind::Internal)?;
    runtime.block_on(async {
        let (stream, _) = Incoming::Stdio.register().map_err(|error| {
            CommandError::new(ErrorKind::Config, error).hint("ssh runs this command (ProxyCommand)")
        })?;
        let client = serve_known(stream, server, ferry::limits()).await.or_fail(ErrorKind::Unavailable)?;
        ferry::serve(fare, client).await;
        Ok(())
    })
}

/// Why there is nothing to serve it with.
fn why(host: &Alias, connection: Option<ConnectionStatus>) -> CommandError {
    let Some(connection) = connection else {
        return CommandError::new(ErrorKind::Denied, format!("{host} is not logged in"))
            .hint(format!("hop login {host}"));
    };
    match connection.state {
        // It has come up since ssh looked.
        StateName::Up => CommandError::new(ErrorKind::Later, format!("{host} is up now")).hint("try again"),
        StateName::Draining => CommandError::new(ErrorKind::Later, format!("{host} is being logged out"))
            .hint(format!("hop logout --now {host} ends it at once, hop login {host} starts anew")),
        StateName::Starting => {
            let asks = connection.asks.map(|asks| format!(" and asks for: {asks}")).unwrap_or_default();
            CommandError::new(ErrorKind::Later, format!("the login to {host} is in progress{asks}"))
                .hint(format!("hop login {host} in a terminal, hop answer, or hop answer --page"))
        }
        StateName::Down => {
            let reason = connection.reason.unwrap_or_else(|| "nobody has logged in".to_owned());
            // What the login's own failure begins with.
            let reason = reason.strip_prefix(&format!("cannot log in to {host}: ")).unwrap_or(&reason);
            CommandError::new(ErrorKind::Denied, format!("{host} is not logged in: {reason}"))
                .hint(format!("hop login {host}"))
        }
    }
}

fn status(arguments: &out::Dial) -> Result<Option<ConnectionStatus>, CommandError> {
    let Some(mut conversation) = broker::running()? else { return Ok(None) };
    conversation.send(&Request::Status).or_fail(ErrorKind::Unavailable)?;
    let Event::Status(status) = conversation.next().or_fail(ErrorKind::Unavailable)? else { return Ok(None) };
    Ok(status.connections.into_iter().find(|connection| connection.alias == arguments.id))
}
