//! `hop jupyter`: servers behind a JupyterHub, set up for every ssh.
//!
//! What must stay true: a token is never an argument, never shown, never in a configuration; the person's files change only
//! after they agreed.

mod add;
mod by_terminal;
mod config;
pub(crate) mod keys;
mod list;
mod remove;
pub(crate) mod start;
mod status;
pub(crate) mod token;

use super::server;
use super::vault::data_folder;
use super::web;
use crate::cli::jupyter::JupyterCommand;
use crate::error::{CommandError, ErrorKind, OrFail};
use hop_connect::Alias;
use hop_jupyter::{Hub, HubAddress, HubError, Record, Records};
use std::path::Path;
use std::time::Duration;

/// For one request to a Hub.
const TIME: Duration = Duration::from_secs(30);

pub(crate) fn run(command: &JupyterCommand) -> Result<(), CommandError> {
    server::runtime()?.block_on(async {
        match command {
            JupyterCommand::Add(arguments) => add::run(arguments).await,
            JupyterCommand::List(arguments) => list::run(arguments),
            JupyterCommand::Status(arguments) => status::run(arguments).await,
            JupyterCommand::Login(arguments) => token::login(arguments).await,
            JupyterCommand::Remove(arguments) => remove::run(arguments).await,
        }
    })
}

/// What is remembered on this machine.
pub(crate) fn records() -> Records {
    Records::at(data_folder().join("jupyter"))
}

/// The record with this name.
fn record(alias: &Alias) -> Result<Record, CommandError> {
    records().find(alias.as_str()).or_fail(ErrorKind::Config)?.ok_or_else(|| {
        CommandError::new(ErrorKind::Config, format!("no Jupyter server was set up as {alias}"))
            .hint("hop jupyter list shows those that were; hop jupyter add sets one up")
    })
}

pub(crate) fn save(record: &Record) -> Result<(), CommandError> {
    let alias = Alias::parse(&record.alias).or_fail(ErrorKind::Internal)?;
    records().save(&alias.file_name(), record).or_fail(ErrorKind::Config)
}

/// A Hub as this process reaches it, without a token.
fn hub(address: &HubAddress, ca_file: Option<&Path>) -> Result<Hub, CommandError> {
    let is_secure = address.as_str().starts_with("https:");
    Ok(Hub::new(address.clone(), web::options(None, is_secure, ca_file, TIME)?))
}

/// A Hub's refusal as a command's.
pub(crate) fn failed(error: HubError) -> CommandError {
    let kind = match &error {
        HubError::Connect(_)
        | HubError::NotAHub { .. }
        | HubError::Elsewhere { .. }
        | HubError::Shape { .. } => ErrorKind::Unavailable,
        HubError::UnknownToken { .. }
        | HubError::TooSmall { .. }
        | HubError::Forbidden { .. }
        | HubError::NoUser { .. } => ErrorKind::Denied,
        HubError::Start { .. } | HubError::Status { .. } => ErrorKind::Later,
    };
    match &error {
        HubError::Connect(connect) => super::proxy::explain::unreached(connect),
        HubError::Start { .. } => CommandError::new(kind, &error)
            .hint("where the Hub has a form to start a server: hop jupyter add … --options '{\"NAME\": \"VALUE\"}' answers it")
            .hint("its operator, or the form's page source, knows the names; starting it once on the page is remembered by some Hubs"),
        _ => CommandError::new(kind, &error),
    }
}
