//! Ends of sessions that the store could not take when they came: written when it answers again.
//!
//! What must stay true: memory is bounded; nothing that waits here keeps a session's connection, or the gateway's end.

use crate::lifetime::Figures;
use hop_store::{SessionEnd, SshSessionId, Store};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Ends that wait at most; of further ones the store says "lost" when the gateway starts again. About 6 MiB.
const MOST: usize = 16_384;
/// From one attempt to the next.
const AGAIN: Duration = Duration::from_secs(1);

/// A session's end.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) id: SshSessionId,
    pub(crate) figures: Figures,
    pub(crate) end: SessionEnd,
}

/// What is still to be written, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Unrecorded {
    waiting: Mutex<VecDeque<Ended>>,
    came: Notify,
}

impl Unrecorded {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Ended>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an end, now or later.
    pub(crate) async fn record(&self, store: &Store, ended: Ended) {
        let Err(error) = write(store, &ended).await else { return };
        let session = ended.id;
        if !error.is_temporary() || self.lock().len() >= MOST {
            return tracing::warn!(%error, %session, "a session's end is not recorded");
        }
        tracing::debug!(%error, %session, "a session's end is recorded later");
        self.lock().push_back(ended);
        self.came.notify_one();
    }

    /// Writes what waits, again and again. Cancel safe.
    pub(crate) async fn keep_writing(&self, store: &Store) -> Infallible {
        loop {
            self.came.notified().await;
            while !self.write_all(store).await {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Writes what waits; false when the store does not take it now. One at a time writes. Cancel safe.
    pub(crate) async fn write_all(&self, store: &Store) -> bool {
        loop {
            let Some(ended) = self.lock().front().cloned() else { return true };
            match write(store, &ended).await {
                Ok(()) => {}
                Err(error) if error.is_temporary() => return false,
                Err(error) => tracing::warn!(%error, session = %ended.id, "a session's end is not recorded"),
            }
            self.lock().pop_front();
        }
    }
}

async fn write(store: &Store, ended: &Ended) -> Result<(), hop_store::StoreError> {
    let Ended { id, figures, end } = ended;
    // False when somebody has closed it as lost.
    store.ssh_sessions().close(*id, figures.from_client, figures.to_client, end).await.map(drop)
}
