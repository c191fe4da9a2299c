//! Raw bytes at a bare transport.
#![no_main]

hop_fuzz::target!(8, |bytes| hop_ssh::fuzzing::bare(bytes));
