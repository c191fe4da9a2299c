//! The block in the person's ssh configuration.

use crate::command::out::ssh_config::home;
use crate::command::vault::ask_yes_no;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_connect::Alias;
use hop_connect::ssh_config::{Change, SshConfig};
use hop_jupyter::{Block, Record};
use std::path::Path;

/// The files.
pub(super) fn ssh_config() -> SshConfig {
    SshConfig::of_home_for_jupyter(&home())
}

/// A name for `ssh` from that of the Hub, where the person gives none.
pub(super) fn name_of(host: &str, server: &str) -> Result<Alias, CommandError> {
    let first = match host.parse::<std::net::IpAddr>() {
        Ok(_) => "jupyter",
        Err(_) => host.split('.').next().unwrap_or("jupyter"),
    };
    let name = if server.is_empty() { first.to_owned() } else { format!("{first}-{server}") };
    Alias::parse(&name)
        .map_err(|error| CommandError::new(ErrorKind::Config, error).hint("--name NAME gives another"))
}

/// Writes the block of a server.
pub(super) fn write(
    alias: &Alias,
    record: &Record,
    identity: Option<&Path>,
    yes: bool,
) -> Result<(), CommandError> {
    let hop = std::env::current_exe().or_fail(ErrorKind::Internal)?;
    let host = record.hub.host();
    let block = Block {
        alias: alias.as_str(),
        host: &host,
        hop: &hop,
        url: &record.url,
        identity,
        ca_file: record.ca_file.as_deref(),
        through_terminal: record.through_terminal,
    };
    let text = block.text().or_fail(ErrorKind::Config)?;
    let change = ssh_config().enable(alias, text).or_fail(ErrorKind::Config)?;
    make(&change, yes)
}

/// Takes it out again.
pub(super) fn remove(alias: &Alias, yes: bool) -> Result<(), CommandError> {
    let change = ssh_config().disable(alias).or_fail(ErrorKind::Config)?;
    make(&change, yes)
}

fn make(change: &Change, yes: bool) -> Result<(), CommandError> {
    if change.is_empty() {
        return Ok(());
    }
    output::note(change.diff().trim_end());
    if !yes {
        match ask_yes_no("Change this?")? {
            Some(true) => {}
            Some(false) => return Err(CommandError::new(ErrorKind::Interrupted, "~/.ssh was not changed")),
            None => {
                let error =
                    CommandError::new(ErrorKind::Config, "~/.ssh was not changed: nobody is there to agree");
                return Err(error.hint("--yes agrees"));
            }
        }
    }
    change.apply().or_fail(ErrorKind::Config)
}
