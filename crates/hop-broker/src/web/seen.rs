//! What pages show: a place of the broker's that attends for all of them, and is there as long as somebody looks.
//!
//! Must stay true: without a page that was looked at within a minute, no question is taken for attended.

use super::Shared;
use super::conversation::Conversation;
use crate::prompt::Open;
use crate::protocol::{Event, Request, Status};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A page without a script looks again before that.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines that are kept.
const NOTES: usize = 5;

/// What is to be seen now.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// The open questions, the oldest first.
    pub(super) questions: Vec<Open>,
    /// All connections; `None` until the broker has said.
    pub(super) status: Option<Status>,
    /// What the broker told, the newest last.
    pub(super) notes: VecDeque<String>,
}

/// What is to be seen, and who looks.
#[derive(Debug)]
pub(super) struct Seen {
    view: watch::Sender<View>,
    looked: Mutex<Option<Instant>>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { view: watch::Sender::new(View::default()), looked: Mutex::default() }
    }
}

impl Seen {
    /// Looks: the place is taken if nobody looked before. A receiver that is kept is somebody who goes on looking.
    pub(super) fn look(shared: &Arc<Shared>) -> watch::Receiver<View> {
        let seen = &shared.seen;
        let receiver = seen.view.subscribe();
        let before = seen.looked.lock().unwrap_or_else(PoisonError::into_inner).replace(Instant::now());
        if before.is_none() {
            seen.view.send_replace(View::default());
            let shared = shared.clone();
            // It ends by itself, at the latest with the broker, whose end ends its conversation.
            tokio::spawn(async move {
                if let Err(error) = shared.seen.follow(&shared).await {
                    tracing::debug!(%error, "a page's conversation ended");
                    *shared.seen.looked.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
            });
        }
        receiver
    }

    async fn follow(&self, shared: &Shared) -> io::Result<()> {
        let mut conversation = Conversation::start(&shared.sockets).await?;
        conversation.say(&Request::Attend).await?;
        conversation.say(&Request::Watch).await?;
        loop {
            let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            let until = looked.map_or_else(Instant::now, |looked| looked + PATIENCE);
            tokio::select! {
                event = conversation.next() => {
                    let event = event?;
                    self.view.send_if_modified(|view| view.take(event));
                }
                () = tokio::time::sleep_until(until) => {
                    let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
                    if self.view.receiver_count() > 0 {
                        *looked = Some(Instant::now());
                    } else if looked.is_none_or(|looked| looked.elapsed() >= PATIENCE) {
                        // Whoever looks from here on takes the place anew.
                        *looked = None;
                        return Ok(());
                    }
                }
            }
        }
    }
}

impl View {
    /// Takes an event in; whether something is to be seen of it.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Prompt(open) => {
                self.questions.retain(|known| known.id != open.id);
                self.questions.push(open);
                true
            }
            Event::Withdrawn { prompt } => {
                self.questions.retain(|open| open.id != prompt);
                true
            }
            Event::Status(status) => {
                let is_new = self.status.as_ref() != Some(&status);
                self.status = Some(status);
                is_new
            }
            Event::Progress { text } | Event::InLine { text } => {
                if self.notes.len() == NOTES {
                    self.notes.pop_front();
                }
                self.notes.push_back(text);
                true
            }
            Event::Refused { reason } => {
                tracing::warn!(reason, "the broker refused a page");
                false
            }
            Event::Hello { .. }
            | Event::Up { .. }
            | Event::Failed(_)
            | Event::Declined { .. }
            | Event::Answered { .. }
            | Event::Unanswered
            | Event::Page { .. }
            | Event::Api { .. }
            | Event::Port { .. }
            | Event::Forwarded { .. }
            | Event::Done => false,
        }
    }
}
