//! A relay between real peers: logs clients in, logs in to a target, and lets packets cross by `hop_ssh::relay`.
//! It is as much of a gateway as the engine's tests need, and no more.
//!
//! The program `hop-relay` runs it in a process of its own, so that its memory can be measured and its connections
//! can be handed to another process.

mod config;
mod handover;
mod metered;
mod policy;
mod second_leg;
mod serve;

pub use config::{RelayConfig, RelayEvent, Target};
pub use handover::{TAKE_OVER, take_over};
pub use serve::serve;

use std::io;
use std::path::PathBuf;

use hop_ssh::export::ImportError;

/// Why the relay, or one connection of it, does not work.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The client did not get in.
    #[error("the client's login: {0}")]
    Login(hop_ssh::Error),
    /// We did not get in to the target.
    #[error("logging in to the target: {0}")]
    Target(hop_ssh::Error),
    /// A key file cannot be used.
    #[error(transparent)]
    Key(#[from] hop_keys::FileError),
    /// The line that pins the target's host key is no public key.
    #[error("{line:?} is no host key")]
    HostKey {
        /// The line.
        line: String,
    },
    /// The configuration is not of the form.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// State that was handed over is not usable.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The engine refuses.
    #[error("the relay on the side of the {side:?}: {error}")]
    Relay {
        /// Which leg.
        side: hop_ssh::relay::Side,
        /// Why.
        error: hop_ssh::Error,
    },
    /// What was handed over came without its sockets.
    #[error("two sockets were to be handed over, {count} came")]
    Sockets {
        /// How many.
        count: usize,
    },
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<hop_ssh::relay::RelayError> for RelayError {
    fn from(failed: hop_ssh::relay::RelayError) -> Self {
        Self::Relay { side: failed.side, error: failed.error }
    }
}
