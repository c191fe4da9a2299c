//! The SSH protocol, sans-IO: transport, user authentication, connection and packet relay, and a thin
//! driver that runs them on tokio.
#![forbid(unsafe_code)]

mod algorithms;
pub mod auth;
mod buffer;
mod config;
mod crypto;
mod error;
mod kex;
pub mod message;
mod packet;
mod transport;
mod version;
pub mod wire;

pub use algorithms::{Algorithms, USER_SIGNATURES};
pub use config::{ClientConfig, HostKey, RekeyLimits, ServerConfig, VerifyHostKey};
pub use error::{Error, Malformed};
pub use kex::VerifiedHostKey;
pub use transport::{Payload, PeerExtensions, Transport};
