//! How much peers may cost, and how long things may take.

use crate::door::DoorLimits;
use crate::penalties::PenaltyLimits;
use hop_ssh::relay::RelayKeepalive;
use std::time::Duration;

/// The limits of one gateway.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time from a place inside the door to a proven key.
    pub login_grace: Duration,
    /// Failed signatures of one connection.
    pub login_attempts: u32,
    /// Connections that have not proved a key.
    pub door: DoorLimits,
    /// What failures cost.
    pub penalties: PenaltyLimits,
    /// How long a client waits for its environment before it is let in and waits on: some clients give up on an
    /// unanswered login (paramiko after 30 s).
    pub patience: Duration,
    /// How often a client that waits is told so.
    pub tell: Duration,
    /// Time that a project's environment has to start.
    pub start_timeout: Duration,
    /// When silent legs are asked for a sign of life.
    pub keepalive: Option<RelayKeepalive>,
    /// A session without channel data for this long is ended, so that its environment can stop; keepalives are no
    /// data. `None`: never.
    pub max_idle: Option<Duration>,
    /// How long open sessions go on when the store cannot be reached.
    pub revocation_grace: Duration,
    /// How long sessions may go on when the gateway stops.
    pub drain: Duration,
    /// Connections to projects at a time through one connection to the door `jump`.
    pub jumps: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_grace: Duration::from_secs(60),
            login_attempts: 6,
            door: DoorLimits::default(),
            penalties: PenaltyLimits::default(),
            patience: Duration::from_secs(20),
            tell: Duration::from_secs(5),
            start_timeout: Duration::from_secs(120),
            keepalive: Some(RelayKeepalive { every: Duration::from_secs(60), most: 3 }),
            max_idle: None,
            revocation_grace: Duration::from_secs(60),
            drain: Duration::from_secs(5),
            jumps: 64,
        }
    }
}
