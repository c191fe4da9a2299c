//! The life of one connection: `Down → Starting → Up → Draining → Down`, without I/O and without a clock.
//!
//! Must stay true: there is at most one attempt at a time, whoever waits; a connection never outlives its `until`;
//! nobody but a person makes it try again where a person was needed.

use std::time::{Duration, SystemTime};

/// The first pause after a failure; doubled by each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);
/// When the end is announced.
const WARNING: Duration = Duration::from_secs(10 * 60);

/// How long a connection may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// From the login to its end.
    pub whole: Duration,
    /// Without anybody using it; `None` is for ever.
    pub idle: Option<Duration>,
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// There is none.
    Down(Down),
    /// A login is in progress.
    Starting(Starting),
    /// It can be used.
    Up(Up),
    /// It takes nobody new and ends with the last who uses it.
    Draining(Draining),
}

/// There is no connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Down {
    /// Failures since it was last up.
    failures: u32,
    /// Passengers alone do not make it try before this.
    not_before: Option<SystemTime>,
    /// The last attempt ended for want of a person.
    needs_person: bool,
    /// Why the last connection or attempt ended.
    pub reason: Option<String>,
}

/// A login in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Starting {
    failures: u32,
    /// Since when.
    pub since: SystemTime,
}

/// A connection that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Up {
    /// The master's process id.
    pub pid: u32,
    /// Since when.
    pub since: SystemTime,
    /// Its end, whatever happens.
    pub until: SystemTime,
    /// Since when nobody has used it.
    idle_since: Option<SystemTime>,
    warned: bool,
}

/// A connection that ends with its last user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draining {
    /// The master's process id.
    pub pid: u32,
    /// Its end, whatever happens.
    pub until: SystemTime,
}

/// What happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants to use it.
    Wanted {
        /// A person says so, now; else a program does.
        by_person: bool,
    },
    /// The master answers.
    MasterUp {
        /// Its process id.
        pid: u32,
    },
    /// The master is gone.
    MasterEnded {
        /// Its last words.
        reason: String,
        /// It asked something and nobody was there.
        needs_person: bool,
    },
    /// How many use it now.
    Users(usize),
    /// The master does not answer.
    Silent,
    /// A person ends it.
    Logout {
        /// Also for those who use it.
        at_once: bool,
    },
    /// A person gives it another end.
    Extend,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start a master.
    Start,
    /// Refuse whoever wanted it: too early after a failure.
    TryLater {
        /// When it may be tried again.
        at: SystemTime,
    },
    /// Refuse whoever wanted it: only a person can log in here.
    NeedsPerson,
    /// Tell those who use it that it ends soon.
    Warn {
        /// In this time.
        left: Duration,
    },
    /// Ask the master to take nobody new.
    StopListening,
    /// Ask the master to end.
    Terminate {
        /// Why, for people.
        reason: &'static str,
    },
    /// Kill it: it does not listen.
    Kill,
}

impl Default for Connection {
    fn default() -> Self {
        Self::Down(Down::default())
    }
}

impl Connection {
    /// What comes of an event.
    #[must_use]
    pub fn on(self, event: Event, now: SystemTime, lifetime: Lifetime) -> (Self, Vec<Effect>) {
        match self {
            Self::Down(down) => down.on(&event, now),
            Self::Starting(starting) => starting.on(event, now, lifetime),
            Self::Up(up) => up.on(event, now, lifetime),
            Self::Draining(draining) => draining.on(event, now),
        }
    }

    /// When [`Event::Tick`] is due next, at the latest.
    #[must_use]
    pub fn next_tick(&self, lifetime: Lifetime) -> Option<SystemTime> {
        match self {
            Self::Down(_) | Self::Starting(_) => None,
            Self::Draining(draining) => Some(draining.until),
            Self::Up(up) => {
                let warning = (!up.warned).then(|| up.until - WARNING);
                let idle = up.idle_since.zip(lifetime.idle).map(|(since, idle)| since + idle);
                [Some(up.until), warning, idle].into_iter().flatten().min()
            }
        }
    }
}

impl Down {
    fn on(mut self, event: &Event, now: SystemTime) -> (Connection, Vec<Effect>) {
        let Event::Wanted { by_person } = event else { return (Connection::Down(self), vec![]) };
        if !by_person {
            if self.needs_person {
                return (Connection::Down(self), vec![Effect::NeedsPerson]);
            }
            if let Some(at) = self.not_before.filter(|at| *at > now) {
                return (Connection::Down(self), vec![Effect::TryLater { at }]);
            }
        }
        self.reason = None;
        (Connection::Starting(Starting { failures: self.failures, since: now }), vec![Effect::Start])
    }
}

