//! What each request does.

use super::Broker;
use super::held::Held;
use super::place::{Place, PlaceId, Purpose, Waits};
use crate::protocol::{Event, Failure, FailureKind, LOGIN_ENVIRONMENT, Request};
use crate::web::Web;
use hop_connect::Alias;
use hop_connect::connection::{self, Connection};
use hop_connect::passenger::Errand;
use hop_connect::resolve::Given;
use hop_model::Secret;
use std::time::Duration;

/// Longer than this is a mistake in a number.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Shorter is over before it is used.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

impl Broker {
    pub(super) fn request(&mut self, place: PlaceId, request: Request) {
        let Some(asking) = self.places.get_mut(&place) else { return };
        match request {
            Request::Login { alias, given, lifetime, idle, attended, environment } => {
                asking.is_attended = attended;
                if let Some(failure) = self.set_given(&alias, given) {
                    return self.answer(place, Event::Failed(failure));
                }
                self.set_lifetime(&alias, lifetime, idle);
                self.set_environment(&alias, environment);
                self.wait(place, &alias, Purpose::Login);
            }
            Request::Use { alias, purpose, takes_session, attended, environment } => {
                asking.is_attended = attended;
                let by = asking.pid;
                self.is_served_instead(&alias, by);
                self.set_environment(&alias, environment);
                self.wait(place, &alias, Purpose::Use { what: purpose, takes_session });
            }
            Request::Ensure { alias, passenger, pid, started_by, attended, environment } => {
                asking.is_attended = attended;
                let is_up =
                    matches!(self.held.get(&alias).map(|held| &held.connection), Some(Connection::Up(_)));
                match passenger.errand() {
                    Errand::Nothing => return asking.tell(Event::Declined { reason: None }),
                    Errand::Look if !is_up => return asking.tell(Event::Declined { reason: None }),
                    Errand::Look | Errand::Ride => {}
                }
                self.set_environment(&alias, environment);
                self.wait(place, &alias, Purpose::Ride { passenger, pid, started_by });
            }
            Request::Silent { alias, master } => {
                // Somebody else may have noticed, too: its successor is not to blame.
                if let Some(held) =
                    self.held.get_mut(&alias).filter(|held| held.attempt.master == Some(master))
                {
                    tracing::warn!(%alias, "the connection does not answer; it is replaced");
                    held.attempt.heard("it did not answer".to_owned());
                    self.event(&alias, connection::Event::Silent);
                    self.abandon(&alias);
                }
                self.answer(place, Event::Done);
            }
            Request::Full { alias } => {
                if asking.uses_host(&alias) {
                    asking.uses = None;
                    self.refused(&alias);
                }
                self.answer(place, Event::Done);
            }
            Request::Port => {
                let event = match self.open_port() {
                    Ok(number) => Event::Port { number },
                    Err(error) => Event::Refused { reason: error.to_string() },
                };
                self.answer(place, event);
            }
            Request::Forward { alias, forward, stays } => self.forward(place, &alias, forward, stays),
            Request::CloseForward { alias, forward } => self.unforward(place, &alias, &forward),
            Request::Logout { alias, at_once } => self.logout(place, &alias, at_once),
            Request::Status => {
                let status = self.status();
                self.answer(place, Event::Status(status));
            }
            Request::Watch => {
                asking.watches = true;
                let status = self.status();
                self.answer(place, Event::Status(status));
            }
            Request::Attend => {
                asking.attends = true;
                asking.tell(Event::Done);
                self.show_all();
            }
            Request::Answer { prompt, text } => self.answered(place, prompt, text),
            Request::Decline { prompt } => self.declined(place, prompt),
            Request::Ask { alias, text, hint } => self.ask(place, &alias, &text, hint),
            Request::Page => {
                let told = self.web().and_then(|web| web.link());
                let told = told.map(|link| Event::Page { link: Secret::new(link) });
                self.answer(place, told.unwrap_or_else(|error| no_web(&error)));
            }
            Request::Api => {
                let told = self.web().and_then(|web| web.api());
                let told = told.map(|(url, token_file)| Event::Api { url, token_file });
                self.answer(place, told.unwrap_or_else(|error| no_web(&error)));
            }
            Request::Stop => self.is_stopping = true,
        }
    }

    pub(super) fn answer(&self, place: PlaceId, event: Event) {
        if let Some(place) = self.places.get(&place) {
            place.tell(event);
        }
    }

    pub(super) fn web(&mut self) -> std::io::Result<&Web> {
        match self.web.take() {
            Some(web) => Ok(self.web.insert(web)),
            None => {
                let web = Web::start(&self.sockets, &mut self.tasks)?;
                Ok(self.web.insert(web))
            }
        }
    }

    fn wait(&mut self, place: PlaceId, alias: &Alias, purpose: Purpose) {
        let behalf = self.places.get(&place).and_then(|place| self.login_of(place.pid));
        if let Some(place) = self.places.get_mut(&place) {
            // A login that goes through itself would wait for itself.
            if behalf.as_ref() == Some(alias) {
                return place.tell(Event::Declined { reason: None });
            }
            place.waits = Some(Waits { alias: alias.clone(), purpose, behalf, is_in_line: false });
        }
        self.want(alias);
        self.show_all();
        self.refuse_where_nobody_is();
    }

