//! Environments: where the sessions of a project run. Started on demand, held, stopped.
//!
//! Two sides of one socket: the [`Keeper`] owns the environments, and may be root; [`Environments`] is how the rest
//! of the site asks it. One kind of environment so far: `process`, an endpoint in a sandbox on this machine. What
//! must stay true: nothing of a project runs as uid 0; an endpoint belongs to its tenant, so it is given no secret
//! of the site.

mod cgroup;
mod connections;
mod environments;
mod homes;
pub mod inherited;
mod keeper;
mod made_etc;
mod passing;
mod processes;
mod project;
mod protocol;
pub mod proxy;
mod running;
mod sandbox;
mod session_keyring;
pub mod socket;
mod spawner;
mod tail;
pub mod walls;

pub use cgroup::LimitsInForce;
pub use environments::{AskError, Doors, EnterError, EnterStep, Entering, Environments};
pub use homes::HomeError;
pub use keeper::{Keeper, KeeperError, KeeperSettings};
pub use made_etc::HostKeyLineError;
pub use project::{ProjectKey, ProjectKeyError, RunAs};
pub use protocol::{Failure, FailureKind, State};
pub use sandbox::{Isolation, IsolationError, Limits, Network, Shown};
