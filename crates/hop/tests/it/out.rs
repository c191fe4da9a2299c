//! The way out, with real OpenSSH on both ends: one login for the day, and every tool rides on it.

mod agent;
mod dial;
mod forwarding;
mod kerberos;
mod line;
mod machine;
mod passengers;
mod port;
mod prompts;
mod request_set;
mod scripts;
mod secrets;
mod settings;
mod tools;
mod waiting;
mod web;

/// The secret that the servers of [`machine`] know, in base32.
const TOTP_SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEH";
