//! The gateway with OpenSSH's clients, a real store, and projects in their sandboxes.
#![expect(clippy::panic, reason = "a peer that does not do its part ends the test")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "what an ending took is a result")]

mod alike;
mod between;
mod bulk;
mod certificates;
mod editor;
mod ending;
mod ending_table;
mod entering;
mod jumping;
mod limiting;
mod records;
mod site;
mod traps;
mod waiting;
