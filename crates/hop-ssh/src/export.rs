//! State that can move: an authenticated transport or a whole relay is taken apart in one process and put
//! together in another, which goes on with the same sockets.
//!
//! Must stay true: the state holds session keys, so it exists only as [`Exported`], which can be sent through
//! a Unix socket and nothing else, and which is overwritten when it is dropped; exporting consumes the
//! original, so that no two processes ever seal with the same keys; state of another version is refused.

mod leg;
mod relay;

pub use relay::RelaySetup;

use crate::error::Malformed;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use zeroize::Zeroizing;

/// The version of all forms below.
const VERSION: u32 = 1;
/// The most that an export may have: two legs with full buffers, and a lot of channels.
const LONGEST: usize = 16 * 1024 * 1024;

/// State on its way to another process.
pub struct Exported(Zeroizing<Vec<u8>>);

/// Why something cannot be exported now; it is handed back unharmed beside this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// Keys are being exchanged: try again when the exchange is done.
    #[error("a key exchange is under way")]
    Exchanging,
    /// The first key exchange is not done.
    #[error("the connection is not established")]
    NotEstablished,
    /// Pipes are lent to it, and their readiness is this process's: they go back when they have been idle.
    #[error("pipes of the far side are lent to it")]
    Lent,
}

/// Why state cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It was written by a program that is too new or too old.
    #[error("the state has version {version}, this program knows version {VERSION}")]
    Version {
        /// The version that it says.
        version: u32,
    },
    /// It is not of the form that its version promises.
    #[error("the state is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// A field has a value that means nothing.
    #[error("the state is malformed: bad {field}")]
    Field {
        /// Which field.
        field: &'static str,
    },
    /// A cipher could not be set up with the keys.
    #[error("the state's keys cannot be used")]
    Keys,
    /// It could not be received.
    #[error("receiving the state failed: {0}")]
    Io(#[from] io::Error),
}

impl Exported {
    /// Sends the state to the process at the other end of the socket.
    pub fn send(self, mut socket: &UnixStream) -> io::Result<()> {
        let length = u32::try_from(self.0.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        socket.write_all(&length.to_be_bytes())?;
        socket.write_all(&self.0)
    }

    /// Receives state from the process at the other end of the socket.
    pub fn receive(mut socket: &UnixStream) -> io::Result<Self> {
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut state = Zeroizing::new(vec![0; length]);
        socket.read_exact(&mut state)?;
        Ok(Self(state))
    }
}

impl std::fmt::Debug for Exported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exported").finish_non_exhaustive()
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod script;
#[cfg(test)]
mod tests;
