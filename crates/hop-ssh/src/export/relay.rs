//! The exported form of a relay.

use super::leg::{read_leg, read_version, write_leg};
use super::{Exported, ImportError, NotNow, VERSION};
use crate::config::{ClientConfig, ServerConfig, Side as Role};
use crate::relay::{Relay, RelayKeepalive, RelayPolicy, Side};
use crate::wire::{Put, Reader};
use std::sync::Arc;
use std::time::Instant;
use zeroize::Zeroizing;

/// What a relay is put together with besides its state: configuration does not move.
pub struct RelaySetup {
    /// For key exchanges with the client.
    pub server: Arc<ServerConfig>,
    /// For key exchanges with the far server; not used when that leg is bare.
    pub client: Arc<ClientConfig>,
    /// The owner's say.
    pub policy: Box<dyn RelayPolicy>,
    /// When to ask the legs whether they live.
    pub keepalive: Option<RelayKeepalive>,
}

impl Relay {
    /// Takes the relay apart. Refused while either leg exchanges keys, and while pipes are lent to it.
    #[expect(clippy::result_large_err, reason = "the relay itself is handed back")]
    pub fn export(mut self) -> Result<Exported, (Self, NotNow)> {
        for side in [Side::Client, Side::Server] {
            if let Some(reason) = self.leg(side).transport().and_then(|leg| leg.cannot_export()) {
                return Err((self, reason));
            }
        }
        if self.has_loans() {
            return Err((self, NotNow::Lent));
        }
        let mut state = Zeroizing::new(Vec::new());
        state.put_uint32(VERSION);
        for side in [Side::Client, Side::Server] {
            write_leg(&mut state, self.leg(side));
        }
        self.write_books(&mut state);
        Ok(Exported(state))
    }

    /// Puts a relay together.
    pub fn import(state: &Exported, setup: RelaySetup, now: Instant) -> Result<Self, ImportError> {
        let mut reader = Reader::new(&state.0);
        read_version(&mut reader)?;
        let client = read_leg(&mut reader, Role::Server(setup.server), now)?;
        let server = read_leg(&mut reader, Role::Client(setup.client), now)?;
        let mut relay = Self::assembled(client, server, setup.policy, setup.keepalive, now);
        relay.read_books(&mut reader)?;
        reader.finish()?;
        Ok(relay)
    }
}
