//! `hop status`: what is held, for how long, and who uses it.

use super::{broker, times};
use crate::cli::out;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_broker::protocol::{ConnectionStatus, StateName, Status};
use hop_broker::{Event, Request};
use serde::Serialize;

/// The JSON document.
#[derive(Serialize)]
struct Document<'s> {
    schema_version: u32,
    connections: Vec<&'s ConnectionStatus>,
}

pub(crate) fn run(arguments: &out::Status) -> Result<(), CommandError> {
    let Some(mut conversation) = broker::running()? else {
        return show(&Status { connections: vec![] }, arguments);
    };
    let request = if arguments.watch { Request::Watch } else { Request::Status };
    conversation.send(&request).or_fail(ErrorKind::Unavailable)?;
    loop {
        match conversation.next().or_fail(ErrorKind::Unavailable)? {
            Event::Status(status) => show(&status, arguments)?,
            Event::Progress { text } => output::note(&text),
            Event::Refused { reason } => return Err(CommandError::new(ErrorKind::Denied, reason)),
            _ => {}
        }
        if !arguments.watch {
            return Ok(());
        }
    }
}

fn show(status: &Status, arguments: &out::Status) -> Result<(), CommandError> {
    let wanted = |c: &&ConnectionStatus| arguments.host.as_ref().is_none_or(|host| *host == c.alias);
    let connections: Vec<_> = status.connections.iter().filter(wanted).collect();
    if arguments.json {
        return output::json(&Document { schema_version: 1, connections });
    }
    if connections.is_empty() {
        output::note("Nobody is logged in anywhere. hop login HOST logs in.");
    }
    for connection in connections {
        for line in lines(connection, times::now()) {
            output::line(&line);
        }
    }
    Ok(())
}

/// One line for each host, and indented ones for what is about it.
fn lines(connection: &ConnectionStatus, now: u64) -> Vec<String> {
    let alias = &connection.alias;
    let until = connection.until.map(|until| {
        format!("until {} ({} left)", times::clock(until), times::span(until.saturating_sub(now)))
    });
    let head = match connection.state {
        StateName::Up => format!("{alias}  up {}", until.unwrap_or_default()),
        StateName::Draining => format!("{alias}  logging out, when the last who uses it is done"),
        StateName::Starting => format!("{alias}  logging in"),
        StateName::Down => format!("{alias}  down"),
    };
    let mut lines = vec![head];
    if let Some(target) = &connection.target {
        let via = connection.via.as_ref().map(|via| format!(" via {via}")).unwrap_or_default();
        lines.push(format!("    {target}{via}"));
    }
    if let Some(asks) = &connection.asks {
        lines.push(format!("    asks for: {asks} (hop answer)"));
    }
    if connection.waiting > 0 {
        lines.push(format!("    waiting: {}", connection.waiting));
    }
    if !connection.users.is_empty() {
        let users: Vec<_> =
            connection.users.iter().map(|user| format!("{} ({})", user.what, user.pid)).collect();
        lines.push(format!("    used by: {}", users.join(", ")));
    }
    if !connection.forwards.is_empty() {
        let forwards: Vec<_> = connection.forwards.iter().map(|open| open.forward.as_str()).collect();
        lines.push(format!("    forwards: {}", forwards.join(", ")));
    }
    if let Some(until) = connection.ticket_until.filter(|_| connection.state == StateName::Up) {
        let left = match until.saturating_sub(now) {
            0 => "over".to_owned(),
            left => format!("{} left", times::span(left)),
        };
        lines.push(format!("    Kerberos ticket until {} ({left})", times::clock(until)));
    }
    if let Some(reason) = &connection.reason {
        lines.push(format!("    {reason}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use hop_broker::protocol::UserStatus;
    use hop_connect::Alias;

    #[test]
    fn lines_for_people() {
        let mut saga = ConnectionStatus {
            alias: Alias::parse("saga").unwrap(),
            state: StateName::Up,
            target: Some("alice@10.77.2.2".to_owned()),
            via: Some("bastion".to_owned()),
            since: Some(1_000),
            until: Some(times::now() + 3600),
            users: vec![UserStatus { what: "rsync".to_owned(), pid: 12 }],
            waiting: 0,
            waiters: vec![],
            forwards: vec![],
            asks: None,
            reason: None,
            ticket_until: None,
            socket: "/tmp/hop-1000/saga".into(),
        };
        let shown = lines(&saga, times::now()).join("\n");
        assert!(
            shown.starts_with("saga  up until ")
                && shown.contains("left)\n    alice@10.77.2.2 via bastion\n")
        );
        assert!(shown.ends_with("    used by: rsync (12)"), "{shown}");
        saga.ticket_until = Some(times::now() + 60);
        assert!(lines(&saga, times::now()).join("\n").contains("\n    Kerberos ticket until "));
        (saga.state, saga.until, saga.users) = (StateName::Down, None, vec![]);
        saga.reason = Some("its time was over".to_owned());
        let shown = lines(&saga, times::now()).join("\n");
        assert_eq!(shown, "saga  down\n    alice@10.77.2.2 via bastion\n    its time was over");
    }
}
