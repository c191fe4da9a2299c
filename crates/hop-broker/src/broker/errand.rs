//! What a task beside the broker tells it of a login, and asks people through it.
//!
//! Must stay true: what belongs to a login that is over reaches nobody.

use super::answering::{Candidate, Verdict};
use super::{Inbox, Input};
use hop_connect::Alias;
use hop_model::Secret;
use std::time::SystemTime;
use tokio::sync::oneshot;

/// One login, as its tasks know it.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    pub(super) alias: Alias,
    pub(super) generation: u64,
    pub(super) inbox: Inbox,
}

/// Where an answer goes; nothing is sent when there is none.
pub(super) type Answer = oneshot::Sender<Secret>;

impl Errand {
    /// Asks whoever can be asked; `None` when nobody answers and the login is given up.
    pub(super) async fn ask(&self, text: String) -> Option<Secret> {
        let (reply, answer) = oneshot::channel();
        let (alias, generation) = (self.alias.clone(), self.generation);
        let _ = self.inbox.send(Input::Asked { alias, generation, text, reply }).await;
        answer.await.ok()
    }

    /// A line for those who are asked something later, and for the explanation of a failure.
    pub(super) async fn line(&self, text: String) {
        let (alias, generation) = (self.alias.clone(), self.generation);
        let _ = self.inbox.send(Input::Line { alias, generation, text }).await;
    }

    /// A line for whoever is asked next.
    pub(super) async fn note(&self, text: String) {
        let (alias, generation) = (self.alias.clone(), self.generation);
        let _ = self.inbox.send(Input::Note { alias, generation, text }).await;
    }

    /// Whether a question can be answered without a person.
    pub(super) async fn judged(&self, candidate: Candidate, verdict: Verdict) {
        let (alias, generation) = (self.alias.clone(), self.generation);
        let candidate = Box::new(candidate);
        let _ = self.inbox.send(Input::Judged { alias, generation, candidate, verdict }).await;
    }

    /// The end of the Kerberos ticket that the login uses.
    pub(super) async fn ticket(&self, until: SystemTime) {
        let (alias, generation) = (self.alias.clone(), self.generation);
        let _ = self.inbox.send(Input::Ticket { alias, generation, until }).await;
    }

    /// Something to tell those who wait, now.
    pub(super) async fn progress(&self, text: String) {
        let (alias, generation) = (self.alias.clone(), self.generation);
        let _ = self.inbox.send(Input::Progress { alias, generation, text }).await;
    }

    /// The process that works for this login now.
    pub(super) async fn runs(&self, pid: Option<u32>) {
        let (alias, generation) = (self.alias.clone(), self.generation);
        let _ = self.inbox.send(Input::Runs { alias, generation, pid }).await;
    }
}
