//! Two peers of the relay, interleaved.
#![no_main]

hop_fuzz::target!(64, |bytes| hop_ssh::fuzzing::relay(bytes));
