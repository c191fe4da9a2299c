//! The SSH front door of a site: who are you, which project, start it, relay.
//!
//! The user name of a login is a project: its id or its alias. What must stay true: nothing starts and nothing is
//! written before a verified signature; a session is opened only with a [`Grant`], which only [`authorize`] makes;
//! unknown projects, unknown keys and strangers get the same answer after the same steps; whoever loses access
//! loses the sessions that it opened.

mod gateway;
mod grant;
mod login;
mod relayed;
mod sessions;

pub use gateway::{Clock, Gateway, GatewayConfig, Limits, Place};
pub use grant::{Denied, Grant, authorize};
