//! The end of a master: why, and what it means for those who waited for it.

use super::Broker;
use super::fault::{self, Failed};
use super::needs_person;
use crate::protocol::{Failure, FailureKind};
use hop_connect::Alias;
use hop_connect::connection::{self, Connection};
use std::time::Duration;

impl Broker {
    /// A master that was killed is as good as gone; its own end is not waited for.
    pub(super) fn abandon(&mut self, alias: &Alias) {
        if let Some(held) = self.held.get_mut(alias) {
            held.attempt.give_up();
            self.master_ended(alias, None);
        }
    }

    pub(super) fn master_ended(&mut self, alias: &Alias, failed: Option<Failure>) {
        self.withdraw(alias);
        let Some(held) = self.held.get_mut(alias) else { return };
        held.attempt.master = None;
        let said: Vec<String> = held.attempt.said();
        let was_starting = matches!(held.connection, Connection::Starting(_));
        let asked = held.attempt.asked;
        let mut failure = fault::explain(&Failed {
            alias,
            resolved: held.resolved.as_ref(),
            said: &said,
            asked: asked.is_some(),
        });
        if let Some(failed) = failed {
            failure = failed;
        }
        let is_cut = held.attempt.ending.is_some() || fault::is_of_the_line(&said);
        if was_starting && !is_cut {
            self.distrust(alias, &mut failure);
        }
        let Some(held) = self.held.get_mut(alias) else { return };
        let needs_person = held.attempt.unanswered;
        if needs_person {
            failure = self::needs_person(alias);
        }
        let Some(held) = self.held.get_mut(alias) else { return };
        let reason = match (&held.attempt.ending, was_starting) {
            (Some(ending), _) => ending.clone(),
            (None, true) => failure.reason.clone(),
            (None, false) => match said.iter().rfind(|line| !line.is_empty()) {
                Some(line) => format!("the connection broke: {line}"),
                None => "the connection broke".to_owned(),
            },
        };
        tracing::info!(%alias, reason, "a connection ended");
        if let Some(why) = held.attempt.ending.as_ref().filter(|_| was_starting && !needs_person) {
            let reason = format!("not logged in to {alias}: {why}");
            failure = Failure { kind: FailureKind::Denied, reason, hint: None };
        }
        // The host does not wait as long as a person may take; the person is here now.
        let is_late = was_starting
            && !needs_person
            && asked.is_some_and(|open| open >= Duration::from_secs(20))
            && fault::is_hung_up(&said);
        held.passengers.clear();
        self.forwards_ended(alias, &reason);
        self.event(alias, connection::Event::MasterEnded { reason, needs_person });
        self.tell_leavers(alias);
        if is_late {
            self.tell_waiting(alias, &format!("{alias} did not wait for that answer; it is asked again"));
            if self.places.values().any(|place| place.waits_for(alias)) {
                return self.event(alias, connection::Event::Wanted { by_person: true });
            }
        }
        self.fail_waiting(alias, &|| failure.clone());
        if self.held.get(alias).is_some_and(|held| held.leaving.is_some()) {
            self.held.remove(alias);
        }
    }
}
