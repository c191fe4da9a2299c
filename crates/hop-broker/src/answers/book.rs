//! The record itself.

use super::question::Answering;
use hop_connect::Alias;
use hop_secrets::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The form of the record.
const VERSION: u32 = 1;

/// For all hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    version: u32,
    /// By the name after `ssh`.
    pub hosts: BTreeMap<String, HostAnswers>,
    /// The last step that a code was sent for, by its seed's fingerprint: two hosts may know the same seed.
    codes: BTreeMap<String, u64>,
}

/// For one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostAnswers {
    /// What was entrusted.
    pub secrets: BTreeMap<Kind, Entrusted>,
    /// The questions that may be answered, word by word.
    pub questions: BTreeMap<String, Answering>,
}

/// A secret that was entrusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Entrusted {
    /// Why it is not used until a person says so.
    pub stopped: Option<String>,
    /// Of a seed: the person says that the site allows a program to make its codes.
    pub site_allows: bool,
    /// Of a seed: tells it from others.
    pub fingerprint: Option<String>,
    /// Of a seed: how long a code counts, in seconds.
    pub period: Option<u64>,
    /// Of a seed: how many seconds the clock that made a person's code was ahead of this machine's.
    pub clock_ahead: i64,
}

impl Default for Book {
    fn default() -> Self {
        Self { version: VERSION, hosts: BTreeMap::new(), codes: BTreeMap::new() }
    }
}

impl Book {
    pub(super) fn is_known(&self) -> bool {
        self.version == VERSION
    }

    /// What was entrusted for a host.
    #[must_use]
    pub fn of(&self, alias: &Alias) -> Option<&HostAnswers> {
        self.hosts.get(alias.as_str())
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, alias: &Alias) -> &mut HostAnswers {
        self.hosts.entry(alias.as_str().to_owned()).or_default()
    }

    /// The last step that a code of this seed was sent for.
    #[must_use]
    pub fn used(&self, fingerprint: &str) -> Option<u64> {
        self.codes.get(fingerprint).copied()
    }

    /// Writes down that one is sent.
    pub fn use_step(&mut self, fingerprint: &str, step: u64) {
        let used = self.codes.entry(fingerprint.to_owned()).or_default();
        *used = step.max(*used);
    }

    /// A person has typed a code of a host's seed: ours of that time would be its second use.
    pub fn person_used(&mut self, alias: &Alias, since_1970: u64) {
        let entrusted = self.of(alias).and_then(|host| host.secrets.get(&Kind::Totp)).cloned();
        if let Some(Entrusted { fingerprint: Some(fingerprint), period: Some(period), .. }) = entrusted {
            self.use_step(&fingerprint, since_1970.checked_div(period).unwrap_or_default());
        }
    }

    /// A person's code told how far this machine's clock is off; the time by the clock that made it.
    pub fn clock_was_compared(&mut self, alias: &Alias, seconds_ahead: i64, since_1970: u64) {
        if let Some(entrusted) = self.of_mut(alias).secrets.get_mut(&Kind::Totp) {
            entrusted.clock_ahead = seconds_ahead;
        }
        self.person_used(alias, since_1970.saturating_add_signed(seconds_ahead));
    }

    /// How many seconds the clock of a host's codes is ahead of this machine's.
    #[must_use]
    pub fn clock_ahead(&self, alias: &Alias) -> i64 {
        self.of(alias).and_then(|host| host.secrets.get(&Kind::Totp)).map_or(0, |seed| seed.clock_ahead)
    }

    /// Remembers a question that a person answered in a login that succeeded; whether it is new.
    pub fn learn(&mut self, alias: &Alias, question: &str, answering: Answering) -> bool {
        let Some(host) = self.hosts.get_mut(alias.as_str()) else { return false };
        let has_all = answering.kinds().iter().all(|kind| host.secrets.contains_key(kind));
        has_all && host.questions.insert(question.to_owned(), answering).is_none()
    }

    /// Stops the use of secrets that a host has refused.
    pub fn stop(&mut self, alias: &Alias, kinds: &[Kind], why: &str) {
        let Some(host) = self.hosts.get_mut(alias.as_str()) else { return };
        for (_, entrusted) in host.secrets.iter_mut().filter(|(kind, _)| kinds.contains(kind)) {
            entrusted.stopped = Some(why.to_owned());
        }
    }
}

impl HostAnswers {
    /// Whether any question may be answered by a machine now.
    #[must_use]
    pub fn answers_something(&self) -> bool {
        self.questions.values().any(|answering| self.missing(*answering).is_none())
    }

    /// What keeps a question from being answered: the secret, and why, where there is one.
    #[must_use]
    pub fn missing(&self, answering: Answering) -> Option<(Kind, Option<&str>)> {
        answering.kinds().iter().find_map(|kind| match self.secrets.get(kind) {
            None => Some((*kind, None)),
            Some(Entrusted { stopped: Some(why), .. }) => Some((*kind, Some(why.as_str()))),
            Some(entrusted) if *kind == Kind::Totp && !entrusted.site_allows => {
                Some((*kind, Some("nobody has said that the site allows it")))
            }
            Some(_) => None,
        })
    }
}
