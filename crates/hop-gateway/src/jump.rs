//! The door `jump`: a connection that leads only to projects, one channel for each (`ssh -J jump@gateway
//! PROJECT@PROJECT`).
//!
//! What must stay true: a channel is opened only to the name of a project of which an owner of this connection's key is
//! a member; nothing else is granted here; what came through the door ends with it.

use crate::gateway::Shared;
use crate::grant::{Grant, JumpGrant};
use crate::inner;
use crate::judge::{Access, Target};
use crate::lifetime::{Figures, until_over};
use crate::login::goodbye;
use crate::origin::Origin;
use crate::sessions::{End, Holder, Look};
use crate::start::{self, StartFailure};
use crate::stream::ClientStream;
use hop_keys::Identity;
use hop_ssh::auth::VerifiedKey;
use hop_ssh::connection::{ChannelKind, Limits};
use hop_ssh::driver::{AuthenticatedServer, Incoming, IncomingOpen, ServerLogin};
use hop_ssh::message::{DisconnectReason, OpenFailure};
use hop_store::{EndCause, KeyUse, SshSessionId};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What is told whatever the reason: a project that is not there and one of others look alike.
const NO_SUCH: &str = "no project of this name opens to this key";

/// A connection through the door, as what leads on from it sees it.
pub(crate) struct Outer {
    pub(crate) id: SshSessionId,
    pub(crate) origin: Origin,
    identity: Arc<Identity>,
    /// Cancelled when it has ended; `why` is set then.
    pub(crate) ended: CancellationToken,
    why: OnceLock<End>,
    /// Bytes that went through, both ways.
    pub(crate) carried: AtomicU64,
}

impl Outer {
    /// Why what went through the door ends with it.
    pub(crate) fn why(&self) -> End {
        let left =
            || End { cause: EndCause::Client, words: "the connection that it came through ended".to_owned() };
        self.why.get().cloned().unwrap_or_else(left)
    }
}

/// Serves the door to a proven client.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    login: ServerLogin<ClientStream>,
    key: VerifiedKey,
    grant: JumpGrant,
    origin: Origin,
) {
    let id = shared.new_session();
    let identity = Arc::new(key.identity().clone());
    let holder =
        Holder { access: Access::Jump(grant.clone()), identity: identity.clone(), address: origin.address() };
    let mut registered = shared.sessions.register(id, holder);
    match shared.sessions.look_again(id).await {
        Look::Allowed(_) => {}
        Look::Refused(_) | Look::Gone => {
            login.refuse(goodbye("access was taken away during the login")).await;
            return;
        }
        Look::Unknown(error) => {
            tracing::warn!(%error, %origin, "a login cannot be judged");
            login.refuse(crate::login::records_unreachable()).await;
            return;
        }
    }
    record_use(shared, &grant, &origin).await;
    let pass = grant.pass();
    tracing::info!(
        connection = %id, account = pass.account_name(), %origin, by = %pass.credential().in_words(), "at the door"
    );
    let admitted = match login.admit(key).await {
        Ok(admitted) => admitted,
        Err(error) => return tracing::info!(%origin, %error, "the client left as it was let in"),
    };
    let outer = Arc::new(Outer {
        id,
        origin,
        identity,
        ended: CancellationToken::new(),
        why: OnceLock::new(),
        carried: AtomicU64::new(0),
    });
    let figures = || Figures { carried: outer.carried.load(Ordering::Relaxed), ..Figures::default() };
    let over = until_over(shared, id, &mut registered, false, figures);
    let why = carry(shared, &outer, admitted, over).await;
    tracing::info!(connection = %id, origin = %outer.origin, %why, "left the door");
}

/// The use of a key that enters no project; the projects behind the door have their own records.
async fn record_use(shared: &Shared, grant: &JumpGrant, origin: &Origin) {
    let Some(key) = grant.pass().credential().key() else { return };
    let usage = KeyUse { at: shared.config.clock.now(), address: origin.client().ip(), project: None };
    if let Err(error) = shared.config.store.keys().record_use(key, usage).await {
        tracing::warn!(%error, "the use of a key is not recorded");
    }
}

