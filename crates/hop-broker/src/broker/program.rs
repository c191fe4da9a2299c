//! A program that is run for a login: its lines are told, its questions asked, its end judged.

use super::errand::Errand;
use crate::dialogue::{Dialogue, Step};
use crate::protocol::{Failure, FailureKind};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// Lines that a failure is explained with.
const LAST_LINES: usize = 3;

/// What is run.
#[derive(Debug)]
pub(super) struct Program<'a> {
    /// The program and its arguments.
    pub(super) words: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
    /// See [`super::Settings::on_terminal`].
    pub(super) on_terminal: &'a [OsString],
    pub(super) limit: Duration,
}

impl Program<'_> {
    /// Runs it to its end; anything but success is a failure of the login.
    pub(super) async fn run(self, errand: &Errand) -> Result<(), Failure> {
        let shown: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        let name = shown.join(" ");
        errand.progress(format!("running {name}")).await;
        let mut said = VecDeque::new();
        let ended = match Dialogue::start(self.on_terminal, &self.words, &self.environment) {
            Ok(mut dialogue) => {
                let ended = tokio::time::timeout(self.limit, hold(&mut dialogue, errand, &mut said)).await;
                errand.runs(None).await;
                ended
            }
            Err(error) => Ok(Err(error)),
        };
        let reason = match ended {
            Ok(Ok(Some(status))) if status.success() => return Ok(()),
            Ok(Ok(Some(status))) => format!("{name} ended with {}", worded(status)),
            Ok(Ok(None)) => return Err(given_up(errand)),
            Ok(Err(error)) => format!("cannot run {name}: {error}"),
            Err(_) => format!("{name} took longer than {} s", self.limit.as_secs()),
        };
        let last: Vec<String> = said.into();
        let words = if last.is_empty() { String::new() } else { format!(": {}", last.join(" / ")) };
        Err(Failure {
            kind: FailureKind::Denied,
            reason: format!("not logging in to {}: {reason}{words}", errand.alias),
            hint: Some(format!("run {name} in a terminal and see what it says")),
        })
    }
}

/// Talks with a program until it ends; `None` when nobody answers it.
async fn hold(
    dialogue: &mut Dialogue,
    errand: &Errand,
    said: &mut VecDeque<String>,
) -> io::Result<Option<ExitStatus>> {
    errand.runs(dialogue.pid()).await;
    loop {
        match dialogue.next().await? {
            Step::Line(line) => {
                if !line.is_empty() {
                    if said.len() == LAST_LINES {
                        said.pop_front();
                    }
                    said.push_back(line.clone());
                    // A page to visit may be all that it ever says.
                    errand.progress(line.clone()).await;
                }
                errand.line(line).await;
            }
            Step::Question(text) => match errand.ask(text).await {
                Some(answer) => dialogue.answer(answer).await?,
                None => return Ok(None),
            },
            Step::Ended(status) => return Ok(Some(status)),
        }
    }
}

fn worded(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("status {code}"),
        None => status.to_string(),
    }
}

/// A question was asked, and the login given up instead of answering it.
pub(super) fn given_up(errand: &Errand) -> Failure {
    let reason = format!("not logging in to {}: a question was not answered", errand.alias);
    Failure { kind: FailureKind::NeedsPerson, reason, hint: Some(format!("hop login {}", errand.alias)) }
}
