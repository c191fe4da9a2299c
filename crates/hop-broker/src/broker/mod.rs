//! The broker itself: one task that owns every connection, every place and every question. What takes time runs beside
//! it ([`login`]) and comes back as an [`Input`].
//!
//! Must stay true: nothing is awaited here but the next input; one login at a time for a host, whoever waits for it;
//! questions go to the people who wait for their answer, and to those who said that they are there for all.

mod admission;
mod asking;
mod attempt;
mod effects;
mod ends;
pub mod fault;
mod held;
mod inputs;
mod login;
mod place;
mod requests;
mod room;
mod run;
mod serve;
mod telling;
mod wanting;

use crate::prompt::Desk;
use crate::protocol::{Event, Failure, FailureKind, Request, Status};
use held::{Asking, Held};
use hop_connect::budget::LoginBudget;
use hop_connect::resolve::{ResolveError, Resolved};
use hop_connect::{Alias, SocketDirectory};
use place::{Place, PlaceId};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Inputs on their way.
const INPUTS: usize = 256;

/// What a broker goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program that connects.
    pub program: OsString,
    /// How many logins to one address may be tried within [`Self::budget_window`].
    pub budget: usize,
    /// See [`Self::budget`].
    pub budget_window: Duration,
    /// How long a question waits for a person when nobody is there; below the LoginGraceTime of most sites.
    pub question_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            program: "ssh".into(),
            budget: 10,
            budget_window: Duration::from_secs(3600),
            question_wait: Duration::from_secs(100),
        }
    }
}

/// Everything that can happen.
#[derive(Debug)]
enum Input {
    Arrived { place: PlaceId, events: mpsc::Sender<Event>, pid: u32 },
    Said { place: PlaceId, request: Request },
    Left { place: PlaceId },
    Resolved { alias: Alias, result: Result<Resolved, ResolveError> },
    MasterStarted { alias: Alias, generation: u64, pid: u32 },
    MasterUp { alias: Alias, generation: u64, pid: u32 },
    MasterEnded { alias: Alias, generation: u64, error: Option<String> },
    Line { alias: Alias, generation: u64, text: String },
    PassengerLeft { alias: Alias, pid: u32 },
    Probed { alias: Alias, open: usize, free: Option<usize> },
    Settled { alias: Alias },
}

type Inbox = mpsc::Sender<Input>;

/// All that is held, and all who talk.
#[derive(Debug)]
pub struct Broker {
    sockets: SocketDirectory,
    settings: Settings,
    inbox: Inbox,
    inputs: mpsc::Receiver<Input>,
    tasks: JoinSet<()>,
    held: BTreeMap<Alias, Held>,
    places: BTreeMap<PlaceId, Place>,
    desk: Desk<Asking>,
    /// By address, since that is what a site counts.
    budgets: HashMap<String, LoginBudget>,
    /// What watchers were told last.
    told: Option<Status>,
    is_stopping: bool,
}

impl Broker {
    /// A broker that holds nothing yet.
    #[must_use]
    pub fn new(sockets: SocketDirectory, settings: Settings) -> Self {
        let (inbox, inputs) = mpsc::channel(INPUTS);
        Self {
            sockets,
            settings,
            inbox,
            inputs,
            tasks: JoinSet::new(),
            held: BTreeMap::new(),
            places: BTreeMap::new(),
            desk: Desk::default(),
            budgets: HashMap::new(),
            told: None,
            is_stopping: false,
        }
    }
}

fn needs_person(alias: &Alias) -> Failure {
    Failure {
        kind: FailureKind::NeedsPerson,
        reason: format!("logging in to {alias} needs a person, and nobody is there to be asked"),
        hint: Some(format!("hop login {alias} in a terminal, or hop answer")),
    }
}
