//! How often an address may give a wrong password. Memory only: a restart forgives.
//!
//! What must stay true: the number of addresses remembered is bounded, and nobody can use up another address's tries.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hop_store::Timestamp;

/// Addresses remembered; the one whose wrong passwords lie back longest goes first.
const MOST_ADDRESSES: usize = 10_000;

/// Tries that went wrong, by address (IPv6: by /64, which one person has).
pub(crate) struct Attempts {
    most: u32,
    regain: Duration,
    known: Mutex<HashMap<IpAddr, Known>>,
}

#[derive(Clone, Copy)]
struct Known {
    failed: u32,
    /// From when the next one is forgiven.
    since: Timestamp,
}

impl Attempts {
    /// `most` tries at once, and one more every `regain`.
    pub(crate) fn new(most: u32, regain: Duration) -> Self {
        Self { most, regain, known: Mutex::new(HashMap::new()) }
    }

    /// Takes one try away, before it is known whether it goes wrong: else many at once would all be let in. `Err`: how
    /// long to wait for the next.
    pub(crate) fn take(&self, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(address);
        let entry = self.forgiven(known.get(&address).copied(), now);
        if entry.failed >= self.most {
            let wait = entry.since.plus(self.regain).as_micros().saturating_sub(now.as_micros());
            return Err(Duration::from_micros(u64::try_from(wait).unwrap_or(0)));
        }
        if known.len() >= MOST_ADDRESSES && !known.contains_key(&address) {
            let oldest = known.iter().min_by_key(|(_, entry)| entry.since).map(|(address, _)| *address);
            if let Some(oldest) = oldest {
                known.remove(&oldest);
            }
        }
        known.insert(address, Known { failed: entry.failed + 1, ..entry });
        Ok(())
    }

    /// Gives a try back that went right.
    pub(crate) fn give_back(&self, address: IpAddr) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(address);
        if let Some(entry) = known.get_mut(&address) {
            entry.failed = entry.failed.saturating_sub(1);
            if entry.failed == 0 {
                known.remove(&address);
            }
        }
    }

    fn forgiven(&self, entry: Option<Known>, now: Timestamp) -> Known {
        let Some(entry) = entry else { return Known { failed: 0, since: now } };
        let passed = u64::try_from(now.as_micros().saturating_sub(entry.since.as_micros())).unwrap_or(0);
        let regain = u64::try_from(self.regain.as_micros()).unwrap_or(u64::MAX).max(1);
        let count = u32::try_from(passed / regain).unwrap_or(u32::MAX);
        let failed = entry.failed.saturating_sub(count);
        let since = if failed == 0 { now } else { entry.since.plus(self.regain.saturating_mul(count)) };
        Known { failed, since }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }

    #[test]
    fn tries_run_out_and_come_back() {
        let attempts = Attempts::new(3, Duration::from_secs(60));
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..3 {
            attempts.take(one, at(0)).unwrap();
        }
        assert_eq!(attempts.take(one, at(10)), Err(Duration::from_secs(50)));
        attempts.take(other, at(10)).unwrap();
        attempts.take(one, at(60)).unwrap();
        assert_eq!(attempts.take(one, at(60)), Err(Duration::from_secs(60)));
        attempts.give_back(one);
        attempts.take(one, at(60)).unwrap();
        for _ in 0..3 {
            attempts.take(one, at(1_000)).unwrap();
        }
        assert!(attempts.take(one, at(1_000)).is_err());
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let attempts = Attempts::new(1, Duration::from_secs(60));
        attempts.take("2001:db8::1".parse().unwrap(), at(0)).unwrap();
        assert!(attempts.take("2001:db8::ffff:1".parse().unwrap(), at(0)).is_err());
        attempts.take("2001:db8:0:1::1".parse().unwrap(), at(0)).unwrap();
        attempts.take("::ffff:192.0.2.1".parse().unwrap(), at(0)).unwrap();
        assert!(attempts.take("192.0.2.1".parse().unwrap(), at(0)).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::new(1, Duration::from_secs(60));
        for number in 0..20_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            attempts.take(address, at(u64::from(number) / 1_000)).unwrap();
        }
        assert_eq!(attempts.known.lock().unwrap().len(), MOST_ADDRESSES);
    }
}
