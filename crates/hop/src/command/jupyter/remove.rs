//! `hop jupyter remove`: the block, the keys over there, the token.

use super::{by_terminal, config, hub, keys, record, records, token};
use crate::cli::jupyter::Remove;
use crate::command::vault::Secrets;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_jupyter::Record;

pub(super) async fn run(arguments: &Remove) -> Result<(), CommandError> {
    let record = record(&arguments.name)?;
    config::remove(&arguments.name, arguments.yes)?;
    let mut secrets = Secrets::of_user().await;
    let is_last = is_last(&record)?;
    if let Some(secret) = secrets.find(&token::label(&record)).await? {
        if record.through_terminal {
            by_terminal::remove(&record, &secret).await;
        } else {
            keys::remove(&record, &secret).await;
        }
        if is_last {
            revoke(&record, secret).await?;
            let _ = secrets.remove(&token::label(&record)).await?;
        } else {
            output::note(&format!("The token stays: other servers of {} use it.", record.user));
        }
    }
    records().remove(&arguments.name.file_name()).or_fail(ErrorKind::Config)?;
    output::note(&format!("{} is forgotten. The server itself was left alone.", record.alias));
    Ok(())
}

/// Whether no other record needs the token.
fn is_last(record: &Record) -> Result<bool, CommandError> {
    let all = records().list().or_fail(ErrorKind::Config)?;
    Ok(!all.iter().any(|other| other.alias != record.alias && other.label() == record.label()))
}

async fn revoke(record: &Record, secret: hop_link::Secret) -> Result<(), CommandError> {
    let hub = hub(&record.hub, record.ca_file.as_deref())?.with_token(secret);
    let revoked = match &record.token_id {
        Some(id) => hub.revoke(&record.user, id).await.is_ok(),
        None => false,
    };
    if revoked {
        output::note("The token is revoked.");
    } else {
        let end =
            record.token_end.map(|end| format!(" It ends in {}.", token::until(end))).unwrap_or_default();
        output::note(&format!(
            "The token is forgotten here; a small one may not revoke itself: {} does.{end}",
            record.hub.token_page()
        ));
    }
    Ok(())
}
