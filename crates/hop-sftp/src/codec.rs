//! The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02) and of OpenSSH's extensions, as bytes and back.
//!
//! Owns the wire format and nothing else: no I/O, no state. What must stay true: names are bytes and are
//! never interpreted; decoding borrows from the packet, never panics and never allocates more than a small
//! multiple of the packet's length; encoding followed by decoding gives the same value.

mod attributes;
mod extension;
mod frame;
mod request;
mod response;
mod status;
#[cfg(test)]
mod tests;
mod wire;

pub use attributes::{Attributes, Owner, Times};
pub use extension::{CopyData, Extended, Extension, FileSystemStatistics, IdNames, Limits};
pub use frame::{FrameError, LENGTH_PREFIX, MAX_PACKET_LENGTH, frame_length};
pub use request::{ClientPacket, OpenFlags, Request};
pub use response::{NameEntry, Response, ServerPacket};
pub use status::StatusCode;
pub use wire::{Malformed, PacketType, Sink};

/// The only protocol version spoken here; a peer that offers more is answered with this one.
pub const VERSION: u32 = 3;

/// The first packet in each direction: a version and named extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The protocol version the sender speaks.
    pub version: u32,
    /// Extension names with their versions or data, in the order sent.
    pub extensions: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Hello<'a> {
    fn decode(fields: &mut wire::Fields<'a>) -> Result<Self, Malformed> {
        let version = fields.u32("version")?;
        let mut extensions = Vec::new();
        while !fields.is_empty() {
            extensions.push((fields.string("extension name")?, fields.string("extension data")?));
        }
        Ok(Self { version, extensions })
    }

    fn encode(&self, kind: PacketType, sink: &mut impl Sink) {
        let packet = wire::begin(sink, kind);
        sink.put_u32(self.version);
        for (name, data) in &self.extensions {
            sink.put_string(name);
            sink.put_string(data);
        }
        wire::finish(sink, packet);
    }
}
