//! What the serving commands share: the person's environment, host keys, the run until a signal.

use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_endpoint::account::{Account, AccountHints};
use hop_endpoint::clock::Clock;
use hop_endpoint::environment::SiteEnvironment;
use hop_endpoint::host_keys::LoadedHostKey;
use hop_endpoint::listener::{Listener, ListenerAddress};
use hop_endpoint::{Endpoint, EndpointConfig};
use hop_ssh::HostKey;
use serde::{Deserialize, Serialize};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the environment says about the account, for where passwd says nothing.
pub(crate) fn account_hints() -> AccountHints {
    let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    AccountHints {
        name: text("USER"),
        home: text("HOME").map(PathBuf::from),
        shell: text("SHELL").map(PathBuf::from),
    }
}

/// The person's home directory as their shell knows it; the account's, where it does not say.
pub(crate) fn home_directory(account: &Account) -> PathBuf {
    account_hints().home.unwrap_or_else(|| account.home.clone())
}

/// What is about one login or one process, and not for others: never passed on.
const OUR_OWN: &[&str] = &["_", "OLDPWD", "PWD", "SHLVL", "TERM", "HOP_LOG"];

/// All of our own environment, for sessions that shall find what other programs of whoever started us find.
pub(crate) fn whole_environment() -> SiteEnvironment {
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let own = OUR_OWN.contains(&name.as_str()) || name.starts_with("SSH_");
        (!own).then(|| (name, value.into_vec()))
    });
    SiteEnvironment { variables: variables.collect(), ..site_environment() }
}

/// What sessions get of our own environment.
pub(crate) fn site_environment() -> SiteEnvironment {
    let bytes = |name: &str| std::env::var_os(name).map(OsStringExt::into_vec);
    // Programs read one or the other.
    let proxies = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
    SiteEnvironment {
        path: bytes("PATH"),
        time_zone: bytes("TZ"),
        lang: bytes("LANG"),
        variables: proxies.into_iter().filter_map(|name| Some((name.to_owned(), bytes(name)?))).collect(),
    }
}

/// A configuration with everything that comes from this process rather than from the command line.
pub(crate) fn config(
    account: Account,
    ssh: hop_ssh::ServerConfig,
    access: hop_endpoint::access::Access,
) -> EndpointConfig {
    let own_xauthority = match std::env::var_os("XAUTHORITY") {
        Some(path) => Some(PathBuf::from(path)),
        None => Some(account.home.join(".Xauthority")),
    };
    EndpointConfig {
        account,
        ssh: ssh.into(),
        access,
        site: site_environment(),
        gateway_ports: hop_endpoint::forward::GatewayPorts::Loopback,
        temporary: std::env::temp_dir(),
        own_xauthority,
        limits: hop_endpoint::limits::Limits::default(),
        clock: Clock::system(),
        activity: hop_endpoint::limits::ChannelActivity::default(),
    }
}

/// Makes host keys ready for the engine.
pub(crate) fn host_keys(loaded: Vec<LoadedHostKey>) -> Vec<HostKey> {
    loaded
        .into_iter()
        .map(|key| match key.certificate {
            Some(certificate) => HostKey::with_certificate(key.private, certificate),
            None => HostKey::new(key.private),
        })
        .collect()
}

/// A host key as it is announced.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AnnouncedKey {
    /// As in "ssh-ed25519".
    pub(crate) algorithm: String,
    /// As in "SHA256:…".
    pub(crate) fingerprint: String,
}

/// The keys to compare at the first connection.
pub(crate) fn announced(keys: &[LoadedHostKey]) -> Vec<AnnouncedKey> {
    keys.iter()
        .map(|key| AnnouncedKey {
            algorithm: key.private.public().algorithm().name().to_owned(),
            fingerprint: key.fingerprint().to_string(),
        })
        .collect()
}

/// Where a listener is, as text.
pub(crate) fn place(listener: &Listener) -> Result<String, CommandError> {
    let place = match listener.address().or_fail(ErrorKind::Unavailable)? {
        ListenerAddress::Tcp(address) => address.to_string(),
        ListenerAddress::Unix(path) => format!("unix:{}", path.display()),
        ListenerAddress::Inherited => "inherited".to_owned(),
    };
    Ok(match listener.websocket_path() {
        None => place,
        Some(path) if place.starts_with("unix:") => format!("{place} (WebSocket at {path})"),
        Some(path) => format!("ws://{place}{path}"),
    })
}

/// Logs to standard error at this level, unless `HOP_LOG` says otherwise.
pub(crate) fn log_to_stderr(level: &str) {
    let filter = std::env::var("HOP_LOG").unwrap_or_else(|_| level.to_owned());
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr())
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .init();
}

/// A runtime for the accepting thread.
pub(crate) fn runtime() -> Result<Runtime, CommandError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().or_fail(ErrorKind::Internal)
}

/// The signals that end a server. Made before it announces itself, so that whoever reads the announcement
/// can already stop it in peace.
pub(crate) struct Signals {
    pub(crate) terminate: Signal,
    pub(crate) interrupt: Signal,
}

impl Signals {
    /// Starts to catch them. Needs a runtime.
    pub(crate) fn catch() -> Result<Self, CommandError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).or_fail(ErrorKind::Internal)?,
            interrupt: signal(SignalKind::interrupt()).or_fail(ErrorKind::Internal)?,
        })
    }
}

/// Serves until SIGTERM or SIGINT: then no new connections, and sessions may end by themselves for a while;
/// a second signal cuts them, and so does the end of `attended`.
pub(crate) async fn serve_until_signal(
    endpoint: Endpoint,
    listeners: Vec<Listener>,
    signals: Signals,
    attended: impl Future<Output = ()>,
) -> Result<(), CommandError> {
    let Signals { mut terminate, mut interrupt } = signals;
    let stop = CancellationToken::new();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut serving = std::pin::pin!(endpoint.serve(listeners, threads, stop.clone()));
    let mut attended = std::pin::pin!(attended);
    tokio::select! {
        result = &mut serving => return result.or_fail(ErrorKind::Unavailable),
        () = &mut attended => {
            endpoint.cut();
            return serving.await.or_fail(ErrorKind::Unavailable);
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
    output::note("stopping: open sessions may finish; once more to cut them");
    tokio::select! {
        result = &mut serving => return result.or_fail(ErrorKind::Unavailable),
        () = &mut attended => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    endpoint.cut();
    serving.await.or_fail(ErrorKind::Unavailable)
}