/// Runs the connection to its end, and says why it ended.
async fn carry(
    shared: &Arc<Shared>,
    outer: &Arc<Outer>,
    admitted: AuthenticatedServer<ClientStream>,
    over: impl Future<Output = End>,
) -> String {
    let limits = &shared.config.limits;
    let (connection, mut arrivals, driver) = admitted.serve(Limits {
        // One more than is granted, so that a refusal has words.
        channels: limits.jumps + 1,
        keepalive: limits.keepalive.map(|keepalive| keepalive.every),
        keepalive_most: limits.keepalive.map_or(0, |keepalive| keepalive.most),
        ..Limits::default()
    });
    let mut driver = std::pin::pin!(driver.run());
    let mut over = std::pin::pin!(over);
    let mut ways = JoinSet::new();
    let why = loop {
        tokio::select! {
            ended = &mut driver => break ended.to_string(),
            end = &mut over => {
                connection.disconnect(DisconnectReason::ByApplication, &end.words);
                let words = end.words.clone();
                // Nobody else sets it. What leads on from here ends now, not after the goodbye.
                let _ = outer.why.set(end);
                outer.ended.cancel();
                let _ended = driver.as_mut().await;
                break words;
            }
            Some(incoming) = arrivals.next() => match incoming {
                Incoming::Open(open) if ways.len() >= limits.jumps => {
                    open.refuse(OpenFailure::ResourceShortage, "too many projects at a time");
                }
                Incoming::Open(open) => match open.kind().clone() {
                    ChannelKind::DirectTcpip(ends) => {
                        let (shared, outer) = (shared.clone(), outer.clone());
                        ways.spawn(async move { lead(&shared, &outer, open, ends.host).await });
                    }
                    _ => open.refuse(
                        OpenFailure::AdministrativelyProhibited,
                        "this door leads to projects only: ssh -J jump@GATEWAY PROJECT@PROJECT",
                    ),
                },
                // Nothing is listened for here.
                Incoming::Request(request) => request.refuse(),
            },
            Some(_) = ways.join_next() => {}
        }
    };
    outer.ended.cancel();
    while ways.join_next().await.is_some() {}
    why
}

/// Leads a channel to a project, to the channel's end.
async fn lead(shared: &Shared, outer: &Outer, open: IncomingOpen, name: String) {
    let target = Target::Project(name.clone());
    let grant = match shared.judge.judge(&target, &outer.identity, outer.origin.address()).await {
        Ok(Ok(Access::Project(grant))) => grant,
        Ok(Ok(Access::Jump(_))) => return,
        Ok(Err(refusal)) => {
            tracing::info!(connection = %outer.id, project = %name.escape_debug(), %refusal, "not led on");
            return open.refuse(OpenFailure::AdministrativelyProhibited, NO_SUCH);
        }
        Err(error) => {
            tracing::warn!(%error, connection = %outer.id, "not led on");
            return open.refuse(
                OpenFailure::ConnectFailed,
                "the site's records cannot be reached now; try again in a minute",
            );
        }
    };
    let reached = tokio::select! {
        reached = start::in_time(shared, reach(shared, &grant)) => reached,
        () = outer.ended.cancelled() => return,
    };
    match reached {
        Ok((asked, bytes)) => {
            let project = grant.project().id;
            tracing::info!(connection = %outer.id, %project, "led on");
            inner::attend(shared, outer, project, asked, bytes, &open.accept()).await;
        }
        Err(failure) => {
            tracing::warn!(connection = %outer.id, project = %grant.project().id, %failure, "a project cannot be entered");
            open.refuse(OpenFailure::ConnectFailed, &failure.in_words());
        }
    }
}

/// Connects to a project's endpoint: the socket on which it asks, and the one for the client's bytes.
async fn reach(shared: &Shared, grant: &Grant) -> Result<(UnixStream, UnixStream), StartFailure> {
    let (starting, _) = oneshot::channel();
    let asked = start::connect(shared, grant, starting).await?;
    let (ours, theirs) = UnixStream::pair()?;
    inner::begin(&asked, theirs).await?;
    Ok((asked, ours))
}
