//! What pages ask about the environments that projects run in. Whoever composes the site answers.

use std::pin::Pin;

use hop_store::{Project, ProjectId, Timestamp};

/// An answer that may take a while.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, RunningError>> + Send + 'a>>;

/// The environments of projects.
pub trait RunningProjects: Send + Sync {
    /// Whether a project runs.
    fn state(&self, project: ProjectId) -> Answer<'_, RunState>;
    /// Starts a project, unless it runs; returns when it does, or when it is on its way.
    fn start(&self, project: Project) -> Answer<'_, ()>;
    /// Stops a project, unless it is stopped. Its home stays.
    fn stop(&self, project: ProjectId) -> Answer<'_, ()>;
}

/// Whether a project runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It starts with the next login.
    Stopped,
    /// On its way.
    Starting,
    /// It runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunningError {
    /// Who holds the environments does not answer.
    #[error("the environments of this site do not answer now; try again in a moment")]
    Unreachable,
    /// It did not start or stop.
    #[error("the project could not be {what}; {reason}")]
    Failed {
        /// `started` or `stopped`.
        what: &'static str,
        /// Why, in words for its members.
        reason: String,
    },
}
