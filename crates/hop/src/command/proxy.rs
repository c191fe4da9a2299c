//! `hop proxy`: ssh's ProxyCommand through a WebSocket.
//!
//! What must stay true: standard output carries SSH and nothing else; the token is never an argument and never shown.

mod explain;
mod hub;
mod token;

use self::hub::HubServer;
use super::server;
use crate::cli::proxy::Proxy;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_endpoint::listener::Incoming;
use hop_link::{ClientOptions, Keepalive, Parted, ProxyVariables, Target, Trust, WebSocket};
use std::path::Path;
use std::time::Duration;

/// Servers of ours speak up every 25 s; others are asked. The other end always reads, so that silence means that it is
/// gone.
const ASK: Keepalive = Keepalive::Ask { after: Duration::from_secs(45), give_up: Duration::from_secs(120) };

/// Connects, and moves bytes until either side ends.
pub(crate) fn run(arguments: &Proxy) -> Result<(), CommandError> {
    let target = Target::parse(&arguments.url).or_fail(ErrorKind::Config)?;
    let token = token::find(arguments)?;
    if token.is_some() && !target.is_secure() && !target.is_loopback() {
        output::warning(&format!("the token crosses the network in the clear to {}", target.host()));
    }
    let trust = match target.is_secure() {
        true => Some(trust(arguments.ca_file.as_deref())?),
        false => None,
    };
    let options = ClientOptions {
        token,
        trust,
        proxies: proxies(),
        time: arguments.connect_timeout,
        random: crate::chance::fill,
    };
    server::runtime()?.block_on(async {
        // Looked at first, so that a person who tries the command by hand is not connected for nothing.
        let (local, _) = Incoming::Stdio.register().map_err(|error| {
            CommandError::new(ErrorKind::Config, error)
                .hint("this is for ssh: write it behind ProxyCommand in ~/.ssh/config")
        })?;
        let socket = match (hop_link::connect(&target, &options).await, HubServer::of(&target)) {
            (Ok(socket), _) => socket,
            (Err(error), Some(server))
                if arguments.start
                    && (explain::is_not_running(&error) || server.may_be_another(&target, &error)) =>
            {
                server.start(&target, &options, arguments.start_timeout).await?
            }
            (Err(error), _) => return Err(explain::refused(&target, &error, options.token.is_some())),
        };
        let mut socket: WebSocket<_> = socket.keep_alive(ASK);
        let Parted { end, traffic } =
            hop_link::join(local, &mut socket).await.or_fail(ErrorKind::Unavailable)?;
        end.map_or(Ok(()), |end| explain::ended(&target, &end, traffic))
    })
}

fn trust(ca_file: Option<&Path>) -> Result<Trust, CommandError> {
    let more = ca_file.map(|path| {
        std::fs::read(path).map_err(|error| {
            CommandError::new(ErrorKind::Config, format!("cannot read {}: {error}", path.display()))
        })
    });
    Trust::system(more.transpose()?.as_deref()).or_fail(ErrorKind::Config)
}

/// The proxies of the environment. HTTP_PROXY in capitals is left out, as curl does: in a CGI program a client sets it.
fn proxies() -> ProxyVariables {
    let variable = |names: &[&str]| names.iter().find_map(|name| std::env::var(name).ok());
    ProxyVariables {
        http: variable(&["http_proxy"]),
        https: variable(&["https_proxy", "HTTPS_PROXY"]),
        all: variable(&["all_proxy", "ALL_PROXY"]),
        none: variable(&["no_proxy", "NO_PROXY"]),
    }
}
