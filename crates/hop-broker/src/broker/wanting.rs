//! Somebody wants a host: what it means is asked, and those who may not wait for it are told.

use super::Broker;
use super::held::Held;
use super::login::{self, Meaning, NotKnown};
use super::place::Purpose;
use crate::protocol::{Event, Failure, FailureKind};
use hop_connect::Alias;
use hop_connect::connection::{self, Connection};
use hop_connect::resolve::Ssh;
use std::path::Path;

impl Broker {
    /// Somebody waits for a host: what it means is asked first, since that decides who may wait for it.
    pub(super) fn want(&mut self, alias: &Alias) {
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
                let (given, files) = (held.given.clone(), self.settings.hosts.clone());
                let ssh = self.ssh(alias);
                self.tasks.spawn(login::resolving(files, ssh, alias.clone(), given, self.inbox.clone()));
            }
        }
    }

    pub(super) fn ssh(&self, alias: &Alias) -> Ssh {
        let given = self.held.get(alias).map(|held| held.environment.as_slice()).unwrap_or_default();
        let environment = given.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let own = self.held.get(alias).and_then(|held| held.settings.program.as_ref());
        let program = own.map_or_else(|| self.settings.program.clone(), Into::into);
        Ssh { program, environment }
    }

    pub(super) fn resolved(&mut self, alias: &Alias, result: Result<Meaning, NotKnown>) {
        let Some(held) = self.held.get_mut(alias) else { return };
        held.resolving = false;
        match result {
            Ok(meaning) => {
                (held.resolved, held.settings) = (Some(meaning.resolved), meaning.settings);
            }
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
        if let Err(file) = held.settings.multiplex.clone() {
            return self.refuse_sharing(alias, &file);
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

    /// A host whose connections nobody may share: each ssh makes its own.
    fn refuse_sharing(&mut self, alias: &Alias, file: &Path) {
        let reason = format!("{} forbids to share connections to it", file.display());
        for place in self.places.values_mut().filter(|place| place.waits_for(alias)) {
            if place.waits.as_ref().is_some_and(|waits| matches!(waits.purpose, Purpose::Ride { .. })) {
                place.waits = None;
                place.tell(Event::Declined { reason: Some(reason.clone()) });
            }
        }
        self.fail_waiting(alias, &|| Failure {
            kind: FailureKind::Config,
            reason: format!("cannot log in to {alias} for all programs: {reason} (multiplex = \"never\")"),
            hint: Some(format!("ssh {alias} connects by itself")),
        });
    }

    /// Tells those who may not ride, before anything is started for them.
    pub(super) fn judge_waiting(&mut self, alias: &Alias) {
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

    pub(super) fn tell_waiting(&self, alias: &Alias, text: &str) {
        for place in self.places.values().filter(|place| place.waits_for(alias)) {
            place.tell(Event::Progress { text: text.to_owned() });
        }
    }

    pub(super) fn fail_waiting(&mut self, alias: &Alias, failure: &dyn Fn() -> Failure) {
        for place in self.places.values_mut().filter(|place| place.waits_for(alias)) {
            place.waits = None;
            place.tell(Event::Failed(failure()));
        }
    }
}
