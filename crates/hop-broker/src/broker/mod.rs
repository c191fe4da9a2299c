//! The broker itself: one task that owns every connection, every place and every question. What takes time runs beside
//! it ([`login`]) and comes back as an [`Input`].
//!
//! Must stay true: nothing is awaited here but the next input; one login at a time for a host, whoever waits for it;
//! questions go to the people who wait for their answer, and to those who said that they are there for all.

mod admission;
mod answering;
mod asking;
mod attempt;
mod changed_key;
mod desktop;
mod effects;
mod ends;
mod errand;
pub mod fault;
mod forwarding;
mod held;
mod inputs;
mod login;
mod place;
mod preparing;
mod program;
mod requests;
mod room;
mod run;
mod safe;
mod serve;
mod telling;
mod typed_code;
mod wanting;

use crate::ferry::StateDirectory;
use crate::host_settings::HostSettingsFiles;
use crate::prompt::Desk;
use crate::protocol::{Event, Failure, FailureKind, Request, Status};
use crate::web::Web;
use answering::{Candidate, Verdict};
use errand::Answer;
use held::{Asking, Held};
use hop_connect::budget::LoginBudget;
use hop_connect::{Alias, SocketDirectory};
use login::{Meaning, NotKnown};
use place::{Place, PlaceId};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Inputs on their way.
const INPUTS: usize = 256;

/// What a broker goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program that connects, where a host has no other.
    pub program: OsString,
    /// What was decided about hosts.
    pub hosts: HostSettingsFiles,
    /// Where files of the person's are.
    pub folders: Folders,
    /// Where the keys and the number of the loopback port are kept.
    pub keys: StateDirectory,
    /// The words of a program that makes its standard input its controlling terminal, and then becomes the program whose
    /// words follow.
    pub on_terminal: Vec<OsString>,
    /// How many logins to one address may be tried within [`Self::budget_window`].
    pub budget: usize,
    /// See [`Self::budget`].
    pub budget_window: Duration,
    /// How long a question waits for a person when nobody is there; below the LoginGraceTime of most sites.
    pub question_wait: Duration,
    /// It goes on also when there is nothing to hold and nobody to talk to.
    pub stays: bool,
}

/// Where files of the person's are.
#[derive(Clone, Debug)]
pub struct Folders {
    /// The home that ssh goes by.
    pub home: PathBuf,
    /// What is to be remembered: the same on all machines of one home.
    pub state: PathBuf,
    /// The encrypted file of secrets.
    pub secrets: PathBuf,
}

impl Settings {
    /// The usual ones.
    #[must_use]
    pub fn new(
        hosts: HostSettingsFiles,
        folders: Folders,
        keys: StateDirectory,
        on_terminal: Vec<OsString>,
    ) -> Self {
        Self {
            program: "ssh".into(),
            hosts,
            folders,
            keys,
            on_terminal,
            budget: 10,
            budget_window: Duration::from_secs(3600),
            question_wait: Duration::from_secs(100),
            stays: false,
        }
    }
}

/// Everything that can happen.
#[derive(Debug)]
enum Input {
    Arrived { place: PlaceId, events: mpsc::Sender<Event>, pid: u32 },
    Said { place: PlaceId, request: Request },
    Left { place: PlaceId },
    Resolved { alias: Alias, result: Result<Box<Meaning>, NotKnown> },
    Runs { alias: Alias, generation: u64, pid: Option<u32> },
    Asked { alias: Alias, generation: u64, text: String, reply: Answer },
    Judged { alias: Alias, generation: u64, candidate: Box<Candidate>, verdict: Verdict },
    Ticket { alias: Alias, generation: u64, until: SystemTime },
    Note { alias: Alias, generation: u64, text: String },
    Progress { alias: Alias, generation: u64, text: String },
    MasterUp { alias: Alias, generation: u64, pid: u32 },
    MasterEnded { alias: Alias, generation: u64, failure: Option<Failure> },
    Line { alias: Alias, generation: u64, text: String },
    PassengerLeft { alias: Alias, pid: u32 },
    PauseEnded { alias: Alias },
    Forwarded(Box<forwarding::Opened>),
    NoDesktop { alias: Alias, generation: u64 },
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
    /// The loopback port, where one is open.
    port: Option<u16>,
    /// What watchers were told last.
    told: Option<Status>,
    /// The page and the API, once somebody has asked for one.
    web: Option<Web>,
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
            port: None,
            told: None,
            web: None,
            is_stopping: false,
        }
    }
}

fn needs_person(alias: &Alias) -> Failure {
    Failure {
        kind: FailureKind::NeedsPerson,
        reason: format!("logging in to {alias} needs a person, and nobody is there to be asked"),
        hint: Some(format!("hop login {alias} in a terminal, hop answer, or hop answer --page")),
    }
}
