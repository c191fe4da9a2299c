//! Where `hop proxy` finds its token: a file, an environment variable, or what `hop jupyter` stored for this server; never an
//! argument, which others can see.

use super::explain::TokenFrom;
use super::hub::HubServer;
use crate::cli::jupyter::TokenArguments;
use crate::cli::proxy::Proxy;
use crate::command::jupyter;
use crate::command::out::terminal::Terminal;
use crate::command::vault::Secrets;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_connect::Alias;
use hop_jupyter::Record;
use hop_link::{Secret, Target};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// Longer than any token.
const MOST: u64 = 16 * 1024;
/// How long a token lives that is asked for on the way, where the record does not say.
const LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// A token, and where it is from.
pub(super) struct Token {
    pub(super) secret: Option<Secret>,
    stored: Option<(Record, Secrets)>,
}

impl Token {
    /// What to say of it.
    pub(super) fn origin(&self) -> TokenFrom {
        match (&self.stored, &self.secret) {
            (Some((record, _)), _) => TokenFrom::Stored(record.alias.clone()),
            (None, Some(_)) => TokenFrom::Given,
            (None, None) => TokenFrom::Nowhere,
        }
    }

    /// What the start form is answered with.
    pub(super) fn start_options(&self) -> Option<&serde_json::Value> {
        self.stored.as_ref().and_then(|(record, _)| record.options.as_ref())
    }

    /// Asks a person who sits there for another one, if it is one that is stored; `None` when that cannot be.
    pub(super) async fn ask_again(&mut self, why: &CommandError) -> Result<Option<()>, CommandError> {
        let Some((record, secrets)) = &mut self.stored else { return Ok(None) };
        if Terminal::of_process().is_none() {
            return Ok(None);
        }
        output::note(why.message());
        let expires = if record.lifetime == 0 { LIFETIME } else { Duration::from_secs(record.lifetime) };
        let asked = TokenArguments { token_file: None, expires, renew: false, revoke_large: None };
        self.secret = Some(jupyter::token::renew_by_person(record, secrets, &asked).await?);
        Ok(Some(()))
    }

    /// Notes that the server was used, and gives its keys the end of a token that is newer than they are: the server
    /// reads them at the login that follows.
    pub(super) async fn note_use(&mut self) {
        let (Some((record, _)), Some(secret)) = (&mut self.stored, &self.secret) else { return };
        if let Ok(alias) = Alias::parse(&record.alias) {
            jupyter::records().touch(&alias.file_name());
        }
        let before = record.keys_end;
        if jupyter::keys::prolong(record, secret).await && record.keys_end != before {
            // Not noted, it is done again.
            let _ = jupyter::save(record);
        }
    }
}

/// The token, if there is one.
pub(super) async fn find(arguments: &Proxy, target: &Target) -> Result<Token, CommandError> {
    let given = |secret| Token { secret: Some(secret), stored: None };
    if let Some(path) = &arguments.token_file {
        return Ok(given(read_token_file(path)?));
    }
    if let Ok(text) = std::env::var(&arguments.token_env) {
        let text = Zeroizing::new(text);
        let secret = Secret::new(text.trim().to_owned());
        if !secret.is_empty() {
            return Ok(given(secret));
        }
    }
    let label = HubServer::of(target).map(|server| format!("{}/user/{}", server.hub, server.user));
    let record = jupyter::records().find_by_target(target, label.as_deref()).or_fail(ErrorKind::Config)?;
    let Some(mut record) = record else { return Ok(Token { secret: None, stored: None }) };
    let mut secrets = Secrets::of_user().await;
    let secret = jupyter::token::current(&mut record, &mut secrets).await?;
    Ok(Token { secret, stored: Some((record, secrets)) })
}

/// The token in a file, or on standard input (`-`).
pub(crate) fn read_token_file(path: &Path) -> Result<Secret, CommandError> {
    let text = if jupyter::token::is_stdin(path) { read_stdin()? } else { read(path)? };
    let secret = Secret::new(text.trim().to_owned());
    if secret.is_empty() {
        let words = format!("the token file {} is empty", path.display());
        return Err(CommandError::new(ErrorKind::Config, words));
    }
    Ok(secret)
}

fn read_stdin() -> Result<Zeroizing<String>, CommandError> {
    let mut text = Zeroizing::new(String::new());
    let stdin = std::io::Read::take(std::io::stdin(), MOST);
    let read = std::io::Read::read_to_string(&mut { stdin }, &mut text);
    read.map_err(|error| CommandError::new(ErrorKind::Config, format!("cannot read the token: {error}")))?;
    Ok(text)
}

fn read(path: &Path) -> Result<Zeroizing<String>, CommandError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        CommandError::new(ErrorKind::Config, format!("cannot read the token file {shown}: {error}"))
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.permissions().mode();
    if mode & 0o077 != 0 {
        let words = format!("others can read the token file {shown} (mode {:03o})", mode & 0o777);
        return Err(CommandError::new(ErrorKind::Config, words).hint(format!("chmod 600 {shown}")));
    }
    if metadata.len() > MOST {
        return Err(CommandError::new(ErrorKind::Config, format!("the token file {shown} is no token")));
    }
    let mut text = Zeroizing::new(String::new());
    std::io::Read::read_to_string(&mut std::io::Read::take(file, MOST), &mut text).map_err(unreadable)?;
    Ok(text)
}
