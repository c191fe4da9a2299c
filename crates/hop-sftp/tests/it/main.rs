//! The server and the client against OpenSSH's, and against each other.

#![expect(clippy::panic, clippy::indexing_slicing, reason = "a helper of a test fails by panicking")]

mod client;
mod differential;
mod openssh_client;
mod peers;
mod raw;
mod server;
mod stall;
