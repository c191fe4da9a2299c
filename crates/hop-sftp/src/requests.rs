//! The names of requests, for the command line's deny and allow lists.
//!
//! Owns the list that `-Q requests` prints and the rules of `-P`, `-p` and `-R`. Version 3 has no way to
//! withdraw a request, so a refused one is answered with "permission denied".

use std::fmt;

use thiserror::Error;

use crate::codec::{Extended, Request};

/// A request that can be denied or allowed by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are OpenSSH's own")]
pub enum RequestName {
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

impl RequestName {
    /// All of them, in the order in which OpenSSH's `sftp-server -Q requests` prints them.
    pub const ALL: [Self; 29] = [
        Self::Open,
        Self::Close,
        Self::Read,
        Self::Write,
        Self::Lstat,
        Self::Fstat,
        Self::Setstat,
        Self::Fsetstat,
        Self::Opendir,
        Self::Readdir,
        Self::Remove,
        Self::Mkdir,
        Self::Rmdir,
        Self::Realpath,
        Self::Stat,
        Self::Rename,
        Self::Readlink,
        Self::Symlink,
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

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Close => "close",
            Self::Read => "read",
            Self::Write => "write",
            Self::Lstat => "lstat",
            Self::Fstat => "fstat",
            Self::Setstat => "setstat",
            Self::Fsetstat => "fsetstat",
            Self::Opendir => "opendir",
            Self::Readdir => "readdir",
            Self::Remove => "remove",
            Self::Mkdir => "mkdir",
            Self::Rmdir => "rmdir",
            Self::Realpath => "realpath",
            Self::Stat => "stat",
            Self::Rename => "rename",
            Self::Readlink => "readlink",
            Self::Symlink => "symlink",
            Self::PosixRename => "posix-rename",
            Self::Statvfs => "statvfs",
            Self::Fstatvfs => "fstatvfs",
            Self::Hardlink => "hardlink",
            Self::Fsync => "fsync",
            Self::Lsetstat => "lsetstat",
            Self::Limits => "limits",
            Self::ExpandPath => "expand-path",
            Self::CopyData => "copy-data",
            Self::HomeDirectory => "home-directory",
            Self::UsersGroupsById => "users-groups-by-id",
        }
    }

    /// The request with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|request| request.as_str() == name)
    }

    /// What a decoded request is called; `None` for one that is unknown here.
    pub fn of(request: &Request<'_>) -> Option<Self> {
        Some(match request {
            Request::Open { .. } => Self::Open,
            Request::Close { .. } => Self::Close,
            Request::Read { .. } => Self::Read,
            Request::Write { .. } => Self::Write,
            Request::Lstat { .. } => Self::Lstat,
            Request::Fstat { .. } => Self::Fstat,
            Request::Setstat { .. } => Self::Setstat,
            Request::Fsetstat { .. } => Self::Fsetstat,
            Request::Opendir { .. } => Self::Opendir,
            Request::Readdir { .. } => Self::Readdir,
            Request::Remove { .. } => Self::Remove,
            Request::Mkdir { .. } => Self::Mkdir,
            Request::Rmdir { .. } => Self::Rmdir,
            Request::Realpath { .. } => Self::Realpath,
            Request::Stat { .. } => Self::Stat,
            Request::Rename { .. } => Self::Rename,
            Request::Readlink { .. } => Self::Readlink,
            Request::Symlink { .. } => Self::Symlink,
            Request::Extended(Extended::PosixRename { .. }) => Self::PosixRename,
            Request::Extended(Extended::Statvfs { .. }) => Self::Statvfs,
            Request::Extended(Extended::Fstatvfs { .. }) => Self::Fstatvfs,
            Request::Extended(Extended::Hardlink { .. }) => Self::Hardlink,
            Request::Extended(Extended::Fsync { .. }) => Self::Fsync,
            Request::Extended(Extended::Lsetstat { .. }) => Self::Lsetstat,
            Request::Extended(Extended::Limits) => Self::Limits,
            Request::Extended(Extended::ExpandPath { .. }) => Self::ExpandPath,
            Request::Extended(Extended::CopyData(_)) => Self::CopyData,
            Request::Extended(Extended::HomeDirectory { .. }) => Self::HomeDirectory,
            Request::Extended(Extended::UsersGroupsById { .. }) => Self::UsersGroupsById,
            Request::Extended(Extended::Unknown { .. }) | Request::Unknown(_) => return None,
        })
    }

    /// Whether the request changes the file system. OPEN is not in this list: its flags decide. FSYNC is: OpenSSH
    /// counts it so.
    pub fn writes(self) -> bool {
        match self {
            Self::Write
            | Self::Setstat
            | Self::Fsetstat
            | Self::Remove
            | Self::Mkdir
            | Self::Rmdir
            | Self::Rename
            | Self::Symlink
            | Self::PosixRename
            | Self::Hardlink
            | Self::Fsync
            | Self::Lsetstat
            | Self::CopyData => true,
            Self::Open
            | Self::Close
            | Self::Read
            | Self::Lstat
            | Self::Fstat
            | Self::Opendir
            | Self::Readdir
            | Self::Realpath
            | Self::Stat
            | Self::Readlink
            | Self::Statvfs
            | Self::Fstatvfs
            | Self::Limits
            | Self::ExpandPath
            | Self::HomeDirectory
            | Self::UsersGroupsById => false,
        }
    }

    fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

impl fmt::Display for RequestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestSet(u32);

/// A list with a name that is no request. OpenSSH passes over such names in silence; a deny list with a
/// misspelt name must not.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{name}\" is no SFTP request (-Q requests lists them)")]
pub struct UnknownRequest {
    /// The word that was given.
    pub name: String,
}

impl RequestSet {
    /// No request.
    pub const NONE: Self = Self(0);
    /// Every request.
    pub const ALL: Self = Self(u32::MAX);

    /// Parses a list with commas, as `-P` and `-p` take it.
    pub fn parse(list: &str) -> Result<Self, UnknownRequest> {
        let mut set = Self::NONE;
        for name in list.split(',').filter(|name| !name.is_empty()) {
            match RequestName::parse(name) {
                Some(request) => set.insert(request),
                None => return Err(UnknownRequest { name: name.to_owned() }),
            }
        }
        Ok(set)
    }

    /// Adds a request.
    pub fn insert(&mut self, request: RequestName) {
        self.0 |= request.bit();
    }

    /// Whether the request is in the set.
    pub fn contains(self, request: RequestName) -> bool {
        self.0 & request.bit() != 0
    }

    /// What is in this set but not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for RequestSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = RequestName::ALL.into_iter().filter(|name| self.contains(*name));
        f.debug_set().entries(names.map(RequestName::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{RequestName, RequestSet};

    #[test]
    fn names_are_distinct_and_parse_back() {
        for name in RequestName::ALL {
            assert_eq!(RequestName::parse(name.as_str()), Some(name));
        }
        assert_eq!(RequestName::parse("posix-rename@openssh.com"), None);
    }

    #[test]
    fn lists() {
        let set = RequestSet::parse("remove,,rename").expect("both are requests");
        assert!(set.contains(RequestName::Remove) && set.contains(RequestName::Rename));
        assert!(!set.contains(RequestName::Open));
        assert_eq!(RequestSet::parse(""), Ok(RequestSet::NONE));
        assert_eq!(RequestSet::parse("read,remve").expect_err("misspelt").name, "remve");
        let rest = RequestSet::ALL.without(set);
        assert!(RequestName::ALL.into_iter().all(|name| rest.contains(name) != set.contains(name)));
    }
}
