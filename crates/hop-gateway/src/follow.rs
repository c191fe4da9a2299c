//! Follows what takes access away, for as long as the gateway runs.

use crate::sessions::{End, Sessions};
use hop_store::{EndCause, RevocationSeq, Store, StoreError};
use std::time::Duration;
use tokio::time::Instant;

/// Follows the revocations after `after`. A store that does not answer for `grace` ends all sessions: what was revoked
/// meanwhile is not known.
pub(crate) async fn follow(
    sessions: Sessions,
    store: Store,
    after: RevocationSeq,
    grace: Duration,
) -> Result<(), StoreError> {
    let mut feed = store.revocations().follow(after).await?;
    let mut silence = Silence::default();
    loop {
        // While the store is silent nothing may come for long, and the grace must end all the same.
        let batch = match silence.left(grace) {
            Some(left) => tokio::time::timeout(left, feed.next()).await.ok(),
            None => Some(feed.next().await),
        };
        match batch {
            Some(Ok(batch)) => {
                silence = Silence::default();
                for revocation in batch {
                    sessions.on_revoked(&revocation.revoked).await;
                }
                continue;
            }
            Some(Err(error)) => silence.begin(&error),
            None => {}
        }
        if silence.left(grace) == Some(Duration::ZERO) {
            silence.acted = true;
            let words = "the site's records cannot be reached, so that access cannot be checked".to_owned();
            sessions.end_all(&End { cause: EndCause::Revoked, words });
        }
    }
}

/// Since when the store does not answer, and whether that had its consequence.
#[derive(Debug, Default)]
struct Silence {
    since: Option<Instant>,
    acted: bool,
}

impl Silence {
    /// It goes on, or begins now.
    fn begin(&mut self, error: &StoreError) {
        if self.since.is_none() {
            tracing::warn!(%error, "the store does not answer: no new logins, open sessions go on for a while");
            self.since = Some(Instant::now());
        }
    }

    /// What is left of the grace; `None` while the store answers or when all is done.
    fn left(&self, grace: Duration) -> Option<Duration> {
        match self.since {
            Some(since) if !self.acted => Some(grace.saturating_sub(since.elapsed())),
            _ => None,
        }
    }
}
