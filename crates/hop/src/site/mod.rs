//! A whole site: its settings, its directory, its processes.
//!
//! `hop up` and `hop serve` are the *supervisor*: it prepares the directory, binds the listeners, starts *keeper*,
//! *signer* and *site* as processes of their own and starts again whichever dies. They are on a [`leash`]: when the
//! supervisor is gone, they stop. Must stay true: each process gets only the descriptors and files that it needs.

pub(crate) mod announcement;
mod certificate_copies;
mod certificate_files;
pub(crate) mod data;
mod first_start;
mod keeper;
pub(crate) mod leash;
pub(crate) mod names;
mod passage;
pub(crate) mod records;
pub(crate) mod role;
mod running;
mod serving;
pub(crate) mod settings;
mod signer;
pub(crate) mod supervisor;
pub(crate) mod users;
mod web_door;
