//! The bare transport: SSH payloads without key exchange, cipher or MAC, for two processes of one site
//! that meet on a Unix socket which the site itself made.
//!
//! It is a type of its own, made only from a [`SiteSocket`]; no negotiation leads here, and nothing that
//! arrives over a network can be read as it. Each side first sends the line `HOP-BARE-1` and a line end;
//! then each payload follows its length (uint32).

use crate::buffer::{InBuf, OutBuf};
use crate::error::Error;
use crate::message::{self, DisconnectReason};
use crate::packet::LONGEST_PACKET;
use crate::transport::{LONGEST_BACKLOG, Payload, disconnect, read_disconnect};
use std::os::fd::OwnedFd;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod script;

/// The first line on a bare connection, from both sides.
pub const BARE_GREETING: &[u8; 11] = b"HOP-BARE-1\n";
const GREETING: &[u8] = BARE_GREETING;

/// Proof that a byte stream is a Unix socket: made by [`SiteSocket::new`] from the socket itself, which
/// it borrows for the check only.
#[derive(Debug)]
pub struct SiteSocket(());

impl SiteSocket {
    /// Vouches for a connected Unix socket of the site's own making: one end of a socket pair, or a
    /// connection accepted from a listener that the site passed down.
    pub fn new(_socket: &tokio::net::UnixStream) -> Self {
        Self(())
    }
}

/// One end of a bare connection.
pub struct BareTransport {
    input: InBuf,
    output: OutBuf,
    greeted: bool,
    sequence: u32,
}

impl BareTransport {
    /// Starts on a socket of the site.
    pub fn new(_socket: SiteSocket) -> Self {
        let mut output = OutBuf::default();
        output.tail().extend_from_slice(GREETING);
        Self { input: InBuf::default(), output, greeted: false, sequence: 0 }
    }

    /// Stands in for our end of a connection whose other end is still being started: what is sent waits in its
    /// output, until whoever brings the stream writes it. The stream must be one on which all was said that came
    /// before ([`is_between_payloads`](Self::is_between_payloads) of the transport that said it).
    pub fn awaited() -> Self {
        Self::resumed(true, 0)
    }

    /// Whether nothing is half said: both sides have greeted, and neither buffer holds anything.
    pub fn is_between_payloads(&self) -> bool {
        self.greeted && self.input.unread().is_empty() && self.output.is_empty()
    }

    /// An end whose peer's greeting somebody else has read off the stream.
    pub(crate) fn greeted(socket: SiteSocket) -> Self {
        Self { greeted: true, ..Self::new(socket) }
    }

    /// Whether the peer's greeting has come, and the sequence number; for state that moves.
    pub(crate) fn progress(&self) -> (bool, u32) {
        (self.greeted, self.sequence)
    }

    pub(crate) fn resumed(greeted: bool, sequence: u32) -> Self {
        Self { input: InBuf::default(), output: OutBuf::default(), greeted, sequence }
    }

    pub(crate) fn input(&mut self) -> &mut InBuf {
        &mut self.input
    }

    pub(crate) fn output(&mut self) -> &mut OutBuf {
        &mut self.output
    }

    pub(crate) fn next(&mut self) -> Result<Option<Payload>, Error> {
        if !self.greeted {
            let unread = self.input.unread();
            let seen = unread.get(..GREETING.len()).unwrap_or(unread);
            if !GREETING.starts_with(seen) {
                return Err(Error::NotSsh { line: String::from_utf8_lossy(seen).into_owned() });
            }
            if seen.len() < GREETING.len() {
                return Ok(None);
            }
            self.input.consume(GREETING.len(), 0..0);
            self.greeted = true;
        }
        loop {
            let unread = self.input.unread();
            let Some(length) = unread.first_chunk().copied().map(u32::from_be_bytes) else {
                self.input.release_if_empty();
                return Ok(None);
            };
            if length == 0 || length > LONGEST_PACKET {
                return Err(Error::BadPacketLength { length });
            }
            let total = 4 + length as usize;
            if unread.len() < total {
                return Ok(None);
            }
            let range = self.input.consume(total, 4..total);
            let sequence = self.sequence;
            self.sequence = self.sequence.wrapping_add(1);
            match self.input.slice(&range).first() {
                Some(&message::DISCONNECT) => return Err(read_disconnect(self.input.slice(&range))?),
                Some(&(message::IGNORE | message::UNIMPLEMENTED | message::DEBUG)) => {}
                _ => return Ok(Some(Payload::new(range, sequence))),
            }
        }
    }

    pub(crate) fn payload(&self, payload: &Payload) -> &[u8] {
        self.input.slice(&payload.range)
    }

    pub(crate) fn send_disconnect(
        &mut self,
        reason: DisconnectReason,
        description: &str,
    ) -> Result<(), Error> {
        self.send(&disconnect(reason, description), &[])
    }

    /// Sends a payload and descriptors with it.
    pub(crate) fn send_passing(&mut self, payload: &[u8], descriptors: Vec<OwnedFd>) -> Result<(), Error> {
        self.output.pass(descriptors);
        self.send(payload, &[])
    }

    pub(crate) fn send(&mut self, head: &[u8], body: &[u8]) -> Result<(), Error> {
        if self.output.len() > LONGEST_BACKLOG {
            return Err(Error::Limit { limit: "it does not read our answers" });
        }
        let length = u32::try_from(head.len() + body.len()).unwrap_or(u32::MAX);
        let out = self.output.tail();
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(head);
        out.extend_from_slice(body);
        Ok(())
    }
}
