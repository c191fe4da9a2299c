//! What we send: from calls to payloads.

use super::channel::LARGEST_DATA;
use super::channel::{Channel, Next, Phase, Stream, data_head, numbered};
use super::kinds::ChannelKind;
use super::replies::Ticket;
use super::requests::ChannelRequest;
use super::schedule::TURN;
use super::{AwaitedReply, Engine, FULL, GlobalReply, OpenRefused, cost_of};
use crate::error::Error;
use crate::message::{self, OpenFailure};
use crate::wire::Put;
use std::task::Waker;
use std::time::Instant;
use tokio::sync::oneshot;

/// What a read of a channel found.
pub(crate) enum Read {
    /// This many bytes.
    Bytes(usize),
    /// No more will come.
    End,
    /// Nothing yet.
    Pending,
}

/// What a write to a channel did.
pub(crate) enum Written {
    /// Took this many bytes.
    Bytes(usize),
    /// Took nothing yet.
    Pending,
    /// The channel takes nothing any more.
    Broken,
}

impl Engine {
    /// Fills the output from the channels, each in its turn.
    pub(crate) fn fill(&mut self) -> Result<(), Error> {
        while self.leg.may_send() && self.leg.output().len() < FULL {
            let Some(local) = self.schedule.next() else { break };
            self.take_turn(local)?;
        }
        Ok(())
    }

    /// Lets one channel send up to a turn's bytes.
    fn take_turn(&mut self, local: u32) -> Result<(), Error> {
        let Some(channel) = self.channels.get_mut(local) else { return Ok(()) };
        channel.send.scheduled = false;
        let mut sent = 0;
        while sent < TURN {
            let Next::Message { head, body } = channel.send.next(channel.remote) else { break };
            let length = body.len();
            self.leg.send(&head, body)?;
            channel.send.sent(length);
            sent += length;
        }
        self.schedule.sent(sent);
        if sent > 0 {
            channel.wakers.wake_writers();
        }
        self.schedule_channel(local);
        self.remove_if_over(local);
        Ok(())
    }

    /// Puts a channel in the queue of those that can send, once, and wakes the driver.
    pub(super) fn schedule_channel(&mut self, local: u32) {
        let Some(channel) = self.channels.get_mut(local) else { return };
        if matches!(channel.phase, Phase::Open) && !channel.send.scheduled && channel.send.is_sendable() {
            channel.send.scheduled = true;
            self.schedule.add(local, channel.send.queued);
            self.wake_driver();
        }
    }

    /// Reads received bytes of a channel; credit goes back for what was taken.
    pub(crate) fn read(
        &mut self,
        local: u32,
        stream: Stream,
        room: &mut [u8],
        waker: &Waker,
        now: Instant,
    ) -> Result<Read, Error> {
        let ended = self.ended.is_some();
        let Some(channel) = self.channel(local) else { return Ok(Read::End) };
        let count = channel.receive.take(stream, room);
        if count == 0 && !room.is_empty() {
            if channel.receive.eof || channel.receive.closed || ended {
                return Ok(Read::End);
            }
            let slot = match stream {
                Stream::Data => &mut channel.wakers.data,
                Stream::Stderr => &mut channel.wakers.stderr,
            };
            *slot = Some(waker.clone());
            if stream == Stream::Data {
                self.start_input(local)?;
            }
            return Ok(Read::Pending);
        }
        self.credit(local, count, now)?;
        Ok(Read::Bytes(count))
    }

    /// Gives the peer credit for `count` bytes that were taken (or thrown away).
    pub(super) fn credit(&mut self, local: u32, count: usize, now: Instant) -> Result<(), Error> {
        let Some(channel) = self.channels.get_mut(local) else { return Ok(()) };
        let drained = channel.receive.is_drained();
        let credit = channel.receive.window.consume(count, drained, &mut self.budget, now);
        if let Some(credit) = credit
            && !channel.receive.eof
            && !channel.send.closed
        {
            let mut adjust = numbered(message::CHANNEL_WINDOW_ADJUST, channel.remote);
            adjust.put_uint32(credit);
            self.leg.send(&adjust, &[])?;
            self.wake_driver();
        }
        Ok(())
    }

    /// Says that nobody will read a channel any more: what comes is thrown away.
    pub(crate) fn discard(&mut self, local: u32, now: Instant) -> Result<(), Error> {
        let Some(channel) = self.channel(local) else { return Ok(()) };
        channel.receive.discard = true;
        let thrown = channel.receive.data.len() + channel.receive.stderr.len();
        channel.receive.data = Default::default();
        channel.receive.stderr = Default::default();
        self.credit(local, thrown, now)
    }

