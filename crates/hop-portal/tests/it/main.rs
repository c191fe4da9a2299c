//! Operations on a real store, and the pages through a real listener.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is test code: what goes wrong is a failed test"
)]

mod operations;
mod site;
