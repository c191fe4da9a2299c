//! Integers and strings of the wire, and the numbers of the packet types.
//!
//! Owns reading fields out of a packet and appending them to one. Every read is checked against the packet's end.

use thiserror::Error;

/// A packet that does not hold the fields its type asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("malformed SFTP packet: {field} is missing or cut short")]
pub struct Malformed {
    /// The request's id when it could still be read; such a request can be answered.
    pub id: Option<u32>,
    /// The field that could not be read.
    pub field: &'static str,
}

/// The type byte of a packet (draft section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the draft's own (SSH_FXP_...)")]
pub enum PacketType {
    Init,
    Version,
    Open,
    Close,
    Read,
    Write,
    Lstat,
    Fstat,
    Setstat,
    Fsetstat,
    Opendir,
    Readdir,
    Remove,
    Mkdir,
    Rmdir,
    Realpath,
    Stat,
    Rename,
    Readlink,
    Symlink,
    Status,
    Handle,
    Data,
    Name,
    Attrs,
    Extended,
    ExtendedReply,
    /// A type that version 3 does not define.
    Unknown(u8),
}

impl PacketType {
    /// The type for a byte of the wire; total.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Init,
            2 => Self::Version,
            3 => Self::Open,
            4 => Self::Close,
            5 => Self::Read,
            6 => Self::Write,
            7 => Self::Lstat,
            8 => Self::Fstat,
            9 => Self::Setstat,
            10 => Self::Fsetstat,
            11 => Self::Opendir,
            12 => Self::Readdir,
            13 => Self::Remove,
            14 => Self::Mkdir,
            15 => Self::Rmdir,
            16 => Self::Realpath,
            17 => Self::Stat,
            18 => Self::Rename,
            19 => Self::Readlink,
            20 => Self::Symlink,
            101 => Self::Status,
            102 => Self::Handle,
            103 => Self::Data,
            104 => Self::Name,
            105 => Self::Attrs,
            200 => Self::Extended,
            201 => Self::ExtendedReply,
            other => Self::Unknown(other),
        }
    }

    /// The byte of the wire for this type.
    pub fn byte(self) -> u8 {
        match self {
            Self::Init => 1,
            Self::Version => 2,
            Self::Open => 3,
            Self::Close => 4,
            Self::Read => 5,
            Self::Write => 6,
            Self::Lstat => 7,
            Self::Fstat => 8,
            Self::Setstat => 9,
            Self::Fsetstat => 10,
            Self::Opendir => 11,
            Self::Readdir => 12,
            Self::Remove => 13,
            Self::Mkdir => 14,
            Self::Rmdir => 15,
            Self::Realpath => 16,
            Self::Stat => 17,
            Self::Rename => 18,
            Self::Readlink => 19,
            Self::Symlink => 20,
            Self::Status => 101,
            Self::Handle => 102,
            Self::Data => 103,
            Self::Name => 104,
            Self::Attrs => 105,
            Self::Extended => 200,
            Self::ExtendedReply => 201,
            Self::Unknown(byte) => byte,
        }
    }
}

/// Where encoded bytes go. A `Vec<u8>` is one; the server's response buffer is another.
pub trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);
    /// How many bytes have been appended so far; only differences have a meaning.
    fn position(&self) -> usize;
    /// Overwrites four bytes that were appended at `position`.
    fn patch_u32(&mut self, position: usize, value: u32);

    /// Appends one byte.
    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }
    /// Appends a big-endian 32-bit integer.
    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }
    /// Appends a big-endian 64-bit integer.
    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }
    /// Appends a length and that many bytes.
    fn put_string(&mut self, bytes: &[u8]) {
        self.put_u32(wire_length(bytes.len()));
        self.put(bytes);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn position(&self) -> usize {
        self.len()
    }

    fn patch_u32(&mut self, position: usize, value: u32) {
        if let Some(slot) = self.get_mut(position..position.saturating_add(4)) {
            slot.copy_from_slice(&value.to_be_bytes());
        }
    }
}

/// A length as the wire has it. Packets are bounded far below 4 GiB, so nothing is ever clamped in practice.
fn wire_length(length: usize) -> u32 {
    debug_assert!(u32::try_from(length).is_ok(), "a field of 4 GiB cannot be encoded");
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Where the length of a packet under construction is to be written.
#[must_use]
pub(crate) struct Begun(usize);

/// Starts a packet: a length to be filled in, and its type.
pub(crate) fn begin(sink: &mut impl Sink, kind: PacketType) -> Begun {
    let at = sink.position();
    sink.put_u32(0);
    sink.put_u8(kind.byte());
    Begun(at)
}

/// Ends a packet: fills in its length.
pub(crate) fn finish(sink: &mut impl Sink, Begun(at): Begun) {
    let length = sink.position().saturating_sub(at).saturating_sub(4);
    sink.patch_u32(at, wire_length(length));
}

/// The fields of a packet that have not been read yet.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    id: Option<u32>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(packet: &'a [u8]) -> Self {
        Self { rest: packet, id: None }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything not read yet.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn packet_type(&mut self) -> Result<PacketType, Malformed> {
        let [byte] = self.array("packet type")?;
        Ok(PacketType::from_byte(byte))
    }

    /// Reads the request id; from here on errors carry it.
    pub(crate) fn id(&mut self) -> Result<u32, Malformed> {
        let id = self.u32("request id")?;
        self.id = Some(id);
        Ok(id)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, Malformed> {
        self.array(field).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, Malformed> {
        self.array(field).map(u64::from_be_bytes)
    }

    pub(crate) fn string(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.u32(field)?).unwrap_or(usize::MAX);
        let (string, rest) = self.rest.split_at_checked(length).ok_or(self.malformed(field))?;
        self.rest = rest;
        Ok(string)
    }

    /// A string that holds fields itself.
    pub(crate) fn nested(&mut self, field: &'static str) -> Result<Self, Malformed> {
        Ok(Self { rest: self.string(field)?, id: self.id })
    }

    /// A path. One NUL at its very end is dropped: OpenSSH takes such names from clients that count the
    /// terminator; any other NUL is left in and refused later by the file call.
    pub(crate) fn path(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        let path = self.string(field)?;
        Ok(path.strip_suffix(b"\0").unwrap_or(path))
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(self.malformed(field))?;
        self.rest = rest;
        Ok(*array)
    }

    fn malformed(&self, field: &'static str) -> Malformed {
        Malformed { id: self.id, field }
    }
}
