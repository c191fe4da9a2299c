//! What comes of an event of a connection: masters started, asked to end, killed; people told.

use super::errand::Errand;
use super::login::{self, Order};
use super::preparing::Preparation;
use super::{Broker, needs_person};
use crate::protocol::{Event, Failure, FailureKind};
use hop_connect::Alias;
use hop_connect::budget::LoginBudget;
use hop_connect::connection::{self, Effect};
use hop_connect::master::Plan;
use std::time::SystemTime;

impl Broker {
    /// Puts something that happened to a connection to its state, and does what comes of it.
    pub(super) fn event(&mut self, alias: &Alias, event: connection::Event) {
        let Some(held) = self.held.get_mut(alias) else { return };
        let before = std::mem::take(&mut held.connection);
        let (after, effects) = before.on(event, SystemTime::now(), held.lifetime);
        held.connection = after;
        for effect in effects {
            self.act(alias, &effect);
        }
    }

    pub(super) fn act(&mut self, alias: &Alias, effect: &Effect) {
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
                    && held.attempt.ending.is_none()
                {
                    held.attempt.ending = Some((*reason).to_owned());
                    self.order(alias, Order::Terminate);
                }
            }
            Effect::Kill => {
                let Some(held) = self.held.get(alias) else { return };
                held.attempt.given_up.cancel();
                if let Some(pid) = held.attempt.master {
                    hop_connect::master::kill(pid);
                }
            }
        }
    }

    pub(super) fn order(&mut self, alias: &Alias, order: Order) {
        let Some(held) = self.held.get(alias) else { return };
        let (socket, pid) = (held.socket(&self.sockets), held.attempt.master.unwrap_or_default());
        self.tasks.spawn(login::ordering(socket, pid, order));
    }

    pub(super) fn start(&mut self, alias: &Alias) {
        let (ssh, socket) = (self.ssh(alias), self.sockets.control_socket(alias));
        let askpass = self.sockets.askpass();
        let Some(held) = self.held.get_mut(alias) else { return };
        let Some(resolved) = held.resolved.clone() else { return };
        let given = held.given.clone();
        held.attempt = held.attempt.next();
        let generation = held.attempt.generation;
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
        let preparation = Preparation {
            settings: held.settings.clone(),
            resolved: resolved.clone(),
            environment: ssh.environment.clone(),
            on_terminal: self.settings.on_terminal.clone(),
            folders: self.settings.folders.clone(),
        };
        let errand = Errand { alias: alias.clone(), generation, inbox: self.inbox.clone() };
        let given_up = held.attempt.given_up.clone();
        let plan = Plan { ssh, alias: alias.clone(), given, resolved, socket, askpass, once: false };
        self.tasks.spawn(login::mastering(preparation, plan, errand, given_up));
    }
}
