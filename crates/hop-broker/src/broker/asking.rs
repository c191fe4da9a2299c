//! Questions on their way from ssh to a person and back.
//!
//! Must stay true: only a process that a login in progress has started may ask, by the kernel's word for whose child it
//! is; an answer goes to it and to nobody else.

use super::Broker;
use super::held::{Asking, Reply};
use super::place::PlaceId;
use crate::prompt::class::Hint;
use crate::prompt::{Class, Open, PromptId};
use crate::protocol::Event;
use hop_connect::Alias;
use hop_connect::connection::{self, Connection};
use hop_connect::master::printable;
use hop_model::Secret;
use std::time::SystemTime;

/// The longest question that is shown.
const LONGEST: usize = 4096;

impl Broker {
    pub(super) fn ask(&mut self, place: PlaceId, alias: &Alias, text: &str, hint: Hint) {
        let Some(pid) = self.places.get(&place).map(|place| place.pid) else { return };
        let Some(held) = self.held.get_mut(alias) else { return self.answer(place, Event::Unanswered) };
        let is_ours = matches!(held.connection, Connection::Starting(_))
            && held.attempt.master.is_some_and(|master| hop_connect::parent::is_ancestor(master, pid));
        if !is_ours {
            tracing::warn!(%alias, pid, "a process that no login started asks; it gets no answer");
            return self.answer(place, Event::Unanswered);
        }
        if !self.try_machine(place, alias, text, hint) {
            self.put(alias, text.to_owned(), hint, Reply::Process(place));
        }
    }

    /// Puts a question up wherever it belongs.
    pub(super) fn put(&mut self, alias: &Alias, text: String, hint: Hint, reply: Reply) {
        let Some(held) = self.held.get_mut(alias) else { return self.reply(reply, None) };
        let lines = text.lines().map(|line| printable(line.as_bytes()));
        let text: String = lines.collect::<Vec<_>>().join("\n").chars().take(LONGEST).collect();
        let mut context: Vec<String> = held.attempt.take_context();
        // ssh itself says nothing when a server asks the same once more.
        if held.attempt.answered.as_ref() == Some(&text) {
            context.push("That was not accepted.".to_owned());
        }
        let since = SystemTime::now();
        let asking = Asking { reply, since, give_up: None };
        self.desk.ask(alias.clone(), text, hint, context, asking);
        self.show_all();
        self.refuse_where_nobody_is();
    }

    fn reply(&self, reply: Reply, answer: Option<Secret>) {
        match (reply, answer) {
            (Reply::Process(place), Some(text)) => self.answer(place, Event::Answered { text }),
            (Reply::Process(place), None) => self.answer(place, Event::Unanswered),
            (Reply::Task(reply), Some(text)) => {
                // A task that has ended meanwhile needs no answer.
                let _ = reply.send(text);
            }
            // Dropping it says it.
            (Reply::Task(_), None) => {}
        }
    }

    /// Shows every question wherever it belongs and is not shown yet.
    pub(super) fn show_all(&mut self) {
        let open: Vec<Open> = self.desk.open().cloned().collect();
        for question in open {
            for place in self.audience(&question.alias) {
                if let Some(place) = self.places.get_mut(&place)
                    && place.shown.insert(question.id)
                {
                    place.tell(Event::Prompt(question.clone()));
                }
            }
        }
    }

    /// Where a question is open and nobody can be asked, those who wait are told at once; the question stays a while
    /// for `hop answer`.
    pub(super) fn refuse_where_nobody_is(&mut self) {
        let asked: Vec<Alias> = self.desk.open().map(|open| open.alias.clone()).collect();
        for alias in asked.iter().filter(|alias| self.audience(alias).is_empty()).cloned().collect::<Vec<_>>()
        {
            if !self.opens_page(&alias) {
                self.fail_waiting(&alias, &|| super::needs_person(&alias));
            }
        }
    }

