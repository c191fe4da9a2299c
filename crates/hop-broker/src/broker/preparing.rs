//! What comes before a login: the person is there, and the authentication script has run.
//!
//! Must stay true: nothing of it is done twice at once for the same script, whatever broker does it; each step has an
//! end; a step that fails ends the login with a sentence that names it.

use super::Folders;
use super::errand::Errand;
use crate::answers::{Answers, HostAnswers};
use crate::dialogue::{Dialogue, Step};
use crate::host_settings::HostSettings;
use crate::protocol::{Failure, FailureKind};
use crate::script::Script;
use hop_connect::Alias;
use hop_connect::resolve::Resolved;
use hop_secrets::Exposed;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Lines of a script that its failure is explained with.
const LAST_LINES: usize = 3;

/// What is to be done for a login.
#[derive(Clone, Debug)]
pub(super) struct Preparation {
    pub(super) settings: HostSettings,
    pub(super) resolved: Resolved,
    /// What scripts see of the person's environment.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// See [`super::Settings::on_terminal`].
    pub(super) on_terminal: Vec<OsString>,
    pub(super) folders: Folders,
}

impl Preparation {
    /// Does all of it.
    pub(super) async fn run(&self, errand: &Errand) -> Result<(), Failure> {
        self.check_keys(&errand.alias)?;
        if self.settings.when_ready {
            let alias = &errand.alias;
            let text = format!("{alias} waits only a while for answers. Press Enter when you are ready:");
            errand.ask(text).await.ok_or_else(|| given_up(errand))?;
        }
        if let Some(path) = &self.settings.authentication_script {
            self.run_script(errand, path.clone()).await?;
        }
        Ok(())
    }

    /// Whether something may be answered without a person; then each question is answered once only.
    pub(super) fn is_answered(&self, alias: &Alias) -> bool {
        let book = Answers::within(&self.folders.state).read();
        book.is_ok_and(|book| book.of(alias).is_some_and(HostAnswers::answers_something))
    }

    /// Keys that others can read, or that are about to be published, are no keys any more.
    fn check_keys(&self, alias: &Alias) -> Result<(), Failure> {
        let user = rustix::process::geteuid().as_raw();
        for named in &self.resolved.identity_files {
            let path = match named.strip_prefix("~/") {
                Some(rest) => self.folders.home.join(rest),
                None => PathBuf::from(named),
            };
            // One that is not there, or that ssh cannot read either, is not used.
            let is_there = path.is_file();
            if let Err(exposed) = hop_secrets::check_unexposed(&path, user)
                && is_there
                && !matches!(exposed, Exposed::Foreign { .. })
            {
                let text = exposed.to_string();
                let (reason, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
                return Err(Failure {
                    kind: FailureKind::Config,
                    reason: format!("not logging in to {alias} with an exposed key: {reason}"),
                    hint: Some(hint.to_owned()).filter(|hint| !hint.is_empty()),
                });
            }
        }
        Ok(())
    }

    async fn run_script(&self, errand: &Errand, path: PathBuf) -> Result<(), Failure> {
        let alias = &errand.alias;
        let refused = |error: &dyn std::fmt::Display| {
            let text = error.to_string();
            let (reason, hint) = match text.split_once("\nhint: ") {
                Some((reason, hint)) => (reason.to_owned(), Some(hint.to_owned())),
                None => (text, None),
            };
            Failure {
                kind: FailureKind::Config,
                reason: format!("not logging in to {alias}: {reason}"),
                hint,
            }
        };
        let script = Script::check(path).map_err(|error| refused(&error))?;
        // One that runs already may have made what this one is to make; then it has nothing to do.
        let _alone = script.lock(&self.folders.state).await.map_err(|error| refused(&error))?;
        errand.progress(format!("running {}", script.path().display())).await;
        let mut environment = self.environment.clone();
        let of_host = [
            ("HOP_HOST", alias.as_str()),
            ("HOP_ADDRESS", &self.resolved.host_name),
            ("HOP_USER", &self.resolved.user),
        ];
        environment.extend(of_host.map(|(name, value)| (name.into(), value.into())));
        let words = [script.path().as_os_str().to_owned()];
        let started = Dialogue::start(&self.on_terminal, &words, &environment);
        let mut dialogue = started.map_err(|error| refused(&cannot_run(&script, &error)))?;
        let mut said = Vec::new();
        let limit = self.settings.script_limit;
        let ended = tokio::time::timeout(limit, hold(&mut dialogue, errand, &mut said)).await;
        errand.runs(None).await;
        let name = script.path().display();
        let reason = match ended {
            Ok(Ok(Some(status))) if status.success() => return Ok(()),
            Ok(Ok(Some(status))) => format!("{name} ended with {}", worded(status)),
            Ok(Ok(None)) => return Err(given_up(errand)),
            Ok(Err(error)) => cannot_run(&script, &error),
            Err(_) => format!("{name} took longer than {} s", limit.as_secs()),
        };
        let last: Vec<String> = said.split_off(said.len().saturating_sub(LAST_LINES));
        let words = if last.is_empty() { String::new() } else { format!(": {}", last.join(" / ")) };
        Err(Failure {
            kind: FailureKind::Denied,
            reason: format!("not logging in to {alias}: {reason}{words}"),
            hint: Some(format!("run {name} in a terminal and see what it says")),
        })
    }
}

/// Talks with a program until it ends; `None` when nobody answers it.
async fn hold(
    dialogue: &mut Dialogue,
    errand: &Errand,
    said: &mut Vec<String>,
) -> std::io::Result<Option<ExitStatus>> {
    errand.runs(dialogue.pid()).await;
    loop {
        match dialogue.next().await? {
            Step::Line(line) => {
                if !line.is_empty() {
                    said.push(line.clone());
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

fn cannot_run(script: &Script, error: &std::io::Error) -> String {
    format!("cannot run {}: {error}", script.path().display())
}

fn worded(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("status {code}"),
        None => status.to_string(),
    }
}

fn given_up(errand: &Errand) -> Failure {
    let reason = format!("not logging in to {}: a question was not answered", errand.alias);
    Failure { kind: FailureKind::NeedsPerson, reason, hint: Some(format!("hop login {}", errand.alias)) }
}
