//! Types that several crates of Grasshopper share, without any I/O: what a session may do, what must not be shown, the
//! wildcard patterns of OpenSSH's files, and the header by which a load balancer tells whose a connection is.

mod forwards;
pub mod inner;
mod permissions;
mod proxy_header;
mod secret;
mod wildcard;
mod word;

pub use forwards::{ListenRule, OpenRule, PermitListen, PermitOpen, PortRule, RuleError};
pub use permissions::{CommandConflict, Permissions};
pub use proxy_header::{ProxyHeader, ProxyHeaderError, ProxyProgress};
pub use secret::Secret;
pub use wildcard::wildcard_match;
pub use word::{Word, WordError};
