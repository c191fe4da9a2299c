//! `hop ssh-config`: the block that lets every ssh of this user share a login.

use super::broker;
use crate::cli::out::{SshConfig as Arguments, SshConfigAction, SshConfigChange, SshConfigKind};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_broker::ferry::StateDirectory;
use hop_broker::{Event, Request};
use hop_connect::Alias;
use hop_connect::ssh_config::{self, Change, Ours, Port, SshConfig};
use hop_endpoint::account::{Account, AccountHints};
use std::io::IsTerminal;
use std::path::PathBuf;

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let config = SshConfig::of_home(&home());
    match &arguments.action {
        SshConfigAction::Enable(wanted) => {
            let (name, text) = block(&wanted.host, wanted.kind)?;
            let change = config.enable(&name, text).or_fail(ErrorKind::Config)?;
            if make(&change, wanted)? {
                let host = &wanted.host;
                output::note(&match wanted.kind.plain {
                    true => {
                        format!("{name} is {host} by way of the daemon's port: hop login {host}, then use it")
                    }
                    false => {
                        format!("ssh {host} shares its login now: hop login {host}, then use it as ever")
                    }
                });
            }
            Ok(())
        }
        SshConfigAction::Disable(wanted) => {
            let name = name(&wanted.host, wanted.kind)?;
            let change = config.disable(&name).or_fail(ErrorKind::Config)?;
            if make(&change, wanted)? {
                output::note(&match wanted.kind.plain {
                    true => format!("{name} is gone"),
                    false => format!("ssh {} is as it was before", wanted.host),
                });
            }
            if wanted.kind.plain && !has_plain(&config)? {
                // The next daemon need not listen.
                state().forget_port().or_fail(ErrorKind::Config)?;
            }
            Ok(())
        }
        SshConfigAction::Show(wanted) => {
            output::line(block(&wanted.host, wanted.kind)?.1.trim_end());
            Ok(())
        }
    }
}

/// Whether a host is still there for plain tools.
fn has_plain(config: &SshConfig) -> Result<bool, CommandError> {
    let enabled = config.enabled().or_fail(ErrorKind::Config)?;
    Ok(enabled.iter().any(|name| name.as_str().ends_with("-plain")))
}

/// The name that a block goes by.
fn name(host: &Alias, kind: SshConfigKind) -> Result<Alias, CommandError> {
    if kind.plain { ssh_config::plain_name(host).or_fail(ErrorKind::Config) } else { Ok(host.clone()) }
}

/// A host's block and its name. For a plain one, the daemon opens its port.
fn block(host: &Alias, kind: SshConfigKind) -> Result<(Alias, String), CommandError> {
    let (state, name) = (state(), name(host, kind)?);
    let known_hosts = state.known_hosts();
    let text = if kind.plain {
        let port = Port { number: port()?, key: &state.client_key_file(), known_hosts: &known_hosts };
        ssh_config::plain_block(host, &port)
    } else {
        let (hop, sockets) = (program()?, broker::sockets());
        ssh_config::block(host, &Ours { hop: &hop, sockets: &sockets, known_hosts: &known_hosts })
    };
    Ok((name, text.or_fail(ErrorKind::Config)?))
}

/// The daemon's port.
fn port() -> Result<u16, CommandError> {
    let mut conversation = broker::running_or_started()?;
    conversation.send(&Request::Port).or_fail(ErrorKind::Unavailable)?;
    match conversation.next().or_fail(ErrorKind::Unavailable)? {
        Event::Port { number } => Ok(number),
        Event::Refused { reason } => Err(CommandError::new(ErrorKind::Unavailable, reason)),
        _ => Err(CommandError::new(ErrorKind::Internal, "the daemon answered something else")),
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

fn program() -> Result<PathBuf, CommandError> {
    std::env::current_exe().or_fail(ErrorKind::Internal)
}
