//! OpenSSH's extensions (its PROTOCOL file, section 4): their names, their requests and their replies.

use super::attributes::Attributes;
use super::wire::{Fields, Malformed, Sink};

/// An extension that is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the extensions' own")]
pub enum Extension {
    PosixRename,
    Statvfs,
    Fstatvfs,
    Hardlink,
    Fsync,
    Lsetstat,
    Limits,
    ExpandPath,
    CopyData,
    HomeDirectory,
    UsersGroupsById,
}

impl Extension {
    /// All of them, in the order in which OpenSSH advertises them.
    pub const ALL: [Self; 11] = [
        Self::PosixRename,
        Self::Statvfs,
        Self::Fstatvfs,
        Self::Hardlink,
        Self::Fsync,
        Self::Lsetstat,
        Self::Limits,
        Self::ExpandPath,
        Self::CopyData,
        Self::HomeDirectory,
        Self::UsersGroupsById,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::PosixRename => "posix-rename@openssh.com",
            Self::Statvfs => "statvfs@openssh.com",
            Self::Fstatvfs => "fstatvfs@openssh.com",
            Self::Hardlink => "hardlink@openssh.com",
            Self::Fsync => "fsync@openssh.com",
            Self::Lsetstat => "lsetstat@openssh.com",
            Self::Limits => "limits@openssh.com",
            Self::ExpandPath => "expand-path@openssh.com",
            Self::CopyData => "copy-data",
            Self::HomeDirectory => "home-directory",
            Self::UsersGroupsById => "users-groups-by-id@openssh.com",
        }
    }

    /// The version spoken, as advertised in VERSION.
    pub fn version(self) -> &'static str {
        match self {
            Self::Statvfs | Self::Fstatvfs => "2",
            Self::PosixRename
            | Self::Hardlink
            | Self::Fsync
            | Self::Lsetstat
            | Self::Limits
            | Self::ExpandPath
            | Self::CopyData
            | Self::HomeDirectory
            | Self::UsersGroupsById => "1",
        }
    }

    /// The extension with this name on the wire.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.name().as_bytes() == name)
    }
}

/// The operands of copy-data: bytes of one open file into another, without leaving the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyData<'a> {
    /// Handle to read from.
    pub source: &'a [u8],
    /// Where reading starts.
    pub source_offset: u64,
    /// How many bytes; 0 means up to the end of the file.
    pub length: u64,
    /// Handle to write to.
    pub target: &'a [u8],
    /// Where writing starts.
    pub target_offset: u64,
}

/// An EXTENDED request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in OpenSSH's PROTOCOL file")]
pub enum Extended<'a> {
    PosixRename {
        old_path: &'a [u8],
        new_path: &'a [u8],
    },
    Statvfs {
        path: &'a [u8],
    },
    Fstatvfs {
        handle: &'a [u8],
    },
    Hardlink {
        old_path: &'a [u8],
        new_path: &'a [u8],
    },
    Fsync {
        handle: &'a [u8],
    },
    Lsetstat {
        path: &'a [u8],
        attributes: Attributes,
    },
    Limits,
    ExpandPath {
        path: &'a [u8],
    },
    CopyData(CopyData<'a>),
    /// An empty name asks for the session's own user.
    HomeDirectory {
        user: &'a [u8],
    },
    UsersGroupsById {
        users: Vec<u32>,
        groups: Vec<u32>,
    },
    Unknown {
        name: &'a [u8],
        payload: &'a [u8],
    },
}

impl<'a> Extended<'a> {
    pub(crate) fn decode(fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        let name = fields.string("extension name")?;
        let Some(extension) = Extension::from_name(name) else {
            return Ok(Self::Unknown { name, payload: fields.rest() });
        };
        Ok(match extension {
            Extension::PosixRename => {
                Self::PosixRename { old_path: fields.path("old path")?, new_path: fields.path("new path")? }
            }
            Extension::Statvfs => Self::Statvfs { path: fields.path("path")? },
            Extension::Fstatvfs => Self::Fstatvfs { handle: fields.string("handle")? },
            Extension::Hardlink => {
                Self::Hardlink { old_path: fields.path("old path")?, new_path: fields.path("new path")? }
            }
            Extension::Fsync => Self::Fsync { handle: fields.string("handle")? },
            Extension::Lsetstat => {
                Self::Lsetstat { path: fields.path("path")?, attributes: Attributes::decode(fields)? }
            }
            Extension::Limits => Self::Limits,
            Extension::ExpandPath => Self::ExpandPath { path: fields.path("path")? },
            Extension::CopyData => Self::CopyData(CopyData {
                source: fields.string("read handle")?,
                source_offset: fields.u64("read offset")?,
                length: fields.u64("length")?,
                target: fields.string("write handle")?,
                target_offset: fields.u64("write offset")?,
            }),
            Extension::HomeDirectory => Self::HomeDirectory { user: fields.path("user")? },
            Extension::UsersGroupsById => {
                Self::UsersGroupsById { users: decode_ids(fields)?, groups: decode_ids(fields)? }
            }
        })
    }

