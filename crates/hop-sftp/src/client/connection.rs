//! Moves a client's bytes: requests out, responses to whoever waits for them.
//!
//! Owns the ids and the requests in flight. A response that nobody waits for any more is dropped; a handle that
//! nobody waits for is closed.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};

use super::error::ConnectionError;
use super::incoming::Incoming;
use crate::codec::{LENGTH_PREFIX, PacketType, Request, Sink as _};

/// Requests in flight at one time; bounds what a server can be made to owe.
const IN_FLIGHT: usize = 1024;

/// Bytes of requests waiting to be written, beyond which no more are taken.
const QUEUED: usize = 1024 * 1024;

/// Packets handed to one write.
const SLICES: usize = 32;

/// Where the id stands in an encoded request.
const ID_AT: usize = LENGTH_PREFIX + 1;

/// A request on its way to the server.
#[derive(Debug)]
pub(super) struct Submission {
    /// Encoded, with any id.
    pub(super) packet: Vec<u8>,
    /// Where the response goes, without its length.
    pub(super) reply: oneshot::Sender<Vec<u8>>,
}

/// The byte-moving half of a client; see [`connect`](super::connect).
pub struct Connection<R, W> {
    reader: Pin<Box<R>>,
    writer: Pin<Box<W>>,
    incoming: Incoming,
    submissions: mpsc::Receiver<Submission>,
    closes: mpsc::UnboundedReceiver<Vec<u8>>,
    ended: Arc<OnceLock<ConnectionError>>,
    in_flight: HashMap<u32, Option<oneshot::Sender<Vec<u8>>>>,
    next_id: u32,
    queue: VecDeque<Vec<u8>>,
    /// Bytes in the queue, and how many of its first packet are written.
    queued: usize,
    written: usize,
    unflushed: bool,
    /// No client is left.
    finishing: bool,
}

impl<R: AsyncRead, W: AsyncWrite> Connection<R, W> {
    pub(super) fn new(
        reader: Pin<Box<R>>,
        writer: Pin<Box<W>>,
        incoming: Incoming,
        submissions: mpsc::Receiver<Submission>,
        closes: mpsc::UnboundedReceiver<Vec<u8>>,
        ended: Arc<OnceLock<ConnectionError>>,
    ) -> Self {
        Self {
            reader,
            writer,
            incoming,
            submissions,
            closes,
            ended,
            in_flight: HashMap::new(),
            next_id: 1,
            queue: VecDeque::new(),
            queued: 0,
            written: 0,
            unflushed: false,
            finishing: false,
        }
    }

    /// Moves bytes until no client is left and every answer is in, or until the stream fails. Every waiting request
    /// then fails with the same error.
    pub async fn run(mut self) -> Result<(), ConnectionError> {
        let outcome = poll_fn(|cx| self.poll_run(cx)).await;
        let outcome = match outcome {
            Ok(()) => self.writer.shutdown().await.map_err(ConnectionError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            // The first reason stays.
            let _ = self.ended.set(error.clone());
        }
        outcome
    }

    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        loop {
            self.take_submissions(cx);
            let wrote = self.poll_write(cx)?;
            let received = match self.incoming.poll_packet(cx, &mut self.reader) {
                Poll::Ready(Ok(Some(packet))) => {
                    self.dispatch(packet)?;
                    true
                }
                Poll::Ready(Ok(None)) => return Poll::Ready(Err(ConnectionError::Ended)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => false,
            };
            if self.finishing && self.in_flight.is_empty() && self.queue.is_empty() && !self.unflushed {
                return Poll::Ready(Ok(()));
            }
            if !wrote && !received {
                return Poll::Pending;
            }
        }
    }

    fn take_submissions(&mut self, cx: &mut Context<'_>) {
        while self.in_flight.len() < IN_FLIGHT
            && let Poll::Ready(Some(handle)) = self.closes.poll_recv(cx)
        {
            self.close(&handle);
        }
        while self.in_flight.len() < IN_FLIGHT && self.queued < QUEUED {
            match self.submissions.poll_recv(cx) {
                Poll::Ready(Some(Submission { packet, reply })) => self.enqueue(packet, Some(reply)),
                Poll::Ready(None) => {
                    self.finishing = true;
                    return;
                }
                Poll::Pending => return,
            }
        }
    }

    fn close(&mut self, handle: &[u8]) {
        let mut packet = Vec::new();
        Request::Close { handle }.encode(0, &mut packet);
        self.enqueue(packet, None);
    }

    fn enqueue(&mut self, mut packet: Vec<u8>, reply: Option<oneshot::Sender<Vec<u8>>>) {
        while self.in_flight.contains_key(&self.next_id) {
            self.next_id = self.next_id.wrapping_add(1);
        }
        packet.patch_u32(ID_AT, self.next_id);
        self.in_flight.insert(self.next_id, reply);
        self.next_id = self.next_id.wrapping_add(1);
        self.queued = self.queued.saturating_add(packet.len());
        self.queue.push_back(packet);
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionError> {
        let mut moved = false;
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut skip = self.written;
            for (slice, packet) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(packet.get(skip..).unwrap_or_default());
                skip = 0;
            }
            let filled = slices.get(..self.queue.len().min(SLICES)).unwrap_or_default();
            let writer = self.writer.as_mut();
            let result = match writer.is_write_vectored() {
                true => writer.poll_write_vectored(cx, filled),
                false => writer.poll_write(cx, filled.first().map_or(&[], |slice| slice)),
            };
            match result {
                Poll::Ready(Ok(0)) => return Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into()),
                Poll::Ready(Ok(count)) => self.note_written(count),
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => return Ok(moved),
            }
            self.unflushed = true;
            moved = true;
        }
        if self.unflushed && self.writer.as_mut().poll_flush(cx)?.is_ready() {
            self.unflushed = false;
            moved = true;
        }
        Ok(moved)
    }

    fn note_written(&mut self, count: usize) {
        self.queued = self.queued.saturating_sub(count);
        self.written = self.written.saturating_add(count);
        while let Some(packet) = self.queue.front()
            && self.written >= packet.len()
        {
            self.written = self.written.saturating_sub(packet.len());
            self.queue.pop_front();
        }
    }

    fn dispatch(&mut self, packet: Vec<u8>) -> Result<(), ConnectionError> {
        let (kind, rest) = packet.split_first().ok_or(ConnectionError::NoResponse)?;
        let id = *rest.first_chunk().ok_or(ConnectionError::NoResponse)?;
        let kind = PacketType::from_byte(*kind);
        if kind == PacketType::Version {
            return Err(ConnectionError::NoResponse);
        }
        let id = u32::from_be_bytes(id);
        let reply = self.in_flight.remove(&id).ok_or(ConnectionError::UnknownId { id })?;
        let unwanted = match reply {
            Some(reply) => reply.send(packet).err(),
            None => None,
        };
        // An OPEN that was given up meanwhile.
        if let Some(packet) = unwanted
            && kind == PacketType::Handle
            && let Ok(handle) = super::reply::handle_of(&packet)
        {
            self.close(&handle);
        }
        Ok(())
    }
}

impl<R, W> std::fmt::Debug for Connection<R, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("in_flight", &self.in_flight.len()).finish_non_exhaustive()
    }
}
