//! The traps that an SSH server, and a relay before one, must not fall into: each with a test at both places, named
//! by its number. `cargo xtask check` has the list.
//!
//! The server is always ours: OpenSSH's sshd falls into several of them (it counts probes as attempts, disconnects at a
//! session after no-more-sessions, knows no idle time), which shows that these tests can fail.
//!
//! What a real client shows is shown with it; what none of them says is said by a raw peer.

mod agent;
mod certificates;
mod environment;
mod forwarding;
mod hosts;
mod idle;
mod keys;
mod login;
mod rekey;
mod replies;
mod sessions;
mod unknown;
mod windows;