    pub(super) fn answered(&mut self, place: PlaceId, prompt: PromptId, text: Secret) {
        if !self.places.get(&place).is_some_and(|place| place.shown.contains(&prompt)) {
            let reason = "that question was not asked here".to_owned();
            return self.answer(place, Event::Refused { reason });
        }
        let Some((open, asking)) = self.desk.close(prompt) else {
            // Somebody else was quicker, or the host has hung up: this is no answer to anything else.
            return self.answer(place, Event::Withdrawn { prompt });
        };
        if let Some(held) = self.held.get_mut(&open.alias)
            && open.class != Class::HostKey
            && matches!(asking.reply, Reply::Process(_))
        {
            held.attempt.answered = Some(open.text.clone());
            held.attempt.asked = Some(SystemTime::now().duration_since(asking.since).unwrap_or_default());
        }
        if open.class == Class::Code || open.class == Class::PasswordAndCode {
            self.code_was_typed(&open.alias, &text);
        }
        self.reply(asking.reply, Some(text));
        self.take_down(prompt, Some(place));
    }

    pub(super) fn declined(&mut self, place: PlaceId, prompt: PromptId) {
        if let Some(place) = self.places.get_mut(&place) {
            place.shown.remove(&prompt);
        }
        // Others may still answer.
        let Some(alias) = self.desk.open().find(|open| open.id == prompt).map(|open| open.alias.clone())
        else {
            return;
        };
        let others = self.audience(&alias);
        if others.iter().all(|other| *other == place) {
            self.give_up(&alias, "the login was given up");
        }
    }

    /// The askpass process is gone: its ssh has given the question up.
    pub(super) fn askpass_left(&mut self, place: PlaceId) {
        let theirs: Vec<PromptId> =
            self.desk.close_where(|asking| matches!(asking.reply, Reply::Process(by) if by == place));
        for prompt in theirs {
            self.take_down(prompt, None);
        }
    }

    /// A login ended with its questions open.
    pub(super) fn withdraw(&mut self, alias: &Alias) {
        for (open, asking) in self.desk.withdraw_all(alias) {
            self.reply(asking.reply, None);
            self.take_down(open.id, None);
        }
    }

    /// Ends a login instead of leaving its question without an answer: ssh would take that for an empty one, send it, and be
    /// asked again, and sites count wrong answers.
    fn give_up(&mut self, alias: &Alias, why: &str) {
        if let Some(held) = self.held.get_mut(alias) {
            held.attempt.ending = Some(why.to_owned());
        }
        self.event(alias, connection::Event::Logout { at_once: true });
        self.abandon(alias);
    }

    fn take_down(&mut self, prompt: PromptId, except: Option<PlaceId>) {
        for (id, place) in &mut self.places {
            if place.shown.remove(&prompt) && Some(*id) != except {
                place.tell(Event::Withdrawn { prompt });
            }
        }
    }

    pub(super) fn next_question_end(&self) -> Option<SystemTime> {
        self.desk.replies().filter_map(|asking| asking.give_up).min()
    }

    /// Gives up what nobody was there to answer for too long.
    pub(super) fn give_up_questions(&mut self, now: SystemTime) {
        let attended: Vec<(PromptId, bool)> =
            self.desk.open().map(|open| (open.id, !self.audience(&open.alias).is_empty())).collect();
        let wait = self.settings.question_wait;
        for (prompt, is_attended) in attended {
            let Some(asking) = self.desk.reply_mut(prompt) else { continue };
            asking.give_up = if is_attended { None } else { asking.give_up.or(Some(now + wait)) };
            if asking.give_up.is_none_or(|at| at > now) {
                continue;
            }
            let Some(alias) = self.desk.open().find(|open| open.id == prompt).map(|open| open.alias.clone())
            else {
                continue;
            };
            if let Some(held) = self.held.get_mut(&alias) {
                held.attempt.unanswered = true;
            }
            self.give_up(&alias, "nobody was there to be asked");
        }
    }
}
