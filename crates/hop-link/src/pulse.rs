//! What a WebSocket does about time: signs of life, questions, and pushes.
//!
//! What must stay true: looking at the time costs no timer calls while data flows; a server's pushes follow data only, so
//! that a connection without any stays as good as unused to whoever counts answers.

use crate::frame::Opcode;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How long after the last data a server pings once. websocat 1.x tries once to flush what it writes into the WebSocket;
/// what does not fit at that moment stays with it until it sends more, be it the answer to a ping.
const PUSH: Duration = Duration::from_secs(1);

/// What is done about silence. Proxies on the way cut a connection on which the server says nothing for a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keepalive {
    /// For a server: says something this often that wants no answer (a pong that nobody asked for, section 5.5.3). An
    /// answer would count as use at a JupyterHub's proxy, so that nobody's server would ever be idle. Only soon after data
    /// it asks once, for clients that hold back their last bytes.
    Beat {
        /// How often.
        every: Duration,
    },
    /// For a client: asks a peer that has been silent, and then gives it up.
    Ask {
        /// After how long, and how often from then on.
        after: Duration,
        /// Silence for this long is the end.
        give_up: Duration,
    },
}

pub(crate) struct Pulse {
    keepalive: Keepalive,
    heard: Instant,
    /// When the keepalive is looked at next.
    next: Instant,
    /// Whether there was data since the last look at it.
    fresh: bool,
    /// When data is looked at next, if there was any.
    push: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    due: Option<Opcode>,
}

impl Pulse {
    /// Needs a runtime with time.
    pub(crate) fn new(keepalive: Keepalive) -> Self {
        let now = Instant::now();
        let (Keepalive::Beat { every: first } | Keepalive::Ask { after: first, .. }) = keepalive;
        let timer = Box::pin(tokio::time::sleep_until(now + first));
        Self { keepalive, heard: now, next: now + first, fresh: false, push: None, timer, due: None }
    }

    /// Something came, data or not.
    pub(crate) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// Data came.
    pub(crate) fn data(&mut self) {
        self.fresh = true;
    }

    /// Whether a control frame is to be sent.
    pub(crate) fn is_due(&self) -> bool {
        self.due.is_some()
    }

    /// The control frame that is to be sent.
    pub(crate) fn take_due(&mut self) -> Option<Opcode> {
        self.due.take()
    }

    /// Looks at the time while there is nothing to read. Ready when the peer has been silent for too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        loop {
            if self.fresh && self.push.is_none() && matches!(self.keepalive, Keepalive::Beat { .. }) {
                self.fresh = false;
                self.push = Some(Instant::now() + PUSH);
            }
            let first = self.push.map_or(self.next, |push| push.min(self.next));
            if self.timer.deadline() != first {
                self.timer.as_mut().reset(first);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if self.push.is_some_and(|push| now >= push) {
                self.push = None;
                if !self.fresh {
                    self.due = Some(Opcode::Ping);
                }
            }
            if now >= self.next {
                self.next = match self.look(now) {
                    Ok(next) => next,
                    Err(silence) => return Poll::Ready(silence),
                };
            }
        }
    }

    /// The keepalive's turn; when it is again.
    fn look(&mut self, now: Instant) -> Result<Instant, Duration> {
        let silence = now.saturating_duration_since(self.heard);
        match self.keepalive {
            Keepalive::Beat { every } => {
                self.due.get_or_insert(Opcode::Pong);
                Ok(now + every)
            }
            Keepalive::Ask { give_up, .. } if silence >= give_up => Err(silence),
            Keepalive::Ask { after, .. } if silence < after => Ok(self.heard + after),
            Keepalive::Ask { after, .. } => {
                self.due = Some(Opcode::Ping);
                Ok(now + after)
            }
        }
    }
}
