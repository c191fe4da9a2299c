//! Every repository on both databases: SQLite in a private folder, PostgreSQL as a server of the tests' own.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is test code: what goes wrong is a failed test"
)]

mod access;
mod accounts;
mod audit;
mod certificates;
mod invitations;
mod keys;
mod members;
mod opening;
mod projects;
mod revocations;
mod site;
mod ssh_sessions;
mod web_sessions;

pub(crate) use site::Site;
