//! A client that wants in.
#![no_main]

hop_fuzz::target!(8, |bytes| hop_ssh::fuzzing::server_auth(bytes));