    /// Writes data to a channel: straight into the output when nobody else waits, else into the
    /// channel's own bounded queue.
    pub(crate) fn write(
        &mut self,
        local: u32,
        stream: Stream,
        bytes: &[u8],
        waker: &Waker,
    ) -> Result<Written, Error> {
        if self.ended.is_some() {
            return Ok(Written::Broken);
        }
        let straight = self.schedule.is_empty() && self.leg.may_send();
        let Some(channel) = self.channels.get_mut(local) else { return Ok(Written::Broken) };
        if channel.send.eof || channel.send.closing || channel.send.closed {
            return Ok(Written::Broken);
        }
        let mut taken = 0;
        if straight && matches!(channel.phase, Phase::Open) && channel.send.is_clear() {
            while self.leg.output().len() < FULL {
                let rest = bytes.get(taken..).unwrap_or_default();
                let count = channel.send.allowance(rest.len());
                if count == 0 {
                    break;
                }
                let body = rest.get(..count).unwrap_or_default();
                self.leg.send(&data_head(stream, channel.remote, count), body)?;
                channel.send.window -= count as u64;
                taken += count;
            }
        }
        let rest = bytes.get(taken..).unwrap_or_default();
        let queued = rest.len().min(channel.send.room());
        if queued > 0 {
            channel.send.push_data(stream, rest.get(..queued).unwrap_or_default());
        }
        if taken + queued == 0 && !bytes.is_empty() {
            *channel.wakers.write(stream) = Some(waker.clone());
            return Ok(Written::Pending);
        }
        if taken > 0 {
            self.wake_driver();
        }
        self.schedule_channel(local);
        Ok(Written::Bytes(taken + queued))
    }

    /// Whether everything written to a channel has left its queue; else the waker of the writer of `stream`
    /// is kept.
    pub(crate) fn is_flushed(&mut self, local: u32, stream: Stream, waker: &Waker) -> bool {
        if self.ended.is_some() {
            return true;
        }
        match self.channels.get_mut(local) {
            Some(channel) if channel.send.queued > 0 && !channel.send.closed => {
                *channel.wakers.write(stream) = Some(waker.clone());
                false
            }
            _ => true,
        }
    }

    /// Ends the data of a channel after what was written.
    pub(crate) fn send_eof(&mut self, local: u32) {
        if let Some(channel) = self.channel(local) {
            channel.send.push_eof();
            channel.wakers.wake_writers();
            self.schedule_channel(local);
        }
    }

    /// Sends a request on a channel, in its place among the data. The reply, if one is wanted.
    pub(crate) fn request(
        &mut self,
        local: u32,
        request: &ChannelRequest,
        reply: Option<oneshot::Sender<bool>>,
    ) {
        let Some(channel) = self.channel(local) else { return };
        if channel.send.closing || channel.send.closed {
            return;
        }
        let mut rest = Vec::new();
        rest.put_string(request.name());
        rest.put_boolean(reply.is_some());
        request.write(&mut rest);
        channel.send.push_message(message::CHANNEL_REQUEST, rest);
        channel.awaited.extend(reply);
        self.schedule_channel(local);
    }

    /// Closes a channel after what was written; received data stays readable.
    pub(crate) fn close(&mut self, local: u32) {
        if let Some(channel) = self.channel(local) {
            channel.send.push_close();
            channel.wakers.wake_writers();
            self.schedule_channel(local);
        }
    }

    /// Closes a channel after what was written, and forgets it once the peer has closed it too.
    pub(crate) fn abandon(&mut self, local: u32) -> Result<(), Error> {
        let Some(channel) = self.channel(local) else { return Ok(()) };
        channel.abandoned = true;
        channel.receive.discard = true;
        channel.receive.data = Default::default();
        channel.receive.stderr = Default::default();
        let dropped = cost_of(&channel.requests);
        channel.requests.clear();
        self.waiting -= dropped;
        let Some(channel) = self.channel(local) else { return Ok(()) };
        match channel.phase {
            Phase::Open => {
                channel.send.push_close();
                self.schedule_channel(local);
                self.remove_if_over(local);
                Ok(())
            }
            Phase::Asked => self.refuse_open(local, OpenFailure::AdministrativelyProhibited, "refused"),
            // The peer's answer finds the caller gone.
            Phase::Opening(_) => Ok(()),
        }
    }

    pub(super) fn remove_if_over(&mut self, local: u32) {
        if self.channel(local).is_some_and(|channel| channel.is_over()) {
            self.remove(local);
        }
    }

    pub(super) fn remove(&mut self, local: u32) -> Option<Box<Channel>> {
        let channel = self.channels.remove(local)?;
        self.budget.close(&channel.receive.window);
        self.waiting -= cost_of(&channel.requests);
        Some(channel)
    }

