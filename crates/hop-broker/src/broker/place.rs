//! One conversation as the broker sees it: a terminal, a program, an ssh or a question that waits.

use crate::protocol::{Event, UserStatus};
use hop_connect::Alias;
use hop_connect::passenger::Passenger;
use tokio::sync::mpsc;

/// Numbers conversations.
pub(super) type PlaceId = u64;

/// A conversation.
#[derive(Debug)]
pub(super) struct Place {
    /// Bounded; a place that does not read is left out.
    pub(super) events: mpsc::Sender<Event>,
    /// The process at the other end, by the kernel's word.
    pub(super) pid: u32,
    /// What it waits for.
    pub(super) waits: Option<Waits>,
    /// It uses a connection for as long as it talks.
    pub(super) uses: Option<(Alias, UserStatus)>,
    /// It does so by a session there.
    pub(super) has_session: bool,
    /// A person is there and answers what concerns their own logins.
    pub(super) is_attended: bool,
    /// A person is there for all questions.
    pub(super) attends: bool,
    /// It is told of changes.
    pub(super) watches: bool,
    /// What it is shown.
    pub(super) shown: super::held::Shown,
}

/// A place in line.
#[derive(Debug)]
pub(super) struct Waits {
    pub(super) alias: Alias,
    pub(super) purpose: Purpose,
    /// The login on whose way this one is: its ssh goes through this host.
    pub(super) behalf: Option<Alias>,
    /// It knows that it is in line.
    pub(super) is_in_line: bool,
}

/// What a place does when the connection is up.
#[derive(Debug)]
pub(super) enum Purpose {
    /// A person logs in.
    Login,
    /// A program of ours uses it.
    Use {
        /// What for, for people.
        what: String,
        /// It will open a session.
        takes_session: bool,
    },
    /// An ssh rides on it.
    Ride { passenger: Box<Passenger>, pid: u32, started_by: String },
}

impl Purpose {
    /// Whether it will open a session there.
    pub(super) fn takes_session(&self) -> bool {
        match self {
            Self::Login => false,
            Self::Use { takes_session, .. } => *takes_session,
            Self::Ride { passenger, .. } => passenger.takes_session(),
        }
    }
}

impl Place {
    pub(super) fn new(events: mpsc::Sender<Event>, pid: u32) -> Self {
        Self {
            events,
            pid,
            waits: None,
            uses: None,
            has_session: false,
            is_attended: false,
            attends: false,
            watches: false,
            shown: Default::default(),
        }
    }

    /// Says something, unless the other end has let too much pile up: it misses it then and is no worse off than one
    /// that came later.
    pub(super) fn tell(&self, event: Event) {
        let _ = self.events.try_send(event);
    }

    pub(super) fn uses_host(&self, alias: &Alias) -> bool {
        self.uses.as_ref().is_some_and(|(used, _)| used == alias)
    }

    /// It waits for a session, and a refusal of it is seen by nobody.
    pub(super) fn is_quiet(&self) -> bool {
        self.waits.as_ref().is_some_and(|waits| matches!(waits.purpose, Purpose::Use { .. }))
    }

    /// Who it is, when it waits for a host.
    pub(super) fn waiter(&self, alias: &Alias) -> Option<UserStatus> {
        let waits = self.waits.as_ref().filter(|waits| waits.alias == *alias)?;
        let (what, pid) = match &waits.purpose {
            Purpose::Login => ("hop login".to_owned(), self.pid),
            Purpose::Use { what, .. } => (what.clone(), self.pid),
            Purpose::Ride { pid, started_by, .. } => (started_by.clone(), *pid),
        };
        Some(UserStatus { what, pid })
    }

    pub(super) fn waits_for(&self, alias: &Alias) -> bool {
        self.waits.as_ref().is_some_and(|waits| waits.alias == *alias)
    }
}
