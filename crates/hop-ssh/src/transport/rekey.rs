//! When keys are due for replacement, and when an exchange has taken too long.

use crate::config::RekeyLimits;
use crate::crypto;
use crate::crypto::cipher::Cipher;
use crate::error::Error;
use crate::packet::{KeyUse, PacketOpener, PacketSealer};
use std::time::{Duration, Instant};

/// Sequence numbers wrap at 2^32 packets; RFC 4344 section 3.1 wants new keys after 2^31 at the latest.
const MOST_PACKETS: u64 = 1 << 31;
/// How long a key exchange may take once the connection is up. A stalled reader on the peer's side can
/// hold it up for as long as its socket buffers take to drain.
const LONGEST_EXCHANGE: Duration = Duration::from_secs(120);

/// The clock of one transport.
pub(super) struct RekeyClock {
    limits: RekeyLimits,
    enabled: bool,
    last: Instant,
    exchange_since: Instant,
}

impl RekeyClock {
    /// Takes up to an eighth off the limits by chance, so that the two legs of a relay, which carry the
    /// same bytes, do not come due together.
    pub(super) fn new(mut limits: RekeyLimits, now: Instant) -> Result<Self, Error> {
        let mut chance = [0];
        crypto::random(&mut chance)?;
        let [chance] = chance;
        limits.bytes = limits.bytes.map(|bytes| bytes - bytes / 8 * u64::from(chance) / 256);
        limits.time -= limits.time / (8 * 256) * u32::from(chance);
        Ok(Self { limits, enabled: false, last: now, exchange_since: now })
    }

    pub(super) fn enable(&mut self) {
        self.enabled = true;
    }

    pub(super) fn exchange_started(&mut self, now: Instant) {
        self.exchange_since = now;
    }

    pub(super) fn exchange_finished(&mut self, now: Instant) {
        self.last = now;
    }

    pub(super) fn is_due(&self, sealer: &PacketSealer, opener: &PacketOpener, now: Instant) -> bool {
        let over = |used: KeyUse, cipher: Option<Cipher>| {
            let bytes = self.limits.bytes.or(cipher.map(Cipher::rekey_bytes));
            used.packets >= MOST_PACKETS || bytes.is_some_and(|limit| used.bytes >= limit)
        };
        let used_at_all = sealer.used.packets > 0 || opener.used.packets > 0;
        self.enabled
            && (over(sealer.used, sealer.protection.cipher())
                || over(opener.used, opener.protection.cipher())
                || (used_at_all && now.duration_since(self.last) >= self.limits.time))
    }

    pub(super) fn deadline(&self, exchanging: bool, established: bool) -> Option<Instant> {
        match (exchanging, established) {
            (true, true) => Some(self.exchange_since + LONGEST_EXCHANGE),
            // The first exchange is bounded by whoever bounds the whole login.
            (true, false) => None,
            // "Never" may be a limit, too.
            (false, _) if self.enabled => self.last.checked_add(self.limits.time),
            (false, _) => None,
        }
    }

    pub(super) fn check(&mut self, exchanging: bool, used: bool, now: Instant) -> Result<(), Error> {
        if !exchanging && !used && now.duration_since(self.last) >= self.limits.time {
            // Keys that nothing was sent under need no replacement: wait another period.
            self.last = now;
        }
        if exchanging && now.duration_since(self.exchange_since) >= LONGEST_EXCHANGE {
            return Err(Error::TimedOut { what: "the exchange of new keys" });
        }
        Ok(())
    }
}
