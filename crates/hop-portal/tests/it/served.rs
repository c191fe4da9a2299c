//! A portal on a port of its own, with environments that only say what they are.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hop_portal::operations::{Caller, Rules};
use hop_portal::{
    Answer, Cidr, Limits, Portal, PortalConfig, PublicNames, RunState, RunningError, RunningProjects, Tls,
};
use hop_store::{AccountId, Project, ProjectId, Timestamp};
use tokio::net::TcpListener;
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
}

impl Default for Setup {
    fn default() -> Self {
        let (rules, limits) = (Rules::default(), Limits::default());
        Self { rules, limits, behind_proxy: Vec::new(), tls: None, url: None }
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
            key_urls: None,
            names: names.clone(),
            limits: setup.limits,
            behind_proxy: setup.behind_proxy,
            tls: setup.tls,
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
