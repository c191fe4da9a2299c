//! `hop ssh-config`: the block that lets every ssh of this user share a login.

use super::broker;
use crate::cli::out::{SshConfig as Arguments, SshConfigAction, SshConfigChange};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_broker::ferry::StateDirectory;
use hop_connect::ssh_config::{self, Change, Ours, SshConfig, SshConfigError};
use hop_endpoint::account::{Account, AccountHints};
use std::io::IsTerminal;
use std::path::PathBuf;

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let config = SshConfig::of_home(&home());
    match &arguments.action {
        SshConfigAction::Enable(wanted) => {
            let change = with_ours(|ours| config.enable(&wanted.host, ours))?;
            if make(&change, wanted)? {
                let host = &wanted.host;
                output::note(&format!(
                    "ssh {host} shares its login now: hop login {host}, then use it as ever"
                ));
            }
            Ok(())
        }
        SshConfigAction::Disable(wanted) => {
            let change = config.disable(&wanted.host).or_fail(ErrorKind::Config)?;
            if make(&change, wanted)? {
                output::note(&format!("ssh {} is as it was before", wanted.host));
            }
            Ok(())
        }
        SshConfigAction::Show(wanted) => {
            let block = with_ours(|ours| ssh_config::block(&wanted.host, ours))?;
            output::line(block.trim_end());
            Ok(())
        }
    }
}

/// Shows a change, asks, makes it; `false` when it was not wanted.
fn make(change: &Change, wanted: &SshConfigChange) -> Result<bool, CommandError> {
    if change.is_empty() {
        output::note("Nothing to change.");
        return Ok(false);
    }
    output::note(change.diff().trim_end());
    if !wanted.yes {
        if !std::io::stdin().is_terminal() {
            return Err(CommandError::new(
                ErrorKind::Config,
                "nothing was changed: nobody is there to agree",
            )
            .hint("--yes agrees"));
        }
        output::ask("Change this? [y/N] ");
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).or_fail(ErrorKind::Unavailable)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            output::note("Nothing was changed.");
            return Ok(false);
        }
    }
    change.apply().or_fail(ErrorKind::Config)?;
    Ok(true)
}

/// The home that ssh goes by: the passwd entry's.
pub(crate) fn home() -> PathBuf {
    let hints = AccountHints { home: std::env::var_os("HOME").map(PathBuf::from), ..AccountHints::default() };
    Account::current(&hints).home
}

/// Where this user's broker keeps what outlives it.
pub(crate) fn state() -> StateDirectory {
    StateDirectory::of_home(&home())
}

fn with_ours<T>(work_out: impl FnOnce(&Ours<'_>) -> Result<T, SshConfigError>) -> Result<T, CommandError> {
    let (hop, sockets, known_hosts) = (program()?, broker::sockets(), state().known_hosts());
    work_out(&Ours { hop: &hop, sockets: &sockets, known_hosts: &known_hosts }).or_fail(ErrorKind::Config)
}

fn program() -> Result<PathBuf, CommandError> {
    std::env::current_exe().or_fail(ErrorKind::Internal)
}
