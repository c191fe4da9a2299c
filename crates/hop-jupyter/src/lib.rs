//! A JupyterHub as its user's client meets it: its address, what a token may do, servers and their start, keys that a server
//! takes, and what is remembered of it on this machine.
//!
//! What must stay true: a token goes to the Hub's own origin, or to the one that the Hub names for a person's servers; what a
//! Hub says is judged before it is used, shown without control characters and never makes an allocation of its choosing;
//! nothing here prints or reads the environment.

mod address;
mod block;
mod error;
mod hub;
mod key_door;
mod key_source;
mod model;
mod progress;
mod record;
mod scope;

pub use address::{AddressError, HubAddress, Pasted, escaped, unescaped};
pub use block::{Block, BlockError};
pub use error::HubError;
pub use hub::{Hub, Started};
pub use key_door::{Asked, Door, DoorKeys, InstalledKey, KeyDoor, KeyDoorError, Offer, RequestState};
pub use key_source::{KeySource, KeySourceError, PublicLine, read_public_lines};
pub use model::{Holder, NewToken, Server, Servers};
pub use progress::{Progress, Step};
pub use record::{Record, RecordError, Records};
pub use scope::{Need, least_scopes, missing, surplus};
