//! What the pages ask about projects, answered by the keeper.

use hop_env::{AskError, Environments, ProjectKey, State};
use hop_portal::{Answer, RunState, RunningError, RunningProjects};
use hop_store::{Project, ProjectId, Timestamp};
use std::time::Duration;

/// How long a page waits for a project to start; it goes on by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// The keeper's environments.
pub(super) struct Kept(pub(super) Environments);

impl RunningProjects for Kept {
    fn state(&self, project: ProjectId) -> Answer<'_, RunState> {
        Box::pin(async move {
            Ok(match self.0.state(&key(project)?).await.map_err(|_| RunningError::Unreachable)? {
                State::Stopped | State::Stopping => RunState::Stopped,
                State::Starting => RunState::Starting,
                State::Running { since, .. } => RunState::Running { since: Timestamp::from_seconds(since) },
            })
        })
    }

    fn start(&self, project: Project) -> Answer<'_, ()> {
        Box::pin(async move {
            let key = key(project.id)?;
            match tokio::time::timeout(PATIENCE, self.0.enter(&key)).await {
                // It is on its way.
                Err(_) => Ok(()),
                Ok(entered) => entered.map(drop).map_err(|error| failed("started", &error)),
            }
        })
    }

    fn stop(&self, project: ProjectId) -> Answer<'_, ()> {
        Box::pin(async move { self.0.stop(&key(project)?).await.map_err(|error| failed("stopped", &error)) })
    }
}

fn key(project: ProjectId) -> Result<ProjectKey, RunningError> {
    ProjectKey::parse(&project.to_string()).map_err(|_| RunningError::Unreachable)
}

/// The reason is for the log: what an environment says is its tenant's.
fn failed(what: &'static str, error: &AskError) -> RunningError {
    tracing::warn!(%error, "a project could not be {what}");
    RunningError::Failed { what, reason: "whoever runs the site finds the reason in its log".to_owned() }
}
