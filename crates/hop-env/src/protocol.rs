//! What is said on the keeper's socket: one request per connection, answers until the last one, one JSON line
//! each. A closed set: what is not known here is refused.

use crate::project::ProjectKey;
use serde::{Deserialize, Serialize};

/// The only version so far; a keeper and a site of different versions refuse each other.
pub(crate) const VERSION: u32 = 1;

/// The first and only line that a client sends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Envelope {
    pub(crate) version: u32,
    pub(crate) request: Request,
}

/// What may be asked of a keeper.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// A connection to a project's endpoint; starts its environment.
    Enter { project: ProjectKey },
    /// What a project's environment is doing.
    State { project: ProjectKey },
    /// Stop a project's environment.
    Stop { project: ProjectKey },
    /// All environments that are not stopped.
    List {},
    /// From now on, the connections that projects make to their gateway.
    Doors {},
}

/// What a keeper says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Answer {
    /// The environment was not running; there will be another answer.
    Starting {},
    /// With the descriptor of a connection to the endpoint.
    Entered {},
    /// What the project's environment is doing.
    State { state: State },
    /// It is stopped now.
    Stopped {},
    /// One environment of the list; there will be another answer.
    Listed { project: ProjectKey, state: State },
    /// The end of the list.
    ListEnd {},
    /// This client is given the doors from now on.
    DoorsHeld {},
    /// With the descriptor of a connection that a process of this project made.
    Door { project: ProjectKey },
    /// It cannot be done.
    Failed { failure: Failure },
}

/// What an environment is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum State {
    /// Nothing of it runs.
    Stopped,
    /// Its endpoint does not answer yet.
    Starting,
    /// It can be entered at once.
    Running {
        /// When its endpoint first answered, in seconds since 1970.
        since: u64,
        /// How many connections the site has to its endpoint.
        connections: u64,
    },
    /// It was asked to end.
    Stopping,
}

/// Why a keeper could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{reason}{}", shown(tail))]
pub struct Failure {
    /// What kind of fault it is.
    pub kind: FailureKind,
    /// A sentence, with a hint where there is one.
    pub reason: String,
    /// The last lines that the endpoint said: the tenant's words, with control characters escaped.
    pub tail: Vec<String>,
}

/// Who can do something about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The request was not understood: the site and the keeper do not fit together.
    Request,
    /// The project's home is not as it must be.
    Home,
    /// The environment cannot be started on this machine.
    Machine,
    /// It ended while it was being started or entered.
    Ended,
    /// It did not answer in time.
    TimedOut,
    /// It was stopped while somebody waited to enter it, or the keeper is stopping.
    Stopped,
    /// Too many are waiting.
    Busy,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, reason: impl ToString) -> Self {
        Self { kind, reason: reason.to_string(), tail: Vec::new() }
    }

    pub(crate) fn with_tail(self, tail: Vec<String>) -> Self {
        Self { tail, ..self }
    }
}

fn shown(tail: &[String]) -> String {
    tail.last().map(|line| format!("; it last said: {line}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Envelope, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn only_what_is_known_is_a_request() {
        let id = "017f22e279b07cc398c4dc0c0c07398f";
        for (good, pattern) in [
            (format!(r#"{{"version":1,"request":{{"enter":{{"project":"{id}"}}}}}}"#), "Enter"),
            (r#"{"version":1,"request":{"list":{}}}"#.to_owned(), "List"),
        ] {
            assert!(format!("{:?}", parse(&good).unwrap().request).starts_with(pattern));
        }
        for bad in [
            format!(r#"{{"version":1,"request":{{"enter":{{"project":"{id}","as":"root"}}}}}}"#),
            format!(r#"{{"version":1,"request":{{"enter":{{"project":"{id}"}}}},"also":1}}"#),
            r#"{"version":1,"request":{"enter":{"project":"../../../../../../../../../etc/x"}}}"#.to_owned(),
            r#"{"version":1,"request":{"run":{}}}"#.to_owned(),
            r#"{"version":1,"request":{"list":{},"doors":{}}}"#.to_owned(),
            "[]".to_owned(),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