    /// The login that a process belongs to, if any: a jump host's ssh is a child of the ssh that jumps.
    fn login_of(&self, pid: u32) -> Option<Alias> {
        let starting = self.held.values().filter(|held| matches!(held.connection, Connection::Starting(_)));
        starting
            .filter_map(|held| Some((held, held.attempt.master?)))
            .find(|(_, master)| hop_connect::parent::is_ancestor(*master, pid))
            .map(|(held, _)| held.alias.clone())
    }

    /// What was given holds until somebody gives something else, which a connection that is there cannot follow.
    fn set_given(&mut self, alias: &Alias, given: Option<Given>) -> Option<Failure> {
        let given = given?;
        let held = self.held.entry(alias.clone()).or_insert_with(|| Held::new(alias.clone()));
        let is_down = matches!(held.connection, Connection::Down(_));
        if !is_down && held.given != given {
            return Some(Failure {
                kind: FailureKind::Config,
                reason: format!("{alias} is logged in to already, as another user or on another port"),
                hint: Some(format!("hop logout {alias}")),
            });
        }
        held.given = given;
        None
    }

    fn set_lifetime(&mut self, alias: &Alias, lifetime: Option<u64>, idle: Option<u64>) {
        self.tell_leavers(alias);
        let held = self.held.entry(alias.clone()).or_insert_with(|| Held::new(alias.clone()));
        held.leaving = None;
        let bounded = |seconds| Duration::from_secs(seconds).clamp(SHORTEST_LIFE, LONGEST_LIFE);
        if let Some(idle) = idle {
            held.lifetime.idle = Some(bounded(idle));
        }
        if let Some(whole) = lifetime {
            held.lifetime.whole = bounded(whole);
            self.event(alias, connection::Event::Extend);
        }
    }

    fn set_environment(&mut self, alias: &Alias, given: Vec<(String, String)>) {
        let held = self.held.entry(alias.clone()).or_insert_with(|| Held::new(alias.clone()));
        for (name, value) in given {
            if LOGIN_ENVIRONMENT.contains(&name.as_str()) {
                held.environment.retain(|(known, _)| *known != name);
                held.environment.push((name, value));
            }
        }
    }

    /// It is over when it is told to be: a login right after it is a new one. Only for a connection that others still use
    /// nobody waits.
    fn logout(&mut self, place: PlaceId, alias: &Alias, at_once: bool) {
        let Some(held) = self.held.get_mut(alias) else {
            return self.answer(place, Event::Refused { reason: format!("{alias} is not logged in") });
        };
        if matches!(held.connection, Connection::Starting(_)) {
            held.attempt.ending = Some("the login was given up".to_owned());
        }
        if matches!(held.connection, Connection::Down(_)) {
            self.held.remove(alias);
            return self.answer(place, Event::Done);
        }
        held.leaving.get_or_insert_default().push(place);
        self.event(alias, connection::Event::Logout { at_once });
        let is_used = |held: &Held| matches!(held.connection, Connection::Draining(_)) && !at_once;
        if self.held.get(alias).is_some_and(is_used) {
            self.tell_leavers(alias);
        }
    }

    /// Those who logged out hear that it is done.
    pub(super) fn tell_leavers(&mut self, alias: &Alias) {
        let leaving = self.held.get_mut(alias).and_then(|held| held.leaving.as_mut());
        for place in leaving.map(std::mem::take).unwrap_or_default() {
            self.answer(place, Event::Done);
        }
    }

    /// Whether somebody who waits for this login, or for one that needs it, can be asked.
    pub(super) fn is_attended_behalf(&self, alias: Option<&Alias>) -> bool {
        alias.is_some_and(|alias| !self.audience(alias).is_empty())
    }

    /// The places where a login's questions are asked.
    pub(super) fn audience(&self, alias: &Alias) -> Vec<PlaceId> {
        let mut logins = vec![alias.clone()];
        // A jump host's login concerns those who wait for what lies behind it; chains are short.
        for _ in 0..8 {
            let more: Vec<Alias> = self
                .places
                .values()
                .filter_map(|place| place.waits.as_ref())
                .filter(|waits| logins.contains(&waits.alias))
                .filter_map(|waits| waits.behalf.clone())
                .filter(|behalf| !logins.contains(behalf))
                .collect();
            if more.is_empty() {
                break;
            }
            logins.extend(more);
        }
        let concerned = |place: &Place| {
            place.attends || (place.is_attended && logins.iter().any(|login| place.waits_for(login)))
        };
        self.places.iter().filter(|(_, place)| concerned(place)).map(|(id, _)| *id).collect()
    }
}

fn no_web(error: &std::io::Error) -> Event {
    Event::Refused {
        reason: format!("the broker cannot listen on 127.0.0.1 for browsers and programs: {error}"),
    }
}
