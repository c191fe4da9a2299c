//! Packets from client to server.

use super::Hello;
use super::attributes::Attributes;
use super::extension::Extended;
use super::wire::{Fields, Malformed, PacketType, Sink, begin, finish};

/// A packet a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientPacket<'a> {
    /// The first packet.
    Init(Hello<'a>),
    /// Every other packet: answered by exactly one response with the same id.
    Request {
        /// Chosen by the client; need not be unique, though a client that reuses one cannot tell the answers apart.
        id: u32,
        /// What is asked.
        request: Request<'a>,
    },
}

impl<'a> ClientPacket<'a> {
    /// Reads a packet (without its length). Bytes after the last field are ignored, as OpenSSH does.
    pub fn decode(packet: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(packet);
        let kind = fields.packet_type()?;
        if kind == PacketType::Init {
            return Hello::decode(&mut fields).map(Self::Init);
        }
        let id = fields.id()?;
        Request::decode(kind, &mut fields).map(|request| Self::Request { id, request })
    }

    /// Appends the packet with its length.
    pub fn encode(&self, sink: &mut impl Sink) {
        match self {
            Self::Init(hello) => hello.encode(PacketType::Init, sink),
            Self::Request { id, request } => request.encode(*id, sink),
        }
    }
}

/// The flags of OPEN (SSH_FXF_...).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenFlags(pub u32);

impl OpenFlags {
    /// Open for reading.
    pub const READ: Self = Self(0x01);
    /// Open for writing.
    pub const WRITE: Self = Self(0x02);
    /// Every write goes to the end, whatever its offset.
    pub const APPEND: Self = Self(0x04);
    /// Create the file when it does not exist.
    pub const CREATE: Self = Self(0x08);
    /// Cut an existing file to length 0.
    pub const TRUNCATE: Self = Self(0x10);
    /// With CREATE: fail when the file exists.
    pub const EXCLUSIVE: Self = Self(0x20);

    /// Whether all flags of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::fmt::Display for OpenFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [
            (Self::READ, "READ"),
            (Self::WRITE, "WRITE"),
            (Self::APPEND, "APPEND"),
            (Self::CREATE, "CREATE"),
            (Self::TRUNCATE, "TRUNCATE"),
            (Self::EXCLUSIVE, "EXCL"),
        ];
        let mut separator = "";
        for (_, name) in names.into_iter().filter(|(flag, _)| self.contains(*flag)) {
            write!(f, "{separator}{name}")?;
            separator = ",";
        }
        Ok(())
    }
}

impl std::ops::BitOr for OpenFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a client asks for (draft section 6). Paths and handles are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in the draft")]
pub enum Request<'a> {
    Open {
        path: &'a [u8],
        flags: OpenFlags,
        attributes: Attributes,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        data: &'a [u8],
    },
    Lstat {
        path: &'a [u8],
    },
    Fstat {
        handle: &'a [u8],
    },
    Setstat {
        path: &'a [u8],
        attributes: Attributes,
    },
    Fsetstat {
        handle: &'a [u8],
        attributes: Attributes,
    },
    Opendir {
        path: &'a [u8],
    },
    Readdir {
        handle: &'a [u8],
    },
    Remove {
        path: &'a [u8],
    },
    Mkdir {
        path: &'a [u8],
        attributes: Attributes,
    },
    Rmdir {
        path: &'a [u8],
    },
    Realpath {
        path: &'a [u8],
    },
    Stat {
        path: &'a [u8],
    },
    Rename {
        old_path: &'a [u8],
        new_path: &'a [u8],
    },
    Readlink {
        path: &'a [u8],
    },
    /// On the wire the target comes first: OpenSSH swapped the draft's order and everyone follows it
    /// (its PROTOCOL file, section 4.1).
    Symlink {
        target: &'a [u8],
        link_path: &'a [u8],
    },
    Extended(Extended<'a>),
    /// A type that is no request of version 3.
    Unknown(PacketType),
}

