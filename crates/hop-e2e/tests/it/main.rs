//! Real SSH programs and libraries log in to our server and do what they are for. See `hop_e2e::peer` for the list.
//!
//! `HOP_E2E_SERVER=sshd-9.2` runs the same tests against OpenSSH's sshd: what fails there is a broken test.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "all of this is test code: what goes wrong is a failed test"
)]

mod aiida;
mod audit;
mod certificates;
mod client_role;
mod clusters;
mod dropbear;
mod endurance;
mod expected;
mod file_clients;
mod forwardings;
mod jupyter;
mod jupyter_client;
mod lab;
mod libraries;
mod openssh;
mod openssh_features;
mod openssh_regress;
mod person;
mod putty;
mod relay;
mod sessions;
mod stalls;
mod traps;
mod websocket;
mod wheel;
