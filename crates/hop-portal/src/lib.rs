//! The web side of a site: pages for people, and the operations that pages, API and command line share.
//!
//! What must stay true: every change goes through [`operations`], which decide who may do it; pages only read a form
//! and show what came of it. What reaches a page has passed the checks of `web`: the right host, no other site's form,
//! bounded in size and time.

mod names;
pub mod operations;
mod pages;
mod portal;
mod running;
mod ssh;
mod web;

pub use names::{NamesError, PublicNames};
pub use portal::{Limits, Portal, PortalConfig, ServeError};
pub use running::{Answer, RunState, RunningError, RunningProjects};
pub use ssh::{SshDoor, SshStream, SshVisitor};
pub use web::{Cidr, CidrError, ExposedError, Tls, TlsError};