    /// Asks the peer for a channel. The answer comes through `caller`.
    pub(crate) fn open(
        &mut self,
        kind: &ChannelKind,
        caller: oneshot::Sender<Result<(), OpenRefused>>,
    ) -> Result<Option<u32>, Error> {
        if self.ended.is_some() || self.channels.is_full() {
            return Ok(None);
        }
        let Some(window) = self.budget.open() else { return Ok(None) };
        let size = window.size();
        let local = self.channels.add(Channel::new(Phase::Opening(caller), window, self.limits.requests));
        let mut ask = vec![message::CHANNEL_OPEN];
        ask.put_string(kind.name());
        ask.put_uint32(local);
        ask.put_uint32(size);
        ask.put_uint32(LARGEST_DATA);
        kind.write(&mut ask);
        self.leg.send(&ask, &[])?;
        self.wake_driver();
        Ok(Some(local))
    }

    /// Accepts a channel that the peer asked for.
    pub(crate) fn accept_open(&mut self, local: u32) -> Result<(), Error> {
        let Some(channel) = self.channels.get_mut(local) else { return Ok(()) };
        channel.phase = Phase::Open;
        let mut reply = numbered(message::CHANNEL_OPEN_CONFIRMATION, channel.remote);
        reply.put_uint32(local);
        reply.put_uint32(channel.receive.window.size());
        reply.put_uint32(LARGEST_DATA);
        self.leg.send(&reply, &[])?;
        self.wake_driver();
        Ok(())
    }

    /// Refuses a channel that the peer asked for.
    pub(crate) fn refuse_open(
        &mut self,
        local: u32,
        reason: OpenFailure,
        description: &str,
    ) -> Result<(), Error> {
        if let Some(channel) = self.remove(local) {
            let refused = OpenRefused { reason, description: description.to_owned() };
            self.send_open_failure(channel.remote, &refused)?;
            self.wake_driver();
        }
        Ok(())
    }

    /// Decides a channel request of the peer.
    pub(crate) fn reply(&mut self, local: u32, ticket: Ticket, accepted: bool) -> Result<(), Error> {
        let Some(channel) = self.channel(local) else { return Ok(()) };
        channel.owed.decide(ticket, accepted);
        self.send_channel_replies(local)
    }

    /// Replies leave at once, ahead of this channel's own data: they belong to the conversation in the
    /// other direction, and a peer that does not read its data must still hear them.
    pub(super) fn send_channel_replies(&mut self, local: u32) -> Result<(), Error> {
        let Some(channel) = self.channels.get_mut(local) else { return Ok(()) };
        if channel.send.closed || channel.send.closing {
            return Ok(());
        }
        let mut any = false;
        while let Some(accepted) = channel.owed.next() {
            let number = if accepted { message::CHANNEL_SUCCESS } else { message::CHANNEL_FAILURE };
            self.leg.send(&numbered(number, channel.remote), &[])?;
            any = true;
        }
        if any {
            self.wake_driver();
        }
        Ok(())
    }

    /// Sends a global request; the reply comes through `caller`.
    pub(crate) fn request_global(
        &mut self,
        name: &str,
        data: &[u8],
        caller: Option<oneshot::Sender<GlobalReply>>,
    ) -> Result<(), Error> {
        if self.ended.is_some() {
            return Ok(());
        }
        self.send_global(name, data, caller.is_some())?;
        self.globals.awaited.extend(caller.map(AwaitedReply::Caller));
        Ok(())
    }

    pub(super) fn send_global(&mut self, name: &str, data: &[u8], want_reply: bool) -> Result<(), Error> {
        let mut request = vec![message::GLOBAL_REQUEST];
        request.put_string(name);
        request.put_boolean(want_reply);
        self.leg.send(&request, data)?;
        self.wake_driver();
        Ok(())
    }

    /// Decides a global request of the peer.
    pub(crate) fn reply_global(&mut self, ticket: Ticket, reply: GlobalReply) -> Result<(), Error> {
        self.globals.owed.decide(ticket, reply);
        self.send_global_replies()
    }

    pub(super) fn send_global_replies(&mut self) -> Result<(), Error> {
        let mut any = false;
        while let Some(reply) = self.globals.owed.next() {
            match reply {
                Ok(data) => self.leg.send(&[message::REQUEST_SUCCESS], &data)?,
                Err(()) => self.leg.send(&[message::REQUEST_FAILURE], &[])?,
            }
            any = true;
        }
        if any {
            self.wake_driver();
        }
        Ok(())
    }

    /// The next request on a channel; `None` in the inner option when no more will come.
    pub(crate) fn poll_request(
        &mut self,
        local: u32,
        waker: &Waker,
    ) -> Option<Option<super::channel::IncomingRequest>> {
        let ended = self.ended.is_some();
        let Some(channel) = self.channel(local) else { return Some(None) };
        if let Some(request) = channel.requests.pop_front() {
            self.waiting -= request.cost;
            return Some(Some(request.what));
        }
        if channel.receive.closed || ended {
            return Some(None);
        }
        channel.wakers.requests = Some(waker.clone());
        None
    }
}