impl Starting {
    fn on(self, event: Event, now: SystemTime, lifetime: Lifetime) -> (Connection, Vec<Effect>) {
        match event {
            Event::MasterUp { pid } => {
                let up =
                    Up { pid, since: now, until: now + lifetime.whole, idle_since: Some(now), warned: false };
                (Connection::Up(up), vec![])
            }
            Event::MasterEnded { reason, needs_person } => {
                let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
                let down = Down {
                    failures: self.failures.saturating_add(1),
                    not_before: Some(now + pause),
                    needs_person,
                    reason: Some(reason),
                };
                (Connection::Down(down), vec![])
            }
            Event::Logout { .. } => (Connection::Starting(self), vec![Effect::Kill]),
            Event::Wanted { .. } | Event::Users(_) | Event::Silent | Event::Extend | Event::Tick => {
                (Connection::Starting(self), vec![])
            }
        }
    }
}

impl Up {
    fn on(mut self, event: Event, now: SystemTime, lifetime: Lifetime) -> (Connection, Vec<Effect>) {
        match event {
            Event::Wanted { .. } | Event::MasterUp { .. } => (Connection::Up(self), vec![]),
            Event::MasterEnded { reason, .. } => (down(reason), vec![]),
            Event::Silent => (Connection::Up(self), vec![Effect::Kill]),
            Event::Users(0) => {
                self.idle_since = self.idle_since.or(Some(now));
                (Connection::Up(self), vec![])
            }
            Event::Users(_) => {
                self.idle_since = None;
                (Connection::Up(self), vec![])
            }
            Event::Logout { at_once: true } => {
                (Connection::Up(self), vec![Effect::Terminate { reason: "logged out" }])
            }
            Event::Logout { at_once: false } if self.idle_since.is_some() => {
                (Connection::Up(self), vec![Effect::Terminate { reason: "logged out" }])
            }
            Event::Logout { at_once: false } => {
                let draining = Draining { pid: self.pid, until: self.until };
                (Connection::Draining(draining), vec![Effect::StopListening])
            }
            Event::Extend => {
                self.until = now + lifetime.whole;
                self.warned = false;
                (Connection::Up(self), vec![])
            }
            Event::Tick => self.tick(now, lifetime),
        }
    }

    fn tick(mut self, now: SystemTime, lifetime: Lifetime) -> (Connection, Vec<Effect>) {
        if now >= self.until {
            return (Connection::Up(self), vec![Effect::Terminate { reason: "its time was over" }]);
        }
        let idle_for = self.idle_since.and_then(|since| now.duration_since(since).ok());
        if idle_for.zip(lifetime.idle).is_some_and(|(been, most)| been >= most) {
            return (Connection::Up(self), vec![Effect::Terminate { reason: "nobody used it" }]);
        }
        let left = self.until.duration_since(now).unwrap_or_default();
        // Nobody needs a warning of the end of what was meant to be short.
        if !self.warned && left <= WARNING {
            self.warned = true;
            let is_long = lifetime.whole > WARNING * 2;
            return (Connection::Up(self), if is_long { vec![Effect::Warn { left }] } else { vec![] });
        }
        (Connection::Up(self), vec![])
    }
}

impl Draining {
    fn on(self, event: Event, now: SystemTime) -> (Connection, Vec<Effect>) {
        match event {
            Event::MasterEnded { reason, .. } => (down(reason), vec![]),
            Event::Silent => (Connection::Draining(self), vec![Effect::Kill]),
            Event::Users(0) | Event::Logout { at_once: true } => {
                (Connection::Draining(self), vec![Effect::Terminate { reason: "logged out" }])
            }
            Event::Tick if now >= self.until => {
                (Connection::Draining(self), vec![Effect::Terminate { reason: "its time was over" }])
            }
            Event::Wanted { .. }
            | Event::MasterUp { .. }
            | Event::Users(_)
            | Event::Logout { at_once: false }
            | Event::Extend
            | Event::Tick => (Connection::Draining(self), vec![]),
        }
    }
}

