//! One host that the broker holds, or tries to hold, a connection to.

use super::attempt::Attempt;
use super::errand::Answer;
use super::forwarding::Kept;
use super::place::PlaceId;
use super::room::Room;
use crate::host_settings::HostSettings;
use crate::prompt::PromptId;
use crate::protocol::{ConnectionStatus, StateName, UserStatus};
use hop_connect::connection::{Connection, Lifetime};
use hop_connect::mux::forward::Forward;
use hop_connect::resolve::{Given, Resolved, Route};
use hop_connect::{Alias, SocketDirectory};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A day's work.
const WHOLE: Duration = Duration::from_secs(8 * 3600);

/// A host.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) alias: Alias,
    pub(super) connection: Connection,
    pub(super) lifetime: Lifetime,
    /// What was given besides its name.
    pub(super) given: Given,
    /// What it was last resolved to.
    pub(super) resolved: Option<Resolved>,
    /// What was decided about it.
    pub(super) settings: HostSettings,
    /// `ssh -G` runs.
    pub(super) resolving: bool,
    /// What its logins see of a user's environment.
    pub(super) environment: Vec<(String, String)>,
    /// The login in progress, or the last one.
    pub(super) attempt: Attempt,
    /// It has been up since the broker started; who comes later is not left to log in by itself.
    pub(super) was_up: bool,
    /// A person logged out: it is forgotten when it is down, and who waits for that is told.
    pub(super) leaving: Option<Vec<PlaceId>>,
    /// Passengers, by their processes.
    pub(super) passengers: BTreeMap<u32, Rider>,
    /// Forwardings that were asked for.
    pub(super) forwards: Vec<Kept>,
    /// What is known of how many sessions it takes at once.
    pub(super) room: Room,
}

/// A passenger.
#[derive(Debug)]
pub(super) struct Rider {
    pub(super) what: String,
    /// It has a session there (`-W` has none).
    pub(super) has_session: bool,
    /// The forwardings that it asked the master for.
    pub(super) forwards: Vec<Forward>,
}

impl Held {
    pub(super) fn new(alias: Alias) -> Self {
        Self {
            alias,
            connection: Connection::default(),
            lifetime: Lifetime { whole: WHOLE, idle: None },
            given: Given::default(),
            resolved: None,
            settings: HostSettings::default(),
            resolving: false,
            environment: Vec::new(),
            attempt: Attempt::default(),
            was_up: false,
            leaving: None,
            passengers: BTreeMap::new(),
            forwards: Vec::new(),
            room: Room::default(),
        }
    }

    /// A broker stays for it: a program that comes after its end must not log in by itself.
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.was_up || self.resolving || !matches!(self.connection, Connection::Down(_))
    }

    pub(super) fn status(
        &self,
        sockets: &SocketDirectory,
        users: Vec<UserStatus>,
        waiting: usize,
        asks: Option<String>,
    ) -> ConnectionStatus {
        let (state, since, until, reason) = match &self.connection {
            Connection::Down(down) => (StateName::Down, None, None, down.reason.clone()),
            Connection::Starting(starting) => (StateName::Starting, Some(starting.since), None, None),
            Connection::Up(up) => (StateName::Up, Some(up.since), Some(up.until), None),
            Connection::Draining(draining) => (StateName::Draining, None, Some(draining.until), None),
        };
        ConnectionStatus {
            alias: self.alias.clone(),
            state,
            target: self.resolved.as_ref().map(target),
            via: self.resolved.as_ref().and_then(via),
            since: since.map(seconds),
            until: until.map(seconds),
            users,
            waiting,
            waiters: Vec::new(),
            asks,
            reason,
            forwards: self.forwards.iter().map(Kept::status).collect(),
            ticket_until: self.attempt.ticket.map(seconds),
            socket: self.socket(sockets),
        }
    }

    pub(super) fn socket(&self, sockets: &SocketDirectory) -> PathBuf {
        sockets.control_socket(&self.alias)
    }
}

/// What is kept of an open question besides itself.
#[derive(Debug)]
pub(super) struct Asking {
    /// Who asks.
    pub(super) reply: Reply,
    pub(super) since: SystemTime,
    /// When it is given up because nobody is there; pushed on while somebody is.
    pub(super) give_up: Option<SystemTime>,
}

/// Who gets an answer.
#[derive(Debug)]
pub(super) enum Reply {
    /// The conversation of an askpass process.
    Process(PlaceId),
    /// A task of ours.
    Task(Answer),
}

/// A question that is shown at a place.
pub(super) type Shown = std::collections::BTreeSet<PromptId>;

fn target(resolved: &Resolved) -> String {
    match resolved.port {
        22 => format!("{}@{}", resolved.user, resolved.host_name),
        port => format!("{}@{}:{port}", resolved.user, resolved.host_name),
    }
}

fn via(resolved: &Resolved) -> Option<String> {
    match &resolved.route {
        Route::Direct => None,
        Route::Jump(hosts) => Some(hosts.clone()),
        Route::Command(command) => Some(command.clone()),
    }
}

/// Seconds since 1970.
pub(super) fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
