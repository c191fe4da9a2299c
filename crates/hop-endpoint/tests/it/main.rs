//! The endpoint with a real client, OpenSSH's, in one process with the test.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is test code: what goes wrong is a failed test"
)]

mod forwarding;
mod gateway;
mod protocol;
mod server;
mod session;
mod stopping;
