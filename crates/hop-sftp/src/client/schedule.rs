//! Many files in flight.
//!
//! Owns how many at once: enough to hide the round trips of small files, no more than half of the handles a
//! server gives. The bytes in flight are bounded by the client's budget, however many files there are.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use tokio::task::JoinSet;

use super::Client;
use super::error::TransferError;
use super::transfer::{TransferOptions, Transferred};

/// Files in flight unless the caller says otherwise: at a delay of 20 ms some 1,500 small files a second.
const FILES: usize = 64;

/// One file to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Which way.
    pub direction: Direction,
    /// The file there.
    pub remote: Vec<u8>,
    /// The file here.
    pub local: PathBuf,
}

/// Which way a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From there to here; a local file that exists is overwritten.
    Get,
    /// From here to there; a remote file that exists is overwritten.
    Put,
}

/// How many files are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// For each file.
    pub options: TransferOptions,
    /// Files in flight at one time; cut to half of the handles that the server gives.
    pub files: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { options: TransferOptions::default(), files: FILES }
    }
}

impl Client {
    /// Moves all files and reports each as it ends, in no particular order. One that fails does not stop the others.
    ///
    /// Dropped, all transfers under way end; their remote files are closed.
    pub async fn transfer_all(
        &self,
        jobs: impl IntoIterator<Item = Job>,
        batch: Batch,
        mut report: impl FnMut(Job, Result<Transferred, TransferError>),
    ) {
        let handles = self
            .server()
            .open_handles
            .map_or(usize::MAX, |handles| usize::try_from(handles.div_euclid(2)).unwrap_or(usize::MAX));
        let at_once = batch.files.min(handles).max(1);
        let mut jobs = jobs.into_iter();
        let mut running = JoinSet::new();
        loop {
            while running.len() < at_once
                && let Some(job) = jobs.next()
            {
                let client = self.clone();
                running.spawn(async move {
                    let outcome = client.transfer(&job, &batch.options).await;
                    (job, outcome)
                });
            }
            match running.join_next().await {
                Some(Ok((job, outcome))) => report(job, outcome),
                // A panic in a transfer is a bug; it is not passed over in silence.
                Some(Err(lost)) => {
                    if let Ok(panic) = lost.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
                None => return,
            }
        }
    }

    /// Moves one file by its local name.
    pub async fn transfer(&self, job: &Job, options: &TransferOptions) -> Result<Transferred, TransferError> {
        let outcome = match job.direction {
            Direction::Get => {
                // With its mode unknown until the server answers, nobody else may look into it.
                let mode = if options.permissions { 0o600 } else { 0o666 };
                let file = File::options()
                    .write(true)
                    .create(true)
                    .truncate(options.from == 0)
                    .mode(mode)
                    .open(&job.local)
                    .map_err(|source| local("creating", &job.local, source))?;
                self.get(&job.remote, &file, options).await
            }
            Direction::Put => {
                let file = File::open(&job.local).map_err(|source| local("opening", &job.local, source))?;
                self.put(&file, &job.remote, options).await
            }
        };
        outcome.map_err(|error| match error {
            TransferError::Local { action, source, .. } => local(action, &job.local, source),
            other => other,
        })
    }
}

fn local(action: &'static str, path: &Path, source: std::io::Error) -> TransferError {
    TransferError::Local { action, path: path.to_owned(), source }
}
