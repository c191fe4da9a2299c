//! What the peer sends: from payloads to state.

use super::channel::{Channel, IncomingRequest, LARGEST_DATA, Phase, Stream, numbered, wake};
use super::kinds::ChannelKind;
use super::requests::{ChannelRequest, GlobalRequest};
use super::{Arrival, AwaitedReply, Engine, GlobalReply, OpenRefused};
use crate::error::{Error, InMessage, Malformed};
use crate::message::{self, OpenFailure};
use crate::transport::HOSTKEYS_PROVE;
use crate::wire::{Put, Reader};
use std::time::Instant;

const NO_SUCH_CHANNEL: Error = Error::Protocol { problem: "a message for a channel that does not exist" };

impl Engine {
    /// Takes everything that has arrived. The caller ends the connection on an error.
    pub(crate) fn process(&mut self, now: Instant) -> Result<(), Error> {
        while self.ended.is_none() {
            let next = self.leg.next(now)?;
            while self.leg.take_unimplemented().is_some() {
                self.on_not_known(now);
            }
            let Some(payload) = next else { break };
            self.keepalive.since = now;
            self.keepalive.unanswered = 0;
            let bytes = self.leg.payload(&payload);
            match bytes.first().copied().unwrap_or_default() {
                // The one message that matters for speed is taken out of the buffer where it lies.
                number @ (message::CHANNEL_DATA | message::CHANNEL_EXTENDED_DATA) => {
                    let data = Data::read(bytes).in_message(number)?;
                    let channel = self.channels.get_mut(data.channel).ok_or(NO_SUCH_CHANNEL)?;
                    let credited = receive(channel, &data, now)?;
                    if credited > 0 {
                        self.credit(data.channel, credited, now)?;
                    }
                }
                80..=127 => {
                    let owned = bytes.to_vec();
                    if !self.on_message(&owned)? {
                        self.leg.send_unimplemented(&payload)?;
                    }
                }
                message::LENT | message::LOAN_RETURNED if self.lends => {
                    let owned = bytes.to_vec();
                    self.on_lending(&owned)?;
                }
                // RFC 4252 section 5.1: authentication requests after success are ignored.
                message::USERAUTH_REQUEST => {}
                _ => self.leg.send_unimplemented(&payload)?,
            }
        }
        if self.leg.rekey_due(now) {
            self.leg.start_rekey(now)?;
        }
        Ok(())
    }

