//! The relay, sans-IO: two authenticated legs, packets between them.
//!
//! It decrypts a payload on one leg and seals it on the other; it has no windows, no channel numbers and
//! no opinion of its own. Must stay true:
//! - only messages 80 to 127 cross; what belongs to a leg is answered on that leg;
//! - global replies carry no number, so those of the far side and those made here share one queue per
//!   leg, in the order of the requests;
//! - a leg whose output is full or which exchanges keys is not sent to, and then the other is not read;
//! - of the relay's own accord, keys are exchanged on one leg at a time.

mod books;
mod channels;
mod loans;
mod policy;
mod questions;
mod turns;

pub use loans::{OpenPipes, Sink, Source};
pub use policy::{PassAll, RelayPolicy, Side, Verdict};

use crate::connection::{ChannelKind, FULL, GlobalReply, GlobalRequest, OwedReplies};
use crate::error::{Error, InMessage, Malformed};
use crate::leg::Leg;
use crate::message::{self, OpenFailure};
use crate::packet::LONGEST_PACKET;
use crate::transport::{HOSTKEYS, HOSTKEYS_PROVE, Transport};
use crate::wire::{Put, Reader};
use channels::Channels;
use loans::Loans;
use policy::{Asked, Invitations};
use questions::{Question, Questions};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use turns::Turns;

/// Channels that may be open at once.
const MOST_CHANNELS: usize = 1024;
/// Requests that may wait for a reply, of each kind.
const MOST_REQUESTS: usize = 256;
/// The largest data message that both kinds of legs carry: a packet less its headers.
const LARGEST_DATA: u32 = LONGEST_PACKET - 1024;
/// What a refused channel request is renamed to: the far side refuses what it does not know, so that its
/// answer keeps its place among the others.
const REFUSED: &str = "refused@grasshopper";

/// What failed, and on which leg.
#[derive(Debug)]
pub struct RelayError {
    /// The leg.
    pub side: Side,
    /// What.
    pub error: Error,
}

/// When keepalives are sent on both legs.
#[derive(Clone, Copy, Debug)]
pub struct RelayKeepalive {
    /// How long a leg may be silent.
    pub every: Duration,
    /// How many in a row may stay unanswered.
    pub most: u32,
}

/// Two legs and what crosses between them.
pub struct Relay {
    client: End,
    server: End,
    channels: Channels,
    invitations: Invitations,
    loans: Loans,
    turns: Turns,
    policy: Box<dyn RelayPolicy>,
    keepalive: Option<RelayKeepalive>,
    /// While the server's end is not there yet: how often the client hears a sign of life, and when next.
    awaited: Option<(Duration, Instant)>,
}

/// One leg with its part of the relay's state.
struct End {
    leg: Leg,
    /// Payloads that came from this leg and wait for the other: one, or what a returned loan leaves.
    stash: VecDeque<Vec<u8>>,
    /// Replies that this leg's peer is owed.
    owed: OwedReplies<GlobalReply>,
    /// What this leg's peer owes replies to.
    asked: Questions,
    /// When its peer last said something or was last asked whether it is there.
    since: Instant,
    unanswered: u32,
    crossed: u64,
    /// Of that, what channels carry.
    data: u64,
}

impl End {
    fn new(leg: Leg, now: Instant) -> Self {
        Self {
            leg,
            stash: VecDeque::new(),
            owed: OwedReplies::new(MOST_REQUESTS),
            asked: Questions::default(),
            since: now,
            unanswered: 0,
            crossed: 0,
            data: 0,
        }
    }

    /// Counts a payload that came from this leg.
    fn count(&mut self, number: u8, bytes: u64) {
        self.crossed = self.crossed.saturating_add(bytes);
        if let message::CHANNEL_DATA | message::CHANNEL_EXTENDED_DATA = number {
            self.data = self.data.saturating_add(bytes);
        }
    }

    fn takes_more(&mut self) -> bool {
        self.leg.may_send() && self.leg.output().len() < FULL
    }

    /// Sends what has crossed.
    fn send(&mut self, payload: &[u8]) -> Result<(), Error> {
        if payload.first() == Some(&message::GLOBAL_REQUEST) {
            let sequence = self.leg.next_sequence();
            self.asked.sent(sequence);
        }
        self.leg.send(payload, &[])
    }

    fn flush_replies(&mut self) -> Result<(), Error> {
        while let Some(reply) = self.owed.next() {
            match reply {
                Ok(data) => self.leg.send(&[message::REQUEST_SUCCESS], &data)?,
                Err(()) => self.leg.send(&[message::REQUEST_FAILURE], &[])?,
            }
        }
        Ok(())
    }
}

