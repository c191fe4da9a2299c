//! User authentication (RFC 4252), both sides, sans-IO.

mod client;
mod known;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod script;
mod server;
mod signed;

pub use client::{ClientAuth, ClientStep, InfoRequest, Offer};
pub use known::{KnownClient, KnownStep};
pub(crate) use server::banner;
pub use server::{KeyQuery, Question, ServerAuth, ServerStep, VerifiedKey};
pub use signed::SessionBinding;

/// The service that is authenticated for (RFC 4252 section 4).
pub(crate) const USERAUTH_SERVICE: &[u8] = b"ssh-userauth";
/// The service that runs after it (RFC 4254).
pub(crate) const CONNECTION_SERVICE: &[u8] = b"ssh-connection";
pub(crate) const PUBLICKEY: &str = "publickey";
/// OpenSSH PROTOCOL section 3.1: the signature also covers the server's host key.
pub(crate) const PUBLICKEY_HOSTBOUND: &str = "publickey-hostbound-v00@openssh.com";