    /// Whether the number of the message was known.
    fn on_message(&mut self, payload: &[u8]) -> Result<bool, Error> {
        let number = payload.first().copied().unwrap_or_default();
        match number {
            message::GLOBAL_REQUEST => self.on_global_request(payload)?,
            message::REQUEST_SUCCESS => {
                self.on_global_reply(Ok(payload.get(1..).unwrap_or_default().to_vec()))?;
            }
            message::REQUEST_FAILURE => self.on_global_reply(Err(()))?,
            message::CHANNEL_OPEN => self.on_open(payload)?,
            message::CHANNEL_OPEN_CONFIRMATION => self.on_open_confirmation(payload)?,
            message::CHANNEL_OPEN_FAILURE => self.on_open_failure(payload)?,
            message::CHANNEL_WINDOW_ADJUST => self.on_window_adjust(payload)?,
            message::CHANNEL_EOF => {
                let channel = self.open_channel(payload)?;
                channel.receive.eof = true;
                wake(&mut channel.wakers.data);
                wake(&mut channel.wakers.stderr);
            }
            message::CHANNEL_CLOSE => self.on_close(payload)?,
            message::CHANNEL_REQUEST => self.on_channel_request(payload)?,
            message::CHANNEL_SUCCESS | message::CHANNEL_FAILURE => {
                let channel = self.open_channel(payload)?;
                let awaited = channel
                    .awaited
                    .pop_front()
                    .ok_or(Error::Protocol { problem: "a reply to a request that was not made" })?;
                // The caller may have stopped waiting.
                let _ = awaited.send(number == message::CHANNEL_SUCCESS);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The open channel that the first field of the message names.
    fn open_channel(&mut self, payload: &[u8]) -> Result<&mut Channel, Error> {
        let local = recipient(payload)?;
        self.channels.get_mut(local).filter(|c| matches!(c.phase, Phase::Open)).ok_or(NO_SUCH_CHANNEL)
    }

    fn on_global_request(&mut self, payload: &[u8]) -> Result<(), Error> {
        let number = message::GLOBAL_REQUEST;
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            Ok((reader.text()?, reader.boolean()?))
        };
        let (name, want_reply) = read().in_message(number)?;
        if name.starts_with("keepalive@") {
            // RFC 4254 section 4: failure is the answer to what is not known, and it is an answer.
            if want_reply {
                self.globals.owed.push(Err(()))?;
            }
            return self.send_global_replies();
        }
        if name == HOSTKEYS_PROVE && want_reply {
            let proofs = match self.leg.transport() {
                Some(transport) => transport.prove_host_keys(reader.rest())?,
                None => None,
            };
            self.globals.owed.push(proofs.ok_or(()))?;
            return self.send_global_replies();
        }
        let request = GlobalRequest::read(name, reader.rest()).in_message(number)?;
        let reply = want_reply.then(|| self.globals.owed.owe());
        match reply {
            Some(None) => self.globals.owed.push(Err(()))?,
            _ if self.arrivals.len() >= self.limits.requests + self.limits.channels => {
                return Err(Error::Limit { limit: "the number of requests that wait for a decision" });
            }
            None => self.arrive(Arrival::Global { request, reply: None }, payload)?,
            Some(ticket) => self.arrive(Arrival::Global { request, reply: ticket }, payload)?,
        }
        self.send_global_replies()
    }

    fn arrive(&mut self, arrival: Arrival, payload: &[u8]) -> Result<(), Error> {
        let waiting = self.set_aside(arrival, payload)?;
        self.arrivals.push_back(waiting);
        wake(&mut self.wakers.arrivals);
        Ok(())
    }

    fn on_global_reply(&mut self, reply: GlobalReply) -> Result<(), Error> {
        match self.globals.awaited.pop_front() {
            Some(AwaitedReply::Keepalive) => {}
            Some(AwaitedReply::Caller(sender)) => {
                // The caller may have stopped waiting.
                let _ = sender.send(reply);
            }
            None => return Err(Error::Protocol { problem: "a reply to a request that was not made" }),
        }
        Ok(())
    }

    /// The peer does not know a message of ours (tinysshd knows no global requests, keepalives among them). All
    /// others that we send are known to whoever opens channels, so it is the answer to the oldest request.
    fn on_not_known(&mut self, now: Instant) {
        self.keepalive.since = now;
        self.keepalive.unanswered = 0;
        if let Some(AwaitedReply::Caller(sender)) = self.globals.awaited.pop_front() {
            // The caller may have stopped waiting.
            let _ = sender.send(Err(()));
        }
    }

    fn on_open(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            Ok((reader.text()?, reader.uint32()?, reader.uint32()?, reader.uint32()?))
        };
        let (name, remote, window, largest) = read().in_message(message::CHANNEL_OPEN)?;
        let Ok(kind) = ChannelKind::read(name, reader.rest()) else {
            return Err(Error::Malformed { number: message::CHANNEL_OPEN, problem: Malformed::Truncated });
        };
        let promised = match self.channels.is_full() || largest == 0 {
            true => None,
            false => self.budget.open(),
        };
        let Some(promised) = promised else {
            let refused = OpenRefused {
                reason: OpenFailure::ResourceShortage,
                description: "too many channels are open on this connection".to_owned(),
            };
            return self.send_open_failure(remote, &refused);
        };
        let mut channel = Channel::new(Phase::Asked, promised, self.limits.requests);
        channel.set_peer(remote, window, largest);
        let local = self.channels.add(channel);
        self.arrive(Arrival::Open { channel: local, kind }, payload)
    }

    fn on_open_confirmation(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            Ok((reader.uint32()?, reader.uint32()?, reader.uint32()?, reader.uint32()?))
        };
        let (local, remote, window, largest) = read().in_message(message::CHANNEL_OPEN_CONFIRMATION)?;
        let channel = self.channels.get_mut(local).ok_or(NO_SUCH_CHANNEL)?;
        if largest == 0 {
            // Data could never leave it, and would keep its turn for ever.
            return Err(Error::Protocol { problem: "it confirmed a channel that takes no data" });
        }
        match std::mem::replace(&mut channel.phase, Phase::Open) {
            Phase::Opening(caller) => {
                channel.set_peer(remote, window, largest);
                if caller.send(Ok(())).is_err() {
                    self.abandon(local)?;
                } else {
                    self.schedule_channel(local);
                }
                Ok(())
            }
            Phase::Asked | Phase::Open => Err(Error::Protocol { problem: "an open was confirmed twice" }),
        }
    }