impl<'a> Request<'a> {
    fn decode(kind: PacketType, fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        Ok(match kind {
            PacketType::Open => Self::Open {
                path: fields.path("path")?,
                flags: OpenFlags(fields.u32("open flags")?),
                attributes: Attributes::decode(fields)?,
            },
            PacketType::Close => Self::Close { handle: fields.string("handle")? },
            PacketType::Read => Self::Read {
                handle: fields.string("handle")?,
                offset: fields.u64("offset")?,
                length: fields.u32("length")?,
            },
            PacketType::Write => Self::Write {
                handle: fields.string("handle")?,
                offset: fields.u64("offset")?,
                data: fields.string("data")?,
            },
            PacketType::Lstat => Self::Lstat { path: fields.path("path")? },
            PacketType::Fstat => Self::Fstat { handle: fields.string("handle")? },
            PacketType::Setstat => {
                Self::Setstat { path: fields.path("path")?, attributes: Attributes::decode(fields)? }
            }
            PacketType::Fsetstat => {
                Self::Fsetstat { handle: fields.string("handle")?, attributes: Attributes::decode(fields)? }
            }
            PacketType::Opendir => Self::Opendir { path: fields.path("path")? },
            PacketType::Readdir => Self::Readdir { handle: fields.string("handle")? },
            PacketType::Remove => Self::Remove { path: fields.path("path")? },
            PacketType::Mkdir => {
                Self::Mkdir { path: fields.path("path")?, attributes: Attributes::decode(fields)? }
            }
            PacketType::Rmdir => Self::Rmdir { path: fields.path("path")? },
            PacketType::Realpath => Self::Realpath { path: fields.path("path")? },
            PacketType::Stat => Self::Stat { path: fields.path("path")? },
            PacketType::Rename => {
                Self::Rename { old_path: fields.path("old path")?, new_path: fields.path("new path")? }
            }
            PacketType::Readlink => Self::Readlink { path: fields.path("path")? },
            PacketType::Symlink => {
                Self::Symlink { target: fields.path("target")?, link_path: fields.path("link path")? }
            }
            PacketType::Extended => Self::Extended(Extended::decode(fields)?),
            PacketType::Init
            | PacketType::Version
            | PacketType::Status
            | PacketType::Handle
            | PacketType::Data
            | PacketType::Name
            | PacketType::Attrs
            | PacketType::ExtendedReply
            | PacketType::Unknown(_) => Self::Unknown(kind),
        })
    }

    /// Appends the request as a packet with its length.
    pub fn encode(&self, id: u32, sink: &mut impl Sink) {
        let packet = begin(sink, self.packet_type());
        sink.put_u32(id);
        match self {
            Self::Open { path, flags, attributes } => {
                sink.put_string(path);
                sink.put_u32(flags.0);
                attributes.encode(sink);
            }
            Self::Read { handle, offset, length } => {
                sink.put_string(handle);
                sink.put_u64(*offset);
                sink.put_u32(*length);
            }
            Self::Write { handle, offset, data } => {
                sink.put_string(handle);
                sink.put_u64(*offset);
                sink.put_string(data);
            }
            Self::Close { handle } | Self::Fstat { handle } | Self::Readdir { handle } => {
                sink.put_string(handle);
            }
            Self::Fsetstat { handle: name, attributes }
            | Self::Setstat { path: name, attributes }
            | Self::Mkdir { path: name, attributes } => {
                sink.put_string(name);
                attributes.encode(sink);
            }
            Self::Lstat { path }
            | Self::Opendir { path }
            | Self::Remove { path }
            | Self::Rmdir { path }
            | Self::Realpath { path }
            | Self::Stat { path }
            | Self::Readlink { path } => sink.put_string(path),
            Self::Rename { old_path: first, new_path: second }
            | Self::Symlink { target: first, link_path: second } => {
                sink.put_string(first);
                sink.put_string(second);
            }
            Self::Extended(extended) => extended.encode(sink),
            Self::Unknown(_) => {}
        }
        finish(sink, packet);
    }

    /// The type byte this request travels under.
    pub fn packet_type(&self) -> PacketType {
        match self {
            Self::Open { .. } => PacketType::Open,
            Self::Close { .. } => PacketType::Close,
            Self::Read { .. } => PacketType::Read,
            Self::Write { .. } => PacketType::Write,
            Self::Lstat { .. } => PacketType::Lstat,
            Self::Fstat { .. } => PacketType::Fstat,
            Self::Setstat { .. } => PacketType::Setstat,
            Self::Fsetstat { .. } => PacketType::Fsetstat,
            Self::Opendir { .. } => PacketType::Opendir,
            Self::Readdir { .. } => PacketType::Readdir,
            Self::Remove { .. } => PacketType::Remove,
            Self::Mkdir { .. } => PacketType::Mkdir,
            Self::Rmdir { .. } => PacketType::Rmdir,
            Self::Realpath { .. } => PacketType::Realpath,
            Self::Stat { .. } => PacketType::Stat,
            Self::Rename { .. } => PacketType::Rename,
            Self::Readlink { .. } => PacketType::Readlink,
            Self::Symlink { .. } => PacketType::Symlink,
            Self::Extended(_) => PacketType::Extended,
            Self::Unknown(kind) => *kind,
        }
    }
}
