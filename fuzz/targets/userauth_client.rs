//! A server that is logged in to.
#![no_main]

hop_fuzz::target!(8, |bytes| hop_ssh::fuzzing::client_auth(bytes));
