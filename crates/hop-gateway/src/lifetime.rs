//! What ends an open session, and what is written while it lasts.

use crate::gateway::Shared;
use crate::sessions::{End, Look, Registered};
use crate::unrecorded::Ended;
use hop_store::{EndCause, NewSshSession, SessionEnd, SshSessionId, StoreError, Timestamp};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often the bytes of a session are noted, and it is looked at for being idle.
const NOTE_EVERY: Duration = Duration::from_secs(30);

/// What has passed in a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) from_client: u64,
    pub(crate) to_client: u64,
    /// What changes when channel data passes, and only then.
    pub(crate) carried: u64,
}

/// A session's row, closed once.
pub(crate) struct Row<'a> {
    shared: &'a Shared,
    id: SshSessionId,
}

impl<'a> Row<'a> {
    /// Records that a session begins.
    pub(crate) async fn open(shared: &'a Shared, new: &NewSshSession) -> Result<Self, StoreError> {
        shared.config.store.ssh_sessions().open(new).await?;
        Ok(Self { shared, id: new.id })
    }

    /// Records how it ended.
    pub(crate) async fn close(self, figures: Figures, end: End) {
        let Figures { from_client, to_client, .. } = figures;
        let at = self.shared.config.clock.now();
        tracing::info!(
            session = %self.id, cause = ?end.cause, detail = %end.words.escape_debug(), from_client, to_client,
            "session ended"
        );
        let end = SessionEnd { at, cause: end.cause, detail: end.words };
        let Shared { unrecorded, config, .. } = self.shared;
        unrecorded.record(&config.store, Ended { id: self.id, figures, end }).await;
    }
}

/// Waits until a session must end: its access is gone or over, or nothing has passed for too long. Notes its bytes
/// meanwhile, if it has a row.
pub(crate) async fn until_over(
    shared: &Shared,
    id: SshSessionId,
    registered: &mut Registered,
    has_row: bool,
    figures: impl Fn() -> Figures,
) -> End {
    let Registered { ended, expires, .. } = registered;
    tokio::select! {
        Ok(end) = ended => end,
        end = expiry(shared, id, expires) => end,
        end = idle(shared, id, has_row, figures) => end,
    }
}

/// Waits for the end of what lets the session in; another owner's key may let it go on.
async fn expiry(shared: &Shared, id: SshSessionId, expires: &mut watch::Receiver<Option<Timestamp>>) -> End {
    loop {
        let end = *expires.borrow_and_update();
        tokio::select! {
            () = reached(shared, end) => {}
            Ok(()) = expires.changed() => continue,
        }
        let words = match shared.sessions.look_again(id).await {
            Look::Allowed(access) if access.pass().expires() != end => continue,
            Look::Allowed(access) => access.pass().credential().in_words(),
            Look::Refused(_) | Look::Unknown(_) => match shared.sessions.title(id) {
                Some(title) => title,
                None => return std::future::pending().await,
            },
            // Somebody else ends it.
            Look::Gone => return std::future::pending().await,
        };
        return End { cause: EndCause::Revoked, words: format!("{words} has expired") };
    }
}

async fn reached(shared: &Shared, end: Option<Timestamp>) {
    let Some(end) = end else { return std::future::pending().await };
    loop {
        let left = end.as_micros().saturating_sub(shared.config.clock.now().as_micros());
        if left <= 0 {
            return;
        }
        // Looked at again every minute: the clock may be set meanwhile.
        let left = Duration::from_micros(left.unsigned_abs()).min(Duration::from_secs(60));
        tokio::time::sleep(left).await;
    }
}

async fn idle(shared: &Shared, id: SshSessionId, has_row: bool, figures: impl Fn() -> Figures) -> End {
    let most = shared.config.limits.max_idle;
    let every = most.map_or(NOTE_EVERY, |most| NOTE_EVERY.min(most / 4)).max(Duration::from_millis(10));
    let (mut noted, mut carried, mut since) = (Figures::default(), figures().carried, Instant::now());
    loop {
        tokio::time::sleep(every).await;
        let now = figures();
        if has_row && (now.from_client, now.to_client) != (noted.from_client, noted.to_client) {
            noted = now;
            let rows = shared.config.store.ssh_sessions();
            if let Err(error) = rows.note_bytes(id, now.from_client, now.to_client).await {
                tracing::debug!(%error, session = %id, "a session's bytes are not noted");
            }
        }
        if now.carried != carried {
            (carried, since) = (now.carried, Instant::now());
        }
        if let Some(most) = most
            && since.elapsed() >= most
        {
            let words = format!("idle: nothing has passed for {}", in_words(most));
            return End { cause: EndCause::Idle, words };
        }
    }
}

fn in_words(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds >= 120 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
