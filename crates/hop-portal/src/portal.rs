//! The portal as a whole: its settings, its routes, its listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::names::PublicNames;
use crate::operations::{KeyUrls, Operations};
use crate::pages;
use crate::running::RunningProjects;
use crate::ssh::SshDoor;
use crate::web::{self, Attempts, Cidr, ExposedError, SessionCookie, Tls};

/// How much strangers may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; more wait in the listener's backlog.
    pub connections: usize,
    /// Connections of one address; more are closed.
    pub connections_per_address: usize,
    /// Wrong passwords of one address (IPv6: /64) at once.
    pub wrong_passwords: u32,
    /// After this, one more wrong password is forgiven.
    pub wrong_password_regain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_address: 64,
            wrong_passwords: 10,
            wrong_password_regain: Duration::from_secs(60),
        }
    }
}

/// What a portal is told. The clock and chance are those of `operations`.
#[derive(Clone)]
pub struct PortalConfig {
    /// Every change that pages make, and the store to read from.
    pub operations: Operations,
    /// Where projects run.
    pub environments: Arc<dyn RunningProjects>,
    /// How keys are read from URLs; `None`: they are not.
    pub key_urls: Option<KeyUrls>,
    /// What the site is called from outside.
    pub names: PublicNames,
    /// How much strangers may cost.
    pub limits: Limits,
    /// The proxies that do TLS in front of the portal; their `X-Forwarded-For` counts.
    pub behind_proxy: Vec<Cidr>,
    /// The portal's own TLS.
    pub tls: Option<Tls>,
    /// Who takes SSH in WebSockets at `/ssh/PROJECT`; `None`: nobody.
    pub ssh: Option<Arc<dyn SshDoor>>,
}

/// Why a portal does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// In the clear on a network.
    #[error(transparent)]
    Exposed(#[from] ExposedError),
    /// The listener has no address.
    #[error("the portal's listener cannot be used")]
    Listener(#[source] std::io::Error),
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) operations: Operations,
    pub(crate) environments: Arc<dyn RunningProjects>,
    pub(crate) key_urls: Option<KeyUrls>,
    pub(crate) names: PublicNames,
    pub(crate) limits: Limits,
    pub(crate) proxies: Vec<Cidr>,
    pub(crate) tls: Option<Tls>,
    pub(crate) ssh: Option<Arc<dyn SshDoor>>,
    pub(crate) cookie: SessionCookie,
    pub(crate) attempts: Attempts,
}

/// The web pages of a site.
#[derive(Clone)]
pub struct Portal {
    shared: Arc<Shared>,
}

impl Portal {
    /// A portal with these settings.
    pub fn new(config: PortalConfig) -> Self {
        let PortalConfig { operations, environments, key_urls, names, limits, behind_proxy, tls, ssh } =
            config;
        let cookie = SessionCookie::new(names.is_https());
        let attempts = Attempts::new(limits.wrong_passwords, limits.wrong_password_regain);
        let proxies = behind_proxy;
        let shared =
            Shared { operations, environments, key_urls, names, limits, proxies, tls, ssh, cookie, attempts };
        Self { shared: Arc::new(shared) }
    }

    /// Whether pages may be served on an address: beyond loopback only with TLS, the portal's own or a proxy's. For who
    /// binds the listener; [`Portal::serve`] looks again.
    pub fn check_address(&self, address: SocketAddr) -> Result<(), ExposedError> {
        web::check_exposure(address, self.shared.tls.is_some(), &self.shared.proxies)
    }

    /// Answers requests until `stop` is cancelled; then those under way end, for five seconds at most.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) -> Result<(), ServeError> {
        self.check_address(listener.local_addr().map_err(ServeError::Listener)?)?;
        let router = pages::router(self.shared.clone());
        web::serve(listener, router, self.shared.clone(), stop).await;
        Ok(())
    }
}

impl std::fmt::Debug for Portal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Portal").field("names", &self.shared.names).finish_non_exhaustive()
    }
}
