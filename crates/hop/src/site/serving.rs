//! The site's process: gateway, pages, records.

use super::announcement::SiteReady;
use super::certificate_files::CertificateFiles;
use super::first_start;
use super::leash::{Leash, Orders, Report};
use super::names;
use super::records;
use super::role::{Unready, until_let_go};
use super::running::Kept;
use super::settings::{Network, Settings};
use super::web_door::WebDoor;
use crate::command::server;
use crate::error::{CommandError, ErrorKind, OrFail};
use hop_ca::{SignerClient, SignerError};
use hop_env::Environments;
use hop_env::socket::SocketAccess;
use hop_gateway::{Clock, EarlierRuns, Gateway, GatewayConfig, Limits, UserCa};
use hop_keys::{PublicKey, SourceAddresses};
use hop_portal::operations::{KeyUrls, Operations};
use hop_portal::{Cidr, Portal, PortalConfig, PublicNames, Tls};
use hop_ssh::ServerConfig;
use hop_store::{Actor, GatewayId, Preparation, Store, StoreError};
use std::net::TcpListener as StdTcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};

/// How often what is over is cleared away, and keys whose end has come are told to the gateways.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// How long the site waits for a signer at its start.
const SIGNER: Duration = Duration::from_secs(30);

/// Everything that serves.
struct Site {
    store: Store,
    gateway: Gateway,
    ssh: TcpListener,
    portal: Portal,
    http: TcpListener,
    certificate: Option<CertificateFiles>,
    proxy: Option<UnixListener>,
}

/// Serves until the supervisor lets go; then sessions end with a reason.
pub(crate) async fn run(orders: Orders, descriptors: Vec<OwnedFd>, leash: Leash) -> Result<(), Unready> {
    let (site, ready) = match prepare(&orders, descriptors).await {
        Ok(prepared) => prepared,
        Err(error) => return Err(Unready { error, leash: Some(leash) }),
    };
    let said = serde_json::to_value(&ready).or_fail(ErrorKind::Internal);
    leash.report(&Report::Ready(said.map_err(|error| Unready { error, leash: None })?));
    let stop = until_let_go(leash);
    let housekeeping = tokio::spawn(keep_house(site.store.clone()));
    // Ends with the process.
    site.certificate.map(|files| tokio::spawn(files.follow()));
    let proxy = async {
        if let Some(listener) = site.proxy {
            hop_env::proxy::serve(listener, stop.clone()).await;
        }
    };
    let gateway = async {
        let served = site.gateway.serve(vec![site.ssh], stop.clone()).await;
        // Without the gateway the pages would promise what is not there.
        stop.cancel();
        served.or_fail(ErrorKind::Unavailable)
    };
    let portal = async {
        let served = site.portal.serve(site.http, stop.clone()).await;
        stop.cancel();
        served.or_fail(ErrorKind::Unavailable)
    };
    let (gateway, portal, ()) = tokio::join!(gateway, portal, proxy);
    housekeeping.abort();
    site.store.close().await;
    gateway.and(portal).map_err(|error| Unready { error, leash: None })
}

async fn prepare(orders: &Orders, descriptors: Vec<OwnedFd>) -> Result<(Site, SiteReady), CommandError> {
    let settings = &orders.settings;
    let [ssh, http] = listeners(descriptors)?;
    let (ssh_address, http_address) = (
        ssh.local_addr().or_fail(ErrorKind::Unavailable)?,
        http.local_addr().or_fail(ErrorKind::Unavailable)?,
    );
    let keys =
        hop_endpoint::host_keys::keep(&settings.data.join("site/host-keys")).or_fail(ErrorKind::Config)?;
    let host_keys = server::announced(&keys);
    let host_key_lines: Vec<String> =
        keys.iter().map(|key| key.private.public().to_line("").trim().to_owned()).collect();
    let names = names::of(settings, ssh_address, http_address, &host_key_lines)?;

    let store = records::open(settings, Preparation::CreateOrMigrate).await?;
    let sandbox = settings.projects.sandbox;
    if !sandbox && store.accounts().count().await.or_fail(ErrorKind::Unavailable)? > 1 {
        return Err(CommandError::new(
            ErrorKind::Config,
            "this site has several accounts, and without a sandbox \
             everybody could read everything",
        )
        .hint("start it with a sandbox; or use another --data for yourself"));
    }
    let operations = records::operations(store.clone(), sandbox);
    let first = first_start::prepare(&operations, &names, &orders.offered_keys).await?;

    let now = records::now();
    let id = GatewayId::new(now, records::random());
    let signer = SignerClient::at(&settings.data.join("run/signer.sock"));
    let user_ca = ca_keys(&signer).await?.user_ca;
    let (user_ca, _) = PublicKey::parse_line(&user_ca).or_fail(ErrorKind::Internal)?;
    let environments = Environments::at(settings.data.join("run/keeper.sock"));
    let web_door = Arc::new(WebDoor::at(http_address));
    let certificate = settings.tls.as_ref().map(CertificateFiles::read).transpose()?;
    let tls = certificate.as_ref().map(CertificateFiles::tls);
    let portal = portal(settings, operations, environments.clone(), names.clone(), web_door.clone(), tls)?;
    portal.check_address(http_address).map_err(|error| {
        CommandError::new(ErrorKind::Config, error).hint(
            "[tls] certificate and key, or behind_proxy = [\"ADDRESS/BITS\"], in the settings of hop serve",
        )
    })?;
    let proxy = match settings.projects.network {
        Network::Proxy => Some(proxy_socket(settings)?),
        Network::None | Network::Host => None,
    };
    let mut server_config = ServerConfig::new(server::host_keys(keys));
    server_config.algorithms = settings.algorithms.algorithms();
    let gateway = Gateway::new(GatewayConfig {
        ssh: Arc::new(server_config),
        store: store.clone(),
        environments: environments.clone(),
        user_ca: UserCa { keys: vec![user_ca], ..UserCa::default() },
        clock: Clock::new(records::now),
        random: Arc::new(records::random),
        gateway: id,
        project_doors: true,
        // A file has one gateway; a database may have others.
        earlier: match settings.store {
            None => EarlierRuns::All,
            Some(_) => EarlierRuns::One(note_run(&settings.data, id)?),
        },
        proxies: balancers(settings)?,
        limits: Limits {
            start_timeout: settings.sessions.start_timeout,
            max_idle: Some(settings.sessions.max_idle),
            revocation_grace: settings.sessions.revocation_grace,
            ..Limits::default()
        },
    });
    web_door.lead_to(&gateway);
    let ready = SiteReady {
        ssh: ssh_address,
        url: names.origin().to_owned(),
        sign_in: first.sign_in,
        project: first.project,
        host_keys,
        host_key_lines,
        complaints: first.complaints,
    };
    Ok((Site { store, gateway, ssh, portal, http, certificate, proxy }, ready))
}

