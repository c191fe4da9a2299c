//! Questions that a secret which was entrusted answers instead of a person.
//!
//! Must stay true: only the login's own ssh is answered, by the kernel's word for whose child asks and where its answer
//! goes; only a question that is recorded word by word; each secret once in a login. In doubt a person is asked.

use super::Broker;
use super::errand::Errand;
use super::held::Reply;
use super::place::PlaceId;
use super::safe::Safe;
use crate::answers::{Answering, Answers, question};
use crate::prompt::Class;
use crate::prompt::class::Hint;
use crate::protocol::{Event, Failure};
use hop_connect::Alias;
use hop_secrets::{Kind, Label, Secret, Totp};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A code that counts for less than this may be over before it is judged.
const TOO_LATE: Duration = Duration::from_secs(2);

/// A question that may be answered here.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    place: PlaceId,
    text: String,
    /// As it is remembered.
    question: String,
    answering: Answering,
    /// It was answered in this login already.
    is_again: bool,
    /// The file that forbids codes.
    totp: Result<(), PathBuf>,
    answers: Answers,
    safe: Safe,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Verdict {
    /// This is the answer.
    Machine(Secret),
    /// A person is asked, and told this.
    Person(Option<String>),
}

/// Questions that were answered in a login.
pub(super) type Answered = Vec<(String, Answering)>;

impl Broker {
    /// Hands a question to a task that looks for its answer; `false` when it is a person's.
    pub(super) fn try_machine(&mut self, place: PlaceId, alias: &Alias, text: &str, hint: Hint) -> bool {
        let Some(pid) = self.places.get(&place).map(|place| place.pid) else { return false };
        let (answers, safe) = (Answers::within(&self.settings.folders.state), self.safe(alias));
        let inbox = self.inbox.clone();
        let Some(held) = self.held.get(alias) else { return false };
        let is_own = held.attempt.master.is_some_and(|ssh| hop_connect::parent::is_question_of(ssh, pid));
        let answering = Answering::of(Class::of(text, hint)).filter(|_| hint == Hint::Answer && is_own);
        let (Some(answering), Some(resolved)) = (answering, &held.resolved) else { return false };
        let question = question(text, resolved);
        let is_again = held.attempt.by_machine.iter().any(|(answered, _)| *answered == question);
        let totp = held.settings.totp.clone();
        let text = text.to_owned();
        let candidate = Candidate { place, text, question, answering, is_again, totp, answers, safe };
        let errand = Errand { alias: alias.clone(), generation: held.attempt.generation, inbox };
        let given_up = held.attempt.given_up.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = given_up.cancelled() => {}
                verdict = candidate.judge(&errand) => errand.judged(candidate, verdict).await,
            }
        });
        true
    }

    pub(super) fn judged(&mut self, alias: &Alias, candidate: Candidate, verdict: Verdict) {
        let Some(held) = self.held.get_mut(alias) else { return };
        let place = candidate.place;
        match verdict {
            Verdict::Machine(text) => {
                tracing::info!(%alias, question = candidate.question, "answered with what was entrusted");
                held.attempt.by_machine.push((candidate.question, candidate.answering));
                self.answer(place, Event::Answered { text });
            }
            Verdict::Person(note) => {
                held.attempt.by_person.push((candidate.question, candidate.answering));
                if let Some(note) = note {
                    held.attempt.note(note);
                }
                self.put(alias, candidate.text, Hint::Answer, Reply::Process(place));
            }
        }
    }

    pub(super) fn safe(&self, alias: &Alias) -> Safe {
        let given = self.held.get(alias).map(|held| held.environment.as_slice()).unwrap_or_default();
        let bus = given.iter().find(|(name, _)| name == "DBUS_SESSION_BUS_ADDRESS");
        Safe { bus: bus.map(|(_, bus)| bus.clone()), file: self.settings.folders.secrets.clone() }
    }

    /// A login succeeded: what a person answered in it may be answered from now on, where it was entrusted.
    pub(super) fn learn(&mut self, alias: &Alias) {
        let Some(held) = self.held.get_mut(alias) else { return };
        let answered = std::mem::take(&mut held.attempt.by_person);
        if answered.is_empty() {
            return;
        }
        let (answers, alias) = (Answers::within(&self.settings.folders.state), alias.clone());
        self.tasks.spawn(recording(answers, move |book| {
            for (question, answering) in answered {
                if book.learn(&alias, &question, answering) {
                    tracing::info!(%alias, question, "is answered from now on");
                }
            }
        }));
    }

    /// A login failed after something was answered: it is not used again until a person says so.
    pub(super) fn distrust(&mut self, alias: &Alias, failure: &mut Failure) {
        let Some(held) = self.held.get_mut(alias) else { return };
        let answered = std::mem::take(&mut held.attempt.by_machine);
        let mut kinds: Vec<Kind> = answered.iter().flat_map(|(_, a)| a.kinds().iter().copied()).collect();
        kinds.sort();
        kinds.dedup();
        if kinds.is_empty() {
            return;
        }
        let names = kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" and ");
        failure.reason = format!("{} (answered with the stored {names})", failure.reason);
        let clock = if kinds.contains(&Kind::Totp) { "is this machine's clock right? " } else { "" };
        failure.hint = Some(format!(
            "{clock}The stored {names} is not used again until you say so: hop secret enable {alias}, or set it anew"
        ));
        let (answers, alias) = (Answers::within(&self.settings.folders.state), alias.clone());
        self.tasks.spawn(recording(answers, move |book| {
            book.stop(&alias, &kinds, "a login failed after it was used");
        }));
    }
}

