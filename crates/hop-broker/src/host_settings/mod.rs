//! What a person, and the machine's administrator, have decided about a host: `~/.config/hop/config.toml` and
//! `/etc/hop/config.toml`.
//!
//! Must stay true: a file that cannot be read, or has a word that is not known, stops the login: a restriction that was
//! misspelt must not be forgotten. What either file forbids is forbidden.

mod file;

pub use file::HostSettingsError;

use file::{Section, Whole};
use std::path::PathBuf;
use std::time::Duration;

/// How long an authentication script may take: its person may have to find a telephone.
const SCRIPT_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Where the files are. None of them has to exist.
#[derive(Clone, Debug, Default)]
pub struct HostSettingsFiles {
    /// The person's own.
    pub person: Option<PathBuf>,
    /// The machine's.
    pub machine: Option<PathBuf>,
}

/// What holds for one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSettings {
    /// The program that connects, when it is not `ssh`.
    pub program: Option<String>,
    /// What is run before each new connection.
    pub authentication_script: Option<PathBuf>,
    /// How long that may take.
    pub script_limit: Duration,
    /// A person presses Enter before the host is connected to.
    pub when_ready: bool,
    /// How long an ssh waits for a login that is in progress, when it is not the usual time.
    pub wait: Option<Duration>,
    /// A question that nobody is there to see opens the page on the desktop.
    pub page: bool,
    /// The Kerberos principal whose ticket the host takes.
    pub kerberos: Option<String>,
    /// Several programs may share a connection; else the file that forbids it.
    pub multiplex: Result<(), PathBuf>,
    /// One-time codes may be computed here; else the file that forbids it.
    pub totp: Result<(), PathBuf>,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            program: None,
            authentication_script: None,
            script_limit: SCRIPT_LIMIT,
            when_ready: false,
            wait: None,
            page: false,
            kerberos: None,
            multiplex: Ok(()),
            totp: Ok(()),
        }
    }
}

impl HostSettingsFiles {
    /// What holds for a host, by its names: the one after `ssh` first, its address when that is known.
    ///
    /// # Errors
    /// When a file is there and cannot be read, can be written by others, or has what is not known.
    pub fn read(&self, names: &[&str]) -> Result<HostSettings, HostSettingsError> {
        let mut settings = HostSettings::default();
        // What comes later counts more, but for what is forbidden.
        for path in [&self.machine, &self.person].into_iter().flatten() {
            let Some(whole) = Whole::read(path)? else { continue };
            let by_name = names.iter().rev().filter_map(|name| whole.host.get(*name));
            let mut forbids_sharing = false;
            let mut forbids_codes = false;
            for section in std::iter::once(&whole.default).chain(by_name) {
                settings.take(section);
                forbids_sharing = section.multiplex.map_or(forbids_sharing, file::Allowed::is_never);
                forbids_codes = section.totp.map_or(forbids_codes, file::Allowed::is_never);
            }
            if forbids_sharing {
                settings.multiplex = settings.multiplex.and(Err(path.clone()));
            }
            if forbids_codes {
                settings.totp = settings.totp.and(Err(path.clone()));
            }
        }
        Ok(settings)
    }
}

impl HostSettings {
    fn take(&mut self, section: &Section) {
        if let Some(program) = &section.program {
            self.program = Some(program.0.clone());
        }
        if let Some(script) = &section.authentication_script {
            self.authentication_script = Some(script.0.clone());
        }
        if let Some(limit) = section.script_timeout {
            self.script_limit = Duration::from_secs(limit.into());
        }
        if let Some(principal) = &section.kerberos {
            self.kerberos = Some(principal.0.clone());
        }
        if let Some(when_ready) = section.when_ready {
            self.when_ready = when_ready;
        }
        if let Some(wait) = section.wait {
            self.wait = Some(Duration::from_secs(wait.into()));
        }
        if let Some(page) = section.page {
            self.page = page;
        }
    }
}

#[cfg(test)]
mod tests;