    pub(crate) fn encode(&self, sink: &mut impl Sink) {
        if let Some(extension) = self.extension() {
            sink.put_string(extension.name().as_bytes());
        }
        match self {
            Self::PosixRename { old_path, new_path } | Self::Hardlink { old_path, new_path } => {
                sink.put_string(old_path);
                sink.put_string(new_path);
            }
            Self::Statvfs { path } | Self::ExpandPath { path } => sink.put_string(path),
            Self::Fstatvfs { handle } | Self::Fsync { handle } => sink.put_string(handle),
            Self::Lsetstat { path, attributes } => {
                sink.put_string(path);
                attributes.encode(sink);
            }
            Self::Limits => {}
            Self::CopyData(copy) => {
                sink.put_string(copy.source);
                sink.put_u64(copy.source_offset);
                sink.put_u64(copy.length);
                sink.put_string(copy.target);
                sink.put_u64(copy.target_offset);
            }
            Self::HomeDirectory { user } => sink.put_string(user),
            Self::UsersGroupsById { users, groups } => {
                sink.put_string(&encode_ids(users));
                sink.put_string(&encode_ids(groups));
            }
            Self::Unknown { name, payload } => {
                sink.put_string(name);
                sink.put(payload);
            }
        }
    }

    /// Which extension this asks for; `None` for an unknown one.
    pub fn extension(&self) -> Option<Extension> {
        Some(match self {
            Self::PosixRename { .. } => Extension::PosixRename,
            Self::Statvfs { .. } => Extension::Statvfs,
            Self::Fstatvfs { .. } => Extension::Fstatvfs,
            Self::Hardlink { .. } => Extension::Hardlink,
            Self::Fsync { .. } => Extension::Fsync,
            Self::Lsetstat { .. } => Extension::Lsetstat,
            Self::Limits => Extension::Limits,
            Self::ExpandPath { .. } => Extension::ExpandPath,
            Self::CopyData(_) => Extension::CopyData,
            Self::HomeDirectory { .. } => Extension::HomeDirectory,
            Self::UsersGroupsById { .. } => Extension::UsersGroupsById,
            Self::Unknown { .. } => return None,
        })
    }
}

fn decode_ids(fields: &mut Fields<'_>) -> Result<Vec<u32>, Malformed> {
    let mut packed = fields.nested("ids")?;
    let mut ids = Vec::new();
    while !packed.is_empty() {
        ids.push(packed.u32("id")?);
    }
    Ok(ids)
}

fn encode_ids(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_be_bytes()).collect()
}

/// The reply to limits@openssh.com; 0 means "no limit stated".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest packet the server takes, in bytes.
    pub packet_length: u64,
    /// Longest read it answers, in bytes.
    pub read_length: u64,
    /// Longest write it takes, in bytes.
    pub write_length: u64,
    /// Open handles at one time.
    pub open_handles: u64,
}

impl Limits {
    /// Appends the reply's payload.
    pub fn encode(&self, sink: &mut impl Sink) {
        for value in [self.packet_length, self.read_length, self.write_length, self.open_handles] {
            sink.put_u64(value);
        }
    }

    /// Reads the reply's payload.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(payload);
        Ok(Self {
            packet_length: fields.u64("max-packet-length")?,
            read_length: fields.u64("max-read-length")?,
            write_length: fields.u64("max-write-length")?,
            open_handles: fields.u64("max-open-handles")?,
        })
    }
}

/// The reply to statvfs@openssh.com and fstatvfs@openssh.com, in the order of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystemStatistics {
    /// Block size in bytes.
    pub block_size: u64,
    /// Fundamental block size in bytes: the unit of the three block counts.
    pub fragment_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub blocks_free: u64,
    /// Free blocks for users other than root.
    pub blocks_available: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// Free inodes for users other than root.
    pub files_available: u64,
    /// The file system's id.
    pub id: u64,
    /// Bit 0: read only; bit 1: set-user-ID is ignored.
    pub flags: u64,
    /// Longest file name in bytes.
    pub name_length: u64,
}

impl FileSystemStatistics {
    /// Mounted read-only.
    pub const READ_ONLY: u64 = 1;
    /// Set-user-ID is ignored.
    pub const NO_SET_USER_ID: u64 = 2;

    /// Appends the reply's payload.
    pub fn encode(&self, sink: &mut impl Sink) {
        for value in [
            self.block_size,
            self.fragment_size,
            self.blocks,
            self.blocks_free,
            self.blocks_available,
            self.files,
            self.files_free,
            self.files_available,
            self.id,
            self.flags,
            self.name_length,
        ] {
            sink.put_u64(value);
        }
    }

    /// Reads the reply's payload.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(payload);
        Ok(Self {
            block_size: fields.u64("f_bsize")?,
            fragment_size: fields.u64("f_frsize")?,
            blocks: fields.u64("f_blocks")?,
            blocks_free: fields.u64("f_bfree")?,
            blocks_available: fields.u64("f_bavail")?,
            files: fields.u64("f_files")?,
            files_free: fields.u64("f_ffree")?,
            files_available: fields.u64("f_favail")?,
            id: fields.u64("f_fsid")?,
            flags: fields.u64("f_flag")?,
            name_length: fields.u64("f_namemax")?,
        })
    }
}

/// The reply to users-groups-by-id@openssh.com: one name per id asked for, empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdNames {
    /// Names of the user ids, in the order asked.
    pub users: Vec<Vec<u8>>,
    /// Names of the group ids, in the order asked.
    pub groups: Vec<Vec<u8>>,
}

impl IdNames {
    /// Appends the reply's payload.
    pub fn encode(&self, sink: &mut impl Sink) {
        for names in [&self.users, &self.groups] {
            let mut packed = Vec::new();
            for name in names {
                packed.put_string(name);
            }
            sink.put_string(&packed);
        }
    }

    /// Reads the reply's payload.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(payload);
        Ok(Self { users: decode_names(&mut fields)?, groups: decode_names(&mut fields)? })
    }
}

fn decode_names(fields: &mut Fields<'_>) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut packed = fields.nested("names")?;
    let mut names = Vec::new();
    while !packed.is_empty() {
        names.push(packed.string("name")?.to_vec());
    }
    Ok(names)
}
