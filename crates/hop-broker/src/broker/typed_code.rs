//! A one-time code that a person typed: written down as used, and compared with the seed that was entrusted, where that can be
//! read without asking. So it shows how far this machine's clock is off, which nothing in SSH tells.

use super::Broker;
use super::answering::{now, recording};
use super::errand::Errand;
use super::safe::Safe;
use crate::answers::Answers;
use hop_connect::Alias;
use hop_secrets::{Kind, Label, Secret, Totp};
use std::time::Duration;

/// Codes are looked for up to this many steps away: at 30 s each, twenty minutes.
const FARTHEST: u32 = 40;
/// A code of the step before is one that took a while to type.
const NORMAL: i64 = 1;

impl Broker {
    /// A person typed a code.
    pub(super) fn code_was_typed(&mut self, alias: &Alias, typed: &Secret) {
        let Some(held) = self.held.get(alias) else { return };
        let inbox = self.inbox.clone();
        let errand = Errand { alias: alias.clone(), generation: held.attempt.generation, inbox };
        let (answers, safe) = (Answers::within(&self.settings.folders.state), self.safe(alias));
        let (typed, at) = (typed.clone(), now());
        self.tasks.spawn(async move {
            let ahead = seconds_ahead(&answers, &safe, &errand.alias, &typed, at).await;
            let alias = errand.alias.clone();
            let written = recording(answers, move |book| match ahead {
                Some(seconds) => book.clock_was_compared(&alias, seconds, at.as_secs()),
                None => book.person_used(&alias, at.as_secs()),
            });
            written.await;
            if let Some(seconds) = ahead.filter(|seconds| *seconds != 0) {
                tracing::warn!(alias = %errand.alias, seconds, "this machine's clock is off");
                errand.progress(in_words(seconds)).await;
            }
        });
    }
}

/// How far the clock that made the code is ahead of ours; `None` when there is no seed to tell it by.
async fn seconds_ahead(
    answers: &Answers,
    safe: &Safe,
    alias: &Alias,
    typed: &Secret,
    at: Duration,
) -> Option<i64> {
    let book = answers.read().ok()?;
    if !book.of(alias)?.secrets.contains_key(&Kind::Totp) {
        return None;
    }
    let seed = safe.find_unlocked(&Label::new(alias.as_str(), Kind::Totp)).await?;
    let totp = Totp::parse(seed.expose()).ok()?;
    let steps = totp.steps_away(typed.expose(), at, FARTHEST)?;
    let is_normal = (-NORMAL..=NORMAL).contains(&steps);
    let period = i64::try_from(totp.period()).ok()?;
    Some(if is_normal { 0 } else { steps.saturating_mul(period) })
}

fn in_words(seconds_ahead: i64) -> String {
    let (minutes, seconds) = (seconds_ahead.unsigned_abs() / 60, seconds_ahead.unsigned_abs() % 60);
    let way = if seconds_ahead > 0 { "behind" } else { "ahead of" };
    format!(
        "the clock of this machine is {minutes} min {seconds} s {way} the one that made your code; hop allows for that \
         (timedatectl shows whether it is set by the network)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_in_words() {
        assert!(
            in_words(330).starts_with("the clock of this machine is 5 min 30 s behind the one that made")
        );
        assert!(
            in_words(-60).starts_with("the clock of this machine is 1 min 0 s ahead of the one that made")
        );
    }
}
