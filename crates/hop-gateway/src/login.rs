//! From a byte stream to a proven key that opens something.
//!
//! What must stay true: whoever is refused hears the same, by the same steps; a refusal is put off by where it goes to
//! and never by why.

use crate::door::{Full, Place};
use crate::gateway::Shared;
use crate::judge::{Access, Target};
use crate::origin::Origin;
use crate::stream::ClientStream;
use hop_keys::Identity;
use hop_ssh::Error;
use hop_ssh::auth::{Question, VerifiedKey};
use hop_ssh::driver::ServerLogin;
use hop_ssh::message::DisconnectReason;
use hop_store::StoreError;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A client whose key was proved and opens something; not admitted yet.
pub(crate) struct Proven {
    pub(crate) login: ServerLogin<ClientStream>,
    pub(crate) key: VerifiedKey,
    pub(crate) access: Access,
}

/// Why a login did not come about; for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error(transparent)]
    Protocol(#[from] Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Full(#[from] Full),
    #[error("no login within {} s", .0.as_secs())]
    Grace(Duration),
}

/// Exchanges keys and answers questions about keys until one is proved that opens what was asked for. `only` is the name
/// that the door leads to, if it leads to one.
pub(crate) async fn prove(
    stream: ClientStream,
    shared: &Shared,
    origin: &Origin,
    only: Option<&str>,
    mut place: Place,
) -> Result<Proven, LoginError> {
    let limits = &shared.config.limits;
    let grace = limits.login_grace;
    let deadline = Instant::now() + grace;
    let accepting = ServerLogin::accept(stream, shared.config.ssh.clone(), limits.login_attempts);
    let mut login = timeout_at(deadline, accepting).await.map_err(|_| LoginError::Grace(grace))??;
    let questions = questions(&mut login, shared, origin, only, &mut place);
    let answered = timeout_at(deadline, questions).await.unwrap_or(Err(LoginError::Grace(grace)));
    match answered {
        Ok((key, access)) => {
            shared.penalties().succeeded(origin.source(), now());
            Ok(Proven { login, key, access })
        }
        Err(error) => {
            account(shared, origin, &login);
            if let LoginError::Store(_) = error {
                login.refuse(records_unreachable()).await;
            }
            Err(error)
        }
    }
}

/// Books what failed: signatures, or else the name.
fn account(shared: &Shared, origin: &Origin, login: &ServerLogin<ClientStream>) {
    let Some(name) = login.user() else { return };
    let (source, now) = (origin.source(), now());
    for _ in 0..login.failures().max(1) {
        shared.penalties().failed(source, name, now);
    }
}

async fn questions(
    login: &mut ServerLogin<ClientStream>,
    shared: &Shared,
    origin: &Origin,
    only: Option<&str>,
    place: &mut Place,
) -> Result<(VerifiedKey, Access), LoginError> {
    loop {
        let question = login.next_question().await?;
        let asked = Instant::now();
        match question {
            Question::Probe(query) => {
                match judge(shared, origin, only, &query.user, &query.identity).await? {
                    Some(_) => login.encourage().await?,
                    None => refuse(login, shared, origin, place, asked).await?,
                }
            }
            Question::Login(key) => {
                let access = judge(shared, origin, only, key.user(), key.identity()).await?;
                let access = access.filter(|access| match access.pass().token().check(key.signature()) {
                    Ok(()) => true,
                    Err(refusal) => {
                        tracing::debug!(user = %key.user().escape_debug(), %refusal, "not let in");
                        false
                    }
                });
                match access {
                    Some(access) => return Ok((key, access)),
                    None => refuse(login, shared, origin, place, asked).await?,
                }
            }
        }
    }
}

async fn judge(
    shared: &Shared,
    origin: &Origin,
    only: Option<&str>,
    user: &str,
    identity: &Identity,
) -> Result<Option<Access>, StoreError> {
    let target = Target::of_user(user);
    match shared.judge.judge(&target, identity, origin.address()).await? {
        // Judged first, so that the answer takes its time.
        Ok(_) if only.is_some_and(|only| only != user) => {
            tracing::debug!(user = %user.escape_debug(), %origin, "not let in: the door leads to another project");
            Ok(None)
        }
        Ok(access) => Ok(Some(access)),
        Err(refusal) => {
            let fingerprint = identity.key().fingerprint();
            tracing::debug!(user = %user.escape_debug(), %fingerprint, %origin, %refusal, "not let in");
            Ok(None)
        }
    }
}

/// Refuses what was asked last; those who have failed often hear it later, without keeping others from the door.
async fn refuse(
    login: &mut ServerLogin<ClientStream>,
    shared: &Shared,
    origin: &Origin,
    place: &mut Place,
    asked: Instant,
) -> Result<(), LoginError> {
    let delay = shared.penalties().delay(origin.source(), login.user(), now());
    if !delay.is_zero() {
        place.slow()?;
    }
    tokio::time::sleep_until(asked + EVEN.max(delay)).await;
    Ok(login.reject().await?)
}

/// No refusal comes before this: what the store found, or did not find, makes some 15 µs of a difference.
const EVEN: Duration = Duration::from_millis(4);

/// What a client is told when the store does not answer.
pub(crate) fn records_unreachable() -> Error {
    goodbye("the site's records cannot be reached now; try again in a minute")
}

/// A refusal with these words.
pub(crate) fn goodbye(words: &str) -> Error {
    Error::Disconnecting { reason: DisconnectReason::ByApplication, description: words.to_owned() }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
