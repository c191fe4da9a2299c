//! The transport layer (RFC 4253) of one connection, either side: identification, key exchange first
//! and again, and the messages 1 to 49, 192 and 193, which belong to a leg and never leave it.
//!
//! Bytes go in through [`Transport::input`], come out through [`Transport::output`]; there is no
//! clock and no socket. Must stay true:
//! - during a key exchange nothing but its own messages is sent; what others want to send is held,
//!   within a bound (RFC 4253 section 7.1);
//! - with strict key exchange nothing but the exchange is accepted before the first NEWKEYS, and
//!   sequence numbers start anew with each NEWKEYS (OpenSSH PROTOCOL section 1.10);
//! - a peer that asks for answers and does not read them is cut off, not buffered for.

mod extensions;
mod host_keys;
mod rekey;

pub use extensions::PeerExtensions;
pub(crate) use host_keys::{HOSTKEYS, HOSTKEYS_PROVE};

use crate::buffer::{InBuf, OutBuf};
use crate::config::{ClientConfig, ServerConfig, Side};
use crate::crypto::cipher::{Direction, Protection};
use crate::error::{Error, InMessage};
use crate::kex::init::{self, PeerInit};
use crate::kex::{AwaitInit, Exchange, Identifications, Outcome, Step, VerifiedHostKey};
use crate::message::{self, DisconnectReason};
use crate::packet::{LONGEST_PACKET, PacketOpener, PacketSealer};
use crate::version;
use crate::wire::{Put, Reader};
use hop_keys::IdentityAlgorithm;
use rekey::RekeyClock;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// How many bytes of answers may wait for a peer that does not read them.
pub(crate) const LONGEST_BACKLOG: usize = 2 * 1024 * 1024;

/// What a held payload costs besides its bytes: many small ones must not cost many times what they say.
const HELD_OVERHEAD: usize = 64;

/// How many packets that the peer does not know are remembered until somebody asks.
const MOST_NOT_KNOWN: usize = 256;

/// A received payload that still lies in the input buffer: valid until the next call that reads.
#[derive(Clone, Debug)]
pub struct Payload {
    pub(crate) range: Range<usize>,
    sequence: u32,
}

impl Payload {
    pub(crate) fn new(range: Range<usize>, sequence: u32) -> Self {
        Self { range, sequence }
    }

    /// The sequence number of the packet that it came in.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }
}

/// One leg of SSH.
pub struct Transport {
    pub(crate) side: Side,
    pub(crate) input: InBuf,
    pub(crate) output: OutBuf,
    pub(crate) opener: PacketOpener,
    pub(crate) sealer: PacketSealer,
    /// Our identification without line end. Every key exchange covers it, so it stays the same when the
    /// transport moves to a program of another version.
    pub(crate) identification: Vec<u8>,
    pub(crate) peer: Peer,
    exchange: Option<Exchange>,
    pub(crate) established: Option<Established>,
    held: Held,
    rekey: RekeyClock,
    not_known: VecDeque<u32>,
}

/// What is known of the peer so far.
#[derive(Default)]
pub(crate) struct Peer {
    pub(crate) identification: Option<Vec<u8>>,
    preamble: usize,
    strict: bool,
    wants_extensions: bool,
    pub(crate) extensions: PeerExtensions,
}

/// What the first key exchange settled for the whole connection.
#[derive(Clone)]
pub(crate) struct Established {
    pub(crate) session_id: Vec<u8>,
    pub(crate) host_key: VerifiedHostKey,
    /// The algorithm that the host key signed with, last time.
    pub(crate) host_key_algorithm: IdentityAlgorithm,
}

