//! Requests that may wait for a disk or a network, carried out beside the task that serves the connection.
//!
//! Two kinds. A *read* needs only the open file: several may be under way at once, and requests that
//! change nothing go on meanwhile. Anything else takes the whole session along and nothing else happens until it
//! is back. So what a client sees is always as if its requests had been carried out one by one in the order sent.

use std::future::Future as _;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::ServeError;
use super::files::read_waiting;
use super::handles::HandleBytes;
use super::output::Output;
use super::session::{MAX_RESPONSE, Session};
use crate::codec::{Response, Sink as _};

/// Reads under way at one time: enough to hide the latency of a network file system. Each holds a buffer.
pub(crate) const MAX_READS: usize = 8;

/// Room for the usual response to a request aside, in bytes; it grows for a listing.
const SMALL_RESPONSE: usize = 512;

/// A read to be done aside.
pub(crate) struct Read {
    pub(crate) id: u32,
    pub(crate) handle: HandleBytes,
    pub(crate) file: Arc<OwnedFd>,
    pub(crate) offset: u64,
    /// Already cut to the longest read that is answered.
    pub(crate) length: usize,
}

struct FinishedRead {
    handle: HandleBytes,
    count: usize,
    response: Output,
}

impl Read {
    fn carry_out(self) -> FinishedRead {
        let mut response = Output::with_capacity(self.length.saturating_add(64));
        let outcome = read_waiting(self.id, &self.file, self.offset, self.length, &mut response);
        let count = outcome.unwrap_or_else(|refusal| {
            Response::status(refusal.code).encode(self.id, &mut response);
            0
        });
        FinishedRead { handle: self.handle, count, response }
    }
}

/// A session that comes back from a request, with its response.
struct Returned {
    session: Box<Session>,
    response: Output,
    outcome: Result<(), ServeError>,
}

/// Where the session is, and the reads under way.
pub(crate) struct Desk {
    place: Place,
    reads: JoinSet<FinishedRead>,
    /// Told to a request under way when nobody waits for it any more.
    abandoned: Arc<AtomicBool>,
}

enum Place {
    Here(Box<Session>),
    Away(JoinHandle<Returned>),
    /// Lost with a panic; the error has been reported.
    Gone,
}

impl Desk {
    pub(crate) fn new(session: Session) -> Self {
        let abandoned = session.abandonment();
        Self { place: Place::Here(Box::new(session)), reads: JoinSet::new(), abandoned }
    }

    /// The session, unless a request has taken it along; and the number of reads under way.
    pub(crate) fn session(&mut self) -> Option<(&mut Session, usize)> {
        match &mut self.place {
            Place::Here(session) => Some((session, self.reads.len())),
            Place::Away(_) | Place::Gone => None,
        }
    }

    /// Whether a response is still to come from here.
    pub(crate) fn is_waiting(&self) -> bool {
        !matches!(self.place, Place::Here(_)) || !self.reads.is_empty()
    }

    /// Starts a read.
    pub(crate) fn start_read(&mut self, read: Read) {
        self.reads.spawn_blocking(|| read.carry_out());
    }

    /// Sends the session away with a request.
    pub(crate) fn start(&mut self, packet: Vec<u8>) {
        self.place = match std::mem::replace(&mut self.place, Place::Gone) {
            Place::Here(mut session) => Place::Away(tokio::task::spawn_blocking(move || {
                let mut response = Output::with_capacity(SMALL_RESPONSE);
                let outcome = session.carry_out_packet(&packet, true, &mut response).map(|_| ());
                Returned { session, response, outcome }
            })),
            other => other,
        };
    }

    /// Takes in what has finished, while `output` has room for it. Ready when something was; pending with a wake-up
    /// otherwise.
    pub(crate) fn poll_finished(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut Output,
    ) -> Poll<Result<(), ServeError>> {
        if output.room() < MAX_RESPONSE {
            return Poll::Pending;
        }
        if let Place::Away(job) = &mut self.place {
            let Returned { session, response, outcome } = ready!(Pin::new(job).poll(cx)).map_err(lost)?;
            self.place = Place::Here(session);
            output.put(response.pending());
            return Poll::Ready(outcome);
        }
        match ready!(self.reads.poll_join_next(cx)) {
            None => Poll::Pending,
            Some(finished) => {
                let FinishedRead { handle, count, response } = finished.map_err(lost)?;
                output.put(response.pending());
                if let Place::Here(session) = &mut self.place {
                    session.count_read(&handle, count);
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Takes the session back at the end.
    pub(crate) fn into_session(mut self) -> Option<Box<Session>> {
        match std::mem::replace(&mut self.place, Place::Gone) {
            Place::Here(session) => Some(session),
            Place::Away(_) | Place::Gone => None,
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

fn lost(_: JoinError) -> ServeError {
    ServeError::WorkerGone
}
