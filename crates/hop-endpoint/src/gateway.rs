//! A site's gateway at the door: it has authenticated its client and gives its word for them.
//!
//! What must stay true: only a connection to the listener that the site passed down comes here; a word that is
//! not understood, or is over, is refused; what the word says the session may do is all that it may do.

use std::os::unix::net::UnixStream as StdUnixStream;

use hop_model::Word;
use hop_ssh::driver::BareServer;
use tokio::net::UnixStream;

use crate::config::EndpointConfig;
use crate::connection::{Entered, Guest, engine_limits};
use crate::environment::Addresses;

/// Waits for the word and takes it; `None` when there is none, or none to be taken.
pub(crate) async fn await_word(
    stream: StdUnixStream,
    config: &EndpointConfig,
) -> Option<Entered<UnixStream>> {
    let stream = UnixStream::from_std(stream)
        .inspect_err(|error| tracing::warn!(%error, "gateway's connection lost before it began"))
        .ok()?;
    let server = match tokio::time::timeout(config.limits.login_grace, BareServer::accept(stream)).await {
        Ok(Ok(server)) => server,
        Ok(Err(error)) => {
            tracing::warn!(%error, "no word from the gateway");
            return None;
        }
        Err(_) => {
            tracing::warn!("the gateway connected and said nothing");
            return None;
        }
    };
    let now = config.clock.read().now;
    if server.word().not_after.is_some_and(|end| end < now) {
        let error = server.refuse("the login is no longer valid").await;
        tracing::warn!(%error, "gateway's word refused");
        return None;
    }
    match server.serve(engine_limits(config)).await {
        Ok((word, connection, arrivals, driver)) => {
            Some(Entered { guest: guest(word), connection, arrivals, driver })
        }
        Err(error) => {
            tracing::warn!(%error, "gateway left before its word was taken");
            None
        }
    }
}

fn guest(word: Word) -> Guest {
    let facts =
        [("HOP_SESSION", &word.session), ("HOP_PROJECT", &word.project), ("HOP_ACCOUNT", &word.account_name)];
    let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value.clone().into_bytes()));
    let more = word.environment.into_iter().map(|(name, value)| (name, value.into_bytes()));
    Guest {
        user: word.project.clone(),
        addresses: Some(Addresses { client: word.client, server: word.server }),
        injected: more.chain(facts).collect(),
        permissions: word.permissions,
        software: word.client_identification,
        not_after: word.not_after,
        reason: format!("gateway, account {:?}, key {}", word.account_name, word.key_fingerprint),
    }
}
