//! `hop admin key`.

use super::accounts::not_an_id;
use super::table::Row;
use super::{Desk, done, written};
use crate::cli::admin::{KeyCommand, KeyHolder};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_portal::operations::{KeyPlace, KeySource};
use hop_store::{KeyId, StoredKey, Title};
use serde::Serialize;
use std::io::Read;
use std::path::Path;

/// Far more keys than anybody has.
const MOST: u64 = 256 * 1024;

#[derive(Serialize)]
struct KeyRow {
    id: String,
    title: String,
    algorithm: String,
    fingerprint: String,
    md5: String,
    created: String,
    expires: Option<String>,
    last_used: Option<String>,
    last_address: Option<String>,
    last_project: Option<String>,
}

impl From<&StoredKey> for KeyRow {
    fn from(key: &StoredKey) -> Self {
        let last = key.last_use.as_ref();
        Self {
            id: key.id.to_string(),
            title: key.title.to_string(),
            algorithm: key.algorithm.clone(),
            fingerprint: key.fingerprint.to_string(),
            md5: key.md5_fingerprint.clone(),
            created: written(key.created),
            expires: key.expires.map(written),
            last_used: last.map(|last| written(last.at)),
            last_address: last.map(|last| last.address.to_string()),
            last_project: last.and_then(|last| last.project).map(|project| project.to_string()),
        }
    }
}

impl Row for KeyRow {
    const COLUMNS: &'static [&'static str] = &["id", "title", "fingerprint", "expires", "last used", "from"];
    fn cells(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.id.clone(),
            self.title.clone(),
            self.fingerprint.clone(),
            text(&self.expires),
            text(&self.last_used),
            text(&self.last_address),
        ]
    }
}

pub(super) async fn key(desk: &Desk, command: &KeyCommand) -> Result<(), CommandError> {
    let Desk { operations, caller, .. } = desk;
    match command {
        KeyCommand::List { of } => list(desk, of).await,
        KeyCommand::Add { of, title, file, valid } => {
            let place = place(desk, of).await?;
            let title = title.as_deref().map(Title::parse).transpose().or_fail(ErrorKind::Config)?;
            let source = KeySource::Paste(read(file)?);
            let expires = valid.map(|time| operations.now().plus(time));
            let outcome = done!(operations.add_keys(caller, place, title.as_ref(), &source, expires).await)?;
            for added in &outcome.added {
                if let Some(warning) = &added.warning {
                    output::warning(&format!("{}: {warning}", added.title));
                }
            }
            if let Some(refused) = outcome.refused.first() {
                let words = outcome.refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
                let failed = CommandError::new(ErrorKind::Config, format!("{}: {words}", file.display()));
                return Err(match outcome.added.len() {
                    0 => failed,
                    added => {
                        failed.hint(format!("{added} other keys were added; line {} was not", refused.line))
                    }
                });
            }
            list(desk, of).await
        }
        KeyCommand::Remove { id } => {
            let parsed = KeyId::parse(id).ok_or_else(|| not_an_id("a key", id))?;
            let removed = done!(operations.remove_key(caller, parsed).await)?;
            let words =
                format!("\"{}\" opens nothing any more; sessions that it opened end now", removed.title);
            desk.say(&serde_json::json!({ "removed": id, "title": removed.title.as_str() }), &words)
        }
    }
}

async fn list(desk: &Desk, of: &KeyHolder) -> Result<(), CommandError> {
    let Desk { operations, caller, .. } = desk;
    let keys = match (&of.project, &of.account) {
        (Some(project), _) => {
            let project = desk.project(project).await?.id;
            done!(operations.project_keys(caller, project).await)?
        }
        (None, Some(account)) => {
            let account = desk.account(account).await?.id;
            done!(operations.account_keys(caller, account).await)?
        }
        (None, None) => return Err(no_holder()),
    };
    desk.list(&keys.iter().map(KeyRow::from).collect::<Vec<_>>())
}

async fn place(desk: &Desk, of: &KeyHolder) -> Result<KeyPlace, CommandError> {
    let Some(account) = &of.account else {
        return Err(no_holder());
    };
    let holder = desk.account(account).await?.id;
    match &of.project {
        None => Ok(KeyPlace::Account(holder)),
        Some(project) => Ok(KeyPlace::Project { project: desk.project(project).await?.id, holder }),
    }
}

fn no_holder() -> CommandError {
    CommandError::new(ErrorKind::Config, "whose key is it?").hint(
        "--account NAME; with --project PROJECT it opens that project only, and the account answers for it",
    )
}

/// Reads a file of public keys, or standard input.
pub(super) fn read(path: &Path) -> Result<String, CommandError> {
    let cannot = |error: &dyn std::fmt::Display| {
        CommandError::new(ErrorKind::Config, format!("cannot read {}: {error}", path.display()))
    };
    let mut bytes = Vec::new();
    let reader: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(path).map_err(|error| cannot(&error))?),
    };
    reader.take(MOST).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    String::from_utf8(bytes).map_err(|_| cannot(&"it is not text"))
}
