//! The command line as a person or a script meets it: exit code, standard output, standard error.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

mod admin;
mod attackers;
mod browser;
mod certificate_files;
mod crashes;
mod endings;
mod endpoint;
mod errors;
mod load;
mod out;
mod parts;
mod processes;
mod session;
mod site;
mod support;
mod up;
mod visitor;
mod websocket;
