//! What can be typed about the shared ssh-agent.

use super::duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// One ssh-agent for every shell and daemon
///
/// An agent that runs already (SSH_AUTH_SOCK) is used as it is. Otherwise one is started on a socket that stays the same,
/// so that a shell of tomorrow and a daemon of today share it; logins find it without SSH_AUTH_SOCK.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  eval \"$(hop agent start)\"       in ~/.profile: SSH_AUTH_SOCK for this shell
  hop agent add                   the usual keys of ~/.ssh, for 8 hours
  hop agent add ~/.ssh/id_saga --for 12h
  hop agent status                which keys it has, and which are missing since a restart

Options for the keychain of macOS in ~/.ssh/config (UseKeychain, AddKeysToAgent) stay as they are.")]
pub(crate) struct Agent {
    #[command(subcommand)]
    pub(crate) action: AgentAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentAction {
    /// Find or start it, and print the line for the shell
    Start,
    /// Add keys; ssh-add asks for their passphrases
    Add(AgentAdd),
    /// Say which keys it has, and which it had before
    Status(AgentStatus),
}

#[derive(Debug, Args)]
pub(crate) struct AgentAdd {
    /// Key files [default: those that were added before, or the usual ones of ~/.ssh]
    pub(crate) keys: Vec<PathBuf>,
    /// When they are forgotten
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "8h")]
    pub(crate) lifetime: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct AgentStatus {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
