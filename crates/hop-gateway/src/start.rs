//! From a grant to an environment that has taken our word, however long that takes.

use crate::gateway::Shared;
use crate::grant::Grant;
use crate::origin::Origin;
use hop_env::{EnterError, EnterStep, Failure, FailureKind, ProjectKey, ProjectKeyError};
use hop_model::Word;
use hop_ssh::driver::give_word;
use hop_ssh::{BareTransport, Error};
use hop_store::SshSessionId;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

/// The environment's leg, with our word taken.
pub(crate) struct FarLeg {
    pub(crate) stream: UnixStream,
    pub(crate) transport: BareTransport,
}

/// Why an environment is not entered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartFailure {
    #[error("the keeper would not know it: {0}")]
    Key(#[from] ProjectKeyError),
    #[error(transparent)]
    Enter(#[from] EnterError),
    #[error("the environment did not take the login: {0}")]
    Word(Error),
    #[error("the environment did not answer within {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("the environment spoke before it was asked")]
    Early,
    #[error("the environment cannot be talked to: {0}")]
    Io(#[from] std::io::Error),
}

impl StartFailure {
    /// What the client is told: members may know what is wrong with their project, but not this machine's paths.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Enter(EnterError::Failed(failure)) => failed(failure),
            Self::Key(_)
            | Self::Enter(EnterError::Unreachable { .. } | EnterError::HungUp | EnterError::Nonsense(_)) => {
                format!("the site cannot start projects now; try again in a minute, then {ASK}")
            }
            Self::Word(_) | Self::Early | Self::Io(_) => {
                format!("the project was started and does not answer; try again, and if it stays so {ASK}")
            }
            Self::TooSlow(limit) => format!(
                "the project did not start within {} s; it may be starting still: try again in a minute",
                limit.as_secs()
            ),
        }
    }
}

const ASK: &str = "ask the site's operators: their log has the reason";

fn failed(failure: &Failure) -> String {
    let reason: String = failure.reason.chars().take(300).collect();
    match failure.kind {
        FailureKind::Ended => {
            // The tenant's own words, with control characters escaped by the keeper.
            let last = failure.tail.last().map(|line| line.chars().take(300).collect::<String>());
            let last = last.map(|line| format!("; it last said: {line}"));
            // It does not end by itself: what it said names the cause, and where it said nothing it was killed.
            let look = last.unwrap_or_else(|| {
                format!("; it said nothing, as what is killed for want of memory does: {ASK}")
            });
            format!("the project could not be started: {reason}{look}")
        }
        FailureKind::TimedOut | FailureKind::Stopped | FailureKind::Busy => {
            format!("the project could not be started: {reason}; try again in a minute")
        }
        // These name files of the machine.
        FailureKind::Home | FailureKind::Machine | FailureKind::Request => {
            format!("the project could not be started; {ASK}")
        }
    }
}

/// The word for a session.
pub(crate) fn word(grant: &Grant, id: SshSessionId, origin: &Origin, client_identification: &str) -> Word {
    let pass = grant.pass();
    let project = grant.project().id.to_string();
    let permissions = pass.permissions().clone();
    let mut word = Word::new(&id.to_string(), &project, origin.client(), origin.server(), permissions);
    word.account = pass.account().to_string();
    word.account_name = pass.account_name().to_owned();
    word.key_fingerprint = pass.fingerprint().to_string();
    word.key_title = pass.credential().title().to_owned();
    word.client_identification = client_identification.to_owned();
    word.not_after = pass.expires().map(|end| end.as_seconds());
    word
}

/// Connects to a project's environment, starting it if need be, and has it take the word. `starting` hears when it is
/// not running yet.
pub(crate) async fn enter(
    shared: &Shared,
    grant: &Grant,
    word: &Word,
    starting: oneshot::Sender<()>,
) -> Result<FarLeg, StartFailure> {
    in_time(shared, async {
        let stream = connect(shared, grant, starting).await?;
        let (stream, transport) = give_word(stream, word).await.map_err(StartFailure::Word)?;
        Ok(FarLeg { stream, transport })
    })
    .await
}

/// Connects to a project's environment, starting it if need be.
pub(crate) async fn connect(
    shared: &Shared,
    grant: &Grant,
    starting: oneshot::Sender<()>,
) -> Result<UnixStream, StartFailure> {
    let key = ProjectKey::parse(&grant.project().id.to_string())?;
    let mut entering = shared.config.environments.begin_to_enter(&key).await?;
    let mut starting = Some(starting);
    loop {
        match entering.step().await? {
            EnterStep::Entered(stream) => return Ok(stream),
            EnterStep::Starting => {
                // Who waits need not want to know.
                let _ = starting.take().map(|starting| starting.send(()));
            }
        }
    }
}

/// Gives up after the time that a start may take.
pub(crate) async fn in_time<T>(
    shared: &Shared,
    starting: impl Future<Output = Result<T, StartFailure>>,
) -> Result<T, StartFailure> {
    let limit = shared.config.limits.start_timeout;
    tokio::time::timeout(limit, starting).await.unwrap_or(Err(StartFailure::TooSlow(limit)))
}
