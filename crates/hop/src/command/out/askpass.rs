//! What ssh runs to ask something (SSH_ASKPASS): passes the question to the broker and its answer back.

use crate::output;
use hop_broker::prompt::class::Hint;
use hop_broker::{Conversation, Event, Request};
use hop_connect::resolve::MASTER_VARIABLE;
use hop_connect::{Alias, SocketDirectory};
use std::path::PathBuf;
use std::process::ExitCode;

/// The name that this program is called by then.
pub(crate) const NAME: &str = "hop-askpass";

/// `called` is the path of the program as it was called: it lies in the broker's directory.
pub(crate) fn run(called: &std::path::Path, mut words: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let text = words.next().unwrap_or_default().to_string_lossy().into_owned();
    match ask(called, text) {
        Some(answer) => {
            if let Some(text) = answer {
                output::line(text.expose());
            }
            ExitCode::SUCCESS
        }
        // ssh takes that for no answer and goes on to the next method.
        None => ExitCode::FAILURE,
    }
}

fn ask(called: &std::path::Path, text: String) -> Option<Option<hop_broker::Secret>> {
    let sockets = SocketDirectory::at(called.ancestors().nth(2).map(PathBuf::from)?);
    let alias = Alias::parse(&std::env::var(MASTER_VARIABLE).ok()?).ok()?;
    let hint = match std::env::var("SSH_ASKPASS_PROMPT").as_deref() {
        Ok("confirm") => Hint::Confirm,
        Ok("none") => Hint::Notice,
        _ => Hint::Answer,
    };
    let mut conversation = Conversation::connect(&sockets).ok()?;
    conversation.send(&Request::Ask { alias, text, hint }).ok()?;
    loop {
        match conversation.next().ok()? {
            Event::Answered { text } if hint == Hint::Confirm => {
                let agreed = matches!(text.expose().trim().to_lowercase().as_str(), "y" | "yes");
                return agreed.then_some(None);
            }
            Event::Answered { text } => return Some(Some(text)),
            Event::Unanswered | Event::Refused { .. } => return None,
            _ => {}
        }
    }
}
