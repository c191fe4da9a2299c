//! A peer of the connection protocol, and handles that do anything.
#![no_main]

hop_fuzz::target!(64, |bytes| hop_ssh::fuzzing::connection(bytes));