/// Payloads that wait for the end of a key exchange.
#[derive(Default)]
struct Held {
    payloads: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Transport {
    /// The server's side of a new connection; its first bytes are in the output at once.
    pub fn server(config: Arc<ServerConfig>, now: Instant) -> Result<Self, Error> {
        Self::new(Side::Server(config), now)
    }

    /// The client's side of a new connection.
    pub fn client(config: Arc<ClientConfig>, now: Instant) -> Result<Self, Error> {
        Self::new(Side::Client(config), now)
    }

    fn new(side: Side, now: Instant) -> Result<Self, Error> {
        let rekey = RekeyClock::new(side.rekey(), now)?;
        let identification = version::identification(side.software());
        let mut transport = Self {
            side,
            identification,
            input: InBuf::default(),
            output: OutBuf::default(),
            opener: PacketOpener::new(),
            sealer: PacketSealer::new(),
            peer: Peer::default(),
            exchange: None,
            established: None,
            held: Held::default(),
            rekey,
            not_known: VecDeque::new(),
        };
        transport.output.tail().extend_from_slice(&transport.identification);
        transport.output.tail().extend_from_slice(b"\r\n");
        transport.send_init(now)?;
        Ok(transport)
    }

    pub(crate) fn resume(
        side: Side,
        identification: Vec<u8>,
        opener: PacketOpener,
        sealer: PacketSealer,
        peer: Peer,
        established: Established,
        now: Instant,
    ) -> Result<Self, Error> {
        let rekey = RekeyClock::new(side.rekey(), now)?;
        Ok(Self {
            side,
            identification,
            input: InBuf::default(),
            output: OutBuf::default(),
            opener,
            sealer,
            peer,
            exchange: None,
            established: Some(established),
            held: Held::default(),
            rekey,
            not_known: VecDeque::new(),
        })
    }

    /// Where received bytes are put.
    pub fn input(&mut self) -> &mut InBuf {
        &mut self.input
    }

    /// Where bytes to send are taken from.
    pub fn output(&mut self) -> &mut OutBuf {
        &mut self.output
    }

    /// Whether we are the server of this connection.
    pub fn is_server(&self) -> bool {
        self.side.is_server()
    }

    /// The peer's identification without line end, once it has come. Printable ASCII.
    pub fn peer_identification(&self) -> Option<&str> {
        self.peer.identification.as_deref().and_then(|line| std::str::from_utf8(line).ok())
    }

    /// What the peer announced by SSH_MSG_EXT_INFO.
    pub fn peer_extensions(&self) -> &PeerExtensions {
        &self.peer.extensions
    }

    /// The session identifier (RFC 4253 section 7.2), once the first key exchange is done.
    pub fn session_id(&self) -> Option<&[u8]> {
        self.established.as_ref().map(|established| established.session_id.as_slice())
    }

    /// The host key that the first key exchange was signed with.
    pub fn host_key(&self) -> Option<&VerifiedHostKey> {
        self.established.as_ref().map(|established| &established.host_key)
    }

    /// The sequence number of a packet of ours that the peer has said it does not know
    /// (SSH_MSG_UNIMPLEMENTED), oldest first, each once.
    pub fn take_unimplemented(&mut self) -> Option<u32> {
        self.not_known.pop_front()
    }

    /// Whether payloads sent now leave now: false from our KEXINIT to our NEWKEYS.
    pub fn may_send(&self) -> bool {
        matches!(self.exchange, None | Some(Exchange::AwaitNewKeys(_)))
    }

    /// Whether a key exchange is under way.
    pub fn is_exchanging(&self) -> bool {
        self.exchange.is_some()
    }

    /// Says that the peer is authenticated: larger packets are accepted, and keys are replaced.
    pub fn set_authenticated(&mut self) {
        self.opener.longest = LONGEST_PACKET;
        self.rekey.enable();
    }

    /// Opens the next payload that is for a layer above, if it has arrived. Everything that belongs to
    /// the transport is dealt with on the way.
    pub fn next(&mut self, now: Instant) -> Result<Option<Payload>, Error> {
        if self.peer.identification.is_none() {
            let from_server = !self.side.is_server();
            match version::take(&mut self.input, from_server, &mut self.peer.preamble)? {
                Some(line) => self.peer.identification = Some(line),
                None => return Ok(None),
            }
        }
        loop {
            let sequence = self.opener.sequence;
            let Some(range) = self.opener.open(&mut self.input)? else {
                self.input.release_if_empty();
                return Ok(None);
            };
            let number = self.input.slice(&range).first().copied().unwrap_or_default();
            match number {
                message::SERVICE_REQUEST | message::SERVICE_ACCEPT | 50..=127 => {
                    self.check_no_exchange_by_peer(number)?;
                    return Ok(Some(Payload::new(range, sequence)));
                }
                _ => {
                    let payload = self.input.slice(&range).to_vec();
                    self.on_transport_message(number, &payload, sequence, now)?;
                }
            }
        }
    }

    /// The bytes of a payload.
    pub fn payload(&self, payload: &Payload) -> &[u8] {
        self.input.slice(&payload.range)
    }

    /// Sends a payload, or holds it until the key exchange under way is over.
    pub fn send(&mut self, head: &[u8], body: &[u8]) -> Result<(), Error> {
        if self.may_send() {
            self.seal(head, body)
        } else {
            self.held.bytes += head.len() + body.len() + HELD_OVERHEAD;
            if self.held.bytes > LONGEST_BACKLOG {
                return Err(Error::Limit { limit: "too much to answer during a key exchange" });
            }
            self.held.payloads.push_back([head, body].concat());
            Ok(())
        }
    }

    fn seal(&mut self, head: &[u8], body: &[u8]) -> Result<(), Error> {
        if self.output.len() > LONGEST_BACKLOG {
            return Err(Error::Limit { limit: "it does not read our answers" });
        }
        self.sealer.seal(&mut self.output, head, body)
    }

    /// Answers a message of a number that we do not know (RFC 4253 section 11.4).
    pub fn send_unimplemented(&mut self, payload: &Payload) -> Result<(), Error> {
        self.unimplemented(payload.sequence)
    }

    fn unimplemented(&mut self, sequence: u32) -> Result<(), Error> {
        let mut reply = vec![message::UNIMPLEMENTED];
        reply.put_uint32(sequence);
        self.send(&reply, &[])
    }

    /// Sends SSH_MSG_DISCONNECT. It may go out in the middle of a key exchange.
    pub fn send_disconnect(&mut self, reason: DisconnectReason, description: &str) -> Result<(), Error> {
        self.seal(&disconnect(reason, description), &[])
    }

    /// Whether our keys are due for replacement and no exchange is under way.
    pub fn rekey_due(&self, now: Instant) -> bool {
        self.exchange.is_none() && self.rekey.is_due(&self.sealer, &self.opener, now)
    }

    /// Starts a key exchange; nothing happens if one is under way.
    pub fn start_rekey(&mut self, now: Instant) -> Result<(), Error> {
        if self.exchange.is_none() { self.send_init(now) } else { Ok(()) }
    }

    /// When [`on_time`](Self::on_time) wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.rekey.deadline(self.exchange.is_some(), self.established.is_some())
    }

