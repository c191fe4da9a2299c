//! What the site says when it is ready: to the supervisor, and through it to the person.

use crate::command::server::AnnouncedKey;
use crate::error::CommandError;
use crate::output;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A site that serves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SiteReady {
    /// Where SSH listens.
    pub(crate) ssh: SocketAddr,
    /// Where the pages are.
    pub(crate) url: String,
    /// Signs the first admin in, once.
    pub(crate) sign_in: Option<SignIn>,
    /// The project to try.
    pub(crate) project: Option<FirstProject>,
    /// The gateway's host keys.
    pub(crate) host_keys: Vec<AnnouncedKey>,
    /// The same as `ALGORITHM BASE64`.
    pub(crate) host_key_lines: Vec<String>,
    /// Keys that were offered and are not in use, and why.
    pub(crate) complaints: Vec<String>,
}

/// A one-time link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SignIn {
    /// The account.
    pub(crate) account: String,
    /// The link.
    pub(crate) link: String,
    /// How long it counts, in seconds.
    pub(crate) seconds: u64,
}

/// A project and the line that opens it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FirstProject {
    /// Its id: the user name of its logins.
    pub(crate) id: String,
    /// The line.
    pub(crate) command: String,
    /// How many keys open it.
    pub(crate) keys: usize,
}

impl SiteReady {
    /// Tells the person, or a script.
    pub(crate) fn announce(&self, json: bool) -> Result<(), CommandError> {
        for complaint in &self.complaints {
            output::warning(complaint);
        }
        if json {
            return output::json(self);
        }
        if let Some(sign_in) = &self.sign_in {
            let hours = sign_in.seconds / 3600;
            output::line(&format!(
                "\nSign in as {} (this link works once, within {hours} h)\n\n    {}\n",
                sign_in.account, sign_in.link
            ));
        } else {
            output::line(&format!("\nThe pages are at {}\n", self.url));
        }
        if let Some(project) = &self.project {
            if project.keys == 0 {
                output::line("No key opens your first project yet: add one on the page \"SSH keys\". Then\n");
            } else {
                output::line("Open your first project with\n");
            }
            output::line(&format!("    {}\n", project.command));
        }
        output::line("The first time, compare the fingerprint that ssh shows with one of");
        for key in &self.host_keys {
            output::line(&format!("    {}  {}", key.fingerprint, key.algorithm));
        }
        output::line("\nCtrl-C stops everything; what is stored is found again at the next start.");
        Ok(())
    }
}