/// After a connection that was up: nothing failed to log in.
fn down(reason: String) -> Connection {
    Connection::Down(Down { reason: Some(reason), ..Down::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Lifetime =
        Lifetime { whole: Duration::from_secs(8 * 3600), idle: Some(Duration::from_secs(3600)) };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    /// Events with their times, and the effects of each.
    fn run(events: &[(u64, Event, &[Effect])]) -> Connection {
        let mut connection = Connection::default();
        for (second, event, wanted) in events {
            let (next, effects) = connection.on(event.clone(), at(*second), LIFETIME);
            assert_eq!(effects, *wanted, "{event:?} at {second}");
            connection = next;
        }
        connection
    }

    fn wanted(by_person: bool) -> Event {
        Event::Wanted { by_person }
    }

    fn ended(needs_person: bool) -> Event {
        Event::MasterEnded { reason: "x".to_owned(), needs_person }
    }

    const UP: Event = Event::MasterUp { pid: 7 };
    const OVER: Effect = Effect::Terminate { reason: "its time was over" };
    const IDLE: Effect = Effect::Terminate { reason: "nobody used it" };
    const OUT: Effect = Effect::Terminate { reason: "logged out" };

    #[test]
    fn one_login_for_all_who_wait() {
        let up = run(&[
            (0, wanted(true), &[Effect::Start]),
            (1, wanted(false), &[]),
            (2, wanted(true), &[]),
            (3, UP, &[]),
            (4, wanted(false), &[]),
        ]);
        let Connection::Up(up) = up else { panic!("{up:?}") };
        assert_eq!((up.pid, up.since, up.until), (7, at(3), at(3 + 8 * 3600)));
    }

    #[test]
    fn it_ends_on_time_after_a_warning() {
        let start = [(0, wanted(true), &[Effect::Start][..]), (0, UP, &[]), (1, Event::Users(1), &[])];
        let warn = Effect::Warn { left: Duration::from_secs(600) };
        run(&[
            &start[..],
            &[
                (28_199, Event::Tick, &[]),
                (28_200, Event::Tick, &[warn]),
                (28_300, Event::Tick, &[]),
                (28_800, Event::Tick, &[OVER]),
                (28_801, ended(false), &[]),
            ],
        ]
        .concat());
    }

    #[test]
    fn nobody_uses_it() {
        run(&[
            (0, wanted(true), &[Effect::Start]),
            (0, UP, &[]),
            (10, Event::Users(1), &[]),
            (5_000, Event::Tick, &[]),
            (6_000, Event::Users(0), &[]),
            (9_599, Event::Tick, &[]),
            (9_600, Event::Tick, &[IDLE]),
        ]);
    }

    #[test]
    fn logging_out_lets_others_finish_unless_at_once() {
        let start = [(0, wanted(true), &[Effect::Start][..]), (0, UP, &[])];
        let run = |more: &[(u64, Event, &[Effect])]| run(&[&start[..], more].concat());
        run(&[(5, Event::Logout { at_once: false }, &[OUT])]);
        run(&[
            (5, Event::Users(2), &[]),
            (6, Event::Logout { at_once: false }, &[Effect::StopListening]),
            (7, wanted(false), &[]),
            (8, Event::Users(1), &[]),
            (9, Event::Users(0), &[OUT]),
        ]);
        run(&[(5, Event::Users(2), &[]), (6, Event::Logout { at_once: true }, &[OUT])]);
        run(&[
            (5, Event::Users(2), &[]),
            (6, Event::Logout { at_once: false }, &[Effect::StopListening]),
            (28_800, Event::Tick, &[OVER]),
        ]);
    }

    #[test]
    fn programs_wait_after_failures_and_people_do_not() {
        let later = |at| Effect::TryLater { at };
        run(&[
            (0, wanted(false), &[Effect::Start]),
            (1, ended(false), &[]),
            (2, wanted(false), &[later(at(6))]),
            (6, wanted(false), &[Effect::Start]),
            (7, ended(false), &[]),
            (8, wanted(false), &[later(at(17))]),
            (9, wanted(true), &[Effect::Start]),
            (10, UP, &[]),
            (11, ended(false), &[]),
            (11, wanted(false), &[Effect::Start]),
        ]);
    }

    #[test]
    fn where_a_person_was_needed_only_a_person_tries_again() {
        run(&[
            (0, wanted(false), &[Effect::Start]),
            (1, ended(true), &[]),
            (90_000, wanted(false), &[Effect::NeedsPerson]),
            (90_001, wanted(true), &[Effect::Start]),
        ]);
    }

    #[test]
    fn a_master_that_does_not_answer_is_killed_and_replaced() {
        run(&[
            (0, wanted(true), &[Effect::Start]),
            (1, UP, &[]),
            (2, Event::Silent, &[Effect::Kill]),
            (3, ended(false), &[]),
            (3, wanted(false), &[Effect::Start]),
        ]);
    }

    #[test]
    fn ticks_are_due_when_something_changes() {
        let up = run(&[(0, wanted(true), &[Effect::Start]), (0, UP, &[])]);
        assert_eq!(up.next_tick(LIFETIME), Some(at(3600)));
        let (used, _) = up.on(Event::Users(1), at(1), LIFETIME);
        assert_eq!(used.next_tick(LIFETIME), Some(at(8 * 3600 - 600)));
        assert_eq!(Connection::default().next_tick(LIFETIME), None);
    }
}