    /// Ends an exchange that takes too long.
    pub fn on_time(&mut self, now: Instant) -> Result<(), Error> {
        let used = self.sealer.used.packets > 0 || self.opener.used.packets > 0;
        self.rekey.check(self.exchange.is_some() && self.established.is_some(), used, now)
    }

    fn send_init(&mut self, now: Instant) -> Result<(), Error> {
        let host_keys = self.side.host_key_algorithms();
        let first = self.established.is_none();
        let init = init::write(self.side.is_server(), first, self.side.algorithms(), &host_keys)?;
        self.seal(&init, &[])?;
        self.exchange = Some(Exchange::AwaitInit(AwaitInit::new(init)));
        self.rekey.exchange_started(now);
        Ok(())
    }

    /// After its KEXINIT the peer owes us the exchange and nothing else (RFC 4253 section 7.1).
    fn check_no_exchange_by_peer(&self, number: u8) -> Result<(), Error> {
        match (&self.exchange, &self.established) {
            (None, _) | (Some(Exchange::AwaitInit(_)), Some(_)) => Ok(()),
            (Some(_), _) => Err(Error::UnexpectedMessage { number, state: "exchange keys" }),
        }
    }

    fn on_transport_message(
        &mut self,
        number: u8,
        payload: &[u8],
        sequence: u32,
        now: Instant,
    ) -> Result<(), Error> {
        let first_exchange = self.established.is_none();
        if first_exchange && self.peer.strict {
            // Terrapin: anything else could shift the sequence numbers (OpenSSH PROTOCOL 1.10).
            let allowed = [
                message::DISCONNECT,
                message::KEXINIT,
                message::NEWKEYS,
                message::KEX_ECDH_INIT,
                message::KEX_ECDH_REPLY,
            ];
            if !allowed.contains(&number) {
                return Err(Error::UnexpectedMessage { number, state: "exchange keys strictly" });
            }
        }
        match number {
            message::DISCONNECT => Err(read_disconnect(payload)?),
            message::IGNORE | message::DEBUG | message::PONG => Ok(()),
            message::UNIMPLEMENTED => {
                let sequence =
                    Reader::new(payload.get(1..).unwrap_or_default()).uint32().in_message(number)?;
                if self.not_known.len() < MOST_NOT_KNOWN {
                    self.not_known.push_back(sequence);
                }
                Ok(())
            }
            message::KEXINIT => self.on_init(payload, sequence, now),
            message::KEX_ECDH_INIT | message::KEX_ECDH_REPLY => match self.exchange.take() {
                Some(Exchange::AwaitValue(state)) => {
                    let names = self.identifications();
                    let known = self.established.as_ref().map(|established| &established.host_key);
                    let step = state.on_value(&self.side, &names, known, payload)?;
                    self.take_step(step)
                }
                _ => Err(Error::UnexpectedMessage { number, state: "await no key exchange value" }),
            },
            message::NEWKEYS => self.on_new_keys(payload, now),
            message::EXT_INFO if !first_exchange => self.peer.extensions.read(payload),
            message::PING if !first_exchange => {
                let data = Reader::new(payload.get(1..).unwrap_or_default()).string().in_message(number)?;
                let mut pong = vec![message::PONG];
                pong.put_string(data);
                self.send(&pong, &[])
            }
            // Numbers of the key exchange outside one are an error, all others are merely unknown.
            20..=49 => Err(Error::UnexpectedMessage { number, state: "exchange no keys" }),
            _ if first_exchange => Err(Error::UnexpectedMessage { number, state: "exchange keys" }),
            _ => self.unimplemented(sequence),
        }
    }

