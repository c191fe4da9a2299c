//! The SSH front door of a site: who are you, which project, start it, relay.
//!
//! The user name of a login is a project (its id or its alias), or `jump`. What must stay true: nothing starts and
//! nothing is written before a verified signature; a session is opened only with a [`Grant`], which only the functions
//! of one file make; unknown projects, unknown keys and strangers get the same answer after the same steps; whoever
//! loses access loses the sessions that it opened.

mod door;
mod follow;
mod gateway;
mod grant;
mod inner;
mod judge;
mod jump;
mod lifetime;
mod limits;
mod login;
mod origin;
mod penalties;
mod pipes;
mod project;
mod proxied;
mod sessions;
mod start;
mod stream;
mod unrecorded;

pub use door::DoorLimits;
pub use gateway::{Clock, EarlierRuns, Gateway, GatewayConfig, Random};
pub use grant::{
    Credential, Denied, Grant, JumpGrant, Pass, authorize, authorize_certificate, authorize_certificate_jump,
    authorize_jump,
};
pub use judge::UserCa;
pub use limits::Limits;
pub use origin::Origin;
pub use penalties::PenaltyLimits;