/// Changes the record; who cannot write it answers nothing, so that a failure is told and no more.
pub(super) async fn recording(
    answers: Answers,
    change: impl FnOnce(&mut crate::answers::Book) + Send + 'static,
) {
    let changed = tokio::task::spawn_blocking(move || answers.change(change)).await;
    if let Ok(Err(error)) = changed {
        tracing::warn!(%error, "the record of what may be answered was not written");
    }
}

impl Candidate {
    async fn judge(&self, errand: &Errand) -> Verdict {
        let alias = &errand.alias;
        let book = match self.answers.read() {
            Ok(book) => book,
            Err(error) => return Verdict::Person(Some(format!("hop answers nothing: {error}"))),
        };
        let Some(host) = book.of(alias) else { return Verdict::Person(None) };
        match host.missing(self.answering) {
            None => {}
            Some((_, None)) => return Verdict::Person(None),
            Some((kind, Some(why))) => {
                let note =
                    format!("hop does not use the stored {kind}: {why} (hop secret enable {alias} {kind})");
                return Verdict::Person(Some(note));
            }
        }
        if self.is_again {
            // Asked once more in one login: it was wrong.
            let (answers, alias, kinds) = (self.answers.clone(), alias.clone(), self.answering.kinds());
            let note =
                format!("The stored answer was refused; it is not used until hop secret enable {alias}.");
            recording(answers, move |book| book.stop(&alias, kinds, "it was refused")).await;
            return Verdict::Person(Some(note));
        }
        if let Err(file) = &self.totp
            && self.answering.kinds().contains(&Kind::Totp)
        {
            return Verdict::Person(Some(format!("{} forbids to compute codes", file.display())));
        }
        if host.questions.get(&self.question) != Some(&self.answering) {
            let note = "When this login succeeds, hop answers this question from the next time on.";
            return Verdict::Person(Some(note.to_owned()));
        }
        match self.answer(errand).await {
            Ok(text) => Verdict::Machine(text),
            Err(why) => Verdict::Person(Some(format!("hop cannot use what is stored: {why}"))),
        }
    }

    async fn answer(&self, errand: &Errand) -> Result<Secret, String> {
        let mut text = String::new();
        for kind in self.answering.kinds() {
            let label = Label::new(errand.alias.as_str(), *kind);
            let found = self.safe.find(&label, errand).await.map_err(|error| error.to_string())?;
            let secret = found.ok_or_else(|| format!("there is no {label} any more"))?;
            match kind {
                Kind::Totp => text.push_str(self.code(errand, &secret).await?.expose()),
                Kind::Password | Kind::Passphrase | Kind::Token => text.push_str(secret.expose()),
            }
        }
        Ok(Secret::new(text))
    }

    /// A code that nobody has used; it is written down as used before it is sent.
    async fn code(&self, errand: &Errand, seed: &Secret) -> Result<Secret, String> {
        let totp = Totp::parse(seed.expose()).map_err(|error| error.to_string())?;
        let fingerprint = totp.fingerprint();
        loop {
            let (answers, totp, fingerprint) = (self.answers.clone(), totp.clone(), fingerprint.clone());
            let alias = errand.alias.clone();
            let taking = tokio::task::spawn_blocking(move || {
                answers.change(|book| {
                    let ahead = book.clock_ahead(&alias);
                    let by_their_clock = Duration::from_secs(now().as_secs().saturating_add_signed(ahead));
                    let code = totp.unused_code(by_their_clock, book.used(&fingerprint))?;
                    if code.left < TOO_LATE {
                        return Err(code.left);
                    }
                    book.use_step(&fingerprint, code.step);
                    Ok(code.digits)
                })
            });
            match taking.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())? {
                Ok(digits) => return Ok(digits),
                Err(wait) => {
                    let text =
                        format!("waiting {} s for the next code of {}", wait.as_secs() + 1, errand.alias);
                    errand.progress(text).await;
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}

pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
