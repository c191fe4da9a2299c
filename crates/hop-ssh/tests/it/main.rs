//! The engine against real peers: OpenSSH's client and server (Debian packages openssh-client and
//! openssh-server).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod openssh_client;
mod openssh_server;
mod support;
