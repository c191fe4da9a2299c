//! Our client role against servers that are not ours: OpenSSH's sshd 9.2 and 10.0, dropbear, tinysshd.
//!
//! Host keys are judged by `hop_keys::KnownHosts` from the file that the fixture wrote, as our programs will do it.

mod agent;
mod basics;
mod client;
mod connections;
mod files;
mod forwards;
mod host_keys;
mod logins;
mod questions;
mod rekey;
mod servers;
mod signers;
mod sshd;
