//! Environments: where the sessions of a project run. Started on demand, found again, stopped.
//!
//! One kind so far: `process`, an endpoint in a sandbox on this machine. What must stay true: nothing of a
//! project runs as uid 0; an endpoint belongs to its tenant, so it is given no secret of the site.

mod environments;
mod made_etc;
mod running;
mod sandbox;

pub use environments::{EnterError, Environments, Settings};
pub use running::{StartError, Tail};
pub use sandbox::{Isolation, IsolationError, Limits, Network, Project, RunAs};
