//! This crate's verdicts beside those of the real sshd.

mod lab;
mod sshd;
