//! What goes wrong between a client and a Hub.

use crate::scope::Need;
use hop_link::ConnectError;

/// Why a Hub did not do it.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// It was not reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Something else answers there.
    #[error(
        "there is no JupyterHub at {hub} (status {status})\nhint: give the address of its first page, with its base path"
    )]
    NotAHub {
        /// What was asked.
        hub: String,
        /// How it answered.
        status: u16,
    },
    /// It sends its visitors elsewhere.
    #[error(
        "{hub} sends everybody to {to}\nhint: if that is the Hub, use that address; if it is a sign-in page, no token passes it: ask its operator"
    )]
    Elsewhere {
        /// What was asked.
        hub: String,
        /// Where it leads, without query.
        to: String,
    },
    /// The token opens nothing.
    #[error("{hub} does not know the token: it is mistyped, expired or revoked")]
    UnknownToken {
        /// The Hub.
        hub: String,
    },
    /// It may too little.
    #[error("the token lacks {}", .missing.iter().map(|need| format!("{} ({})", need.scope, need.why)).collect::<Vec<_>>().join(", "))]
    TooSmall {
        /// What it lacks.
        missing: Vec<Need>,
    },
    /// The Hub does not allow it.
    #[error("{hub} does not allow {doing}{}", words(.said))]
    Forbidden {
        /// The Hub.
        hub: String,
        /// What was tried.
        doing: String,
        /// Its words.
        said: Option<String>,
    },
    /// There is no such person, or the token may not see them.
    #[error("{hub} knows no user {user}, or the token may not see them")]
    NoUser {
        /// The Hub.
        hub: String,
        /// Who was asked for.
        user: String,
    },
    /// The server wants to know more before it starts.
    #[error("the server of {user} does not start{}", words(.said))]
    Start {
        /// Whose.
        user: String,
        /// The Hub's words.
        said: Option<String>,
    },
    /// The Hub has another answer.
    #[error("{hub} failed at {doing}: status {status}{}", words(.said))]
    Status {
        /// The Hub.
        hub: String,
        /// What was tried.
        doing: String,
        /// How it answered.
        status: u16,
        /// Its words.
        said: Option<String>,
    },
    /// The answer makes no sense.
    #[error("{hub} gave an answer to {doing} that is no JupyterHub's")]
    Shape {
        /// The Hub.
        hub: String,
        /// What was tried.
        doing: String,
    },
}

fn words(said: &Option<String>) -> String {
    said.as_ref().map(|said| format!(": {said}")).unwrap_or_default()
}
