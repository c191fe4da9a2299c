//! State that is handed over by another process.
#![no_main]

hop_fuzz::target!(64, |bytes| hop_ssh::fuzzing::import(bytes));
