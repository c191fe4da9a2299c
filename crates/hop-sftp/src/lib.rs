//! SFTP version 3 with OpenSSH's extensions: the packets, a server and a client.
//!
//! * [`codec`]: packets as bytes and back; no I/O.
//! * [`server`]: serves one session over any byte stream; for the subsystem `sftp` and for `hop sftp-server`.
//! * [`client`]: many requests in flight over one session, and whole-file transfers on top.
//! * [`arguments`]: the command line of `sftp-server`.
//! * [`requests`]: the names of requests, as `-P`, `-p` and `-Q requests` use them.
//!
//! What must stay true: a file name is a byte string from the wire to the system call; nothing a peer sends
//! panics or allocates without bound; memory per session is bounded whatever the peer does.

pub mod arguments;
pub mod client;
pub mod codec;
mod escape;
pub mod requests;
pub mod server;

pub use escape::Escaped;
