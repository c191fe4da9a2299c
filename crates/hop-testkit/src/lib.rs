//! Tools of the tests, no part of the product: a relay that runs between two real peers, a line that is slow
//! and narrow, many clients at once, peers that say on the wire whatever a test wants, and the memory of a process.
//!
//! What must stay true: nothing listens on a fixed port or beyond loopback; what a value started ends with it.

pub mod attack;
pub mod client;
pub mod crowd;
pub mod delay;
pub mod detour;
pub mod engine;
pub mod memory;
pub mod raw;
pub mod relay;

pub use attack::{Attack, AttackPlan};
pub use crowd::{Crowd, CrowdPlan};
pub use delay::{Delay, DelayLine};
pub use detour::Detour;
pub use memory::{Memory, Share};
pub use raw::{Heard, RawPeer};
pub use relay::{RelayConfig, RelayEvent, Target};
