//! `hop proxy`: ssh's ProxyCommand through a WebSocket.
//!
//! What must stay true: standard output carries SSH and nothing else; the token is never an argument and never shown.

pub(crate) mod explain;
mod hub;
pub(crate) mod token;

use self::hub::HubServer;
use self::token::Token;
use super::{server, web};
use crate::cli::proxy::Proxy;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_endpoint::listener::Incoming;
use hop_link::{ClientOptions, ClientStream, Keepalive, Parted, Target, WebSocket};
use std::time::Duration;

/// Servers of ours speak up every 25 s; others are asked. The other end always reads, so that silence means that it is
/// gone.
const ASK: Keepalive = Keepalive::Ask { after: Duration::from_secs(45), give_up: Duration::from_secs(120) };

/// Connects, and moves bytes until either side ends.
pub(crate) fn run(arguments: &Proxy) -> Result<(), CommandError> {
    let target = Target::parse(&arguments.url).or_fail(ErrorKind::Config)?;
    server::runtime()?.block_on(async {
        let mut token = token::find(arguments, &target).await?;
        if token.secret.is_some() && !target.is_secure() && !target.is_loopback() {
            output::warning(&format!("the token crosses the network in the clear to {}", target.host()));
        }
        let ca_file = arguments.ca_file.as_deref();
        let options = |token: &Token| {
            web::options(token.secret.clone(), target.is_secure(), ca_file, arguments.connect_timeout)
        };
        // Looked at first, so that a person who tries the command by hand is not connected for nothing.
        let (local, _) = Incoming::Stdio.register().map_err(|error| {
            CommandError::new(ErrorKind::Config, error)
                .hint("this is for ssh: write it behind ProxyCommand in ~/.ssh/config")
        })?;
        let socket = match connect(&target, &options(&token)?, &token, arguments).await {
            Err(Failed { is_token: true, error }) => {
                token.ask_again(&error).await?.ok_or(error)?;
                connect(&target, &options(&token)?, &token, arguments).await.map_err(|failed| failed.error)?
            }
            other => other.map_err(|failed| failed.error)?,
        };
        token.note_use().await;
        let mut socket: WebSocket<_> = socket.keep_alive(ASK);
        let Parted { end, traffic } =
            hop_link::join(local, &mut socket).await.or_fail(ErrorKind::Unavailable)?;
        end.map_or(Ok(()), |end| explain::ended(&target, &end, traffic))
    })
}

/// Why there is no connection, and whether another token would help.
struct Failed {
    is_token: bool,
    error: CommandError,
}

/// The WebSocket; the server is started for it if that was asked for.
async fn connect(
    target: &Target,
    options: &ClientOptions,
    token: &Token,
    arguments: &Proxy,
) -> Result<WebSocket<ClientStream>, Failed> {
    let from = token.origin();
    match (hop_link::connect(target, options).await, HubServer::of(target)) {
        (Ok(socket), _) => Ok(socket),
        (Err(error), Some(server))
            if arguments.start
                && (explain::is_not_running(&error) || server.may_be_another(target, &error)) =>
        {
            let started = server.start(target, options, token, arguments.start_timeout).await;
            started.map_err(|error| Failed { is_token: error.code() == ErrorKind::Denied as u8, error })
        }
        (Err(error), _) => {
            let is_token = explain::is_token_refused(&error);
            Err(Failed { is_token, error: explain::refused(target, &error, &from) })
        }
    }
}
