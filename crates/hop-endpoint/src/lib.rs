//! The SSH server of one environment: it runs as the user it was started as, needs no root, no passwd
//! entry and no OpenSSH, and gives that user shells, commands, SFTP and forwardings.
//!
//! Nothing here prints or reads the process environment: the caller passes in what it wants used.
//! A file is one noun; a child process, a listener or a socket file never outlives the value that owns it.

pub mod access;
pub mod account;
pub mod agent;
mod bridge;
pub mod clock;
pub mod config;
mod connection;
mod context;
pub mod descriptor;
pub mod dial;
pub mod environment;
pub mod forward;
mod forwarding;
mod gateway;
mod handed;
pub mod host_keys;
pub mod limits;
pub mod listener;
mod login;
mod open_files;
mod opening;
mod orphans;
pub mod private_dir;
pub mod process;
pub mod pty;
mod pump;
mod readiness;
pub mod server;
mod session;
pub mod signal;
mod socket;
mod spawn;
pub mod terminal_modes;
mod watched;
pub mod x11;
mod xauthority;

pub use config::EndpointConfig;
pub use server::Endpoint;
