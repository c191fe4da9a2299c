//! `hop endpoint`: the SSH server of one environment.

mod framed;

use super::server;
use crate::cli::{self, WebSocketPlace};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_endpoint::Endpoint;
use hop_endpoint::access::Access;
use hop_endpoint::account::Account;
use hop_endpoint::forward::GatewayPorts;
use hop_endpoint::host_keys::{self, LoadedHostKey};
use hop_endpoint::limits::{ChannelActivity, Limits};
use hop_endpoint::listener::{Incoming, Listener, ListenerAddress};
use hop_ssh::{RekeyLimits, ServerConfig};
use rustix::process::DumpableBehavior;
use serde::Serialize;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// When what a client's websocat holds back is pushed on: soon enough to be no more than a pause.
const PUSH: Duration = Duration::from_secs(1);

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Announcement {
    listen: Vec<String>,
    host_keys: Vec<server::AnnouncedKey>,
}

/// Runs the endpoint until a signal, or to the end of its one connection.
pub(crate) fn run(arguments: &cli::Endpoint) -> Result<(), CommandError> {
    if arguments.site {
        return serve_site(arguments);
    }
    let is_silent =
        arguments.listen.is_empty() && arguments.unix.is_empty() && arguments.websocket.is_empty();
    if is_silent && !arguments.stdio {
        return Err(CommandError::new(ErrorKind::Config, "nothing to listen on was given")
            .hint("--listen 127.0.0.1:2222, --unix PATH, --websocket 127.0.0.1:8022 or --stdio"));
    }
    if arguments.authorized_keys.is_empty() && arguments.trusted_user_ca.is_empty() {
        return Err(CommandError::new(
            ErrorKind::Config,
            "nobody could log in: no keys and no CA were given",
        )
        .hint("--authorized-keys ~/.ssh/authorized_keys or --trusted-user-ca FILE"));
    }
    server::log_to_stderr("info");
    let mut account = Account::current(&server::account_hints());
    if arguments.inherit_env {
        account = account.with(&server::account_hints());
    }
    let access = access(arguments, &account)?;
    let keys = load_host_keys(arguments, &account)?;
    let announced = server::announced(&keys);
    for key in keys.iter().filter(|key| key.new) {
        output::note(&format!("made host key {}: {}", key.path.display(), key.fingerprint()));
    }
    let mut ssh = ServerConfig::new(server::host_keys(keys));
    ssh.rekey = RekeyLimits { bytes: arguments.rekey_bytes, ..RekeyLimits::default() };
    ssh.algorithms = arguments.algorithms.algorithms();
    let mut config = server::config(account, ssh, access);
    config.limits = limits(arguments);
    if arguments.inherit_env {
        config.site = server::whole_environment();
    }
    config.gateway_ports = match arguments.gateway_ports {
        cli::GatewayPorts::No => GatewayPorts::Loopback,
        cli::GatewayPorts::Clientspecified => GatewayPorts::AsAsked,
        cli::GatewayPorts::Yes => GatewayPorts::Everywhere,
    };
    let activity = config.activity.clone();
    let endpoint = Endpoint::new(config);
    server::runtime()?.block_on(async {
        if arguments.framed {
            return framed::serve(&endpoint).await;
        }
        if arguments.stdio {
            endpoint.serve_one(Incoming::Stdio, CancellationToken::new()).await;
            return Ok(());
        }
        let signals = server::Signals::catch()?;
        let listeners = listen(arguments)?;
        announce(arguments, &listeners, announced)?;
        let is_attended = arguments.attended;
        let attended = async move {
            match is_attended {
                true => attend(activity).await,
                false => std::future::pending().await,
            }
        };
        server::serve_until_signal(endpoint, listeners, signals, attended).await
    })
}

/// How often channel data is told of.
const TELL: Duration = Duration::from_secs(5);

/// Tells whoever started this process of channel data, until it is gone.
async fn attend(activity: ChannelActivity) {
    let telling = async {
        let mut told = activity.mark();
        loop {
            tokio::time::sleep(TELL).await;
            let mark = activity.mark();
            if mark != told {
                told = mark;
                if !output::is_heard(&ActivityReport { activity: mark }) {
                    return;
                }
            }
        }
    };
    // A thread of its own: the runtime would wait for one of its own that reads, and stop only with whoever attends.
    let (gone, is_gone) = tokio::sync::oneshot::channel();
    let listening = std::thread::Builder::new().name("hop-attended".into()).spawn(move || {
        // Also by an error: nobody is there.
        let _ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _told = gone.send(());
    });
    if let Err(error) = listening {
        tracing::error!(%error, "cannot listen for the end of whoever attends");
        return;
    }
    tokio::select! {
        () = telling => {}
        _gone = is_gone => {}
    }
}

