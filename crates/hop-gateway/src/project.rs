//! A login to a project: registered, its environment started, judged once more, admitted, relayed, recorded.
//!
//! What must stay true: between registering and SUCCESS the access is looked at again; a session has a row from before
//! its SUCCESS to its end; a client that is admitted before its environment is there is held, not forgotten.

use crate::gateway::Shared;
use crate::grant::Grant;
use crate::judge::Access;
use crate::lifetime::{Figures, Row, until_over};
use crate::login::{goodbye, records_unreachable};
use crate::origin::Origin;
use crate::sessions::{End, Holder, Look, Registered};
use crate::start::{self, FarLeg, StartFailure};
use crate::stream::{ClientStream, FarStream};
use hop_ssh::auth::VerifiedKey;
use hop_ssh::driver::{RelayDriver, RelayMeter, ServerLogin};
use hop_ssh::message::DisconnectReason;
use hop_ssh::relay::{PassAll, Relay, Side};
use hop_ssh::{BareTransport, Error, Leg};
use hop_store::{EndCause, NewSshSession, SshSessionId};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

type Entering<'a> = Pin<Box<dyn Future<Output = Result<FarLeg, StartFailure>> + Send + 'a>>;

/// Takes a proven client into its project, to the end of the session.
pub(crate) async fn serve(
    shared: &Shared,
    mut login: ServerLogin<ClientStream>,
    key: VerifiedKey,
    grant: Grant,
    origin: Origin,
) {
    let id = shared.new_session();
    let holder = Holder {
        access: Access::Project(grant.clone()),
        identity: Arc::new(key.identity().clone()),
        address: origin.address(),
    };
    let mut registered = shared.sessions.register(id, holder);
    let word = start::word(&grant, id, &origin, login.peer_identification());
    let (starting, is_starting) = oneshot::channel();
    let mut entering: Entering<'_> = Box::pin(start::enter(shared, &grant, &word, starting));
    let waited = wait(shared, &mut login, &grant, &mut entering, is_starting, &mut registered).await;
    let far = match waited {
        Waited::There(far) => Some(far),
        Waited::Slow => None,
        Waited::Failed(failure) => {
            tracing::warn!(%origin, project = %grant.project().id, %failure, "a project cannot be entered");
            login.refuse(goodbye(&failure.in_words())).await;
            return;
        }
        Waited::Ended(end) => {
            tracing::info!(%origin, detail = %end.words.escape_debug(), "a login has ended while its project was started");
            login.refuse(goodbye(&end.words)).await;
            return;
        }
        Waited::Gone(error) => {
            return tracing::info!(%origin, %error, "the client left while its project was started");
        }
    };
    let grant = match last_look(shared, id).await {
        Ok(grant) => grant,
        Err(words) => {
            login.refuse(goodbye(&words)).await;
            return;
        }
    };
    let row = match Row::open(shared, &new_row(shared, id, &grant, &origin)).await {
        Ok(row) => row,
        Err(error) => {
            tracing::warn!(%error, %origin, "a session that cannot be recorded is not opened");
            login.refuse(records_unreachable()).await;
            return;
        }
    };
    let pass = grant.pass();
    tracing::info!(
        session = %id, account = pass.account_name(), project = %grant.project().id, %origin,
        by = %pass.credential().in_words(), "login"
    );
    let (figures, end) = match login.admit(key).await {
        Ok(admitted) => {
            let (stream, near, _) = admitted.into_parts();
            relay(shared, id, &mut registered, near.into(), stream, far.ok_or(entering)).await
        }
        Err(error) => (Figures::default(), broken(&error)),
    };
    row.close(figures, end).await;
}

/// The record of a session that begins.
pub(crate) fn new_row(shared: &Shared, id: SshSessionId, grant: &Grant, origin: &Origin) -> NewSshSession {
    let pass = grant.pass();
    NewSshSession {
        id,
        gateway: shared.config.gateway,
        account: pass.account(),
        project: grant.project().id,
        source_project: origin.project(),
        key: pass.credential().key(),
        key_fingerprint: pass.fingerprint(),
        key_title: pass.credential().title().to_owned(),
        client: origin.client(),
        started: shared.config.clock.now(),
    }
}

/// The access of a registered session, looked at for the last time before it is admitted.
pub(crate) async fn last_look(shared: &Shared, id: SshSessionId) -> Result<Grant, String> {
    let lost = "access was taken away during the login".to_owned();
    match shared.sessions.look_again(id).await {
        Look::Allowed(access) => match *access {
            Access::Project(grant) => Ok(grant),
            Access::Jump(_) => Err(lost),
        },
        Look::Gone => Err(lost),
        Look::Refused(refusal) => {
            tracing::info!(session = %id, %refusal, "access was taken away during the login");
            Err(lost)
        }
        Look::Unknown(error) => {
            tracing::warn!(session = %id, %error, "a login cannot be judged");
            Err("the site's records cannot be reached now; try again in a minute".to_owned())
        }
    }
}

