//! Connections out: the system's OpenSSH is started as a master, watched, given a lifetime, and shared.
//!
//! What must stay true: a connection is made by `ssh` with the user's own configuration, so that what works with `ssh`
//! works here; the user's configuration is changed by one line and back; a secret is in no argument, no environment
//! variable and no log. Nothing here prints or reads the process environment.

pub mod agent;
pub mod alias;
pub mod budget;
pub mod connection;
pub mod master;
pub mod mux;
pub mod parent;
pub mod passenger;
pub mod resolve;
pub mod session;
pub mod socket_directory;
pub mod ssh_config;
pub mod ssh_words;
pub mod watch;

pub use alias::Alias;
pub use socket_directory::SocketDirectory;
