//! What failures cost whoever made them: their next refusals come later, and fewer of their connections are served at
//! once. Successes are never delayed, so that sharing an address with an attacker costs little.
//!
//! What must stay true: only failed signatures and refused names count, by source; a project as such is never slowed,
//! only a source at a project; a name that exists and one that does not are counted alike; memory is bounded.

use crate::origin::Source;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

/// How failures are counted.
#[derive(Debug, Clone, Copy)]
pub struct PenaltyLimits {
    /// Failures of one source (an IPv4 address, an IPv6 /64, a project) that cost nothing.
    pub room: u32,
    /// Failures of one source at one project that cost nothing.
    pub project_room: u32,
    /// How many times the room a source has that succeeded lately.
    pub trust: u32,
    /// How long a success counts.
    pub trust_for: Duration,
    /// Time in which one failure is forgotten.
    pub forget_one: Duration,
    /// How much later a refusal comes for each failure beyond the room.
    pub step: Duration,
    /// The longest that one refusal is put off.
    pub longest: Duration,
    /// Entries that are remembered, of sources and of sources at projects each.
    pub entries: usize,
}

impl Default for PenaltyLimits {
    fn default() -> Self {
        Self {
            room: 20,
            project_room: 10,
            trust: 10,
            trust_for: Duration::from_secs(3600),
            forget_one: Duration::from_secs(6),
            step: Duration::from_millis(250),
            longest: Duration::from_secs(5),
            // 64 bytes each.
            entries: 16_384,
        }
    }
}

/// The failures of all sources.
#[derive(Debug)]
pub(crate) struct Penalties {
    limits: PenaltyLimits,
    sources: Table<Source>,
    /// A source, and the hash of the name that it gave: names may be long, and need not exist.
    projects: Table<(Source, u64)>,
    hasher: RandomState,
}

impl Penalties {
    pub(crate) fn new(limits: PenaltyLimits) -> Self {
        Self {
            limits,
            sources: Table::new(limits.entries),
            projects: Table::new(limits.entries),
            hasher: RandomState::new(),
        }
    }

    /// A signature failed, or a name was refused.
    pub(crate) fn failed(&mut self, source: Source, name: &str, now: Instant) {
        let name = self.hasher.hash_one(name);
        let Self { limits, sources, projects, .. } = self;
        let trust = sources.trust(&source, limits, now);
        sources.add(source, limits.forget_one, ceiling(limits, limits.room, trust), now);
        projects.add((source, name), limits.forget_one, ceiling(limits, limits.project_room, trust), now);
    }

    /// Somebody logged in from there.
    pub(crate) fn succeeded(&mut self, source: Source, now: Instant) {
        self.sources.entry(source, now).trusted_until = now.checked_add(self.limits.trust_for);
    }

    /// How long a refusal is put off.
    pub(crate) fn delay(&self, source: Source, name: Option<&str>, now: Instant) -> Duration {
        let limits = &self.limits;
        let trust = self.sources.trust(&source, limits, now);
        let over = |level: Duration, room: u32| {
            let room = limits.forget_one.saturating_mul(room.saturating_mul(trust));
            let over = level.saturating_sub(room).as_secs_f64() / limits.forget_one.as_secs_f64().max(1e-3);
            limits.step.mul_f64(over.ceil().min(1e6))
        };
        let of_source = over(self.sources.level(&source, now), limits.room);
        let at_project = name.map_or(Duration::ZERO, |name| {
            let name = self.hasher.hash_one(name);
            over(self.projects.level(&(source, name), now), limits.project_room)
        });
        of_source.max(at_project).min(limits.longest)
    }

    /// Whether a source has used up its room.
    pub(crate) fn is_over(&self, source: Source, now: Instant) -> bool {
        !self.delay(source, None, now).is_zero()
    }
}

/// What is remembered at most: enough for the longest delay, so that it wears off in bounded time.
fn ceiling(limits: &PenaltyLimits, room: u32, trust: u32) -> Duration {
    let steps = limits.longest.as_secs_f64() / limits.step.as_secs_f64().max(1e-3);
    let room = limits.forget_one.saturating_mul(room.saturating_mul(trust));
    room.saturating_add(limits.forget_one.mul_f64(steps.ceil().min(1e6)))
}

/// Levels that fall with time. A level is the time until it is empty: each failure adds what it takes to forget it.
#[derive(Debug)]
struct Table<K> {
    most: usize,
    entries: HashMap<K, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    empty_at: Instant,
    trusted_until: Option<Instant>,
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        self.empty_at <= now && self.trusted_until.is_none_or(|until| until <= now)
    }
}

impl<K: Eq + Hash + Copy> Table<K> {
    fn new(most: usize) -> Self {
        Self { most: most.max(1), entries: HashMap::new() }
    }

    fn level(&self, key: &K, now: Instant) -> Duration {
        self.entries.get(key).map_or(Duration::ZERO, |entry| entry.empty_at.saturating_duration_since(now))
    }

    fn trust(&self, key: &K, limits: &PenaltyLimits, now: Instant) -> u32 {
        let trusted = self.entries.get(key).and_then(|entry| entry.trusted_until);
        if trusted.is_some_and(|until| until > now) { limits.trust } else { 1 }
    }

