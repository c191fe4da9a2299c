//! The connection protocol (RFC 4254), sans-IO: channels and requests over a leg.
//!
//! Must stay true:
//! - a consumer that stops reading stops its own channel and nothing else: the others, requests and key
//!   exchanges go on;
//! - what a peer can make us keep is bounded: channels, pending requests, received bytes, answers;
//! - sending is pulled: data leaves a channel only while less than [`FULL`] bytes wait in the output.

mod channel;
mod inbound;
mod kinds;
mod lend;
mod outbound;
mod push;
mod replies;
mod requests;
mod schedule;
mod table;
mod window;

pub use channel::Stream;
pub(crate) use channel::{LARGEST_DATA, data_head, numbered};
pub use kinds::{ChannelKind, TcpEnds};
pub(crate) use outbound::{Read, Written};
pub(crate) use replies::{OwedReplies, Ticket};

pub use requests::{ChannelRequest, ExitSignal, GlobalRequest, PtyRequest, WindowSize, X11Request};

use crate::error::Error;
use crate::leg::Leg;
use crate::message::{self, DisconnectReason, OpenFailure};
use crate::transport::Transport;
use crate::wire::Put;
use channel::{Channel, wake};
use push::Push;
use schedule::Schedule;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};
use table::Table;
use tokio::sync::oneshot;
use window::Budget;

/// The bytes of requests and opens that may wait for a decision, connection-wide. A command line has up to
/// 128 KiB; many sessions may start at once.
const MOST_WAITING: usize = 4 * 1024 * 1024;
/// What a waiting request costs besides its message, in bytes.
const WAITING_OVERHEAD: usize = 256;

/// Data is sent only while fewer bytes than this wait in the output.
pub(crate) const FULL: usize = 128 * 1024;

/// What one connection may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The bytes that all receive windows together may promise.
    pub receive_budget: u64,
    /// Channels open at once.
    pub channels: usize,
    /// Requests of the peer that wait for a decision, connection-wide and per channel.
    pub requests: usize,
    /// How often a silent peer is asked whether it is there, if at all.
    pub keepalive: Option<Duration>,
    /// How many such questions in a row may stay unanswered.
    pub keepalive_most: u32,
    /// For how long nothing is sent before a packet follows that pushes on what a program on the way holds back
    /// (SSH_MSG_IGNORE, RFC 4253 section 11.2), if one is to follow at all.
    pub push: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            receive_budget: 64 * 1024 * 1024,
            channels: 1024,
            requests: 256,
            keepalive: None,
            keepalive_most: 3,
            push: None,
        }
    }
}

/// Why the peer (or we ourselves) did not open a channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("channel open refused: {description}")]
pub struct OpenRefused {
    /// The reason.
    pub reason: OpenFailure,
    /// In words; the peer's, so escape them.
    pub description: String,
}

/// Something of the peer that the caller decides.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// It wants a channel; the number is ours for it.
    Open { channel: u32, kind: ChannelKind },
    /// It wants something of the connection.
    Global { request: GlobalRequest, reply: Option<Ticket> },
}

/// Something of the peer that nobody has taken yet.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    pub(crate) what: T,
    /// What it costs to keep, in bytes.
    pub(crate) cost: usize,
}

/// The reply to a global request: the data of a success, or a failure.
pub(crate) type GlobalReply = Result<Vec<u8>, ()>;

/// A connection after authentication.
pub(crate) struct Engine {
    leg: Leg,
    channels: Table,
    budget: Budget,
    schedule: Schedule,
    limits: Limits,
    arrivals: VecDeque<Waiting<Arrival>>,
    /// What all arrivals and channel requests that wait for a decision cost, in bytes.
    waiting: usize,
    globals: Globals,
    keepalive: Keepalive,
    push: Option<Push>,
    ended: Option<Arc<Error>>,
    wakers: EngineWakers,
    /// Whether programs' pipes can be lent to a relay.
    lends: bool,
}

/// Global requests in both directions.
struct Globals {
    owed: OwedReplies<GlobalReply>,
    awaited: VecDeque<AwaitedReply>,
}

enum AwaitedReply {
    Keepalive,
    Caller(oneshot::Sender<GlobalReply>),
}

struct Keepalive {
    /// When the peer last said something or was last asked: a peer that was not given the time to answer,
    /// because this process was stopped, is not given up.
    since: Instant,
    unanswered: u32,
}

#[derive(Default)]
struct EngineWakers {
    driver: Option<Waker>,
    arrivals: Option<Waker>,
}

impl Engine {
    pub(crate) fn new(leg: Leg, limits: Limits, now: Instant) -> Self {
        Self {
            leg,
            channels: Table::new(limits.channels),
            budget: Budget::new(limits.receive_budget),
            schedule: Schedule::default(),
            limits,
            arrivals: VecDeque::new(),
            waiting: 0,
            globals: Globals { owed: OwedReplies::new(limits.requests), awaited: VecDeque::new() },
            keepalive: Keepalive { since: now, unanswered: 0 },
            push: limits.push.map(Push::new),
            ended: None,
            wakers: EngineWakers::default(),
            lends: false,
        }
    }

