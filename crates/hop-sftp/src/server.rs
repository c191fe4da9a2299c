//! The SFTP server: one session over any byte stream.
//!
//! A client that sends requests without waiting sees the same as if each had been carried out before the next was sent,
//! whatever handles and paths they name; only the responses of reads may come in another order. Most requests are
//! carried out one after the other by plain file calls in the task that serves the session: what is in the page cache
//! or the directory cache is there faster than another thread can be woken (measured: 20 microseconds a request,
//! as much as all the rest of it). A call may also hang for as long as its file system pleases. So before
//! each the session asks the kernel, which can tell without waiting (`locality`), and what may wait
//! is carried out aside, on tokio's threads for blocking calls (`aside`): a hanging mount stops this
//! session, never the connection's other channels.
//!
//! Memory is bounded per session: one buffer of requests (514 KiB), one of responses (576 KiB), at most eight reads of
//! 255 KiB or one request aside, open handles up to the limit that limits@openssh.com states. A client that does not read its
//! responses is not read from.

mod accounts;
mod aside;
mod attributes;
mod copy;
mod directory;
mod drive;
mod files;
mod handles;
mod input;
mod listing;
mod locality;
mod order;
mod output;
mod paths;
mod realpath;
mod session;
mod status;
mod stdio;

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

pub use stdio::serve_stdio;

use crate::codec::FrameError;
use crate::requests::RequestSet;
use session::Session;

/// How a session is served.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Whose session it is, for `~` and for the log.
    pub account: Account,
    /// Where relative paths start; `None`: in the process's working directory. One that cannot be opened is
    /// logged and passed over, as OpenSSH does.
    pub start_directory: Option<PathBuf>,
    /// Refuse whatever changes the file system.
    pub read_only: bool,
    /// Requests that are served; others are answered with "permission denied".
    pub permitted: RequestSet,
    /// Open handles at one time; `None`: what the process's limit on open files leaves, as OpenSSH does.
    pub open_handles: Option<u32>,
}

/// The user a session belongs to.
#[derive(Debug, Clone)]
pub struct Account {
    /// Login name, for the log.
    pub name: String,
    /// Home directory: what `~` stands for.
    pub home: PathBuf,
}

impl ServerOptions {
    /// Everything permitted, starting in the process's working directory.
    pub fn new(account: Account) -> Self {
        Self {
            account,
            start_directory: None,
            read_only: false,
            permitted: RequestSet::ALL,
            open_handles: None,
        }
    }
}

/// What a session did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Requests answered.
    pub requests: u64,
    /// Bytes read from files.
    pub bytes_read: u64,
    /// Bytes written to files.
    pub bytes_written: u64,
}

/// Why a session ended before the client ended it.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The session could not be set up.
    #[error("cannot open the working directory for an SFTP session: {0}")]
    WorkingDirectory(#[source] Errno),
    /// Standard input or output cannot be used.
    #[error("cannot use {stream} for SFTP: {source}")]
    Stdio {
        /// Which one.
        stream: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The thread that carried out a request panicked.
    #[error("an SFTP request was lost with the thread that carried it out")]
    WorkerGone,
    /// Reading requests failed.
    #[error("reading SFTP requests: {0}")]
    Read(#[source] io::Error),
    /// Writing responses failed.
    #[error("writing SFTP responses: {0}")]
    Write(#[source] io::Error),
    /// The byte stream is no SFTP.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A packet too short to hold even a request id.
    #[error("SFTP packet of type {kind} without a request id")]
    NoRequestId {
        /// The type byte.
        kind: u8,
    },
    /// A request before INIT, or INIT cut short.
    #[error("the SFTP client did not begin with INIT")]
    NotInitialised,
    /// The stream ended inside a packet.
    #[error("the SFTP client's stream ended in the middle of a packet")]
    CutShort,
}

/// Serves one session until the client ends its stream; open files are closed then.
///
/// Must be awaited in a tokio runtime, whose threads for blocking calls it uses. Dropping the future ends the session:
/// a request being carried out aside ends by itself, which on a hanging file system can be never (so shut the
/// runtime down with a time limit).
pub async fn serve<R, W>(reader: R, writer: W, options: ServerOptions) -> Result<Summary, ServeError>
where
    R: AsyncRead,
    W: AsyncWrite,
{
    drive::drive(reader, writer, Session::new(options, true)?).await
}
