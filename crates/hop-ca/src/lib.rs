//! Decides whether a certificate may be issued, and signs it. No network, no SQL.
//!
//! The CA keys live in a process of their own, the *signer*, which answers a closed set of [`Request`]s on a Unix
//! socket. Must stay true: a CA key never leaves the process; whoever asks gets only certificates for opaque
//! principals (`person:…`), for a bounded time, after every rule agreed; what was signed is what was judged.

mod authority;
mod client;
mod line;
mod request;
mod rules;
mod server;

pub use authority::{Authority, AuthorityError};
pub use client::{SignerClient, SignerError};
pub use request::{IssuedCertificate, Permits, PublicKeys, UserRequest};
pub use rules::{Refusal, Rules};
pub use server::Signer;