/// What becomes of a payload.
enum Fate {
    /// It crosses as it is.
    Cross,
    /// It crosses in this form.
    CrossAs(Vec<u8>),
    /// It stays here and has been dealt with.
    Stay,
    /// Its number is not known.
    Unknown,
}

impl Relay {
    /// A relay between an authenticated client and a server that we are authenticated to.
    pub fn new(
        client: impl Into<Leg>,
        server: impl Into<Leg>,
        policy: Box<dyn RelayPolicy>,
        keepalive: Option<RelayKeepalive>,
        now: Instant,
    ) -> Result<Self, RelayError> {
        let mut client: Leg = client.into();
        // Our own announcement; the server's never crosses, it is signed for another session.
        if let Some(payload) = client.transport().and_then(Transport::host_keys_announcement) {
            client.send(&payload, &[]).map_err(|error| RelayError { side: Side::Client, error })?;
        }
        Ok(Self::assembled(client, server.into(), policy, keepalive, now))
    }

    pub(crate) fn assembled(
        client: Leg,
        server: Leg,
        policy: Box<dyn RelayPolicy>,
        keepalive: Option<RelayKeepalive>,
        now: Instant,
    ) -> Self {
        Self {
            client: End::new(client, now),
            server: End::new(server, now),
            channels: Channels::default(),
            invitations: Invitations::default(),
            loans: Loans::default(),
            turns: Turns::default(),
            policy,
            keepalive,
            awaited: None,
        }
    }

    /// The server's end is still being started: until something comes from it, it is not asked whether it is there,
    /// and the client hears a message without meaning every so often. Its own questions may have to wait: replies have
    /// an order, and one to an earlier request may be the server's.
    pub fn await_server(&mut self, every: Duration, now: Instant) {
        self.awaited = Some((every, now + every));
    }

    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// A leg, to move its bytes.
    pub fn leg(&mut self, side: Side) -> &mut Leg {
        &mut self.end(side).leg
    }

    /// Whether a leg's socket is to be read now.
    pub fn wants_read(&self, side: Side) -> bool {
        match side {
            Side::Client => self.client.stash.is_empty(),
            Side::Server => self.server.stash.is_empty(),
        }
    }

    /// Bytes of payload that crossed, from a side.
    pub fn crossed(&self, from: Side) -> u64 {
        match from {
            Side::Client => self.client.crossed,
            Side::Server => self.server.crossed,
        }
    }

    /// Bytes of channel data among them, headers included: what tells an idle connection from one in use, since
    /// keepalives and the like are none.
    pub fn carried(&self, from: Side) -> u64 {
        match from {
            Side::Client => self.client.data,
            Side::Server => self.server.data,
        }
    }

    /// Channels open now.
    pub fn channel_count(&self) -> usize {
        self.channels.count()
    }

    /// Moves what has arrived, both ways.
    pub fn process(&mut self, now: Instant) -> Result<(), RelayError> {
        loop {
            let moved = self.forward(Side::Client, now)? | self.forward(Side::Server, now)?;
            if !moved {
                return self.rekey(now);
            }
        }
    }

