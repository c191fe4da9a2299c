//! A server of a JupyterHub, as the URL of its SSH names it, and how it is started.

use super::explain;
use super::token::Token;
use crate::command::jupyter;
use crate::command::jupyter::start::{Start, Told};
use crate::error::{CommandError, ErrorKind, OrFail};
use hop_jupyter::{Hub, HubAddress, HubError, Started, unescaped};
use hop_link::{ClientOptions, ConnectError, Target};
use std::time::Duration;

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
    pub(super) async fn start<T>(
        &self,
        target: &Target,
        options: &ClientOptions,
        token: &Token,
        limit: Duration,
        connect: impl AsyncFn() -> Result<T, ConnectError>,
    ) -> Result<T, CommandError> {
        let address = HubAddress::parse(&self.hub).or_fail(ErrorKind::Internal)?.hub;
        let hub = Hub::new(address, options.clone());
        let (user, name) = (unescaped(self.user), unescaped(self.name.unwrap_or_default()));
        let mut start = Start::new(&hub, &user, &name, limit);
        let asked = start.ask(token.start_options()).await;
        let (answer, mut told) = asked.map_err(|error| self.refused(target, error, token))?;
        let is_new = answer != Some(Started::Runs);
        let mut may_tell = true;
        loop {
            if let Told::Failed(said) = told {
                return Err(start.failed(&said));
            }
            let is_coming = |error: &ConnectError| {
                explain::is_not_running(error) || (is_new && self.may_be_another(target, error))
            };
            match connect().await {
                Ok(connected) => return Ok(connected),
                Err(error) if is_coming(&error) && !start.is_late() => {}
                Err(error) if is_coming(&error) => return Err(start.late()),
                Err(error) => return Err(explain::refused(target, &error, &token.origin())),
            }
            told = if may_tell { start.follow().await } else { Told::Nothing };
            if !may_tell || told == Told::Nothing {
                start.pause().await;
            }
            // A Hub that told the end too early, or tells this token nothing, is asked by connecting.
            may_tell = false;
        }
    }

    /// What it means that the Hub does not start the server.
    fn refused(&self, target: &Target, error: HubError, token: &Token) -> CommandError {
        let user = self.user;
        match error {
            HubError::Connect(error) => explain::refused(target, &error, &token.origin()),
            HubError::Forbidden { .. } => {
                let words = format!("the token may not start the server of {user}");
                CommandError::new(ErrorKind::Denied, words).hint(match token.origin() {
                    explain::TokenFrom::Stored(alias) => {
                        format!("it is expired, revoked or too small: hop jupyter login {alias} gives a new one")
                    }
                    _ => format!(
                        "make one at {}/hub/token with the scopes access:servers!user={user} and servers!user={user}",
                        self.hub
                    ),
                })
            }
            error => jupyter::failed(error),
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