    /// Announces our host keys, if we are a server and the peer knows what that means.
    pub(crate) fn announce_host_keys(&mut self) -> Result<(), Error> {
        match self.leg.transport().and_then(Transport::host_keys_announcement) {
            Some(payload) => self.leg.send(&payload, &[]),
            None => Ok(()),
        }
    }

    pub(crate) fn leg(&mut self) -> &mut Leg {
        &mut self.leg
    }

    /// How many channels there are.
    pub(crate) fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// Why the connection ended, once it has.
    pub(crate) fn ended(&self) -> Option<&Arc<Error>> {
        self.ended.as_ref()
    }

    /// Ends the connection: tells the peer, wakes everybody. Only the first end counts.
    pub(crate) fn end(&mut self, error: Error) {
        if self.ended.is_some() {
            return;
        }
        if let Some((reason, description)) = error.disconnect() {
            // If not even this fits in the output, closing the socket says it too.
            let _ = self.leg.send_disconnect(reason, &description);
        }
        self.ended = Some(Arc::new(error));
        self.globals.awaited.clear();
        self.waiting -= cost_of(&self.arrivals);
        self.arrivals.clear();
        for channel in self.channels.iter_mut() {
            channel.awaited.clear();
            channel.wake_all();
        }
        // Callers that wait for an open hear of the end by their dropped sender.
        self.channels.drop_opening();
        wake(&mut self.wakers.driver);
        wake(&mut self.wakers.arrivals);
    }

    /// Ends the connection in an orderly way.
    pub(crate) fn disconnect(&mut self, reason: DisconnectReason, description: &str) {
        self.end(Error::Disconnecting { reason, description: description.to_owned() });
    }

    /// Registers the driver, to be woken when there is something to send.
    pub(crate) fn set_driver(&mut self, waker: &Waker) {
        if self.wakers.driver.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            self.wakers.driver = Some(waker.clone());
        }
    }

    fn wake_driver(&mut self) {
        if let Some(waker) = &self.wakers.driver {
            waker.wake_by_ref();
        }
    }

    /// The next arrival, or the waker is kept for it.
    pub(crate) fn poll_arrival(&mut self, waker: &Waker) -> Option<Option<Arrival>> {
        if let Some(arrival) = self.arrivals.pop_front() {
            self.waiting -= arrival.cost;
            return Some(Some(arrival.what));
        }
        if self.ended.is_some() {
            return Some(None);
        }
        self.wakers.arrivals = Some(waker.clone());
        None
    }

    /// When [`on_time`](Self::on_time) wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let keepalive = self.limits.keepalive.map(|every| self.keepalive.since + every);
        // What was heard last is in the past.
        let push = self.push.as_ref();
        let push = push.and_then(|push| push.deadline(self.leg.next_sequence(), self.keepalive.since));
        [self.leg.deadline(), keepalive, push].into_iter().flatten().min()
    }

    /// Sends keepalives and pushes, and ends what takes too long.
    pub(crate) fn on_time(&mut self, now: Instant) -> Result<(), Error> {
        self.leg.on_time(now)?;
        if let Some(every) = self.limits.keepalive
            && now >= self.keepalive.since + every
        {
            if self.keepalive.unanswered >= self.limits.keepalive_most {
                return Err(Error::TimedOut { what: "an answer to a keepalive" });
            }
            self.keepalive.unanswered += 1;
            self.keepalive.since = now;
            self.send_global("keepalive@openssh.com", &[], true)?;
            self.globals.awaited.push_back(AwaitedReply::Keepalive);
        }
        if let Some(push) = &mut self.push
            && push.is_due(self.leg.next_sequence(), now)
        {
            let mut empty = vec![message::IGNORE];
            empty.put_string("");
            self.leg.send(&empty, &[])?;
            push.pushed(self.leg.next_sequence());
        }
        Ok(())
    }

    fn channel(&mut self, local: u32) -> Option<&mut Channel> {
        self.channels.get_mut(local)
    }

    /// Sets memory aside for what `payload` says, until somebody takes it.
    fn set_aside<T>(&mut self, what: T, payload: &[u8]) -> Result<Waiting<T>, Error> {
        let cost = payload.len() + WAITING_OVERHEAD;
        if self.waiting + cost > MOST_WAITING {
            return Err(Error::Limit { limit: "the size of requests that wait for a decision" });
        }
        self.waiting += cost;
        Ok(Waiting { what, cost })
    }
}

fn cost_of<T>(waiting: &VecDeque<Waiting<T>>) -> usize {
    waiting.iter().map(|one| one.cost).sum()
}

#[cfg(test)]
mod properties;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod script;
#[cfg(test)]
mod tests;
