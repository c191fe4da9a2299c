//! The sessions that are open now, or being opened.
//!
//! Must stay true: a session is registered before its access is looked at for the last time, so that what is revoked in
//! between finds it; a revocation makes us judge again, it does not judge by itself; what a session is allowed by is
//! always the newest judgement, since a key may have several owners.

use crate::judge::{Access, Judge, Refusal, Target};
use hop_keys::Identity;
use hop_store::{EndCause, KeyOwner, Revoked, SshSessionId, StoreError, Timestamp};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::{oneshot, watch};

/// Why a session is ended, and what the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) cause: EndCause,
    pub(crate) words: String,
}

/// Who has a session, by what right.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) access: Access,
    pub(crate) identity: Arc<Identity>,
    /// Where the client is: certificates may be bound to it.
    pub(crate) address: Option<IpAddr>,
}

/// All sessions of this gateway.
#[derive(Clone)]
pub(crate) struct Sessions {
    judge: Judge,
    live: Arc<Mutex<HashMap<SshSessionId, Live>>>,
    /// Set when no session may begin any more.
    closed: Arc<OnceLock<End>>,
}

struct Live {
    holder: Holder,
    expires: watch::Sender<Option<Timestamp>>,
    end: oneshot::Sender<End>,
}

/// A place in the list; taken out when dropped.
pub(crate) struct Registered {
    sessions: Sessions,
    id: SshSessionId,
    /// Says why it must end.
    pub(crate) ended: oneshot::Receiver<End>,
    /// When its access is over; may change.
    pub(crate) expires: watch::Receiver<Option<Timestamp>>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.id);
    }
}

/// The outcome of another look at a session's access.
#[derive(Debug)]
pub(crate) enum Look {
    /// It is still allowed, by this.
    Allowed(Box<Access>),
    /// It is not.
    Refused(Refusal),
    /// The store does not say.
    Unknown(StoreError),
    /// It has ended meanwhile.
    Gone,
}

impl Sessions {
    pub(crate) fn new(judge: Judge) -> Self {
        Self { judge, live: Arc::default(), closed: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SshSessionId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a session. Its access must be looked at again afterwards.
    pub(crate) fn register(&self, id: SshSessionId, holder: Holder) -> Registered {
        let (end, ended) = oneshot::channel();
        let (sender, expires) = watch::channel(holder.access.pass().expires());
        self.lock().insert(id, Live { holder, expires: sender, end });
        if let Some(end) = self.closed.get() {
            self.end(id, end.clone());
        }
        Registered { sessions: self.clone(), id, ended, expires }
    }

    /// Ends a session, if it is still open.
    pub(crate) fn end(&self, id: SshSessionId, end: End) {
        if let Some(live) = self.lock().remove(&id) {
            // It may be ending by itself.
            let _ = live.end.send(end);
        }
    }

    /// Ends all, and whatever is registered from now on.
    pub(crate) fn close(&self, end: End) {
        self.end_all(self.closed.get_or_init(|| end));
    }

    /// Ends all that are open now.
    pub(crate) fn end_all(&self, end: &End) {
        for (_, live) in self.lock().drain() {
            let _ = live.end.send(end.clone());
        }
    }

    /// What a session was let in by, in words.
    pub(crate) fn title(&self, id: SshSessionId) -> Option<String> {
        Some(self.lock().get(&id)?.holder.access.pass().credential().in_words())
    }

    /// Judges a session again by what is known now.
    pub(crate) async fn look_again(&self, id: SshSessionId) -> Look {
        let Some(holder) = self.lock().get(&id).map(|live| live.holder.clone()) else { return Look::Gone };
        let target = match holder.access.project() {
            Some(project) => Target::project(project),
            None => Target::Jump,
        };
        match self.judge.judge(&target, &holder.identity, holder.address).await {
            Ok(Ok(access)) => {
                if let Some(live) = self.lock().get_mut(&id) {
                    live.holder.access = access.clone();
                    live.expires.send_replace(access.pass().expires());
                }
                Look::Allowed(Box::new(access))
            }
            Ok(Err(refusal)) => Look::Refused(refusal),
            Err(error) => Look::Unknown(error),
        }
    }

    /// Ends the sessions that a revocation leaves without access.
    pub(crate) async fn on_revoked(&self, revoked: &Revoked) {
        for (id, access) in self.concerned(revoked) {
            let end = match revoked {
                Revoked::Session { .. } => {
                    let words = "this session was ended on the site's pages".to_owned();
                    Some(End { cause: EndCause::Ended, words })
                }
                Revoked::Key { .. }
                | Revoked::Expiry { .. }
                | Revoked::Member { .. }
                | Revoked::Project { .. }
                | Revoked::Account { .. }
                | Revoked::Certificate { .. } => match self.look_again(id).await {
                    Look::Allowed(_) | Look::Gone => None,
                    Look::Refused(refusal) => {
                        tracing::debug!(%id, %refusal, "no access any more");
                        Some(lost(&access, revoked))
                    }
                    // What cannot be judged does not go on: the revocation itself was read.
                    Look::Unknown(error) => {
                        tracing::warn!(%error, %id, "cannot judge a session again");
                        Some(lost(&access, revoked))
                    }
                },
            };
            if let Some(end) = end {
                self.end(id, end);
            }
        }
    }

    /// The sessions that a revocation may concern.
    fn concerned(&self, revoked: &Revoked) -> Vec<(SshSessionId, Access)> {
        let concerns = |id: &SshSessionId, access: &Access| match revoked {
            Revoked::Key { fingerprint, owner } | Revoked::Expiry { fingerprint, owner } => {
                let there = match owner {
                    KeyOwner::Account(_) => true,
                    KeyOwner::Project { project, .. } => access.project() == Some(*project),
                };
                there && *fingerprint == access.pass().fingerprint()
            }
            Revoked::Member { project, account } => {
                access.project() == Some(*project) && *account == access.pass().account()
            }
            Revoked::Project { project } => access.project() == Some(*project),
            Revoked::Account { account } => *account == access.pass().account(),
            Revoked::Session { session } => session == id,
            Revoked::Certificate { serial } => access.pass().credential().serial() == Some(*serial),
        };
        let live = self.lock();
        let found = live.iter().filter(|(id, live)| concerns(id, &live.holder.access));
        found.map(|(id, live)| (*id, live.holder.access.clone())).collect()
    }
}

fn lost(access: &Access, revoked: &Revoked) -> End {
    let what = match revoked {
        Revoked::Key { .. } => "was removed",
        Revoked::Expiry { .. } => "has expired",
        Revoked::Member { .. } => "no longer opens this project",
        Revoked::Project { .. } => "opens nothing here: the project is closed",
        Revoked::Account { .. } => "opens nothing: the account is suspended",
        Revoked::Certificate { .. } | Revoked::Session { .. } => "was revoked",
    };
    let words = format!("{} {what}", access.pass().credential().in_words());
    End { cause: EndCause::Revoked, words }
}