/// How the wait for an environment went.
enum Waited {
    There(FarLeg),
    /// It takes long: the client is let in now and waits on.
    Slow,
    Failed(StartFailure),
    Ended(End),
    Gone(Error),
}

/// Waits for the environment while the client is still logging in, and tells it so.
async fn wait(
    shared: &Shared,
    login: &mut ServerLogin<ClientStream>,
    grant: &Grant,
    entering: &mut Entering<'_>,
    mut is_starting: oneshot::Receiver<()>,
    registered: &mut Registered,
) -> Waited {
    let limits = &shared.config.limits;
    let title = grant.project().title.as_str().escape_debug().to_string();
    let slow = Instant::now() + limits.patience;
    let mut text: Option<String> = None;
    let mut announced = false;
    loop {
        if let Some(text) = text.take()
            && let Err(error) = login.banner(&text).await
        {
            return Waited::Gone(error);
        }
        tokio::select! {
            biased;
            Ok(end) = &mut registered.ended => return Waited::Ended(end),
            entered = &mut *entering => {
                return match entered {
                    Ok(far) => Waited::There(far),
                    Err(failure) => Waited::Failed(failure),
                };
            }
            starting = &mut is_starting, if !announced => {
                announced = true;
                // Else it was running.
                text = starting.is_ok().then(|| format!("Starting {title} ...\r\n"));
            }
            error = login.gone() => return Waited::Gone(error),
            () = tokio::time::sleep_until(slow) => {
                let most = in_words(limits.start_timeout);
                let text = format!("{title} takes longer to start; it has up to {most}. You are connected and wait.\r\n");
                return match login.banner(&text).await {
                    Ok(()) => Waited::Slow,
                    Err(error) => Waited::Gone(error),
                };
            }
            () = sleep(limits.tell) => text = Some(format!("Still starting {title} ...\r\n")),
        }
    }
}

fn in_words(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds >= 120 => format!("{} minutes", seconds.div_ceil(60)),
        seconds => format!("{seconds} seconds"),
    }
}

/// Relays between an admitted client and its environment, which may still be coming.
async fn relay(
    shared: &Shared,
    id: SshSessionId,
    registered: &mut Registered,
    near: Leg,
    stream: ClientStream,
    far: Result<FarLeg, Entering<'_>>,
) -> (Figures, End) {
    let (far_stream, far_leg, coming) = match far {
        Ok(FarLeg { stream, transport }) => (FarStream::There(stream), transport, None),
        Err(entering) => {
            let (sender, receiver) = oneshot::channel();
            (FarStream::Coming(receiver), BareTransport::awaited(), Some((entering, sender)))
        }
    };
    let keepalive = shared.config.limits.keepalive;
    let now = Instant::now().into_std();
    let mut relay = match Relay::new(near, far_leg, Box::new(PassAll), keepalive, now) {
        Ok(relay) => relay,
        Err(error) => return (Figures::default(), broken(&error.error)),
    };
    if coming.is_some() {
        relay.await_server(shared.config.limits.tell, now);
    }
    let mut driver = RelayDriver::new(relay, stream, far_stream).borrowing(Box::new(shared.pipes.clone()));
    let meter = driver.meter();
    let why = OnceLock::new();
    let stop = async {
        let end = tokio::select! {
            end = until_over(shared, id, registered, true, || figures(&meter)) => end,
            end = bring(coming) => end,
        };
        let words = end.words.clone();
        // Nobody else sets it.
        let _ = why.set(end);
        (DisconnectReason::ByApplication, words)
    };
    let ended = driver.run(stop).await;
    (figures(&meter), why.into_inner().unwrap_or_else(|| cause(ended)))
}

/// Hands the relay the stream that was promised to it; yields only when there will be none.
async fn bring(coming: Option<(Entering<'_>, oneshot::Sender<UnixStream>)>) -> End {
    let Some((entering, sender)) = coming else { return std::future::pending().await };
    let failure = match entering.await {
        Ok(far) if far.transport.is_between_payloads() => {
            // The relay has ended when it does not take it.
            let _ = sender.send(far.stream);
            return std::future::pending().await;
        }
        Ok(_) => StartFailure::Early,
        Err(failure) => failure,
    };
    tracing::warn!(%failure, "a project cannot be entered");
    End { cause: EndCause::Environment, words: failure.in_words() }
}

fn figures(meter: &RelayMeter) -> Figures {
    Figures {
        from_client: meter.crossed(Side::Client),
        to_client: meter.crossed(Side::Server),
        carried: meter.carried(),
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
