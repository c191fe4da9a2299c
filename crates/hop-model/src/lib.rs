//! Types that several crates of Grasshopper share, without any I/O: what a session may do, what must not
//! be shown, and the wildcard patterns of OpenSSH's files.

mod forwards;
pub mod inner;
mod permissions;
mod secret;
mod wildcard;
mod word;

pub use forwards::{ListenRule, OpenRule, PermitListen, PermitOpen, PortRule, RuleError};
pub use permissions::{CommandConflict, Permissions};
pub use secret::Secret;
pub use wildcard::wildcard_match;
pub use word::{Word, WordError};
