//! A conversation with the broker at a terminal: what is asked there is shown and answered until the conversation's
//! own matter is settled.

use super::terminal::{Asked, Terminal};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_broker::prompt::{Class, Open, PromptId};
use hop_broker::{Conversation, ConversationError, Event, Request, Secret};
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Where questions are asked, if anywhere.
pub(crate) struct Place {
    pub(crate) conversation: Conversation,
    pub(crate) terminal: Option<Terminal>,
    waiting: VecDeque<Open>,
    settled: VecDeque<Event>,
}

/// How waiting ended.
#[derive(Debug)]
pub(crate) enum Waited {
    /// With this event.
    Event(Box<Event>),
    /// It took longer than was allowed, and nobody was being asked.
    TooLong,
}

impl Place {
    pub(crate) fn new(conversation: Conversation, terminal: Option<Terminal>) -> Self {
        Self { conversation, terminal, waiting: VecDeque::new(), settled: VecDeque::new() }
    }

    pub(crate) fn send(&mut self, request: &Request) -> Result<(), CommandError> {
        self.conversation.send(request).or_fail(ErrorKind::Unavailable)
    }

    /// The next event that is no question, asking meanwhile whatever is asked.
    pub(crate) fn next(&mut self) -> Result<Event, CommandError> {
        match self.next_within(None)? {
            Waited::Event(event) => Ok(*event),
            // Without a limit that does not happen.
            Waited::TooLong => Err(CommandError::new(ErrorKind::Internal, "waiting ended without a limit")),
        }
    }

    /// The same with a limit, which does not count while a person types.
    pub(crate) fn next_within(&mut self, limit: Option<Duration>) -> Result<Waited, CommandError> {
        let end = limit.map(|limit| Instant::now() + limit);
        loop {
            if let Some(event) = self.settled.pop_front() {
                return Ok(Waited::Event(Box::new(event)));
            }
            if let Some(open) = self.waiting.pop_front() {
                self.ask(&open)?;
                continue;
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(Waited::TooLong);
            }
            self.conversation.set_limit(left).or_fail(ErrorKind::Unavailable)?;
            match self.conversation.next() {
                Ok(event) => self.sort(event),
                Err(ConversationError::Io(error)) if is_timeout(&error) => return Ok(Waited::TooLong),
                Err(error) => return Err(CommandError::new(ErrorKind::Unavailable, error)),
            }
        }
    }

    fn sort(&mut self, event: Event) {
        match event {
            Event::Prompt(open) => self.waiting.push_back(open),
            Event::Withdrawn { prompt } => self.waiting.retain(|open| open.id != prompt),
            other => self.settled.push_back(other),
        }
    }

    fn ask(&mut self, open: &Open) -> Result<(), CommandError> {
        let Some(terminal) = &mut self.terminal else {
            return self.send(&Request::Decline { prompt: open.id });
        };
        for line in open.context.iter().filter(|line| !line.is_empty()) {
            terminal.show(line);
        }
        if open.class == Class::Touch {
            terminal.show(&open.text);
            // Nothing is typed; it goes by itself.
            return Ok(());
        }
        let prompt = shown(open);
        loop {
            self.conversation.set_limit(None).or_fail(ErrorKind::Unavailable)?;
            let Some(terminal) = &mut self.terminal else { return Ok(()) };
            let asked = terminal
                .ask(&prompt, open.echo, self.conversation.as_fd())
                .or_fail(ErrorKind::Unavailable)?;
            match asked {
                Asked::Answer(text) if open.class == Class::HostKey && text.expose().trim().is_empty() => {}
                Asked::Answer(text) => return self.answer(open.id, text),
                Asked::Abort => {
                    self.send(&Request::Decline { prompt: open.id })?;
                    return Err(CommandError::new(ErrorKind::Interrupted, "interrupted"));
                }
                Asked::Interrupted => {
                    if self.is_withdrawn(open.id)? {
                        if let Some(terminal) = &mut self.terminal {
                            terminal.flush();
                        }
                        output::note("That question is settled.");
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Reads what interrupted a question.
    fn is_withdrawn(&mut self, prompt: PromptId) -> Result<bool, CommandError> {
        self.conversation.read_more().or_fail(ErrorKind::Unavailable)?;
        let mut is_withdrawn = false;
        while let Some(event) = self.conversation.buffered().or_fail(ErrorKind::Unavailable)? {
            is_withdrawn |= matches!(event, Event::Withdrawn { prompt: gone } if gone == prompt);
            // What settles the matter settles the question.
            is_withdrawn |= matches!(event, Event::Up { .. } | Event::Failed(_) | Event::Declined { .. });
            self.sort(event);
        }
        Ok(is_withdrawn)
    }

    fn answer(&mut self, prompt: PromptId, text: Secret) -> Result<(), CommandError> {
        self.send(&Request::Answer { prompt, text })
    }
}

/// ssh's own words. Its prompts name user and address already, but for keys.
fn shown(open: &Open) -> String {
    let text = open.text.trim_end();
    let named = matches!(open.class, Class::Passphrase | Class::Pin);
    if named { format!("[{}] {text} ", open.alias) } else { format!("{text} ") }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
