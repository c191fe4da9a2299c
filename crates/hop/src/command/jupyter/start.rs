//! The person's server: started if it is stopped, and waited for.

use super::failed;
use crate::error::{CommandError, ErrorKind};
use crate::output;
use hop_jupyter::{Hub, Server};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// From asking whether a server is there to asking again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often somebody who waits is told so.
const TELL: Duration = Duration::from_secs(5);

/// The server, once it takes requests.
pub(super) async fn ready(
    hub: &Hub,
    user: &str,
    name: &str,
    options: Option<&Value>,
    limit: Duration,
) -> Result<Server, CommandError> {
    let shown = if name.is_empty() {
        format!("the server of {user}")
    } else {
        format!("the server {name} of {user}")
    };
    let begun = Instant::now();
    let (mut is_asked, mut told) = (false, begun);
    loop {
        let servers = hub.servers(user).await.map_err(failed)?;
        let server = servers.find(name);
        if let Some(server) = server.filter(|server| server.ready) {
            return Ok(server.clone());
        }
        let is_pending = server.is_some_and(|server| server.pending.is_some());
        if !is_pending && is_asked {
            let words = format!("{shown} does not start");
            let error = CommandError::new(
                ErrorKind::Later,
                match hub.why_not_started(user, name).await {
                    Some(said) => format!("{words}: {said}"),
                    None => words,
                },
            );
            return Err(error.hint(format!("see {}", hub.address().home_page())));
        }
        if !is_pending {
            output::note(&format!("starting {shown}"));
            let _ = hub.start(user, name, options).await.map_err(failed)?;
            is_asked = true;
            continue;
        }
        is_asked = true;
        if begun.elapsed() >= limit {
            let words = format!("{shown} was not there after {} s", limit.as_secs());
            let hint = format!("see {} for what it says", hub.address().home_page());
            return Err(CommandError::new(ErrorKind::Later, words).hint(hint));
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            output::note(&format!("{shown} is still starting ({} s)", begun.elapsed().as_secs()));
        }
        // The Hub can only be asked.
        tokio::time::sleep(AGAIN).await;
    }
}
