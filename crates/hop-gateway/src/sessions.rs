//! The sessions that are open now, and the follower that ends those whose access was taken away.
//!
//! Must stay true: a session is registered before its access is looked at for the last time, so that what is
//! revoked in between finds it; a revocation makes us judge again, it does not judge by itself.

use crate::gateway::Clock;
use crate::grant::{Grant, authorize};
use hop_store::{EndCause, KeyOwner, RevocationSeq, Revoked, SshSessionId, Store, StoreError, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Why a session is ended, and what the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) cause: EndCause,
    pub(crate) words: String,
}

/// All open sessions of this gateway.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions {
    live: Arc<Mutex<HashMap<SshSessionId, Live>>>,
}

#[derive(Debug)]
struct Live {
    grant: Grant,
    end: oneshot::Sender<End>,
}

/// A place in the list; taken out when dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    sessions: Sessions,
    id: SshSessionId,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.id);
    }
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<SshSessionId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a session; the receiver hears when it must end.
    pub(crate) fn register(&self, id: SshSessionId, grant: Grant) -> (Registered, oneshot::Receiver<End>) {
        let (end, ended) = oneshot::channel();
        self.lock().insert(id, Live { grant, end });
        (Registered { sessions: self.clone(), id }, ended)
    }

    /// Ends a session, if it is still open.
    pub(crate) fn end(&self, id: SshSessionId, end: End) {
        if let Some(live) = self.lock().remove(&id) {
            // It may be ending by itself.
            let _ = live.end.send(end);
        }
    }

    /// Ends all.
    pub(crate) fn end_all(&self, end: &End) {
        for (_, live) in self.lock().drain() {
            let _ = live.end.send(end.clone());
        }
    }

    /// The sessions that a revocation may concern.
    fn concerned(&self, revoked: &Revoked) -> Vec<(SshSessionId, Grant)> {
        let concerns = |id: &SshSessionId, grant: &Grant| match revoked {
            Revoked::Key { fingerprint, owner } | Revoked::Expiry { fingerprint, owner } => {
                let project = match owner {
                    KeyOwner::Account(_) => true,
                    KeyOwner::Project { project, .. } => *project == grant.project().id,
                };
                project && *fingerprint == grant.fingerprint()
            }
            Revoked::Member { project, account } => {
                *project == grant.project().id && *account == grant.account()
            }
            Revoked::Project { project } => *project == grant.project().id,
            Revoked::Account { account } => *account == grant.account(),
            Revoked::Session { session } => session == id,
            // No session is opened by a certificate yet.
            Revoked::Certificate { .. } => false,
        };
        let live = self.lock();
        let found = live.iter().filter(|(id, live)| concerns(id, &live.grant));
        found.map(|(id, live)| (*id, live.grant.clone())).collect()
    }

    /// Follows what takes access away, until the runtime ends. A store that does not answer for `grace` ends all
    /// sessions: what was revoked meanwhile is not known.
    pub(crate) async fn follow(
        self,
        store: Store,
        after: RevocationSeq,
        grace: Duration,
        clock: Clock,
    ) -> Result<(), StoreError> {
        let mut feed = store.revocations().follow(after).await?;
        let mut silent_since: Option<Instant> = None;
        loop {
            match feed.next().await {
                Ok(batch) => {
                    silent_since = None;
                    for revocation in batch {
                        for (id, grant) in self.concerned(&revocation.revoked) {
                            self.judge_again(&store, id, &grant, &revocation.revoked, clock()).await;
                        }
                    }
                }
                Err(error) => {
                    let since = *silent_since.get_or_insert_with(Instant::now);
                    tracing::warn!(%error, "the store does not answer: no new logins, open sessions go on for a while");
                    if since.elapsed() >= grace {
                        let words = "the site's records cannot be reached".to_owned();
                        self.end_all(&End { cause: EndCause::Revoked, words });
                    }
                }
            }
        }
    }

    async fn judge_again(
        &self,
        store: &Store,
        id: SshSessionId,
        grant: &Grant,
        revoked: &Revoked,
        now: Timestamp,
    ) {
        if let Revoked::Session { .. } = revoked {
            let words = "this session was ended on the site's pages".to_owned();
            return self.end(id, End { cause: EndCause::Ended, words });
        }
        let project = grant.project().id.to_string();
        let still = match store.access().by_key(&project, grant.fingerprint(), now).await {
            Ok(facts) => authorize(&facts, grant.fingerprint(), now).is_ok(),
            // What cannot be judged is not allowed to go on: the revocation itself was read.
            Err(error) => {
                tracing::warn!(%error, %id, "cannot judge a session again");
                false
            }
        };
        if !still {
            let what = match revoked {
                Revoked::Key { .. } => "was removed",
                Revoked::Expiry { .. } => "has expired",
                Revoked::Member { .. } => "no longer opens this project",
                Revoked::Project { .. } => "opens nothing here: the project is closed",
                Revoked::Account { .. } => "opens nothing: the account is suspended",
                Revoked::Certificate { .. } | Revoked::Session { .. } => "was revoked",
            };
            let words = format!("the key \"{}\" {what}", grant.title());
            self.end(id, End { cause: EndCause::Revoked, words });
        }
    }
}
