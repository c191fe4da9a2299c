//! What can go wrong at a client, by operation.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::codec::{FrameError, StatusCode};
use crate::escape::Escaped;
use crate::requests::RequestName;

/// The session could not be begun.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Reading failed.
    #[error("reading from the SFTP server: {0}")]
    Read(#[source] io::Error),
    /// Writing failed.
    #[error("writing to the SFTP server: {0}")]
    Write(#[source] io::Error),
    /// The stream ended before the greeting: often a missing `sftp-server` or a shell start-up file that exits.
    #[error("the server closed the stream before it said a word of SFTP")]
    NoAnswer,
    /// The first packet is no VERSION.
    #[error("the server's first packet is no VERSION")]
    NoVersion,
    /// Another version than 3.
    #[error("the server speaks SFTP version {version}, not 3")]
    Version {
        /// The server's version.
        version: u32,
    },
    /// What arrives is no SFTP: often text that a shell start-up file prints.
    #[error("the server does not speak SFTP: {0}")]
    Frame(#[from] FrameError),
}

/// Why a connection ended although clients were still there. Cloned to every request that was waiting.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConnectionError {
    /// Reading or writing failed.
    #[error("the SFTP stream failed: {message}")]
    Stream {
        /// What the system said.
        message: String,
    },
    /// The server ended the stream.
    #[error("the SFTP server ended the session")]
    Ended,
    /// What arrived is no SFTP.
    #[error("the SFTP server sent nonsense: {0}")]
    Frame(#[from] FrameError),
    /// A response that answers nothing.
    #[error("the SFTP server answered request {id}, which is not open")]
    UnknownId {
        /// The id of the response.
        id: u32,
    },
    /// A packet without an id.
    #[error("the SFTP server sent a packet that answers no request")]
    NoResponse,
    /// Nobody moves the bytes any more: the [`Connection`](super::Connection) was dropped.
    #[error("the SFTP connection is no longer served")]
    Abandoned,
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> Self {
        Self::Stream { message: error.to_string() }
    }
}

/// A request that the server refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{request} \"{}\": {}", Escaped(.path), Escaped(.message))]
pub struct Refused {
    /// What was asked.
    pub request: RequestName,
    /// Of which path; of a handle, the path it was opened by.
    pub path: Vec<u8>,
    /// The protocol's reason.
    pub code: StatusCode,
    /// The server's words.
    pub message: Vec<u8>,
}

/// A request that did not give what it should.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The server said no.
    #[error(transparent)]
    Refused(Box<Refused>),
    /// The connection is gone.
    #[error(transparent)]
    Connection(ConnectionError),
    /// The answer is of a kind that does not answer this.
    #[error("{request}: the server's answer makes no sense")]
    Unexpected {
        /// What was asked.
        request: RequestName,
    },
    /// A path or a write that does not fit a packet.
    #[error("{request}: {length} bytes do not fit an SFTP packet")]
    TooLong {
        /// What was to be asked.
        request: RequestName,
        /// The packet's length.
        length: usize,
    },
    /// An extension that the server lacks.
    #[error("the server cannot do {request}")]
    NotOffered {
        /// What was to be asked.
        request: RequestName,
    },
}

impl RequestError {
    /// The protocol's reason, when the server gave one.
    pub fn code(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(refused) => Some(refused.code),
            Self::Connection(_)
            | Self::Unexpected { .. }
            | Self::TooLong { .. }
            | Self::NotOffered { .. } => None,
        }
    }
}

/// A transfer that failed.
#[derive(Debug, Error)]
pub enum TransferError {
    /// On the server's side or on the way.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// On this side.
    #[error("{action} {}: {source}", .path.display())]
    Local {
        /// What was tried.
        action: &'static str,
        /// With which file; empty when the caller opened it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
