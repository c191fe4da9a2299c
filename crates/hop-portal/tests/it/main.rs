//! Operations on a real store, the pages through a real listener, and the pages in a real browser.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is test code: what goes wrong is a failed test"
)]

mod chromium;
mod operations;
mod pages;
mod served;
mod site;
mod visit;