    fn on_init(&mut self, payload: &[u8], sequence: u32, now: Instant) -> Result<(), Error> {
        if self.exchange.is_none() {
            self.send_init(now)?;
        }
        let Some(Exchange::AwaitInit(state)) = self.exchange.take() else {
            return Err(Error::UnexpectedMessage { number: message::KEXINIT, state: "exchange keys" });
        };
        if self.established.is_none() {
            let theirs = PeerInit::read(payload)?;
            let (strict, extensions) = match self.side {
                Side::Server(_) => (init::STRICT_CLIENT, init::EXT_INFO_CLIENT),
                Side::Client(_) => (init::STRICT_SERVER, init::EXT_INFO_SERVER),
            };
            self.peer.strict = theirs.marks(strict);
            self.peer.wants_extensions = theirs.marks(extensions);
            if self.peer.strict && sequence != 0 {
                return Err(Error::Protocol {
                    problem: "strict key exchange, but KEXINIT was not its first packet",
                });
            }
        }
        let step = state.on_init(&self.side, payload)?;
        self.take_step(step)
    }

    fn take_step(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::Continue(state, reply) => {
                if let Some(reply) = reply {
                    self.seal(&reply, &[])?;
                }
                self.exchange = Some(state);
                Ok(())
            }
            Step::Derive(outcome, reply) => {
                if let Some(reply) = reply {
                    self.seal(&reply, &[])?;
                }
                self.switch_sending_keys(*outcome)
            }
        }
    }

    fn switch_sending_keys(&mut self, outcome: Outcome) -> Result<(), Error> {
        self.seal(&[message::NEWKEYS], &[])?;
        let session_id = match &self.established {
            Some(established) => established.session_id.clone(),
            None => outcome.exchange_hash.clone(),
        };
        let (client_to_server, server_to_client) = outcome.derive(&session_id);
        let sending = if self.side.is_server() { server_to_client } else { client_to_server };
        self.sealer.protection = Protection::new(sending, Direction::Send)?;
        self.sealer.used = Default::default();
        if self.peer.strict {
            self.sealer.sequence = 0;
        }
        if self.established.is_none() && self.side.is_server() && self.peer.wants_extensions {
            // In the same write as NEWKEYS: a packet of its own would wait for a delayed ACK.
            self.seal(&extensions::of_server(), &[])?;
        }
        self.exchange = Some(Exchange::AwaitNewKeys(Box::new(outcome)));
        self.held.bytes = 0;
        for payload in std::mem::take(&mut self.held.payloads) {
            self.seal(&payload, &[])?;
        }
        Ok(())
    }

    fn on_new_keys(&mut self, payload: &[u8], now: Instant) -> Result<(), Error> {
        let Some(Exchange::AwaitNewKeys(outcome)) = self.exchange.take() else {
            return Err(Error::UnexpectedMessage { number: message::NEWKEYS, state: "await no new keys" });
        };
        if payload.len() != 1 {
            let problem = crate::error::Malformed::TrailingBytes { count: payload.len() - 1 };
            return Err(Error::Malformed { number: message::NEWKEYS, problem });
        }
        let mut established = self.established.take().unwrap_or_else(|| Established {
            session_id: outcome.exchange_hash.clone(),
            host_key: outcome.host_key.clone(),
            host_key_algorithm: outcome.negotiated.host_key,
        });
        established.host_key_algorithm = outcome.negotiated.host_key;
        let (client_to_server, server_to_client) = outcome.derive(&established.session_id);
        let receiving = if self.side.is_server() { client_to_server } else { server_to_client };
        self.opener.protection = Protection::new(receiving, Direction::Receive)?;
        self.opener.used = Default::default();
        if self.peer.strict {
            self.opener.sequence = 0;
        }
        self.established = Some(established);
        self.rekey.exchange_finished(now);
        Ok(())
    }

    fn identifications(&self) -> Identifications {
        let ours = self.identification.clone();
        let theirs = self.peer.identification.clone().unwrap_or_default();
        match self.side {
            Side::Server(_) => Identifications { client: theirs, server: ours },
            Side::Client(_) => Identifications { client: ours, server: theirs },
        }
    }
}

impl Peer {
    /// What an exported transport must carry: the rest belongs to the first key exchange.
    pub(crate) fn resumed(identification: Vec<u8>, strict: bool, extensions: PeerExtensions) -> Self {
        Self {
            identification: Some(identification),
            preamble: 0,
            strict,
            wants_extensions: false,
            extensions,
        }
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }
}

/// SSH_MSG_DISCONNECT (RFC 4253 section 11.1).
pub(crate) fn disconnect(reason: DisconnectReason, description: &str) -> Vec<u8> {
    let mut payload = vec![message::DISCONNECT];
    payload.put_uint32(reason.code());
    payload.put_string(description);
    payload.put_string("");
    payload
}

pub(crate) fn read_disconnect(payload: &[u8]) -> Result<Error, Error> {
    let mut reader = Reader::new(payload);
    let mut read = || {
        reader.byte()?;
        let reason = DisconnectReason::from_code(reader.uint32()?);
        // Some peers leave out the language tag or send text that is not UTF-8: still a goodbye.
        let description = String::from_utf8_lossy(reader.string()?).into_owned();
        Ok(Error::Disconnected { reason, description })
    };
    read().in_message(message::DISCONNECT)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod script;
#[cfg(test)]
mod tests;
