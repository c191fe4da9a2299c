//! What comes before a login: the person is there, the authentication script has run, the Kerberos ticket is good.
//!
//! Must stay true: nothing of it is done twice at once for the same script, whatever broker does it; each step has an
//! end; a step that fails ends the login with a sentence that names it.

use super::Folders;
use super::errand::Errand;
use super::program::{Program, given_up};
use crate::answers::{Answers, HostAnswers};
use crate::host_settings::HostSettings;
use crate::protocol::{Failure, FailureKind};
use crate::script::Script;
use crate::ticket::Ticket;
use hop_connect::Alias;
use hop_connect::resolve::Resolved;
use hop_secrets::Exposed;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// A ticket with less time left than this is as good as none.
const LEAST_LEFT: Duration = Duration::from_secs(5 * 60);

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
        self.ticket(errand).await
    }

    /// Whether something may be answered without a person; then each question is answered once only.
    pub(super) fn is_answered(&self, alias: &Alias) -> bool {
        let book = Answers::within(&self.folders.state).read();
        book.is_ok_and(|book| book.of(alias).is_some_and(HostAnswers::answers_something))
    }

    /// Keys that others can read, and keys and certificates that are about to be published, are none any more.
    fn check_keys(&self, alias: &Alias) -> Result<(), Failure> {
        let user = rustix::process::geteuid().as_raw();
        let path = |named: &String| match named.strip_prefix("~/") {
            Some(rest) => self.folders.home.join(rest),
            None => PathBuf::from(named),
        };
        let refuse = |what: &str, exposed: Exposed| {
            let text = exposed.to_string();
            let (reason, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
            Err(Failure {
                kind: FailureKind::Config,
                reason: format!("not logging in to {alias} with an exposed {what}: {reason}"),
                hint: Some(hint.to_owned()).filter(|hint| !hint.is_empty()),
            })
        };
        let keys: Vec<PathBuf> = self.resolved.identity_files.iter().map(path).collect();
        // One that is not there, or that ssh cannot read either, is not used.
        for key in keys.iter().filter(|path| path.is_file()) {
            match hop_secrets::check_unexposed(key, user) {
                Ok(()) | Err(Exposed::Foreign { .. }) => {}
                Err(exposed) => return refuse("key", exposed),
            }
        }
        let beside = keys.into_iter().map(|mut key| {
            key.as_mut_os_string().push("-cert.pub");
            key
        });
        let named = self.resolved.certificate_files.iter().map(path);
        for certificate in beside.chain(named).filter(|path| path.is_file()) {
            if let Err(exposed) = hop_secrets::check_unpublished(&certificate) {
                return refuse("certificate", exposed);
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
        let mut environment = self.environment.clone();
        let of_host = [
            ("HOP_HOST", alias.as_str()),
            ("HOP_ADDRESS", &self.resolved.host_name),
            ("HOP_USER", &self.resolved.user),
        ];
        environment.extend(of_host.map(|(name, value)| (name.into(), value.into())));
        let words = vec![script.path().as_os_str().to_owned()];
        let (on_terminal, limit) = (self.on_terminal.as_slice(), self.settings.script_limit);
        Program { words, environment, on_terminal, limit }.run(errand).await
    }

    /// A host that takes Kerberos tickets gets one that lasts; who has one anyway is told how long.
    async fn ticket(&self, errand: &Errand) -> Result<(), Failure> {
        let Some(principal) = &self.settings.kerberos else {
            if self.resolved.gssapi {
                self.tell_ticket(errand, Ticket::find(&self.environment).await).await;
            }
            return Ok(());
        };
        if !self.resolved.gssapi {
            return Err(Failure {
                kind: FailureKind::Config,
                reason: format!(
                    "not logging in to {} with a Kerberos ticket: ssh does not use it there",
                    errand.alias
                ),
                hint: Some("GSSAPIAuthentication yes in ~/.ssh/config".to_owned()),
            });
        }
        let mut ticket = Ticket::find(&self.environment).await;
        if !ticket.lasts(LEAST_LEFT, SystemTime::now()) {
            let kinit = Program {
                words: vec!["kinit".into(), "--".into(), principal.into()],
                environment: self.environment.clone(),
                on_terminal: &self.on_terminal,
                limit: self.settings.script_limit,
            };
            kinit.run(errand).await?;
            ticket = Ticket::find(&self.environment).await;
        }
        self.tell_ticket(errand, ticket).await;
        Ok(())
    }

    async fn tell_ticket(&self, errand: &Errand, ticket: Ticket) {
        if let Ticket::Valid(Some(until)) = ticket {
            errand.ticket(until).await;
        }
    }
}
