//! Raw bytes at a transport that has no keys yet, either side.
#![no_main]

hop_fuzz::target!(16, |bytes| hop_ssh::fuzzing::before_keys(bytes));
