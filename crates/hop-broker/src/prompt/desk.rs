//! The open questions: each asked of all who can answer, answered once.
//!
//! Must stay true: an answer names its question, and a question that was answered or withdrawn takes no other; so an
//! answer never lands in a newer question.

use super::class::{Class, Hint};
use hop_connect::Alias;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Names one question, for as long as the broker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PromptId(u64);

impl PromptId {
    /// The number that people see.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// A question as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Its name.
    pub id: PromptId,
    /// The host that is being logged in to.
    pub alias: Alias,
    /// What kind it is.
    pub class: Class,
    /// What ssh asks, without control characters.
    pub text: String,
    /// What ssh and the server said since the question before.
    pub context: Vec<String>,
    /// Whether the answer may be shown while it is typed.
    pub echo: bool,
}

/// All open questions, with whatever is needed to answer each.
#[derive(Debug)]
pub struct Desk<R> {
    next: u64,
    open: BTreeMap<PromptId, (Open, R)>,
}

impl<R> Default for Desk<R> {
    fn default() -> Self {
        Self { next: 1, open: BTreeMap::new() }
    }
}

impl<R> Desk<R> {
    /// Puts a question up. `reply` is kept for whoever answers.
    pub fn ask(&mut self, alias: Alias, text: String, hint: Hint, context: Vec<String>, reply: R) -> &Open {
        let id = PromptId(self.next);
        self.next += 1;
        let class = Class::of(&text, hint);
        let open = Open { id, alias, class, text, context, echo: class.echoes() };
        &self.open.entry(id).or_insert((open, reply)).0
    }

    /// Takes a question down because it is answered or withdrawn; `None` when it is not open any more.
    pub fn close(&mut self, id: PromptId) -> Option<(Open, R)> {
        self.open.remove(&id)
    }

    /// Takes down what was asked for a host.
    pub fn withdraw_all(&mut self, alias: &Alias) -> Vec<(Open, R)> {
        let ids: Vec<_> = self.open().filter(|open| open.alias == *alias).map(|open| open.id).collect();
        ids.into_iter().filter_map(|id| self.close(id)).collect()
    }

    /// Takes down those whose reply is of this kind.
    pub fn close_where(&mut self, is_wanted: impl Fn(&R) -> bool) -> Vec<PromptId> {
        let wanted = self.open.iter().filter(|(_, (_, reply))| is_wanted(reply)).map(|(id, _)| *id);
        let ids: Vec<_> = wanted.collect();
        ids.iter().for_each(|id| drop(self.open.remove(id)));
        ids
    }

    /// What is kept for whoever answers.
    pub fn replies(&self) -> impl Iterator<Item = &R> {
        self.open.values().map(|(_, reply)| reply)
    }

    /// The same of one question.
    pub fn reply_mut(&mut self, id: PromptId) -> Option<&mut R> {
        self.open.get_mut(&id).map(|(_, reply)| reply)
    }

    /// The open questions, the oldest first.
    pub fn open(&self) -> impl Iterator<Item = &Open> {
        self.open.values().map(|(open, _)| open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_once_and_never_by_an_older_answer() {
        let mut desk = Desk::default();
        let saga = Alias::parse("saga").unwrap();
        let code = "Verification code: ";
        let first = desk.ask(saga.clone(), code.to_owned(), Hint::Answer, vec![], 'a').id;
        assert_eq!(desk.close(first).map(|(_, reply)| reply), Some('a'));
        let second = desk.ask(saga.clone(), code.to_owned(), Hint::Answer, vec![], 'b').id;
        assert_ne!(first, second);
        assert!(desk.close(first).is_none(), "it was answered");
        assert_eq!(desk.withdraw_all(&saga).len(), 1);
        assert!(desk.close(second).is_none(), "it was withdrawn");
        assert_eq!(desk.open().count(), 0);
    }
}
