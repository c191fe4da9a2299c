//! `hop proxy`: ssh's ProxyCommand through a WebSocket.
//!
//! What must stay true: standard output carries SSH and nothing else; the token is never an argument and never shown.

pub(crate) mod explain;
mod hub;
pub(crate) mod terminal;
pub(crate) mod token;

use self::hub::HubServer;
use self::token::Token;
use super::{server, web};
use crate::cli::proxy::Proxy;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_endpoint::listener::Incoming;
use hop_link::{ClientOptions, ConnectError, Keepalive, Parted, Target, WebSocket};
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
        if arguments.through_terminal {
            let open = async |options: &ClientOptions| terminal::open(&target, options).await;
            let (opened, options) = connect(&target, &options, &mut token, arguments, open).await?;
            return terminal::carry(local, opened, &options, &arguments.program).await;
        }
        let open = async |options: &ClientOptions| hop_link::connect(&target, options).await;
        let (socket, _) = connect(&target, &options, &mut token, arguments, open).await?;
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

/// What `open` opens, with a token that a person gives anew if need be, and the options that did it.
async fn connect<T>(
    target: &Target,
    options: &impl Fn(&Token) -> Result<ClientOptions, CommandError>,
    token: &mut Token,
    arguments: &Proxy,
    open: impl AsyncFn(&ClientOptions) -> Result<T, ConnectError>,
) -> Result<(T, ClientOptions), CommandError> {
    let mut given = options(token)?;
    let opened = match open_or_start(target, &given, token, arguments, &open).await {
        Err(Failed { is_token: true, error }) => {
            token.ask_again(&error).await?.ok_or(error)?;
            given = options(token)?;
            open_or_start(target, &given, token, arguments, &open).await
        }
        other => other,
    };
    let opened = opened.map_err(|failed| failed.error)?;
    token.note_use().await;
    Ok((opened, given))
}

/// The server is started for it if that was asked for.
async fn open_or_start<T>(
    target: &Target,
    options: &ClientOptions,
    token: &Token,
    arguments: &Proxy,
    open: &impl AsyncFn(&ClientOptions) -> Result<T, ConnectError>,
) -> Result<T, Failed> {
    let from = token.origin();
    match (open(options).await, HubServer::of(target)) {
        (Ok(opened), _) => Ok(opened),
        (Err(error), Some(server))
            if arguments.start
                && (explain::is_not_running(&error) || server.may_be_another(target, &error)) =>
        {
            let started = server
                .start(target, options, token, arguments.start_timeout, async || open(options).await)
                .await;
            started.map_err(|error| Failed { is_token: error.code() == ErrorKind::Denied as u8, error })
        }
        (Err(error), _) => {
            let is_token = explain::is_token_refused(&error);
            Err(Failed { is_token, error: explain::refused(target, &error, &from) })
        }
    }
}
