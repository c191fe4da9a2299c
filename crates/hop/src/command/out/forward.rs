//! `hop forward`: ports over a held connection.

use super::place::Place;
use super::terminal::Terminal;
use super::{broker, login};
use crate::cli::out;
use crate::error::{CommandError, ErrorKind};
use crate::output;
use hop_broker::protocol::ForwardStatus;
use hop_broker::{Event, Request};
use hop_connect::Alias;
use hop_connect::mux::forward::Forward;
use serde::Serialize;

/// The JSON document.
#[derive(Serialize)]
struct Document<'f> {
    schema_version: u32,
    forwards: &'f [ForwardStatus],
}

pub(crate) fn run(arguments: &out::Forward) -> Result<(), CommandError> {
    let wanted: Vec<&Forward> =
        arguments.local.iter().chain(&arguments.remote).chain(&arguments.dynamic).collect();
    match (wanted.is_empty(), arguments.cancel) {
        (true, true) => Err(CommandError::new(ErrorKind::Config, "nothing is named that could be closed")
            .hint(format!("hop forward {} prints what is open", arguments.host))),
        (true, false) => show(arguments, &open_ones(&arguments.host)?),
        (false, true) => cancel(arguments, &wanted),
        (false, false) => open(arguments, &wanted),
    }
}

/// What is open.
fn open_ones(host: &Alias) -> Result<Vec<ForwardStatus>, CommandError> {
    let Some(conversation) = broker::running()? else { return Ok(Vec::new()) };
    let mut place = Place::new(conversation, None);
    place.send(&Request::Status)?;
    let Event::Status(status) = place.next()? else { return Ok(Vec::new()) };
    let found = status.connections.into_iter().find(|connection| connection.alias == *host);
    Ok(found.map(|connection| connection.forwards).unwrap_or_default())
}

fn show(arguments: &out::Forward, forwards: &[ForwardStatus]) -> Result<(), CommandError> {
    if arguments.json {
        return output::json(&Document { schema_version: 1, forwards });
    }
    for forward in forwards {
        let port = forward.port.map(|port| format!("  port {port} there")).unwrap_or_default();
        let stays = if forward.stays { "  stays" } else { "" };
        output::line(&format!("{}{port}{stays}", forward.forward));
    }
    Ok(())
}

fn cancel(arguments: &out::Forward, wanted: &[&Forward]) -> Result<(), CommandError> {
    let host = &arguments.host;
    let Some(conversation) = broker::running()? else {
        return Err(CommandError::new(ErrorKind::Config, format!("nothing is forwarded on {host}")));
    };
    let mut place = Place::new(conversation, None);
    for forward in wanted {
        place.send(&Request::CloseForward { alias: host.clone(), forward: (*forward).clone() })?;
        if let Event::Refused { reason } = place.next()? {
            return Err(CommandError::new(ErrorKind::Config, reason)
                .hint(format!("hop forward {host} prints what is open")));
        }
    }
    Ok(())
}

fn open(arguments: &out::Forward, wanted: &[&Forward]) -> Result<(), CommandError> {
    let host = &arguments.host;
    let mut place = Place::new(broker::running_or_started()?, Terminal::of_process());
    place.send(&Request::Use {
        alias: host.clone(),
        purpose: "hop forward".to_owned(),
        takes_session: false,
        attended: place.terminal.is_some(),
        environment: broker::environment(),
    })?;
    let _ = login::wait(&mut place)?;
    let mut opened = Vec::new();
    for forward in wanted {
        let (alias, stays) = (host.clone(), arguments.background);
        place.send(&Request::Forward { alias, forward: (*forward).clone(), stays })?;
        opened.push(ForwardStatus { forward: forward.to_string(), port: answer(&mut place)?, stays });
    }
    show(arguments, &opened)?;
    if arguments.background {
        return Ok(());
    }
    output::note("Ctrl-C closes what is open.");
    // The broker closes it when this conversation ends, however it does.
    loop {
        match place.next()? {
            Event::Failed(failure) => return Err(broker::failed(failure)),
            Event::Progress { text } => output::note(&text),
            _ => {}
        }
    }
}

/// The port that the host chose, if it did.
fn answer(place: &mut Place) -> Result<Option<u16>, CommandError> {
    loop {
        match place.next()? {
            Event::Forwarded { port } => return Ok(port),
            Event::Refused { reason } => return Err(CommandError::new(ErrorKind::Unavailable, reason)),
            Event::Failed(failure) => return Err(broker::failed(failure)),
            _ => {}
        }
    }
}
