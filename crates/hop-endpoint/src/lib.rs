//! The SSH server of one environment: it runs as the user it was started as, needs no root, no passwd
//! entry and no OpenSSH, and gives that user shells, commands, SFTP and forwardings.
//!
//! Nothing here prints or reads the process environment: the caller passes in what it wants used.
//! A file is one noun; a child process, a listener or a socket file never outlives the value that owns it.

pub mod account;
pub mod agent;
pub mod descriptor;
pub mod dial;
pub mod environment;
pub mod forward;
pub mod host_keys;
pub mod limits;
pub mod listener;
pub mod private_dir;
pub mod process;
pub mod pty;
mod readiness;
pub mod signal;
mod socket;
mod spawn;
pub mod terminal_modes;
pub mod x11;
mod xauthority;