/// Asks the signer; one that is started by itself may be starting.
async fn ca_keys(signer: &SignerClient) -> Result<hop_ca::PublicKeys, CommandError> {
    let deadline = tokio::time::Instant::now() + SIGNER;
    loop {
        match signer.public_keys().await {
            Err(SignerError::Unreachable { .. }) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            asked => return asked.or_fail(ErrorKind::Unavailable),
        }
    }
}

/// Notes this run of the gateway in the data directory, which one site uses at a time; says which run is noted there.
fn note_run(data: &Path, run: GatewayId) -> Result<Option<GatewayId>, CommandError> {
    let path = data.join("site/gateway-run");
    let cannot = |what: &str, error: std::io::Error| {
        CommandError::new(ErrorKind::Config, format!("cannot {what} {}: {error}", path.display()))
    };
    let earlier = match std::fs::read_to_string(&path) {
        Ok(text) => GatewayId::parse(text.trim()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(cannot("read", error)),
    };
    std::fs::write(&path, format!("{run}\n")).map_err(|error| cannot("write", error))?;
    Ok(earlier)
}

/// The networks of load balancers in front of the gateway.
fn balancers(settings: &Settings) -> Result<Option<SourceAddresses>, CommandError> {
    let listed = &settings.proxy_protocol_from;
    if listed.is_empty() {
        return Ok(None);
    }
    SourceAddresses::parse(&listed.join(",")).map(Some).map_err(|error| {
        CommandError::new(ErrorKind::Config, format!("proxy_protocol_from: {error}")).hint(
            "addresses and networks, for example proxy_protocol_from = [\"192.0.2.10\", \"10.0.0.0/24\"]",
        )
    })
}

fn portal(
    settings: &Settings,
    operations: Operations,
    environments: Environments,
    names: PublicNames,
    ssh: Arc<WebDoor>,
    tls: Option<Tls>,
) -> Result<Portal, CommandError> {
    let behind_proxy: Result<Vec<Cidr>, _> =
        settings.behind_proxy.iter().map(|text| Cidr::parse(text)).collect();
    // Without the system's certificates keys are pasted; all else works.
    let key_urls = KeyUrls::of_machine()
        .inspect_err(|error| tracing::warn!(%error, "keys cannot be read from URLs"))
        .ok();
    Ok(Portal::new(PortalConfig {
        operations,
        environments: Arc::new(Kept(environments)),
        key_urls,
        names,
        limits: hop_portal::Limits::default(),
        behind_proxy: behind_proxy.or_fail(ErrorKind::Config)?,
        tls,
        ssh: Some(ssh),
    }))
}

/// Where projects reach the web. The keeper shows it inside; any project's user may connect.
fn proxy_socket(settings: &Settings) -> Result<UnixListener, CommandError> {
    let path = settings.data.join("site-run/proxy.sock");
    let bound = hop_env::socket::bind(&path, SocketAccess { mode: 0o666, owner: None });
    let bound = bound.and_then(|listener| {
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    });
    bound.map_err(|error| {
        CommandError::new(ErrorKind::Unavailable, format!("cannot make {}: {error}", path.display()))
    })
}

fn listeners(descriptors: Vec<OwnedFd>) -> Result<[TcpListener; 2], CommandError> {
    let given: Result<Vec<_>, _> =
        descriptors.into_iter().map(|one| TcpListener::from_std(StdTcpListener::from(one))).collect();
    let given = given.or_fail(ErrorKind::Internal)?;
    given
        .try_into()
        .map_err(|_| CommandError::new(ErrorKind::Internal, "the site wants listeners for SSH and the pages"))
}

/// Does again and again what nobody asks for.
async fn keep_house(store: Store) {
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        if let Err(error) = tidy(&store).await {
            tracing::warn!(%error, "the records cannot be tidied");
        }
    }
}

async fn tidy(store: &Store) -> Result<(), StoreError> {
    let mut change = store.change(Actor::site(), records::now()).await?;
    while change.keys().record_expired().await? > 0 {}
    change.sign_in_links().remove_expired().await?;
    change.web_sessions().remove_expired().await?;
    change.commit().await
}
