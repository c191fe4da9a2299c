//! The broker itself: one task that owns every connection, every place and every question. What takes time runs beside
//! it ([`login`]) and comes back as an [`Input`].
//!
//! Must stay true: nothing is awaited here but the next input; one login at a time for a host, whoever waits for it;
//! questions go to the people who wait for their answer, and to those who said that they are there for all.

mod asking;
pub mod fault;
mod held;
mod login;
mod place;
mod requests;
mod room;
mod serve;

use crate::prompt::Desk;
use crate::protocol::{Event, Failure, FailureKind, Request, Status, UserStatus};
use fault::Attempt;
use held::{Asking, Held, Rider, seconds};
use hop_connect::budget::LoginBudget;
use hop_connect::connection::{self, Connection, Effect};
use hop_connect::master::Plan;
use hop_connect::resolve::{ResolveError, Resolved, Ssh};
use hop_connect::{Alias, SocketDirectory};
use login::Order;
use place::{Place, PlaceId, Purpose, Waits};
use room::Turn;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::time::{Duration, SystemTime};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Inputs on their way.
const INPUTS: usize = 256;
/// A broker with nothing to hold and nobody to talk to ends after this.
const NOTHING_LEFT: Duration = Duration::from_secs(60);
/// Time is looked at this often at least: a machine that slept finds its connections' ends soon after.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);
/// How long masters may take to end when the broker does.
const FAREWELL: Duration = Duration::from_secs(3);

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

    /// Serves until nothing is left, it is asked to stop, or `stop` completes; then ends every connection.
    pub async fn run(mut self, listener: UnixListener, stop: impl Future<Output = ()>) {
        let accepting = tokio::spawn(serve::accept(listener, self.inbox.clone()));
        tokio::pin!(stop);
        let mut empty_since = Some(SystemTime::now());
        while !self.is_stopping {
            let now = SystemTime::now();
            let has_nothing =
                self.places.is_empty() && self.held.values().all(|held| !held.is_worth_keeping());
            empty_since = if has_nothing { empty_since.or(Some(now)) } else { None };
            let left = empty_since
                .map(|since| NOTHING_LEFT.saturating_sub(now.duration_since(since).unwrap_or_default()));
            if left == Some(Duration::ZERO) {
                break;
            }
            let sleep = self.until_next(now).min(left.unwrap_or(LONGEST_SLEEP)).min(LONGEST_SLEEP);
            tokio::select! {
                input = self.inputs.recv() => match input {
                    Some(input) => self.take(input),
                    None => break,
                },
                () = tokio::time::sleep(sleep) => {}
                () = &mut stop => break,
            }
            self.tick();
            self.tell_watchers();
            while self.tasks.try_join_next().is_some() {}
        }
        // Conversations end last: whoever asked for the end waits for it.
        self.end_all().await;
        accepting.abort();
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Arrived { place, events, pid } => {
                self.places.insert(place, Place::new(events, pid));
            }
            Input::Said { place, request } => self.request(place, request),
            Input::Left { place } => self.left(place),
            Input::Resolved { alias, result } => self.resolved(&alias, result),
            Input::MasterStarted { alias, generation, pid } => {
                if let Some(held) = self.current(&alias, generation) {
                    held.master = Some(pid);
                }
            }
            Input::MasterUp { alias, generation, pid } => {
                if self.current(&alias, generation).is_some() {
                    self.event(&alias, connection::Event::MasterUp { pid });
                    self.up(&alias, false);
                }
            }
            Input::MasterEnded { alias, generation, error } => {
                if self.current(&alias, generation).is_some() {
                    self.master_ended(&alias, error);
                }
            }
            Input::Line { alias, generation, text } => {
                tracing::debug!(%alias, text, "ssh");
                if let Some(held) = self.current(&alias, generation) {
                    held.heard(text);
                }
            }
            Input::Probed { alias, open, free } => {
                if let Some(held) = self.held.get_mut(&alias) {
                    held.room.found(open, free);
                }
                self.up(&alias, true);
            }
            Input::Settled { alias } => {
                if let Some(held) = self.held.get_mut(&alias) {
                    held.settling = held.settling.saturating_sub(1);
                }
                self.up(&alias, true);
            }
            Input::PassengerLeft { alias, pid } => {
                let gone = self.held.get_mut(&alias).and_then(|held| held.passengers.remove(&pid));
                self.user_left(&alias, gone.is_some_and(|rider| rider.has_session));
            }
        }
    }

    fn current(&mut self, alias: &Alias, generation: u64) -> Option<&mut Held> {
        self.held.get_mut(alias).filter(|held| held.generation == generation)
    }

    /// Somebody waits for a host: what it means is asked first, since that decides who may wait for it.
    fn want(&mut self, alias: &Alias) {
        let held = self.held.entry(alias.clone()).or_insert_with(|| Held::new(alias.clone()));
        match &held.connection {
            Connection::Up(_) => self.up(alias, true),
            Connection::Starting(_) => self.judge_waiting(alias),
            Connection::Draining(_) => self.fail_waiting(alias, &|| Failure {
                kind: FailureKind::Later,
                reason: format!("{alias} is being logged out, and somebody still uses the connection"),
                hint: Some(format!("hop logout --now {alias} ends it for them, too")),
            }),
            Connection::Down(_) if held.resolving => {}
            Connection::Down(_) => {
                held.resolving = true;
                let given = held.given.clone();
                let ssh = self.ssh(alias);
                self.tasks.spawn(login::resolving(ssh, alias.clone(), given, self.inbox.clone()));
            }
        }
    }

    fn ssh(&self, alias: &Alias) -> Ssh {
        let given = self.held.get(alias).map(|held| held.environment.as_slice()).unwrap_or_default();
        let environment = given.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Ssh { program: self.settings.program.clone(), environment }
    }

    fn resolved(&mut self, alias: &Alias, result: Result<Resolved, ResolveError>) {
        let Some(held) = self.held.get_mut(alias) else { return };
        held.resolving = false;
        match result {
            Ok(resolved) => held.resolved = Some(resolved),
            Err(error) => {
                let text = error.to_string();
                let (reason, hint) = match text.split_once("\nhint: ") {
                    Some((reason, hint)) => (reason.to_owned(), Some(hint.to_owned())),
                    None => (text, None),
                };
                return self.fail_waiting(alias, &|| Failure {
                    kind: FailureKind::Config,
                    reason: reason.clone(),
                    hint: hint.clone(),
                });
            }
        }
        self.judge_waiting(alias);
        let waiting = self.places.values().filter(|place| place.waits_for(alias));
        let by_person = waiting.clone().any(|place| {
            place.is_attended || self.is_attended_behalf(place.waits.as_ref().and_then(|w| w.behalf.as_ref()))
        });
        if waiting.count() > 0 {
            self.event(alias, connection::Event::Wanted { by_person });
        }
    }

    /// Tells those who may not ride, before anything is started for them.
    fn judge_waiting(&mut self, alias: &Alias) {
        let Some(resolved) = self.held.get(alias).and_then(|held| held.resolved.as_ref()) else { return };
        for place in self.places.values_mut().filter(|place| place.waits_for(alias)) {
            let Some(waits) = &place.waits else { continue };
            let Purpose::Ride { passenger, .. } = &waits.purpose else { continue };
            if let Err(declined) = passenger.judge(resolved) {
                place.tell(Event::Declined { reason: Some(declined.to_string()) });
                place.waits = None;
            }
        }
    }

    /// Puts something that happened to a connection to its state, and does what comes of it.
    fn event(&mut self, alias: &Alias, event: connection::Event) {
        let Some(held) = self.held.get_mut(alias) else { return };
        let before = std::mem::take(&mut held.connection);
        let (after, effects) = before.on(event, SystemTime::now(), held.lifetime);
        held.connection = after;
        for effect in effects {
            self.act(alias, &effect);
        }
    }

    fn act(&mut self, alias: &Alias, effect: &Effect) {
        match effect {
            Effect::Start => self.start(alias),
            Effect::TryLater { at } => {
                let seconds = at.duration_since(SystemTime::now()).unwrap_or_default().as_secs() + 1;
                self.fail_waiting(alias, &|| Failure {
                    kind: FailureKind::Later,
                    reason: format!(
                        "the last login to {alias} failed; programs may try again in {seconds} s"
                    ),
                    hint: Some(format!("hop login {alias} tries now and says what is wrong")),
                });
            }
            Effect::NeedsPerson => self.fail_waiting(alias, &|| needs_person(alias)),
            Effect::Warn { left } => {
                let minutes = left.as_secs().div_ceil(60);
                let text = format!("the connection to {alias} ends in {minutes} minutes");
                tracing::info!("{text}");
                for place in self.places.values().filter(|place| place.watches || place.uses_host(alias)) {
                    place.tell(Event::Progress { text: text.clone() });
                }
            }
            Effect::StopListening => self.order(alias, Order::StopListening),
            Effect::Terminate { reason } => {
                if let Some(held) = self.held.get_mut(alias)
                    && held.ending.is_none()
                {
                    held.ending = Some((*reason).to_owned());
                    self.order(alias, Order::Terminate);
                }
            }
            Effect::Kill => {
                if let Some(pid) = self.held.get(alias).and_then(|held| held.master) {
                    hop_connect::master::kill(pid);
                }
            }
        }
    }

    fn order(&mut self, alias: &Alias, order: Order) {
        let Some(held) = self.held.get(alias) else { return };
        let (socket, pid) = (held.socket(&self.sockets), held.master.unwrap_or_default());
        self.tasks.spawn(login::ordering(socket, pid, order));
    }

    fn start(&mut self, alias: &Alias) {
        let (ssh, socket) = (self.ssh(alias), self.sockets.control_socket(alias));
        let askpass = self.sockets.askpass();
        let Some(held) = self.held.get_mut(alias) else { return };
        let Some(resolved) = held.resolved.clone() else { return };
        let given = held.given.clone();
        let generation = held.begin_attempt();
        let budget = self
            .budgets
            .entry(resolved.host_name.clone())
            .or_insert_with(|| LoginBudget::new(self.settings.budget, self.settings.budget_window));
        if let Err(spent) = budget.take(SystemTime::now()) {
            let reason = format!("not logging in to {alias}: {spent}");
            let minutes =
                spent.until.duration_since(SystemTime::now()).unwrap_or_default().as_secs() / 60 + 1;
            let ended = connection::Event::MasterEnded { reason: reason.clone(), needs_person: false };
            self.event(alias, ended);
            return self.fail_waiting(alias, &|| Failure {
                kind: FailureKind::Later,
                reason: reason.clone(),
                hint: Some(format!(
                    "wait {minutes} min, or find out with ssh -v {alias} why so many were needed"
                )),
            });
        }
        tracing::info!(%alias, "logging in");
        let plan = Plan { ssh, alias: alias.clone(), given, resolved, socket, askpass };
        self.tasks.spawn(login::mastering(plan, generation, self.inbox.clone()));
    }

    /// Everybody who waits may use it now, in the order in which they came, as far as the host takes sessions.
    fn up(&mut self, alias: &Alias, was_up: bool) {
        self.judge_waiting(alias);
        let Some(held) = self.held.get_mut(alias) else { return };
        let Connection::Up(up) = held.connection else { return };
        held.was_up = true;
        let waiting: Vec<PlaceId> =
            self.places.iter().filter(|(_, place)| place.waits_for(alias)).map(|(id, _)| *id).collect();
        for id in waiting {
            let takes_session = |waits: &Waits| waits.purpose.takes_session();
            let is_turn = match self.places.get(&id).and_then(|place| place.waits.as_ref()) {
                Some(waits) if takes_session(waits) => self.turn(alias),
                _ => Turn::Now,
            };
            match is_turn {
                Turn::Now => self.admit(id, alias, up, was_up),
                Turn::Probe { most } => {
                    let (socket, open) = (self.sockets.control_socket(alias), self.sessions(alias));
                    let probing = login::probing(socket, alias.clone(), open, most, self.inbox.clone());
                    self.tasks.spawn(probing);
                }
                Turn::Wait => self.put_in_line(id, alias),
            }
        }
        self.count_users(alias);
    }

    fn turn(&mut self, alias: &Alias) -> Turn {
        let open = self.sessions(alias);
        self.held.get_mut(alias).map_or(Turn::Now, |held| held.room.turn(open))
    }

    fn admit(&mut self, id: PlaceId, alias: &Alias, up: connection::Up, was_up: bool) {
        let Some(held) = self.held.get_mut(alias) else { return };
        let (Some(place), Some(resolved)) = (self.places.get_mut(&id), held.resolved.clone()) else { return };
        let Some(waits) = place.waits.take() else { return };
        place.tell(Event::Up {
            socket: self.sockets.control_socket(alias),
            master: up.pid,
            until: seconds(up.until),
            was_up,
            resolved: Box::new(resolved),
        });
        let has_session = waits.purpose.takes_session();
        match waits.purpose {
            Purpose::Login => {}
            Purpose::Use(what) => place.uses = Some((alias.clone(), UserStatus { what, pid: place.pid })),
            Purpose::Ride { pid, started_by, .. } => {
                held.passengers.insert(pid, Rider { what: started_by, has_session });
                self.tasks.spawn(login::riding(alias.clone(), pid, self.inbox.clone()));
            }
        }
    }

    fn put_in_line(&mut self, id: PlaceId, alias: &Alias) {
        let users = self.users(alias);
        let names: Vec<_> = users.iter().map(|user| format!("{} ({})", user.what, user.pid)).collect();
        let text = format!("{alias} takes no more sessions at once; waiting for one of {}", names.join(", "));
        let Some(place) = self.places.get_mut(&id) else { return };
        if let Some(waits) = place.waits.as_mut().filter(|waits| !waits.is_in_line) {
            waits.is_in_line = true;
            place.tell(Event::InLine { text });
        }
    }

    /// Who uses it.
    fn users(&self, alias: &Alias) -> Vec<UserStatus> {
        let riders = self.held.get(alias).into_iter().flat_map(|held| &held.passengers);
        let riders = riders.map(|(pid, rider)| UserStatus { what: rider.what.clone(), pid: *pid });
        let own = self.places.values().filter_map(|place| place.uses.as_ref());
        riders.chain(own.filter(|(used, _)| used == alias).map(|(_, user)| user.clone())).collect()
    }

    /// How many sessions are open that we know of.
    fn sessions(&self, alias: &Alias) -> usize {
        let own = self.places.values().filter(|place| place.uses_host(alias)).count();
        let riders = self.held.get(alias).into_iter().flat_map(|held| held.passengers.values());
        let settling = self.held.get(alias).map_or(0, |held| held.settling);
        own + settling + riders.filter(|rider| rider.has_session).count()
    }

    fn count_users(&mut self, alias: &Alias) {
        let users = self.users(alias).len();
        self.event(alias, connection::Event::Users(users));
    }

    /// A master that was killed is as good as gone; its own end is not waited for.
    fn abandon(&mut self, alias: &Alias) {
        if let Some(held) = self.held.get_mut(alias) {
            held.generation += 1;
            self.master_ended(alias, None);
        }
    }

    fn master_ended(&mut self, alias: &Alias, error: Option<String>) {
        self.withdraw(alias);
        let Some(held) = self.held.get_mut(alias) else { return };
        held.master = None;
        let said: Vec<String> = held.said.iter().cloned().collect();
        let was_starting = matches!(held.connection, Connection::Starting(_));
        let asked = held.asked;
        let mut failure = fault::explain(&Attempt {
            alias,
            resolved: held.resolved.as_ref(),
            said: &said,
            asked: asked.is_some(),
        });
        if let Some(error) = error {
            failure = Failure { kind: FailureKind::Config, reason: error, hint: None };
        }
        let needs_person = held.unanswered;
        if needs_person {
            failure = self::needs_person(alias);
        }
        let Some(held) = self.held.get_mut(alias) else { return };
        let reason = match (&held.ending, was_starting) {
            (Some(ending), _) => ending.clone(),
            (None, true) => failure.reason.clone(),
            (None, false) => match said.iter().rfind(|line| !line.is_empty()) {
                Some(line) => format!("the connection broke: {line}"),
                None => "the connection broke".to_owned(),
            },
        };
        tracing::info!(%alias, reason, "a connection ended");
        if let Some(why) = held.ending.as_ref().filter(|_| was_starting && !needs_person) {
            let reason = format!("not logged in to {alias}: {why}");
            failure = Failure { kind: FailureKind::Denied, reason, hint: None };
        }
        // The host does not wait as long as a person may take; the person is here now.
        let is_late = was_starting
            && !needs_person
            && asked.is_some_and(|open| open >= Duration::from_secs(20))
            && fault::is_hung_up(&said);
        held.passengers.clear();
        self.event(alias, connection::Event::MasterEnded { reason, needs_person });
        if is_late {
            let waiting = self.places.values().filter(|place| place.waits_for(alias));
            for place in waiting.clone() {
                let text = format!("{alias} did not wait for that answer; it is asked again");
                place.tell(Event::Progress { text });
            }
            if waiting.count() > 0 {
                return self.event(alias, connection::Event::Wanted { by_person: true });
            }
        }
        self.fail_waiting(alias, &|| failure.clone());
        if self.held.get(alias).is_some_and(|held| held.is_leaving) {
            self.held.remove(alias);
        }
    }

    fn fail_waiting(&mut self, alias: &Alias, failure: &dyn Fn() -> Failure) {
        for place in self.places.values_mut().filter(|place| place.waits_for(alias)) {
            place.waits = None;
            place.tell(Event::Failed(failure()));
        }
    }

    fn left(&mut self, place: PlaceId) {
        let Some(gone) = self.places.remove(&place) else { return };
        self.askpass_left(place);
        if let Some((alias, _)) = gone.uses {
            self.user_left(&alias, true);
        }
    }

    fn user_left(&mut self, alias: &Alias, had_session: bool) {
        self.count_users(alias);
        let somebody_waits = self.places.values().any(|place| place.waits_for(alias));
        match self.held.get_mut(alias) {
            Some(held) if had_session && somebody_waits => {
                held.settling += 1;
                held.room.ended();
                self.tasks.spawn(login::settling(alias.clone(), self.inbox.clone()));
            }
            _ => self.up(alias, true),
        }
    }

    fn until_next(&self, now: SystemTime) -> Duration {
        let connections = self.held.values().filter_map(|held| held.connection.next_tick(held.lifetime));
        let next = connections.chain(self.next_question_end()).min();
        next.map_or(LONGEST_SLEEP, |at| at.duration_since(now).unwrap_or_default())
    }

    fn tick(&mut self) {
        let now = SystemTime::now();
        let due: Vec<Alias> = self
            .held
            .values()
            .filter(|held| held.connection.next_tick(held.lifetime).is_some_and(|at| at <= now))
            .map(|held| held.alias.clone())
            .collect();
        for alias in due {
            self.event(&alias, connection::Event::Tick);
        }
        self.give_up_questions(now);
    }

    fn status(&self) -> Status {
        let connections = self.held.values().map(|held| {
            let alias = &held.alias;
            let waiting = self.places.values().filter(|place| place.waits_for(alias)).count();
            let asks =
                self.desk.open().find(|open| open.alias == *alias).map(|open| open.class.name().to_owned());
            held.status(&self.sockets, self.users(alias), waiting, asks)
        });
        Status { connections: connections.collect() }
    }

    fn tell_watchers(&mut self) {
        if !self.places.values().any(|place| place.watches) {
            self.told = None;
            return;
        }
        let status = self.status();
        if self.told.as_ref() != Some(&status) {
            for place in self.places.values().filter(|place| place.watches) {
                place.tell(Event::Status(status.clone()));
            }
            self.told = Some(status);
        }
    }

    /// Ends every master; those that do not go are killed.
    async fn end_all(&mut self) {
        let mut orders = JoinSet::new();
        for held in self.held.values() {
            if let Some(pid) = held.master {
                match held.connection {
                    Connection::Up(_) | Connection::Draining(_) => {
                        orders.spawn(login::ordering(held.socket(&self.sockets), pid, Order::Terminate));
                    }
                    Connection::Starting(_) | Connection::Down(_) => hop_connect::master::kill(pid),
                }
            }
        }
        while orders.join_next().await.is_some() {}
        let _ = tokio::time::timeout(FAREWELL, async {
            while self.held.values().any(|held| held.master.is_some()) {
                match self.inputs.recv().await {
                    Some(Input::MasterEnded { alias, generation, .. }) => {
                        if let Some(held) = self.current(&alias, generation) {
                            held.master = None;
                        }
                    }
                    Some(_) => {}
                    None => return,
                }
            }
        })
        .await;
        for pid in self.held.values().filter_map(|held| held.master) {
            hop_connect::master::kill(pid);
        }
    }
}

impl Held {
    /// A broker stays for it: a program that comes after its end must not log in by itself.
    fn is_worth_keeping(&self) -> bool {
        self.was_up || self.resolving || !matches!(self.connection, Connection::Down(_))
    }
}

impl Place {
    fn uses_host(&self, alias: &Alias) -> bool {
        self.uses.as_ref().is_some_and(|(used, _)| used == alias)
    }
}

fn needs_person(alias: &Alias) -> Failure {
    Failure {
        kind: FailureKind::NeedsPerson,
        reason: format!("logging in to {alias} needs a person, and nobody is there to be asked"),
        hint: Some(format!("hop login {alias} in a terminal, or hop answer")),
    }
}