/// A line for whoever attends.
#[derive(Debug, Serialize)]
struct ActivityReport {
    activity: u64,
}

/// Serves a gateway that started this process. There are no keys here: the gateway's word is the login.
fn serve_site(arguments: &cli::Endpoint) -> Result<(), CommandError> {
    server::log_to_stderr("info");
    // Others of the same user (the tenant's own processes) must not look into this one.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).or_fail(ErrorKind::Internal)?;
    let account = Account::current(&server::account_hints());
    let mut config = server::config(account, ServerConfig::new(Vec::new()), Access::default());
    config.limits = limits(arguments);
    let endpoint = Endpoint::new(config);
    server::runtime()?.block_on(async {
        let signals = server::Signals::catch()?;
        let socket = std::io::stdin().as_fd().try_clone_to_owned().or_fail(ErrorKind::Config)?;
        let listener = Listener::inherited(UnixListener::from(socket)).or_fail(ErrorKind::Config)?;
        server::serve_until_signal(endpoint, vec![listener], signals, std::future::pending()).await
    })
}

fn access(arguments: &cli::Endpoint, account: &Account) -> Result<Access, CommandError> {
    let access = Access {
        users: match arguments.user.is_empty() {
            true => vec![account.name.clone()],
            false => arguments.user.clone(),
        },
        authorized_keys: arguments.authorized_keys.clone(),
        trusted_user_cas: arguments.trusted_user_ca.clone(),
        revoked_keys: arguments.revoked_keys.clone(),
    };
    for complaint in access.check().or_fail(ErrorKind::Config)? {
        output::warning(&complaint);
    }
    Ok(access)
}

fn load_host_keys(arguments: &cli::Endpoint, account: &Account) -> Result<Vec<LoadedHostKey>, CommandError> {
    if !arguments.host_key.is_empty() {
        return host_keys::load(&arguments.host_key).or_fail(ErrorKind::Config);
    }
    let directory = match &arguments.host_key_dir {
        Some(directory) => directory.clone(),
        None => server::home_directory(account).join(".local/share/hop/host-keys"),
    };
    host_keys::keep(&directory).or_fail(ErrorKind::Config)
}

fn limits(arguments: &cli::Endpoint) -> Limits {
    Limits {
        login_grace: arguments.login_grace_time,
        login_attempts: arguments.max_auth_tries,
        unauthenticated: arguments.max_startups,
        sessions: arguments.max_sessions,
        idle: arguments.idle_time,
        // The answers would count as use at a JupyterHub's proxy. What attends finds out when clients are gone.
        keepalive: if arguments.attended { None } else { Limits::default().keepalive },
        // Whoever comes by a WebSocket may come by websocat, which can keep the last bytes of a session to itself.
        push: (arguments.attended || !arguments.websocket.is_empty()).then_some(PUSH),
        ..Limits::default()
    }
}

fn listen(arguments: &cli::Endpoint) -> Result<Vec<Listener>, CommandError> {
    let mut listeners = Vec::new();
    for address in &arguments.listen {
        listeners.push(Listener::tcp(*address).or_fail(ErrorKind::Unavailable)?);
    }
    if let Some(path) = &arguments.hand_over {
        listeners.push(Listener::hand_over(path).or_fail(ErrorKind::Unavailable)?);
    }
    for path in &arguments.unix {
        listeners.push(Listener::unix(path).or_fail(ErrorKind::Unavailable)?);
    }
    for place in &arguments.websocket {
        let listener = match place {
            WebSocketPlace::Tcp(address) => Listener::tcp(*address),
            WebSocketPlace::Unix(path) => Listener::unix(path),
        };
        listeners.push(listener.or_fail(ErrorKind::Unavailable)?.websocket(&arguments.path));
    }
    Ok(listeners)
}

fn announce(
    arguments: &cli::Endpoint,
    listeners: &[Listener],
    host_keys: Vec<server::AnnouncedKey>,
) -> Result<(), CommandError> {
    let mut listen = Vec::new();
    for listener in listeners {
        listen.push(server::place(listener)?);
        if let Ok(ListenerAddress::Tcp(address)) = listener.address()
            && !address.ip().is_loopback()
        {
            output::warning(&format!(
                "{address} is reached from other machines, and -L reaches whatever this machine's network does"
            ));
        }
    }
    if arguments.json {
        return output::json(&Announcement { listen, host_keys });
    }
    for place in &listen {
        output::line(&format!("listening on {place}"));
    }
    for key in &host_keys {
        output::line(&format!("host key {} {}", key.algorithm, key.fingerprint));
    }
    Ok(())
}
