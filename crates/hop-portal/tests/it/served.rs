//! A portal on a port of its own, with environments that only say what they are.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hop_portal::operations::{Caller, KeyUrls, Resolve, Rules};
use hop_portal::{
    Answer, Cidr, Limits, Portal, PortalConfig, PublicNames, RunState, RunningError, RunningProjects, Tls,
};
use hop_store::{AccountId, Project, ProjectId, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_util::sync::CancellationToken;

use crate::site::{Site, new_key, operator};
use crate::visit::Visit;

/// A site with pages. Dropped, it stops.
pub(crate) struct Served {
    pub(crate) site: Site,
    pub(crate) address: SocketAddr,
    pub(crate) names: PublicNames,
    pub(crate) environments: Arc<Environments>,
    stop: CancellationToken,
}

/// How a portal is set up for a test.
pub(crate) struct Setup {
    pub(crate) rules: Rules,
    pub(crate) limits: Limits,
    pub(crate) behind_proxy: Vec<Cidr>,
    pub(crate) tls: Option<Tls>,
    /// The public URL; `None`: the listener's own address.
    pub(crate) url: Option<String>,
    pub(crate) key_urls: Option<KeyUrls>,
}

impl Default for Setup {
    fn default() -> Self {
        let (rules, limits) = (Rules::default(), Limits::default());
        Self { rules, limits, behind_proxy: Vec::new(), tls: None, url: None, key_urls: None }
    }
}

impl Served {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let site = Site::with_rules(setup.rules).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = setup.url.unwrap_or_else(|| format!("http://{address}"));
        let line = hop_keys::known_hosts_line("gateway.example.org", 2222, &new_key()).unwrap();
        let names = PublicNames::parse(&url, "gateway.example.org", 2222, vec![line]).unwrap();
        let environments = Arc::new(Environments::default());
        let portal = Portal::new(PortalConfig {
            operations: site.operations.clone(),
            environments: environments.clone(),
            key_urls: setup.key_urls,
            names: names.clone(),
            limits: setup.limits,
            behind_proxy: setup.behind_proxy,
            tls: setup.tls,
            ssh: None,
        });
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        tokio::spawn(async move { portal.serve(listener, stopping).await.unwrap() });
        Self { site, address, names, environments, stop }
    }

    /// A browser without a session.
    pub(crate) fn visit(&self) -> Visit {
        let host = self.names.origin().split_once("//").unwrap().1;
        Visit::new(self.address, host)
    }

    /// A browser in which an account has signed in, by a link.
    pub(crate) async fn signed_in(&self, account: AccountId) -> Visit {
        let hour = Duration::from_secs(3_600);
        let link = self.site.operations.make_sign_in_link(&operator(), account, hour).await.unwrap();
        let mut visit = self.visit();
        let path = format!("/sign-in/{}", link.token.expose_secret());
        let answer = visit.post(&path, &[]).await;
        assert_eq!((answer.status, answer.location()), (303, "/projects"));
        visit
    }

    /// An account with a browser in which it is signed in.
    pub(crate) async fn person(&self, name: &str) -> (AccountId, Caller, Visit) {
        let (id, caller) = self.site.account(name).await;
        let visit = self.signed_in(id).await;
        (id, caller, visit)
    }

    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A site on the network that answers every request over TLS with a text, and what reads keys from it: every name leads
/// there.
pub(crate) async fn keys_elsewhere(text: String) -> KeyUrls {
    let made = rcgen::generate_simple_self_signed(vec!["keys.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4_096]).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
            let _ = stream.write_all((head + &text).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let resolve: Resolve = Arc::new(move |_, _| Box::pin(async move { Ok(vec![address]) }));
    KeyUrls::new(vec![made.cert.der().to_vec()], resolve, |_| true).unwrap()
}

/// Environments that start at once.
#[derive(Default)]
pub(crate) struct Environments {
    running: Mutex<HashMap<ProjectId, Timestamp>>,
    pub(crate) broken: Mutex<Option<RunningError>>,
}

impl RunningProjects for Environments {
    fn state(&self, project: ProjectId) -> Answer<'_, RunState> {
        let since = self.running.lock().unwrap().get(&project).copied();
        let state = since.map_or(RunState::Stopped, |since| RunState::Running { since });
        Box::pin(async move { self.answer(state) })
    }

    fn start(&self, project: Project) -> Answer<'_, ()> {
        self.running.lock().unwrap().insert(project.id, Timestamp::from_seconds(1_800_000_000));
        Box::pin(async move { self.answer(()) })
    }

    fn stop(&self, project: ProjectId) -> Answer<'_, ()> {
        self.running.lock().unwrap().remove(&project);
        Box::pin(async move { self.answer(()) })
    }
}

impl Environments {
    fn answer<T>(&self, value: T) -> Result<T, RunningError> {
        match self.broken.lock().unwrap().clone() {
            Some(error) => Err(error),
            None => Ok(value),
        }
    }
}