    /// When [`on_time`](Self::on_time) wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let ends = [(&self.client, &self.server), (&self.server, &self.client)];
        // A leg whose keys are due waits for the other's exchange, without asking the time until then.
        let waits = |end: &End, other: &End| !end.leg.is_exchanging() && other.leg.is_exchanging();
        let legs =
            ends.iter().filter(|(end, other)| !waits(end, other)).filter_map(|(end, _)| end.leg.deadline());
        let asked = ends.iter().take(if self.awaited.is_some() { 1 } else { 2 });
        let keepalives =
            asked.filter_map(|(end, _)| self.keepalive.map(|keepalive| end.since + keepalive.every));
        legs.chain(keepalives).chain(self.awaited.map(|(_, next)| next)).chain(self.loans.deadline()).min()
    }

    /// Sends keepalives, replaces keys, ends what takes too long.
    pub fn on_time(&mut self, now: Instant) -> Result<(), RelayError> {
        let keepalive = self.keepalive;
        let awaited = self.awaited;
        if let Some((every, next)) = awaited
            && next <= now
        {
            self.awaited = Some((every, now + every));
            let mut sign = vec![message::IGNORE];
            sign.put_string("");
            self.client.leg.send(&sign, &[]).map_err(|error| RelayError { side: Side::Client, error })?;
        }
        for side in [Side::Client, Side::Server] {
            // A question that overtook a request which waits would take its reply. As a sign of life, that it
            // waits for so long says as much.
            let waits = !self.end(side.other()).stash.is_empty();
            let end = self.end(side);
            let at = |error| RelayError { side, error };
            end.leg.on_time(now).map_err(at)?;
            let Some(keepalive) = keepalive else { continue };
            if side == Side::Server && awaited.is_some() {
                end.since = now;
                continue;
            }
            if !end.stash.is_empty() {
                // We are the ones who do not listen: its answer may lie unread in the socket.
                end.since = now;
                end.unanswered = 0;
            }
            if now < end.since + keepalive.every {
                continue;
            }
            if end.unanswered >= keepalive.most {
                return Err(at(Error::TimedOut { what: "an answer to a keepalive" }));
            }
            end.unanswered += 1;
            end.since = now;
            if waits {
                continue;
            }
            let mut request = vec![message::GLOBAL_REQUEST];
            request.put_string("keepalive@openssh.com");
            request.put_boolean(true);
            let sequence = end.leg.next_sequence();
            end.leg.send(&request, &[]).map_err(at)?;
            end.asked.asked(Question::Keepalive, sequence);
        }
        self.return_idle_loans(now)?;
        self.rekey(now)
    }

    /// Starts a key exchange of our own on at most one leg: a leg that exchanges keys holds up the
    /// other, so two at once could wait for each other.
    fn rekey(&mut self, now: Instant) -> Result<(), RelayError> {
        for side in [Side::Client, Side::Server] {
            if self.end(side).leg.rekey_due(now) && !self.end(side.other()).leg.is_exchanging() {
                self.end(side).leg.start_rekey(now).map_err(|error| RelayError { side, error })?;
            }
        }
        Ok(())
    }

    /// Moves what came from one side; whether anything moved.
    fn forward(&mut self, from: Side, now: Instant) -> Result<bool, RelayError> {
        let at = |error| RelayError { side: from, error };
        let to = |error| RelayError { side: from.other(), error };
        let mut moved = false;
        loop {
            while self.end(from.other()).takes_more()
                && let Some(payload) = self.end(from).stash.pop_front()
            {
                self.end(from.other()).send(&payload).map_err(to)?;
                moved = true;
            }
            if !self.end(from).stash.is_empty() {
                return Ok(moved);
            }
            let next = self.end(from).leg.next(now).map_err(at)?;
            while let Some(sequence) = self.end(from).leg.take_unimplemented() {
                self.on_not_known(from, sequence, now).map_err(to)?;
            }
            let Some(payload) = next else { return Ok(moved) };
            moved = true;
            if from == Side::Server {
                self.awaited = None;
            }
            let end = self.end(from);
            end.since = now;
            end.unanswered = 0;
            let bytes = end.leg.payload(&payload);
            let number = bytes.first().copied().unwrap_or_default();
            // Window adjustments and data, which are nearly all there is, cross without a look inside.
            let crossing = match number {
                message::CHANNEL_WINDOW_ADJUST..=message::CHANNEL_EOF => {
                    if from == Side::Client && self.keep_lent(number, &payload, now)? {
                        continue;
                    }
                    None
                }
                _ => {
                    let owned = bytes.to_vec();
                    match self.judge(from, &owned, now)? {
                        Fate::Cross => Some(owned),
                        Fate::CrossAs(changed) => Some(changed),
                        Fate::Stay => continue,
                        Fate::Unknown => {
                            self.end(from).leg.send_unimplemented(&payload).map_err(at)?;
                            continue;
                        }
                    }
                }
            };
            let (source, target) = match from {
                Side::Client => (&mut self.client, &mut self.server),
                Side::Server => (&mut self.server, &mut self.client),
            };
            let bytes = crossing.as_deref().unwrap_or_else(|| source.leg.payload(&payload));
            let count = bytes.len() as u64;
            // What a returned loan leaves comes first.
            if source.stash.is_empty() && target.takes_more() {
                target.send(bytes).map_err(to)?;
            } else {
                let waiting = bytes.to_vec();
                source.stash.push_back(waiting);
            }
            source.count(number, count);
        }
    }

    fn judge(&mut self, from: Side, payload: &[u8], now: Instant) -> Result<Fate, RelayError> {
        let number = payload.first().copied().unwrap_or_default();
        let judged = match number {
            message::GLOBAL_REQUEST => self.on_global_request(from, payload),
            message::REQUEST_SUCCESS => {
                self.on_global_reply(from, Ok(payload.get(1..).unwrap_or_default().to_vec()))
            }
            message::REQUEST_FAILURE => self.on_global_reply(from, Err(())),
            message::CHANNEL_OPEN => self.on_open(from, payload),
            message::CHANNEL_OPEN_CONFIRMATION => self.on_open_confirmation(from, payload),
            message::CHANNEL_OPEN_FAILURE => {
                let recipient = recipient(payload);
                recipient.map(|recipient| match self.channels.refused(from, recipient) {
                    true => Fate::Cross,
                    false => Fate::Stay,
                })
            }
            message::CHANNEL_CLOSE => recipient(payload).and_then(|recipient| {
                self.end_loans(from, recipient)?;
                self.channels.closed(from, recipient);
                Ok(Fate::Cross)
            }),
            message::CHANNEL_REQUEST => self.on_channel_request(from, payload),
            message::CHANNEL_SUCCESS | message::CHANNEL_FAILURE => recipient(payload).map(|recipient| {
                let asked = self.channels.replied(from, recipient);
                if let (Some(asked), message::CHANNEL_SUCCESS, Side::Server) = (asked, number, from) {
                    self.invitations.granted(asked, None);
                }
                Fate::Cross
            }),
            80..=127 => Ok(Fate::Cross),
            message::LEND | message::LOAN_START if from == Side::Server && self.server.leg.is_bare() => {
                self.on_lending(payload, now)
            }
            // RFC 4252 section 5.1: authentication requests after success are ignored.
            message::USERAUTH_REQUEST => Ok(Fate::Stay),
            _ => Ok(Fate::Unknown),
        };
        judged.map_err(|error| RelayError { side: from, error })
    }

    fn on_global_request(&mut self, from: Side, payload: &[u8]) -> Result<Fate, Error> {
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            Ok((reader.text()?, reader.boolean()?))
        };
        let (name, want_reply) = read().in_message(message::GLOBAL_REQUEST)?;
        let data = reader.rest();
        if name == HOSTKEYS {
            return Ok(Fate::Stay);
        }
        // Each leg answers for itself: proofs are over its own session, keepalives are about its own life.
        let local: Option<GlobalReply> = match name {
            _ if name.starts_with("keepalive@") => Some(Err(())),
            HOSTKEYS_PROVE => {
                let proofs = match self.end(from).leg.transport() {
                    Some(transport) => transport.prove_host_keys(data)?,
                    None => None,
                };
                Some(proofs.ok_or(()))
            }
            _ => None,
        };
        if let Some(reply) = local {
            return self.answer_here(from, want_reply, reply);
        }
        let request = GlobalRequest::read(name, data).in_message(message::GLOBAL_REQUEST)?;
        let asked = Asked::of_global(&request);
        let full = asked.is_invitation() && !self.invitations.has_room();
        if full || asked.is_too_long() || self.policy.global_request(from, &request) != Verdict::Pass {
            return self.answer_here(from, want_reply, Err(()));
        }
        if !want_reply {
            if from == Side::Client {
                self.invitations.granted(asked, None);
            }
            return Ok(Fate::Cross);
        }
        match self.end(from).owed.owe() {
            Some(ticket) => {
                self.end(from.other()).asked.ask(Question::Forwarded(ticket, asked));
                Ok(Fate::Cross)
            }
            None => self.answer_here(from, true, Err(())),
        }
    }

    /// Puts a reply of our own in its place among those of the far side.
    fn answer_here(&mut self, from: Side, want_reply: bool, reply: GlobalReply) -> Result<Fate, Error> {
        if want_reply {
            let end = self.end(from);
            end.owed.push(reply)?;
            end.flush_replies()?;
        }
        Ok(Fate::Stay)
    }

    fn on_global_reply(&mut self, from: Side, reply: GlobalReply) -> Result<Fate, Error> {
        match self.end(from).asked.answered() {
            None => Err(Error::Protocol { problem: "a reply to a request that was not made" }),
            Some(Question::Keepalive) => Ok(Fate::Stay),
            Some(Question::Forwarded(ticket, asked)) => {
                if let (Ok(data), Side::Server) = (&reply, from) {
                    self.invitations.granted(asked, Reader::new(data).uint32().ok());
                }
                let end = self.end(from.other());
                end.owed.decide(ticket, reply);
                end.flush_replies()?;
                Ok(Fate::Stay)
            }
        }
    }

    /// A peer does not know a packet of its leg (tinysshd knows no global requests). If a request left in it, that is a
    /// failure for who made it; the message itself stays on its leg, whose sequence numbers mean nothing elsewhere.
    fn on_not_known(&mut self, from: Side, sequence: u32, now: Instant) -> Result<(), Error> {
        let end = self.end(from);
        end.since = now;
        end.unanswered = 0;
        let Some(Question::Forwarded(ticket, _)) = end.asked.not_known(sequence) else { return Ok(()) };
        let end = self.end(from.other());
        end.owed.decide(ticket, Err(()));
        end.flush_replies()
    }

    fn on_open(&mut self, from: Side, payload: &[u8]) -> Result<Fate, Error> {
        let number = message::CHANNEL_OPEN;
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            Ok((reader.text()?, reader.uint32()?, reader.uint32()?, reader.uint32()?))
        };
        let (name, opener, window, largest) = read().in_message(number)?;
        let data = reader.rest();
        let kind = ChannelKind::read(name, data).in_message(number)?;
        if self.channels.count() >= MOST_CHANNELS {
            return self.refuse_open(from, opener, OpenFailure::ResourceShortage, "too many channels");
        }
        if from == Side::Server && !self.invitations.admits(&kind) {
            let reason = OpenFailure::AdministrativelyProhibited;
            return self.refuse_open(from, opener, reason, "not asked for on this connection");
        }
        if let Verdict::Refuse(words) = self.policy.open(from, &kind) {
            return self.refuse_open(from, opener, OpenFailure::AdministrativelyProhibited, words);
        }
        if !self.channels.opening(from, opener) {
            return Err(Error::Protocol { problem: "it opened a channel under a number that is in use" });
        }
        if largest <= LARGEST_DATA {
            return Ok(Fate::Cross);
        }
        let mut changed = vec![number];
        changed.put_string(name);
        changed.put_uint32(opener);
        changed.put_uint32(window);
        changed.put_uint32(LARGEST_DATA);
        changed.put_raw(data);
        Ok(Fate::CrossAs(changed))
    }

    fn refuse_open(
        &mut self,
        from: Side,
        opener: u32,
        reason: OpenFailure,
        words: &str,
    ) -> Result<Fate, Error> {
        let mut reply = vec![message::CHANNEL_OPEN_FAILURE];
        reply.put_uint32(opener);
        reply.put_uint32(reason.code());
        reply.put_string(words);
        reply.put_string("");
        self.end(from).leg.send(&reply, &[])?;
        Ok(Fate::Stay)
    }

    fn on_open_confirmation(&mut self, from: Side, payload: &[u8]) -> Result<Fate, Error> {
        let number = message::CHANNEL_OPEN_CONFIRMATION;
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            Ok((reader.uint32()?, reader.uint32()?, reader.uint32()?, reader.uint32()?))
        };
        let (recipient, sender, window, largest) = read().in_message(number)?;
        if !self.channels.confirmed(from, recipient, sender) {
            let problem = "it confirmed a channel that was not asked for, or under a number that is in use";
            return Err(Error::Protocol { problem });
        }
        if largest <= LARGEST_DATA {
            return Ok(Fate::Cross);
        }
        let mut changed = vec![number];
        for field in [recipient, sender, window, LARGEST_DATA] {
            changed.put_uint32(field);
        }
        changed.put_raw(reader.rest());
        Ok(Fate::CrossAs(changed))
    }

    fn on_channel_request(&mut self, from: Side, payload: &[u8]) -> Result<Fate, Error> {
        let number = message::CHANNEL_REQUEST;
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            Ok((reader.uint32()?, reader.text()?, reader.boolean()?))
        };
        let (recipient, name, want_reply) = read().in_message(number)?;
        let refused = self.policy.channel_request(from, name) != Verdict::Pass;
        let asked = if refused { Asked::Other } else { Asked::of_channel_request(name) };
        if want_reply {
            if self.channels.pending() >= MOST_REQUESTS {
                return Err(Error::Limit { limit: "the number of requests that wait for a reply" });
            }
            self.channels.asked(from, recipient, asked);
        } else if from == Side::Client {
            // OpenSSH asks for its agent to be forwarded without wanting a reply.
            self.invitations.granted(asked, None);
        }
        if !refused {
            return Ok(Fate::Cross);
        }
        let mut changed = vec![number];
        changed.put_uint32(recipient);
        changed.put_string(REFUSED);
        changed.put_boolean(want_reply);
        Ok(Fate::CrossAs(changed))
    }
}

fn recipient(payload: &[u8]) -> Result<u32, Error> {
    let number = payload.first().copied().unwrap_or_default();
    let field = payload.get(1..).ok_or(Malformed::Truncated).in_message(number)?;
    Reader::new(field).uint32().in_message(number)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod script;
#[cfg(test)]
mod tests;
