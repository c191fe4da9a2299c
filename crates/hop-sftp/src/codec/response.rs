//! Packets from server to client.

use super::Hello;
use super::attributes::Attributes;
use super::status::StatusCode;
use super::wire::{Fields, Malformed, PacketType, Sink, begin, finish};

/// A packet a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerPacket<'a> {
    /// The answer to INIT.
    Version(Hello<'a>),
    /// The answer to a request.
    Response {
        /// The request's id.
        id: u32,
        /// What became of it.
        response: Response<'a>,
    },
}

impl<'a> ServerPacket<'a> {
    /// Reads a packet (without its length). Bytes after the last field are ignored.
    pub fn decode(packet: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(packet);
        let kind = fields.packet_type()?;
        if kind == PacketType::Version {
            return Hello::decode(&mut fields).map(Self::Version);
        }
        let id = fields.id()?;
        Response::decode(kind, &mut fields).map(|response| Self::Response { id, response })
    }

    /// Appends the packet with its length.
    pub fn encode(&self, sink: &mut impl Sink) {
        match self {
            Self::Version(hello) => hello.encode(PacketType::Version, sink),
            Self::Response { id, response } => response.encode(*id, sink),
        }
    }
}

/// One entry of a NAME response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameEntry<'a> {
    /// The file's name, in READDIR without its directory.
    pub name: &'a [u8],
    /// A line as `ls -l` prints it, for display only.
    pub long_name: &'a [u8],
    /// The attributes that the server chose to send.
    pub attributes: Attributes,
}

/// What a server answers (draft section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants and fields are named as in the draft")]
pub enum Response<'a> {
    Status {
        code: StatusCode,
        message: &'a [u8],
        language: &'a [u8],
    },
    Handle(&'a [u8]),
    Data(&'a [u8]),
    Name(Vec<NameEntry<'a>>),
    Attributes(Attributes),
    /// Its payload depends on the request.
    ExtendedReply(&'a [u8]),
    /// A type that is no response of version 3.
    Unknown(PacketType),
}

impl<'a> Response<'a> {
    /// A STATUS with OpenSSH's words for the code.
    pub fn status(code: StatusCode) -> Self {
        Self::Status { code, message: code.message().as_bytes(), language: b"" }
    }

    fn decode(kind: PacketType, fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        Ok(match kind {
            PacketType::Status => {
                let code = StatusCode::from_number(fields.u32("status code")?);
                // Some old servers end the packet here.
                if fields.is_empty() {
                    return Ok(Self::Status { code, message: b"", language: b"" });
                }
                let message = fields.string("status message")?;
                let language = if fields.is_empty() { &[] } else { fields.string("language tag")? };
                Self::Status { code, message, language }
            }
            PacketType::Handle => Self::Handle(fields.string("handle")?),
            PacketType::Data => Self::Data(fields.string("data")?),
            PacketType::Name => {
                // The count is the peer's word: no room is made ahead, each entry must be there in the packet.
                let mut entries = Vec::new();
                for _ in 0..fields.u32("name count")? {
                    entries.push(NameEntry {
                        name: fields.string("file name")?,
                        long_name: fields.string("long name")?,
                        attributes: Attributes::decode(fields)?,
                    });
                }
                Self::Name(entries)
            }
            PacketType::Attrs => Self::Attributes(Attributes::decode(fields)?),
            PacketType::ExtendedReply => Self::ExtendedReply(fields.rest()),
            PacketType::Init
            | PacketType::Version
            | PacketType::Open
            | PacketType::Close
            | PacketType::Read
            | PacketType::Write
            | PacketType::Lstat
            | PacketType::Fstat
            | PacketType::Setstat
            | PacketType::Fsetstat
            | PacketType::Opendir
            | PacketType::Readdir
            | PacketType::Remove
            | PacketType::Mkdir
            | PacketType::Rmdir
            | PacketType::Realpath
            | PacketType::Stat
            | PacketType::Rename
            | PacketType::Readlink
            | PacketType::Symlink
            | PacketType::Extended
            | PacketType::Unknown(_) => Self::Unknown(kind),
        })
    }

    /// Appends the response as a packet with its length.
    pub fn encode(&self, id: u32, sink: &mut impl Sink) {
        let packet = begin(sink, self.packet_type());
        sink.put_u32(id);
        match self {
            Self::Status { code, message, language } => {
                sink.put_u32(code.number());
                sink.put_string(message);
                sink.put_string(language);
            }
            Self::Handle(bytes) | Self::Data(bytes) => sink.put_string(bytes),
            Self::Name(entries) => {
                sink.put_u32(u32::try_from(entries.len()).unwrap_or(u32::MAX));
                for entry in entries {
                    entry.encode(sink);
                }
            }
            Self::Attributes(attributes) => attributes.encode(sink),
            Self::ExtendedReply(payload) => sink.put(payload),
            Self::Unknown(_) => {}
        }
        finish(sink, packet);
    }

    /// The type byte this response travels under.
    pub fn packet_type(&self) -> PacketType {
        match self {
            Self::Status { .. } => PacketType::Status,
            Self::Handle(_) => PacketType::Handle,
            Self::Data(_) => PacketType::Data,
            Self::Name(_) => PacketType::Name,
            Self::Attributes(_) => PacketType::Attrs,
            Self::ExtendedReply(_) => PacketType::ExtendedReply,
            Self::Unknown(kind) => *kind,
        }
    }
}

impl NameEntry<'_> {
    pub(crate) fn encode(&self, sink: &mut impl Sink) {
        sink.put_string(self.name);
        sink.put_string(self.long_name);
        self.attributes.encode(sink);
    }
}
