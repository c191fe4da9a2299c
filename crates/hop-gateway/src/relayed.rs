//! One admitted session: registered, judged once more, relayed, recorded.

use crate::gateway::GatewayConfig;
use crate::grant::authorize;
use crate::login::{FarLeg, Proven};
use crate::sessions::{End, Sessions};
use hop_ssh::driver::RelayDriver;
use hop_ssh::message::DisconnectReason;
use hop_ssh::relay::{PassAll, Relay, Side};
use hop_ssh::{Error, Leg};
use hop_store::{EndCause, NewSshSession, SessionEnd, SshSessionId};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::oneshot;

/// Admits a client and relays until one side leaves or its access is taken away.
pub(crate) async fn serve(
    proven: Proven,
    far: FarLeg,
    config: &GatewayConfig,
    sessions: &Sessions,
    id: SshSessionId,
    client: SocketAddr,
) {
    let Proven { login, key, grant } = proven;
    // Registered first, then looked at again: what is revoked from here on ends it.
    let (_registered, ended) = sessions.register(id, grant.clone());
    let now = config.now();
    let project = grant.project().id.to_string();
    let still = match config.store.access().by_key(&project, grant.fingerprint(), now).await {
        Ok(facts) => facts.as_of == grant.as_of() || authorize(&facts, grant.fingerprint(), now).is_ok(),
        Err(_) => false,
    };
    if !still {
        let description = "access was taken away during the login".to_owned();
        login.refuse(Error::Disconnecting { reason: DisconnectReason::ByApplication, description }).await;
        return;
    }
    let opened = NewSshSession {
        id,
        gateway: config.gateway,
        account: grant.account(),
        project: grant.project().id,
        source_project: None,
        key: Some(grant.key()),
        key_fingerprint: grant.fingerprint(),
        key_title: grant.title().to_owned(),
        client,
        started: now,
    };
    if let Err(error) = config.store.ssh_sessions().open(&opened).await {
        tracing::warn!(%error, %client, "a session that cannot be recorded is not opened");
        let description = "the site's records cannot be reached now; try again in a minute".to_owned();
        login.refuse(Error::Disconnecting { reason: DisconnectReason::ByApplication, description }).await;
        return;
    }
    tracing::info!(session = %id, account = grant.account_name(), project = %project, %client, "login");
    let (end, from_client, to_client) = match login.admit(key).await {
        Ok(admitted) => {
            let (stream, near, _) = admitted.into_parts();
            let now = tokio::time::Instant::now().into_std();
            match Relay::new(near, Leg::from(far.transport), Box::new(PassAll), config.limits.keepalive, now)
            {
                Ok(relay) => {
                    let mut driver = RelayDriver::new(relay, stream, far.stream);
                    let why = OnceLock::new();
                    let expiry = expiry(config, grant.expires().map(|end| end.as_micros()));
                    let ended = driver.run(stop_of(ended, expiry, &why)).await;
                    let relay = driver.relay();
                    (
                        why.into_inner().unwrap_or_else(|| cause(ended)),
                        relay.crossed(Side::Client),
                        relay.crossed(Side::Server),
                    )
                }
                Err(error) => (broken(&error.error), 0, 0),
            }
        }
        Err(error) => (broken(&error), 0, 0),
    };
    let at = config.now();
    tracing::info!(session = %id, cause = ?end.cause, detail = %end.words, from_client, to_client, "session ended");
    let end = SessionEnd { at, cause: end.cause, detail: end.words };
    if let Err(error) = config.store.ssh_sessions().close(id, from_client, to_client, &end).await {
        tracing::warn!(%error, session = %id, "a session's end is not recorded");
    }
}

/// Waits until the session must end; notes why, and yields what the client is told.
async fn stop_of(
    ended: oneshot::Receiver<End>,
    expiry: impl Future<Output = ()>,
    why: &OnceLock<End>,
) -> (DisconnectReason, String) {
    let end = tokio::select! {
        Ok(end) = ended => end,
        () = expiry => End { cause: EndCause::Revoked, words: "the key has expired".to_owned() },
    };
    let words = end.words.clone();
    // Nobody else sets it.
    let _ = why.set(end);
    (DisconnectReason::ByApplication, words)
}

async fn expiry(config: &GatewayConfig, end: Option<i64>) {
    let Some(end) = end else { return std::future::pending().await };
    loop {
        let left = end - config.now().as_micros();
        if left <= 0 {
            return;
        }
        // Looked at again every minute: the clock may be set meanwhile.
        let left = Duration::from_micros(left.unsigned_abs()).min(Duration::from_secs(60));
        tokio::time::sleep(left).await;
    }
}

/// How a relay's end is recorded, when nobody ended it on purpose.
fn cause((side, error): (Option<Side>, Error)) -> End {
    let cause = match (side, &error) {
        (Some(Side::Client), Error::Disconnected { .. } | Error::Closed) => EndCause::Client,
        (Some(Side::Server), Error::Disconnected { .. } | Error::Closed) => EndCause::Environment,
        (Some(_) | None, _) => EndCause::Broken,
    };
    End { cause, words: error.to_string() }
}

fn broken(error: &Error) -> End {
    End { cause: EndCause::Broken, words: error.to_string() }
}
