//! `hop jupyter status`.

use super::list::Known;
use super::{failed, hub, keys, record, token};
use crate::cli::jupyter::Named;
use crate::command::vault::Secrets;
use crate::error::CommandError;
use crate::output;
use hop_jupyter::{Hub, HubError, InstalledKey, Record};
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    known: Known<'a>,
    /// `running`, `starting`, `stopping`, `stopped`.
    state: &'static str,
    /// `None` when the server does not run, or does not tell.
    keys: Option<Vec<String>>,
}

pub(super) async fn run(arguments: &Named) -> Result<(), CommandError> {
    let record = record(&arguments.name)?;
    let again = format!("hop jupyter login {} gives a new one", record.alias);
    let mut secrets = Secrets::of_user().await;
    let Some(secret) = secrets.find(&token::label(&record)).await? else {
        let words = format!("the token of {} is not among the secrets", record.alias);
        return Err(CommandError::new(crate::error::ErrorKind::Denied, words).hint(again));
    };
    let hub = hub(&record.hub, record.ca_file.as_deref())?.with_token(secret.clone());
    // Else a token that is gone could not be told from one that may not see servers.
    let said = match hub.holder().await {
        Ok(_) => state(&hub, &record).await,
        Err(error) => Err(error),
    };
    let state = said.map_err(|error| match &error {
        HubError::UnknownToken { .. } | HubError::Forbidden { .. } | HubError::NoUser { .. } => {
            failed(error).hint(&again)
        }
        _ => failed(error),
    })?;
    let keys = match state {
        "running" => keys::installed(&record, &secret).await,
        _ => None,
    };
    let known = Known::of(&record);
    if arguments.json {
        let keys = keys.map(|keys| keys.into_iter().map(|key| key.fingerprint).collect());
        return output::json(&Shown { known, state, keys });
    }
    output::line(&format!("{}: {state}", record.alias));
    output::line(&format!("  address   {}", record.url));
    output::line(&format!("  token     {}", known.token_words()));
    output::line(&format!("  last use  {}", known.use_words()));
    for key in keys.iter().flatten() {
        output::line(&format!("  key       {}", key_words(key)));
    }
    Ok(())
}

async fn state(hub: &Hub, record: &Record) -> Result<&'static str, HubError> {
    let servers = hub.servers(&record.user).await?;
    Ok(match servers.find(&record.server) {
        Some(server) if server.ready => "running",
        Some(server) if server.pending.as_deref() == Some("stop") => "stopping",
        Some(server) if server.pending.is_some() => "starting",
        _ => "stopped",
    })
}

fn key_words(key: &InstalledKey) -> String {
    let title: String = key.title.chars().filter(|c| !c.is_control()).collect();
    let end = key.expires.map(|end| format!(", {} left", token::until(end))).unwrap_or_default();
    format!("{} {title}{end}", key.fingerprint.escape_debug())
}
