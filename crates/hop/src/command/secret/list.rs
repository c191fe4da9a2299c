//! `hop secret list`: what is stored and which questions it answers; no secret.

use super::answers;
use crate::cli::secret::SecretList;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_broker::answers::HostAnswers;
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    secrets: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    host: String,
    kind: &'static str,
    /// Why it is not used.
    stopped: Option<String>,
    questions: Vec<String>,
}

pub(super) fn run(arguments: &SecretList) -> Result<(), CommandError> {
    let book = answers().read().or_fail(ErrorKind::Config)?;
    let secrets: Vec<Line> = book.hosts.iter().flat_map(|(host, answers)| lines(host, answers)).collect();
    if arguments.json {
        return output::json(&Document { schema_version: 1, secrets });
    }
    if secrets.is_empty() {
        output::note(
            "Nothing is stored for logins. hop secret set HOST totp|password|passphrase stores something.",
        );
    }
    for Line { host, kind, stopped, questions } in secrets {
        let state = match (&stopped, questions.as_slice()) {
            (Some(why), _) => format!("not used: {why} (hop secret enable {host} {kind})"),
            (None, []) => "learns its question from your next login".to_owned(),
            (None, questions) => {
                let quoted: Vec<_> = questions.iter().map(|question| format!("\"{question}\"")).collect();
                format!("answers {}", quoted.join(", "))
            }
        };
        output::line(&format!("{host}  {kind}  {state}"));
    }
    Ok(())
}

fn lines<'a>(host: &'a str, answers: &'a HostAnswers) -> impl Iterator<Item = Line> + 'a {
    answers.secrets.iter().map(move |(kind, entrusted)| {
        let of_kind = answers.questions.iter().filter(|(_, answering)| answering.kinds().contains(kind));
        Line {
            host: host.to_owned(),
            kind: kind.name(),
            stopped: entrusted.stopped.clone(),
            questions: of_kind.map(|(question, _)| question.clone()).collect(),
        }
    })
}
