//! Real peers against `hop`: fixtures that start servers, keys and programs, and the list of what is tested.
//!
//! What must stay true:
//! - a fixture panics with a sentence that names what is missing (program and package), it never skips;
//! - nothing listens on a fixed port, and nothing outlives the value that started it;
//! - a test writes only below its own [`Scratch`] folder.
#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a fixture that cannot do its work ends the test, as an assertion does"
)]

pub mod foreign;
mod gateway;
pub mod hub;
pub mod identity;
pub mod inetd;
pub mod lab;
pub mod laptop;
pub mod matrix;
pub mod own_postgres;
pub mod payload;
pub mod peer;
pub mod postgres;
pub mod program;
pub mod run;
pub mod scratch;
pub mod server;
pub mod sshd;
pub mod wheel;

pub use foreign::Foreign;
pub use identity::Identity;
pub use lab::Lab;
pub use laptop::Laptop;
pub use own_postgres::OwnPostgres;
pub use postgres::Postgres;
pub use run::{Finished, Run};
pub use scratch::Scratch;
pub use server::Server;
