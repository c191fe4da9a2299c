//! This crate's verdicts beside those of the real sshd.

#![expect(clippy::unwrap_used, reason = "tests: a failure here is the test's failure")]

mod lab;
mod sshd;