    fn add(&mut self, key: K, span: Duration, most: Duration, now: Instant) {
        let entry = self.entry(key, now);
        let from = entry.empty_at.max(now);
        entry.empty_at = (from + span).min(now + most);
    }

    /// The entry, made if there is none; when there is no room, what is forgotten anyway goes first, then what weighs
    /// least among some: an attacker with many addresses pushes out its own.
    fn entry(&mut self, key: K, now: Instant) -> &mut Entry {
        if self.entries.len() >= self.most && !self.entries.contains_key(&key) {
            self.entries.retain(|_, entry| !entry.is_over(now));
            while self.entries.len() >= self.most {
                let weight = |entry: &Entry| (entry.trusted_until, entry.empty_at);
                let least = self.entries.iter().take(SAMPLE).min_by_key(|(_, entry)| weight(entry));
                let Some((least, _)) = least.map(|(key, entry)| (*key, *entry)) else { break };
                self.entries.remove(&least);
            }
        }
        self.entries.entry(key).or_insert(Entry { empty_at: now, trusted_until: None })
    }
}

/// Looking at all entries would make a full table slow.
const SAMPLE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Source = Source::V4([192, 0, 2, 1]);
    const THERE: Source = Source::V4([192, 0, 2, 2]);

    fn limits() -> PenaltyLimits {
        PenaltyLimits {
            room: 4,
            project_room: 2,
            trust: 10,
            trust_for: Duration::from_secs(3600),
            forget_one: Duration::from_secs(10),
            step: Duration::from_millis(100),
            longest: Duration::from_secs(2),
            entries: 100,
        }
    }

    fn penalties() -> (Penalties, Instant) {
        (Penalties::new(limits()), Instant::now())
    }

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn room_then_steps_then_the_longest() {
        // (failures at as many names, delay at another name)
        for (failures, delay) in [(0, 0), (1, 0), (4, 0), (5, 100), (6, 200), (24, 2000), (1000, 2000)] {
            let (mut penalties, now) = penalties();
            for failure in 0..failures {
                penalties.failed(HERE, &failure.to_string(), now);
            }
            assert_eq!(penalties.delay(HERE, Some("other"), now), millis(delay), "{failures}");
            assert_eq!(penalties.is_over(HERE, now), delay > 0, "{failures}");
            assert_eq!(penalties.delay(THERE, Some("other"), now), Duration::ZERO, "{failures}");
        }
    }

    #[test]
    fn failures_are_forgotten_one_by_one() {
        let (mut penalties, start) = penalties();
        for failure in 0..6 {
            penalties.failed(HERE, &failure.to_string(), start);
        }
        for (after, delay) in [(0, 200), (9, 200), (10, 100), (20, 0), (600, 0)] {
            let now = start + Duration::from_secs(after);
            assert_eq!(penalties.delay(HERE, None, now), millis(delay), "after {after} s");
        }
        // However many there were, all is forgotten in bounded time.
        (0..100_000).for_each(|_| penalties.failed(HERE, "x", start));
        assert!(penalties.is_over(HERE, start + Duration::from_secs(190)));
        assert!(!penalties.is_over(HERE, start + Duration::from_secs(201)));
    }

    #[test]
    fn a_success_gives_ten_times_the_room_for_an_hour() {
        let (mut penalties, start) = penalties();
        penalties.succeeded(HERE, start);
        for failure in 0..40 {
            penalties.failed(HERE, &failure.to_string(), start);
        }
        assert!(!penalties.is_over(HERE, start));
        penalties.failed(HERE, "40", start);
        assert!(penalties.is_over(HERE, start));
        let later = start + Duration::from_secs(3600);
        for failure in 0..5 {
            penalties.failed(HERE, &failure.to_string(), later);
        }
        assert!(penalties.is_over(HERE, later));
    }

    #[test]
    fn a_project_is_slowed_only_for_those_who_fail_at_it() {
        let (mut penalties, now) = penalties();
        for _ in 0..3 {
            penalties.failed(HERE, "climate", now);
        }
        assert_eq!(penalties.delay(HERE, Some("climate"), now), millis(100));
        assert_eq!(penalties.delay(HERE, Some("weather"), now), Duration::ZERO);
        assert_eq!(penalties.delay(THERE, Some("climate"), now), Duration::ZERO);
        // From however many addresses: those who did not fail are not slowed.
        for network in 0..=255 {
            (0..50).for_each(|_| penalties.failed(Source::V4([10, 0, 0, network]), "climate", now));
        }
        assert_eq!(penalties.delay(THERE, Some("climate"), now), Duration::ZERO);
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let (mut penalties, now) = penalties();
        (0..50).for_each(|_| penalties.failed(HERE, "x", now));
        for number in 0..10_000_u16 {
            let [a, b] = number.to_be_bytes();
            penalties.failed(Source::V6([0x20, 1, 0xd, 0xb8, 0, 0, a, b]), &number.to_string(), now);
            assert!(penalties.sources.entries.len() <= 100 && penalties.projects.entries.len() <= 100);
        }
        assert!(penalties.is_over(HERE, now));
    }
}
