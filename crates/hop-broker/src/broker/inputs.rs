//! What each input does.

use super::held::{Held, Reply};
use super::place::Place;
use super::{Broker, Input};
use crate::prompt::class::Hint;
use hop_connect::Alias;
use hop_connect::connection;

impl Broker {
    pub(super) fn take(&mut self, input: Input) {
        match input {
            Input::Arrived { place, events, pid } => {
                self.places.insert(place, Place::new(events, pid));
            }
            Input::Said { place, request } => self.request(place, request),
            Input::NoDesktop { alias, generation } => self.no_desktop(&alias, generation),
            Input::Left { place } => self.left(place),
            Input::Resolved { alias, result } => self.resolved(&alias, result.map(|meaning| *meaning)),
            Input::Runs { alias, generation, pid } => {
                if let Some(held) = self.current(&alias, generation) {
                    held.attempt.master = pid;
                }
            }
            Input::Asked { alias, generation, text, reply } => {
                // Otherwise the reply is dropped, which is an answer, too.
                if self.current(&alias, generation).is_some() {
                    self.put(&alias, text, Hint::Answer, Reply::Task(reply));
                }
            }
            Input::Judged { alias, generation, candidate, verdict } => {
                if self.current(&alias, generation).is_some() {
                    self.judged(&alias, *candidate, verdict);
                }
            }
            Input::Ticket { alias, generation, until } => {
                if let Some(held) = self.current(&alias, generation) {
                    held.attempt.ticket = Some(until);
                }
            }
            Input::Note { alias, generation, text } => {
                if let Some(held) = self.current(&alias, generation) {
                    held.attempt.note(text);
                }
            }
            Input::Progress { alias, generation, text } => {
                if self.current(&alias, generation).is_some() {
                    self.tell_waiting(&alias, &text);
                }
            }
            Input::MasterUp { alias, generation, pid } => {
                if self.current(&alias, generation).is_some() {
                    self.event(&alias, connection::Event::MasterUp { pid });
                    self.learn(&alias);
                    self.reopen_forwards(&alias);
                    self.up(&alias, false);
                }
            }
            Input::MasterEnded { alias, generation, failure } => {
                if self.current(&alias, generation).is_some() {
                    self.master_ended(&alias, failure);
                }
            }
            Input::Line { alias, generation, text } => {
                tracing::debug!(%alias, text, "ssh");
                if let Some(held) = self.current(&alias, generation) {
                    held.attempt.heard(text);
                }
            }
            Input::Forwarded(opened) => self.forwarded(*opened),
            Input::PauseEnded { alias } => self.pause_ended(&alias),
            Input::PassengerLeft { alias, pid } => {
                let gone = self.held.get_mut(&alias).and_then(|held| held.passengers.remove(&pid));
                let had_session = gone.as_ref().is_some_and(|rider| rider.has_session);
                self.close_forwards_after(&alias, gone.map(|rider| rider.forwards).unwrap_or_default());
                self.user_left(&alias, had_session);
            }
        }
    }

    pub(super) fn current(&mut self, alias: &Alias, generation: u64) -> Option<&mut Held> {
        self.held.get_mut(alias).filter(|held| held.attempt.generation == generation)
    }
}
