//! One login from its start to its end: its process, what it said, what it asked.
//!
//! Must stay true: a new login begins with a new attempt, so that nothing of one is taken for the next one's.

use super::answering::Answered;
use super::desktop::Desktop;
use std::collections::VecDeque;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// Lines of standard error that are kept.
const LINES: usize = 64;

/// A login.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// Numbers attempts, so that the end of one is never taken for that of the next.
    pub(super) generation: u64,
    /// The process that was started, and its group.
    pub(super) master: Option<u32>,
    /// What is done before the process is started ends with this.
    pub(super) given_up: CancellationToken,
    /// Standard error since the last question.
    context: VecDeque<String>,
    /// Standard error of the whole attempt.
    said: VecDeque<String>,
    /// How long the last question was open; `None` when nothing was asked.
    pub(super) asked: Option<Duration>,
    /// The last question that was answered.
    pub(super) answered: Option<String>,
    /// Questions that were answered with what was entrusted.
    pub(super) by_machine: Answered,
    /// Questions that a person was asked, which could have been.
    pub(super) by_person: Answered,
    /// The end of the Kerberos ticket that it uses.
    pub(super) ticket: Option<SystemTime>,
    /// Somebody was asked and nobody was there.
    pub(super) unanswered: bool,
    /// Whether the page was opened for it.
    pub(super) desktop: Desktop,
    /// Why it was ended by us.
    pub(super) ending: Option<String>,
}

impl Attempt {
    /// The one after this.
    pub(super) fn next(&self) -> Self {
        Self { generation: self.generation + 1, ..Self::default() }
    }

    /// It is over: what it still says is not heard.
    pub(super) fn give_up(&mut self) {
        self.generation += 1;
        self.given_up.cancel();
    }

    /// Keeps a line of standard error.
    pub(super) fn heard(&mut self, line: String) {
        for kept in [&mut self.context, &mut self.said] {
            if kept.len() == LINES {
                kept.pop_front();
            }
            kept.push_back(line.clone());
        }
    }

    /// Keeps a line of ours for the next question.
    pub(super) fn note(&mut self, line: String) {
        self.context.push_back(line);
    }

    /// What was said since the last question; it goes with this one.
    pub(super) fn take_context(&mut self) -> Vec<String> {
        self.context.drain(..).collect()
    }

    /// All that was said, the last line last.
    pub(super) fn said(&self) -> Vec<String> {
        self.said.iter().cloned().collect()
    }
}
