//! Client and server together, over real sockets: what goes through, and what is said when nothing does.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

mod connecting;
mod refusals;
mod support;
