//! A peer with the keys: sealed packets of any content, key exchanges at any time.
#![no_main]

hop_fuzz::target!(32, |bytes| hop_ssh::fuzzing::after_keys(bytes));
