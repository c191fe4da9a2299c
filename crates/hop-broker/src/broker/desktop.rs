//! Where a person may sit though no terminal says so: the desktop that a login was wanted from. The page is opened there, if
//! the person has set that for the host.

use super::{Broker, Inbox, Input};
use hop_connect::Alias;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Passing a link on to a browser takes a moment; some do not end before the browser does, which is as good.
const PASSING_ON: Duration = Duration::from_secs(10);
/// What tells of a desktop.
const SIGNS: [&str; 2] = ["DISPLAY", "WAYLAND_DISPLAY"];

/// Whether one was found for an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Desktop {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// The page opens there.
    Asked,
    /// There is none, or it did not take the link.
    Absent,
}

impl Broker {
    /// Whether the page opens for a question that nobody is there to see; those who wait may go on waiting then.
    pub(super) fn opens_page(&mut self, alias: &Alias) -> bool {
        let Some(held) = self.held.get_mut(alias).filter(|held| held.settings.page) else { return false };
        match held.attempt.desktop {
            Desktop::Asked => return true,
            Desktop::Absent => return false,
            Desktop::Unknown => held.attempt.desktop = Desktop::Absent,
        }
        let (environment, generation) = (held.environment.clone(), held.attempt.generation);
        if !environment.iter().any(|(name, value)| SIGNS.contains(&name.as_str()) && !value.is_empty()) {
            return false;
        }
        let link = match self.web().and_then(|web| web.link()) {
            Ok(link) => link,
            Err(error) => {
                tracing::warn!(%error, "no page can be opened");
                return false;
            }
        };
        if let Some(held) = self.held.get_mut(alias) {
            held.attempt.desktop = Desktop::Asked;
        }
        self.tasks.spawn(opening(link, environment, alias.clone(), generation, self.inbox.clone()));
        true
    }

    /// The desktop did not take the link.
    pub(super) fn no_desktop(&mut self, alias: &Alias, generation: u64) {
        if let Some(held) = self.current(alias, generation) {
            held.attempt.desktop = Desktop::Absent;
            self.refuse_where_nobody_is();
        }
    }
}

async fn opening(
    link: String,
    environment: Vec<(String, String)>,
    alias: Alias,
    generation: u64,
    inbox: Inbox,
) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started = Command::new(program)
        .arg(link)
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let is_taken = match started {
        Ok(mut child) => {
            let ended = tokio::time::timeout(PASSING_ON, child.wait()).await;
            ended.is_err() || ended.is_ok_and(|ended| ended.is_ok_and(|status| status.success()))
        }
        Err(_) => false,
    };
    if !is_taken {
        tracing::info!(%alias, program, "the desktop did not open the page");
        let _ = inbox.send(Input::NoDesktop { alias, generation }).await;
    }
}
