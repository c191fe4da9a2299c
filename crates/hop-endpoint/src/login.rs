//! From a byte stream to a login: key exchange, then one answer after the other about keys.

use std::net::IpAddr;
use std::time::Duration;

use hop_ssh::auth::Question;
use hop_ssh::driver::{AuthenticatedServer, ServerLogin};
use hop_ssh::{Error, auth::VerifiedKey};

use crate::access::{Admission, Applicant, Denied};
use crate::config::EndpointConfig;
use crate::listener::ByteStream;

/// A client that is logged in, and what its session may do.
pub(crate) struct LoggedIn {
    pub(crate) server: AuthenticatedServer<ByteStream>,
    pub(crate) admission: Admission,
    pub(crate) user: String,
    /// The identification line of the client.
    pub(crate) software: String,
}

/// Why a connection did not get that far; for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error("not logged in within {} s", .0.as_secs())]
    Grace(Duration),
    #[error(transparent)]
    Protocol(#[from] Error),
}

/// Exchanges keys and authenticates.
pub(crate) async fn log_in(
    stream: ByteStream,
    config: &EndpointConfig,
    address: Option<IpAddr>,
) -> Result<LoggedIn, LoginError> {
    let grace = config.limits.login_grace;
    match tokio::time::timeout(grace, authenticate(stream, config, address)).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(LoginError::Grace(grace)),
    }
}

async fn authenticate(
    stream: ByteStream,
    config: &EndpointConfig,
    address: Option<IpAddr>,
) -> Result<LoggedIn, Error> {
    let mut login =
        ServerLogin::accept(stream, std::sync::Arc::clone(&config.ssh), config.limits.login_attempts).await?;
    loop {
        match login.next_question().await? {
            Question::Probe(query) => {
                let moment = config.clock.read();
                let applicant = Applicant {
                    user: &query.user,
                    identity: &query.identity,
                    address,
                    now: moment.now,
                    utc_offset: moment.utc_offset,
                };
                match config.access.judge(&applicant) {
                    Ok(_) => login.encourage().await?,
                    Err(denied) => {
                        tracing::debug!(user = %query.user.escape_debug(), %denied, "key would not do");
                        login.reject().await?;
                    }
                }
            }
            Question::Login(key) => match judge_signed(config, &key, address) {
                Ok(admission) => {
                    let user = key.user().to_owned();
                    let software = login.peer_identification().to_owned();
                    return Ok(LoggedIn { server: login.admit(key).await?, admission, user, software });
                }
                Err(reason) => {
                    tracing::info!(user = %key.user().escape_debug(), reason, "login refused");
                    login.reject().await?;
                }
            },
        }
    }
}

/// The verdict on a key whose signature is genuine; the error is for the log.
fn judge_signed(
    config: &EndpointConfig,
    key: &VerifiedKey,
    address: Option<IpAddr>,
) -> Result<Admission, String> {
    let moment = config.clock.read();
    let applicant = Applicant {
        user: key.user(),
        identity: key.identity(),
        address,
        now: moment.now,
        utc_offset: moment.utc_offset,
    };
    let admission = config.access.judge(&applicant).map_err(|denied: Denied| denied.to_string())?;
    admission.token.check(key.signature()).map_err(|refusal| refusal.to_string())?;
    Ok(admission)
}
