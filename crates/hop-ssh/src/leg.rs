//! One side of a connection after authentication, whatever carries it: sealed packets or the bare
//! transport. What works on payloads (the connection protocol, the relay) works on legs.

use crate::bare::BareTransport;
use crate::buffer::{InBuf, OutBuf};
use crate::error::Error;
use crate::message::{self, DisconnectReason};
use crate::transport::{Payload, Transport};
use crate::wire::Put;
use std::time::Instant;

/// A stream of payloads in both directions.
pub enum Leg {
    /// SSH proper.
    Sealed(Box<Transport>),
    /// Between processes of one site.
    Bare(BareTransport),
}

impl From<Transport> for Leg {
    fn from(transport: Transport) -> Self {
        Self::Sealed(Box::new(transport))
    }
}

impl From<BareTransport> for Leg {
    fn from(transport: BareTransport) -> Self {
        Self::Bare(transport)
    }
}

impl Leg {
    /// Where received bytes are put.
    pub fn input(&mut self) -> &mut InBuf {
        match self {
            Self::Sealed(transport) => transport.input(),
            Self::Bare(transport) => transport.input(),
        }
    }

    /// Where bytes to send are taken from.
    pub fn output(&mut self) -> &mut OutBuf {
        match self {
            Self::Sealed(transport) => transport.output(),
            Self::Bare(transport) => transport.output(),
        }
    }

    /// The next payload for the layer above, if it has arrived.
    pub fn next(&mut self, now: Instant) -> Result<Option<Payload>, Error> {
        match self {
            Self::Sealed(transport) => transport.next(now),
            Self::Bare(transport) => transport.next(),
        }
    }

    /// The bytes of a payload: valid until the next call that reads.
    pub fn payload(&self, payload: &Payload) -> &[u8] {
        match self {
            Self::Sealed(transport) => transport.payload(payload),
            Self::Bare(transport) => transport.payload(payload),
        }
    }

    /// Sends a payload given in two parts.
    pub fn send(&mut self, head: &[u8], body: &[u8]) -> Result<(), Error> {
        match self {
            Self::Sealed(transport) => transport.send(head, body),
            Self::Bare(transport) => transport.send(head, body),
        }
    }

    /// Whether what is sent now leaves now; false during a key exchange.
    pub fn may_send(&self) -> bool {
        match self {
            Self::Sealed(transport) => transport.may_send(),
            Self::Bare(_) => true,
        }
    }

    /// The sequence number that the next packet of ours will have; `None` when it is not known, because a key exchange
    /// comes before it, or means nothing.
    pub(crate) fn next_sequence(&self) -> Option<u32> {
        match self {
            Self::Sealed(transport) if transport.may_send() => Some(transport.sealer.sequence),
            Self::Sealed(_) | Self::Bare(_) => None,
        }
    }

    /// The sequence number of a packet of ours that the peer does not know, oldest first, each once.
    pub(crate) fn take_unimplemented(&mut self) -> Option<u32> {
        match self {
            Self::Sealed(transport) => transport.take_unimplemented(),
            // Only our own programs speak it.
            Self::Bare(_) => None,
        }
    }

    /// Answers a message of an unknown number.
    pub fn send_unimplemented(&mut self, payload: &Payload) -> Result<(), Error> {
        match self {
            Self::Sealed(transport) => transport.send_unimplemented(payload),
            Self::Bare(transport) => {
                let mut reply = vec![message::UNIMPLEMENTED];
                reply.put_uint32(payload.sequence());
                transport.send(&reply, &[])
            }
        }
    }

    /// Says goodbye.
    pub fn send_disconnect(&mut self, reason: DisconnectReason, description: &str) -> Result<(), Error> {
        match self {
            Self::Sealed(transport) => transport.send_disconnect(reason, description),
            Self::Bare(transport) => transport.send_disconnect(reason, description),
        }
    }

    /// Whether keys are due for replacement.
    pub fn rekey_due(&self, now: Instant) -> bool {
        match self {
            Self::Sealed(transport) => transport.rekey_due(now),
            Self::Bare(_) => false,
        }
    }

    /// Starts a key exchange.
    pub fn start_rekey(&mut self, now: Instant) -> Result<(), Error> {
        match self {
            Self::Sealed(transport) => transport.start_rekey(now),
            Self::Bare(_) => Ok(()),
        }
    }

    /// Whether a key exchange is under way.
    pub fn is_exchanging(&self) -> bool {
        match self {
            Self::Sealed(transport) => transport.is_exchanging(),
            Self::Bare(_) => false,
        }
    }

    /// When [`on_time`](Self::on_time) wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Sealed(transport) => transport.deadline(),
            Self::Bare(_) => None,
        }
    }

    /// Ends what takes too long.
    pub fn on_time(&mut self, now: Instant) -> Result<(), Error> {
        match self {
            Self::Sealed(transport) => transport.on_time(now),
            Self::Bare(_) => Ok(()),
        }
    }

    /// Whether its other end is a process of this site.
    pub(crate) fn is_bare(&self) -> bool {
        matches!(self, Self::Bare(_))
    }

    /// The transport, if the leg is sealed.
    pub fn transport(&self) -> Option<&Transport> {
        match self {
            Self::Sealed(transport) => Some(transport),
            Self::Bare(_) => None,
        }
    }
}
