//! A follower of revocations: hears of those of its own process at once, of others' by the database.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::db::Watcher;
use crate::error::StoreError;
use crate::revocations::{Revocation, RevocationSeq, since};
use crate::store::Store;

/// Rows read at once; more follow in the next batch.
const BATCH: u32 = 1_000;
/// A database that takes longer to answer counts as unreachable.
const ANSWER: Duration = Duration::from_secs(2);
/// From a failed look to the next.
const RETRY: Duration = Duration::from_millis(500);

type Batch = Result<Vec<Revocation>, StoreError>;

/// Yields revocations in the order of their numbers, each once.
#[derive(Debug)]
pub struct RevocationFeed {
    batches: mpsc::Receiver<Batch>,
    task: JoinHandle<()>,
}

impl RevocationFeed {
    pub(crate) async fn start(store: &Store, after: RevocationSeq) -> Result<Self, StoreError> {
        let watcher = store.db().watch().await?;
        let (sender, batches) = mpsc::channel(1);
        let newest = store.newest().subscribe();
        let follower = Follower { store: store.clone(), watcher, newest, seen: after, has_failed: false };
        Ok(Self { batches, task: tokio::spawn(follower.run(sender)) })
    }

    /// Waits for revocations. An error says that the store cannot be read now; the feed goes on trying, and the first
    /// success after errors is told even if it brings nothing: so whoever follows knows whether the store is there.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<Vec<Revocation>, StoreError> {
        // Nothing comes any more only when the runtime is ending.
        self.batches.recv().await.unwrap_or_else(|| Err(StoreError::no_answer("follow revocations")))
    }
}

impl Drop for RevocationFeed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The state of the task behind a feed.
struct Follower {
    store: Store,
    watcher: Watcher,
    newest: watch::Receiver<RevocationSeq>,
    seen: RevocationSeq,
    has_failed: bool,
}

impl Follower {
    async fn run(mut self, sender: mpsc::Sender<Batch>) {
        loop {
            // Before the read: what is committed while it runs is looked for once more.
            self.newest.mark_unchanged();
            let batch = self.read().await;
            let found = batch.as_ref().map_or(0, Vec::len);
            let is_news = found > 0 || self.has_failed || batch.is_err();
            self.has_failed = batch.is_err();
            if is_news && sender.send(batch).await.is_err() {
                return;
            }
            if self.has_failed {
                sleep(RETRY).await;
            } else if found < BATCH as usize {
                tokio::select! {
                    () = self.watcher.changed() => {}
                    // It cannot fail: the sender lives in the store that this task holds.
                    _ = self.newest.changed() => {}
                    () = sender.closed() => return,
                }
            }
        }
    }

    async fn read(&mut self) -> Batch {
        let batch = timeout(ANSWER, since(self.store.db(), self.seen, BATCH))
            .await
            .unwrap_or_else(|_| Err(StoreError::no_answer("read revocations")))?;
        if let Some(last) = batch.last() {
            self.seen = last.seq;
        }
        Ok(batch)
    }
}
