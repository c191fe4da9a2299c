//! The keeper's process: holds the projects' environments for the site.

use super::leash::{Leash, Orders, Report};
use super::role::{Unready, unix_listener, until_let_go};
use super::settings::{Network, Shown};
use crate::error::{CommandError, ErrorKind, OrFail};
use hop_env::{Isolation, Keeper, KeeperSettings, Limits, RunAs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

/// Serves until the supervisor lets go; then all environments stop.
pub(crate) async fn run(orders: Orders, descriptors: Vec<OwnedFd>, leash: Leash) -> Result<(), Unready> {
    let (keeper, listener) = match prepare(&orders, descriptors).await {
        Ok(ready) => ready,
        Err(error) => return Err(Unready { error, leash: Some(leash) }),
    };
    leash.report(&Report::Ready(serde_json::Value::Null));
    let heard = [orders.users.site(), 0];
    let served = keeper.serve(listener, &heard, until_let_go(leash)).await;
    served.or_fail(ErrorKind::Internal).map_err(|error| Unready { error, leash: None })
}

async fn prepare(orders: &Orders, descriptors: Vec<OwnedFd>) -> Result<(Keeper, UnixListener), CommandError> {
    let listener = unix_listener(orders, descriptors)?;
    let uids = orders.users.projects().map(|range| range.start..=range.end.saturating_sub(1));
    let tried = match &uids {
        Some(range) => RunAs { uid: *range.start(), gid: *range.start() },
        None => RunAs { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() },
    };
    let asked = &orders.settings.projects;
    let isolation = match asked.sandbox {
        true => Isolation::detect_or_build(tried, &orders.program).await.or_fail(ErrorKind::Config)?,
        false => Isolation::Unsandboxed,
    };
    let data = &orders.settings.data;
    let settings = KeeperSettings {
        uids,
        network: match asked.network {
            Network::None => hop_env::Network::None,
            Network::Proxy => hop_env::Network::Proxy { socket: data.join("site-run/proxy.sock") },
            Network::Host => hop_env::Network::Host,
        },
        shown: asked
            .shown
            .iter()
            .map(|Shown { path, writable }| hop_env::Shown { path: path.clone(), writable: *writable })
            .collect(),
        limits: Limits {
            processes: asked.processes,
            memory: asked.memory,
            temporary: asked.temporary,
            ..Limits::default()
        },
        idle_stop: Some(asked.stop_after),
        start_timeout: orders.settings.sessions.start_timeout,
        gateway_host_keys: orders.gateway_host_keys.clone(),
        ..KeeperSettings::new(isolation, orders.program.clone(), data.join("projects"), data.join("keeper"))
    };
    Ok((Keeper::new(settings).or_fail(ErrorKind::Config)?, listener))
}
