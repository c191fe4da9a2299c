//! The signer as a server: one request in each connection, from those it was told to hear.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::net::sockopt::socket_peercred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::Authority;
use crate::line;
use crate::request::{Answer, Request, UserRequest};
use crate::rules::Rules;

/// Requests at once; more wait in the socket's backlog.
const AT_ONCE: usize = 16;
/// A peer that connects and says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers requests with the CA keys.
#[derive(Debug, Clone)]
pub struct Signer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    authority: Authority,
    rules: Rules,
    /// The users whose processes are heard.
    heard: Vec<u32>,
}

impl Signer {
    /// A signer that hears processes of these users (uids).
    pub fn new(authority: Authority, rules: Rules, heard: Vec<u32>) -> Self {
        Self { inner: Arc::new(Inner { authority, rules, heard }) }
    }

    /// Serves until `stop` is cancelled; what was asked before is answered.
    pub async fn serve(&self, listener: UnixListener, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let accepting = async {
            loop {
                let Ok(place) = places.clone().acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let signer = self.clone();
                        tasks.spawn(async move {
                            let answered = tokio::time::timeout(PATIENCE, signer.answer(stream)).await;
                            if let Ok(Err(error)) = answered {
                                tracing::warn!(%error, "a request to the signer failed");
                            }
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "accepting failed");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = accepting => {}
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn answer(&self, mut stream: UnixStream) -> io::Result<()> {
        let peer = socket_peercred(&stream)?.uid.as_raw();
        if !self.inner.heard.contains(&peer) {
            tracing::warn!(peer, "a stranger asked the signer");
            return line::write(&mut stream, &Answer::Refused("this signer does not hear you".to_owned()))
                .await;
        }
        let Some(request) = line::read(&mut stream).await? else { return Ok(()) };
        let answer = match request {
            Request::PublicKeys => Answer::PublicKeys(self.inner.authority.public_keys()),
            Request::SignUser(request) => {
                match self.inner.rules.sign_user(&self.inner.authority, &request, now()) {
                    Ok(issued) => {
                        let UserRequest { person, serial, .. } = &request;
                        tracing::info!(%person, serial, until = issued.valid_before, "signed");
                        Answer::Issued(issued)
                    }
                    Err(refusal) => {
                        tracing::warn!(%refusal, "not signed");
                        Answer::Refused(refusal.to_string())
                    }
                }
            }
        };
        line::write(&mut stream, &answer).await
    }
}

/// Unix seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
