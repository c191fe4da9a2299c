//! `hop jupyter list`.

use super::{records, token};
use crate::cli::jupyter::List;
use crate::command::out::times::{clock, span};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_connect::Alias;
use hop_jupyter::Record;
use jiff::Timestamp;
use serde::Serialize;

/// What is known here, without asking the Hub.
#[derive(Debug, Serialize)]
pub(super) struct Known<'a> {
    pub(super) name: &'a str,
    pub(super) hub: &'a str,
    pub(super) user: &'a str,
    pub(super) server: &'a str,
    pub(super) url: &'a str,
    pub(super) token_expires: Option<Timestamp>,
    pub(super) token_renews: bool,
    pub(super) last_use: Option<Timestamp>,
}

impl<'a> Known<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        let file_name = Alias::parse(&record.alias).map(|alias| alias.file_name()).unwrap_or_default();
        Self {
            name: &record.alias,
            hub: record.hub.as_str(),
            user: &record.user,
            server: &record.server,
            url: &record.url,
            token_expires: record.token_end,
            token_renews: record.renews,
            last_use: records().last_use(&file_name),
        }
    }

    /// When the token ends, in words.
    pub(super) fn token_words(&self) -> String {
        match self.token_expires {
            None => "end unknown".to_owned(),
            Some(end) if end <= Timestamp::now() => format!("ended: hop jupyter login {}", self.name),
            Some(end) if self.token_renews => format!("{} left, renewed by itself", token::until(end)),
            Some(end) => format!("{} left", token::until(end)),
        }
    }

    /// When it was used, in words.
    pub(super) fn use_words(&self) -> String {
        match self.last_use {
            None => "never".to_owned(),
            Some(at) => clock(u64::try_from(at.as_second()).unwrap_or(0)),
        }
    }
}

pub(super) fn run(arguments: &List) -> Result<(), CommandError> {
    let records = records().list().or_fail(ErrorKind::Config)?;
    if records.is_empty() && !arguments.json {
        output::note("No Jupyter server was set up; hop jupyter add https://HUB does.");
    }
    for record in &records {
        let known = Known::of(record);
        if arguments.json {
            output::json(&known)?;
        } else {
            let server =
                if known.server.is_empty() { String::new() } else { format!(", server {}", known.server) };
            let used = match known.last_use {
                Some(at) => {
                    let ago = Timestamp::now().as_second() - at.as_second();
                    format!("used {} ago", span(u64::try_from(ago).unwrap_or(0)))
                }
                None => "never used".to_owned(),
            };
            output::line(&format!(
                "{}  {} as {}{server}  token: {}  {used}",
                known.name,
                known.hub,
                known.user,
                known.token_words()
            ));
        }
    }
    Ok(())
}
