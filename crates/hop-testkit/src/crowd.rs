//! Many clients in one process: they log in a few at a time and stay. Each is a task on our own engine that answers what
//! the server asks of an idle client, and holds no buffer.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use hop_keys::{Identity, load_private_key};
use hop_ssh::ClientConfig;
use hop_ssh::connection::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;

use crate::client::{Client, LoginError};

/// Who comes, and how.
#[derive(Debug, Clone, Copy)]
pub struct CrowdPlan<'a> {
    /// Where to.
    pub address: SocketAddr,
    /// As whom, in turn.
    pub users: &'a [String],
    /// With which key.
    pub key: &'a Path,
    /// How many in all.
    pub count: usize,
    /// How many log in at a time.
    pub at_once: usize,
}

/// Clients that are logged in. They leave when this is dropped.
pub struct Crowd {
    clients: Vec<Client>,
}

impl Crowd {
    /// Logs all in.
    ///
    /// # Errors
    /// The first that does not get in; the others leave.
    pub async fn gather(plan: CrowdPlan<'_>) -> Result<Self, LoginError> {
        let key = Arc::new(load_private_key(plan.key, None)?);
        // A descriptor for each; the usual soft limit is 1024.
        let limit = getrlimit(Resource::Nofile);
        // Where it is refused, a client that cannot connect says so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
        let users: Vec<Arc<str>> = plan.users.iter().map(|user| user.as_str().into()).collect();
        let mut next = users.iter().cycle().take(plan.count);
        let (mut arriving, mut clients) = (JoinSet::new(), Vec::with_capacity(plan.count));
        loop {
            while arriving.len() < plan.at_once.max(1) {
                let Some(user) = next.next() else { break };
                let (user, key) = (user.clone(), key.clone());
                arriving.spawn(async move {
                    let config = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
                    Client::log_in_by(plan.address, &user, key, Limits::default(), config).await
                });
            }
            match arriving.join_next().await {
                Some(Ok(client)) => clients.push(client?),
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                None => return Ok(Self { clients }),
            }
        }
    }

    /// How many are still connected.
    pub fn connected(&self) -> usize {
        self.clients.iter().filter(|client| client.is_open()).count()
    }
}
