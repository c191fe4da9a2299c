//! A server of a JupyterHub, as the URL of its SSH names it, and how it is started.

use super::explain;
use super::token::Token;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_link::{Answer, ClientOptions, ClientStream, ConnectError, Method, Request, Target, WebSocket};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

/// The Hub itself answers a start only after ten seconds, if the server is not there before.
const START: Duration = Duration::from_secs(60);
/// From asking whether a server is there to asking again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often somebody who waits is told so.
const TELL: Duration = Duration::from_secs(5);

/// A server of a JupyterHub.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HubServer<'a> {
    /// The Hub's own address, with its base path.
    pub(super) hub: String,
    /// As in the path: escaped.
    pub(super) user: &'a str,
    /// Of a named server.
    name: Option<&'a str>,
}

/// What the Hub says to being asked for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Starts,
    /// It runs, or somebody else has asked for it.
    Runs,
}

/// What the Hub says of an error.
#[derive(Debug, Deserialize)]
struct Complaint {
    message: String,
}

impl<'a> HubServer<'a> {
    pub(super) fn of(target: &'a Target) -> Option<Self> {
        let path = target.path().split('?').next()?;
        let (base, rest) = path.split_once("/user/")?;
        let mut parts = rest.split('/').filter(|part| !part.is_empty());
        let user = parts.next()?;
        let name = match (parts.next(), parts.next()) {
            (Some(name), Some(_path)) => Some(name),
            (Some(_) | None, _) => None,
        };
        let scheme = if target.is_secure() { "https" } else { "http" };
        let port = match (target.is_secure(), target.port()) {
            (true, 443) | (false, 80) => String::new(),
            (_, port) => format!(":{port}"),
        };
        let host =
            if target.host().contains(':') { format!("[{}]", target.host()) } else { target.host().into() };
        Some(Self { hub: format!("{scheme}://{host}{port}{base}"), user, name })
    }

    /// Whether the answer may be that of the person's other server: while a named one is not there, its path leads there.
    pub(super) fn may_be_another(&self, target: &Target, error: &ConnectError) -> bool {
        self.name.is_some() && explain::is_nothing(target, error)
    }

    /// Starts the server unless it runs already, and waits until it takes a connection.
    pub(super) async fn start(
        &self,
        target: &Target,
        options: &ClientOptions,
        token: &Token,
        limit: Duration,
    ) -> Result<WebSocket<ClientStream>, CommandError> {
        let begun = Instant::now();
        output::note(&format!("starting the server of {}", self.user));
        let is_new = self.ask(options, token).await? == Asked::Starts;
        let mut told = begun;
        loop {
            let is_coming = |error: &ConnectError| {
                explain::is_not_running(error) || (is_new && self.may_be_another(target, error))
            };
            match hop_link::connect(target, options).await {
                Ok(socket) => return Ok(socket),
                Err(error) if is_coming(&error) && begun.elapsed() < limit => {}
                Err(error) if is_coming(&error) => {
                    let words =
                        format!("the server of {} was not there after {} s", self.user, limit.as_secs());
                    let hint = format!("see {}/hub/home for what it says", self.hub);
                    return Err(CommandError::new(ErrorKind::Later, words).hint(hint));
                }
                Err(error) => return Err(explain::refused(target, &error, &token.origin())),
            }
            if told.elapsed() >= TELL {
                told = Instant::now();
                output::note(&format!("the server is still starting ({} s)", begun.elapsed().as_secs()));
            }
            // The Hub's progress could be followed, but asks for one more right of the token.
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn ask(&self, options: &ClientOptions, token: &Token) -> Result<Asked, CommandError> {
        let place = match self.name {
            Some(name) => format!("servers/{name}"),
            None => "server".to_owned(),
        };
        let url = format!("{}/hub/api/users/{}/{place}", self.hub, self.user);
        let api = Target::parse(&url).or_fail(ErrorKind::Internal)?;
        let options = ClientOptions { time: options.time.max(START), ..options.clone() };
        let json = token.start_options().map(|form| serde_json::json!({ "user_options": form }).to_string());
        let request = Request { method: Method::Post, json: json.as_deref().map(str::as_bytes) };
        let answered = hop_link::request(&api, request, &options).await;
        let Answer { status, body, .. } =
            answered.map_err(|error| explain::refused(&api, &error, &token.origin()))?;
        let said: Option<Complaint> = serde_json::from_slice(&body).ok();
        let is_there =
            |said: &Complaint| ["already running", "pending"].iter().any(|w| said.message.contains(w));
        match status {
            200..=299 => Ok(Asked::Starts),
            400 if said.as_ref().is_none_or(is_there) => Ok(Asked::Runs),
            401 | 403 => {
                let words = format!("the token may not start the server of {}", self.user);
                if let explain::TokenFrom::Stored(alias) = token.origin() {
                    let hint = format!(
                        "it is expired, revoked or too small: hop jupyter login {alias} gives a new one"
                    );
                    return Err(CommandError::new(ErrorKind::Denied, words).hint(hint));
                }
                let hint = format!(
                    "make one at {}/hub/token with the scopes access:servers!user={user} and servers!user={user}",
                    self.hub,
                    user = self.user
                );
                Err(CommandError::new(ErrorKind::Denied, words).hint(hint))
            }
            404 => Err(CommandError::new(
                ErrorKind::Unavailable,
                format!("{} knows no user {}", self.hub, self.user),
            )),
            status => {
                let said = said.map(|said| format!(": {}", said.message.escape_debug())).unwrap_or_default();
                let words = format!("the server of {} does not start (status {status}){said}", self.user);
                Err(CommandError::new(ErrorKind::Later, words))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hubs_are_known_by_their_paths() {
        for (url, hub, user, name) in [
            ("wss://h/user/a%40b/sshd/", "https://h", "a%40b", None),
            ("wss://h:8443/base/user/a/named/sshd/?x", "https://h:8443/base", "a", Some("named")),
            ("ws://[::1]:80/user/a/sshd", "http://[::1]", "a", None),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(HubServer::of(&target), Some(HubServer { hub: hub.into(), user, name }));
        }
        for other in ["wss://h/ssh/p", "wss://h/user/"] {
            assert_eq!(HubServer::of(&Target::parse(other).unwrap()), None);
        }
    }
}
