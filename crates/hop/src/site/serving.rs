//! The site's process: gateway, pages, records.

use super::announcement::SiteReady;
use super::first_start;
use super::leash::{Leash, Orders, Report};
use super::names::PublicNames;
use super::records;
use super::role::{Unready, until_let_go};
use crate::command::server;
use crate::error::{CommandError, ErrorKind, OrFail};
use hop_ca::SignerClient;
use hop_env::Environments;
use hop_gateway::{Clock, Gateway, GatewayConfig, Limits, UserCa};
use hop_keys::PublicKey;
use hop_ssh::ServerConfig;
use hop_store::{Actor, GatewayId, Preparation, Store, StoreError};
use std::net::TcpListener as StdTcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How often what is over is cleared away, and keys whose end has come are told to the gateways.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Everything that serves.
struct Site {
    store: Store,
    gateway: Gateway,
    ssh: TcpListener,
    #[expect(dead_code, reason = "the pages come with the portal")]
    http: TcpListener,
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
    let store = site.store.clone();
    let housekeeping = tokio::spawn(keep_house(store.clone()));
    let served = site.gateway.serve(vec![site.ssh], stop).await;
    housekeeping.abort();
    store.close().await;
    served.or_fail(ErrorKind::Unavailable).map_err(|error| Unready { error, leash: None })
}

async fn prepare(orders: &Orders, descriptors: Vec<OwnedFd>) -> Result<(Site, SiteReady), CommandError> {
    let settings = &orders.settings;
    let [ssh, http] = listeners(descriptors)?;
    let (ssh_address, http_address) = (
        ssh.local_addr().or_fail(ErrorKind::Unavailable)?,
        http.local_addr().or_fail(ErrorKind::Unavailable)?,
    );
    let names = PublicNames::new(settings, ssh_address, http_address);
    let keys =
        hop_endpoint::host_keys::keep(&settings.data.join("site/host-keys")).or_fail(ErrorKind::Config)?;
    let host_keys = server::announced(&keys);
    let host_key_lines = keys.iter().map(|key| key.private.public().to_line("").trim().to_owned()).collect();

    let store = records::open(settings, Preparation::CreateOrMigrate).await?;
    let operations = records::operations(store.clone());
    let first = first_start::prepare(&operations, &names, &orders.offered_keys).await?;

    let now = records::now();
    let id = GatewayId::new(now, records::random());
    let signer = SignerClient::at(&settings.data.join("run/signer.sock"));
    let user_ca = signer.public_keys().await.or_fail(ErrorKind::Unavailable)?.user_ca;
    let (user_ca, _) = PublicKey::parse_line(&user_ca).or_fail(ErrorKind::Internal)?;
    let gateway = Gateway::new(GatewayConfig {
        ssh: Arc::new(ServerConfig::new(server::host_keys(keys))),
        store: store.clone(),
        environments: Environments::at(settings.data.join("run/keeper.sock")),
        user_ca: UserCa { keys: vec![user_ca], ..UserCa::default() },
        clock: Clock::new(records::now),
        random: Arc::new(records::random),
        gateway: id,
        project_doors: true,
        // A file has one gateway; a database may have others.
        alone: settings.store.is_none(),
        limits: Limits {
            start_timeout: settings.sessions.start_timeout,
            max_idle: Some(settings.sessions.max_idle),
            revocation_grace: settings.sessions.revocation_grace,
            ..Limits::default()
        },
    });
    let ready = SiteReady {
        ssh: ssh_address,
        url: names.url,
        sign_in: first.sign_in,
        project: first.project,
        host_keys,
        host_key_lines,
        complaints: first.complaints,
    };
    Ok((Site { store, gateway, ssh, http }, ready))
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
