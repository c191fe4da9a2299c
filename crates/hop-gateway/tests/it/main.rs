//! The gateway with OpenSSH's clients, a real store, and projects in their sandboxes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ending;
mod entering;
mod jumping;
mod site;
