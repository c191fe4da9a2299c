//! The SSH protocol, sans-IO: transport, user authentication, connection and packet relay, and a thin
//! driver that runs them on tokio.
#![forbid(unsafe_code)]

mod algorithms;
pub mod auth;
mod bare;
mod buffer;
mod config;
pub mod connection;
mod crypto;
pub mod driver;
mod error;
pub mod export;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod kex;
mod leg;
mod lending;
pub mod message;
mod packet;
#[cfg(test)]
mod properties;
pub mod relay;
mod transport;
mod version;
pub mod wire;

pub use algorithms::{Algorithms, USER_SIGNATURES};
pub use bare::{BARE_GREETING, BareTransport, SiteSocket};
pub use config::{ClientConfig, HostKey, RekeyLimits, ServerConfig, VerifyHostKey};
pub use crypto::warm_up;
pub use error::{Error, Malformed};
pub use kex::VerifiedHostKey;
pub use leg::Leg;
pub use lending::LARGEST_INPUT;
pub use transport::{Payload, PeerExtensions, Transport};