    fn on_open_failure(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            let local = reader.uint32()?;
            let reason = OpenFailure::from_code(reader.uint32()?);
            let description = String::from_utf8_lossy(reader.string()?).into_owned();
            Ok((local, OpenRefused { reason, description }))
        };
        let (local, refused) = read().in_message(message::CHANNEL_OPEN_FAILURE)?;
        let opening = self.channels.get_mut(local).is_some_and(|c| matches!(c.phase, Phase::Opening(_)));
        if !opening {
            return Err(NO_SUCH_CHANNEL);
        }
        if let Some(channel) = self.remove(local)
            && let Phase::Opening(caller) = channel.phase
        {
            // The caller may have stopped waiting.
            let _ = caller.send(Err(refused));
        }
        Ok(())
    }

    fn on_window_adjust(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            Ok((reader.uint32()?, reader.uint32()?))
        };
        let (local, credit) = read().in_message(message::CHANNEL_WINDOW_ADJUST)?;
        let channel = self.channels.get_mut(local).ok_or(NO_SUCH_CHANNEL)?;
        channel.send.window += u64::from(credit);
        // RFC 4254 section 5.2: the window must not grow beyond 2^32 - 1.
        if channel.send.window > u64::from(u32::MAX) {
            return Err(Error::Protocol { problem: "a channel window beyond 2^32 - 1" });
        }
        self.schedule_channel(local);
        Ok(())
    }

    fn on_close(&mut self, payload: &[u8]) -> Result<(), Error> {
        let channel = self.open_channel(payload)?;
        channel.receive.eof = true;
        channel.receive.closed = true;
        channel.awaited.clear();
        if !channel.send.closed {
            channel.send.close_at_once();
        }
        channel.wake_all();
        let local = recipient(payload)?;
        self.schedule_channel(local);
        self.remove_if_over(local);
        Ok(())
    }

    fn on_channel_request(&mut self, payload: &[u8]) -> Result<(), Error> {
        let number = message::CHANNEL_REQUEST;
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            Ok((reader.uint32()?, reader.text()?, reader.boolean()?))
        };
        let (local, name, want_reply) = read().in_message(number)?;
        let most = self.limits.requests;
        let channel = self.open_channel(payload)?;
        if channel.send.closed || channel.send.closing {
            // It crossed our CLOSE: there is nobody to ask, and no answer may follow a CLOSE.
            return Ok(());
        }
        if name.starts_with("keepalive@") {
            if want_reply {
                channel.owed.push(false)?;
            }
            return self.send_channel_replies(local);
        }
        let request = ChannelRequest::read(name, reader.rest()).in_message(number)?;
        let reply = want_reply.then(|| channel.owed.owe());
        let reply = match reply {
            Some(None) => {
                channel.owed.push(false)?;
                return self.send_channel_replies(local);
            }
            _ if channel.requests.len() >= most => {
                return Err(Error::Limit { limit: "the number of requests that wait on one channel" });
            }
            None => None,
            Some(ticket) => ticket,
        };
        let waiting = self.set_aside(IncomingRequest { request, reply }, payload)?;
        if let Some(channel) = self.channel(local) {
            channel.requests.push_back(waiting);
            wake(&mut channel.wakers.requests);
        }
        self.send_channel_replies(local)
    }

    pub(super) fn send_open_failure(&mut self, remote: u32, refused: &OpenRefused) -> Result<(), Error> {
        let mut reply = numbered(message::CHANNEL_OPEN_FAILURE, remote);
        reply.put_uint32(refused.reason.code());
        reply.put_string(&refused.description);
        reply.put_string("");
        self.leg.send(&reply, &[])
    }
}

struct Data<'a> {
    channel: u32,
    /// `None` for an extended type that is not standard error.
    stream: Option<Stream>,
    bytes: &'a [u8],
}

impl<'a> Data<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let extended = reader.byte()? == message::CHANNEL_EXTENDED_DATA;
        let channel = reader.uint32()?;
        let stream = match extended.then(|| reader.uint32()).transpose()? {
            None => Some(Stream::Data),
            Some(message::EXTENDED_DATA_STDERR) => Some(Stream::Stderr),
            Some(_) => None,
        };
        let bytes = reader.string()?;
        reader.finish()?;
        Ok(Self { channel, stream, bytes })
    }
}

/// Puts received data where its reader finds it. How many bytes nobody will read, to be credited.
fn receive(channel: &mut Channel, data: &Data<'_>, now: Instant) -> Result<usize, Error> {
    if !matches!(channel.phase, Phase::Open) {
        return Err(NO_SUCH_CHANNEL);
    }
    if data.bytes.len() > LARGEST_DATA as usize {
        return Err(Error::Protocol { problem: "a data message longer than was invited" });
    }
    channel
        .receive
        .window
        .receive(data.bytes.len(), now)
        .map_err(|_| Error::Protocol { problem: "more data than the channel's window allows" })?;
    if channel.receive.eof {
        return Err(Error::Protocol { problem: "data after the end of the channel's data" });
    }
    match data.stream {
        Some(stream) if !channel.receive.discard && !channel.abandoned => {
            channel.receive.queue(stream).extend(data.bytes);
            let waker = match stream {
                Stream::Data => &mut channel.wakers.data,
                Stream::Stderr => &mut channel.wakers.stderr,
            };
            wake(waker);
            Ok(0)
        }
        _ => Ok(data.bytes.len()),
    }
}

fn recipient(payload: &[u8]) -> Result<u32, Error> {
    let mut reader = Reader::new(payload);
    let number = payload.first().copied().unwrap_or_default();
    let mut read = || {
        reader.byte()?;
        reader.uint32()
    };
    read().in_message(number)
}
