//! The API for programs: the requests of the broker's socket, one to a call; events come back as lines of JSON.
//!
//! Must stay true: the requests are the closed set [`Asked`], unknown fields are refused; nobody is heard without the
//! token; no event that holds an answer of a person's leaves here.

use super::body::pieces;
use super::conversation::Conversation;
use super::guard::only;
use super::{Shared, page};
use crate::prompt::PromptId;
use crate::protocol::{Event, Request};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hop_connect::Alias;
use hop_connect::resolve::Given;
use hop_model::Secret;
use hyper::body::Bytes;
use hyper::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A reader that is gone is noticed by an empty line that it does not take.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What may be asked. The names are those of the socket's requests.
#[derive(Debug, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
enum Asked {
    Login {
        alias: Alias,
        #[serde(default)]
        given: Option<Given>,
        #[serde(default)]
        lifetime: Option<u64>,
        #[serde(default)]
        idle: Option<u64>,
        /// Its reader shows questions to a person.
        #[serde(default)]
        attended: bool,
        #[serde(default)]
        environment: Vec<(String, String)>,
    },
    Logout {
        alias: Alias,
        #[serde(default)]
        at_once: bool,
    },
    Status {},
    Watch {},
    Attend {},
    Answer {
        prompt: PromptId,
        text: Secret,
    },
    /// Gives the question's login up.
    Decline {
        prompt: PromptId,
    },
}

impl From<Asked> for Request {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Login { alias, given, lifetime, idle, attended, environment } => {
                Self::Login { alias, given, lifetime, idle, attended, environment }
            }
            Asked::Logout { alias, at_once } => Self::Logout { alias, at_once },
            Asked::Status {} => Self::Status,
            Asked::Watch {} => Self::Watch,
            Asked::Attend {} => Self::Attend,
            Asked::Answer { prompt, text } => Self::Answer { prompt, text },
            Asked::Decline { prompt } => Self::Decline { prompt },
        }
    }
}

/// Reads a call's request.
///
/// # Errors
/// Where it is wrong, without its text: that may hold a secret.
pub fn parse(bytes: &[u8]) -> Result<Request, String> {
    let asked: Asked = serde_json::from_slice(bytes).map_err(|error| {
        format!("not a request: {:?} error at column {}", error.classify(), error.column())
    })?;
    Ok(asked.into())
}

/// `GET /v1/status`
pub(super) async fn status(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Some(refused) = refuse(&shared, &headers) {
        return refused;
    }
    match first(&shared, &Request::Status).await {
        Ok(event) => ([(header::CONTENT_TYPE, "application/json")], line(&event)).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// `GET /v1/watch`: lines, or server-sent events for who wants those.
pub(super) async fn watch(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Some(refused) = refuse(&shared, &headers) {
        return refused;
    }
    let wanted = only(&headers, &header::ACCEPT).unwrap_or_default();
    let form = if wanted.contains("text/event-stream") { Form::ServerSent } else { Form::Lines };
    stream(&shared, Request::Watch, form).await
}

/// `POST /v1/requests`
pub(super) async fn request(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refused) = refuse(&shared, &headers) {
        return refused;
    }
    // Another content type is what a page of another site could send without asking.
    if !only(&headers, &header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json")) {
        return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is to be application/json");
    }
    match parse(&body) {
        Err(reason) => error(StatusCode::BAD_REQUEST, &reason),
        Ok(Request::Answer { prompt, text }) => told(page::settle(&shared, prompt, Some(text)).await),
        Ok(Request::Decline { prompt }) => told(page::settle(&shared, prompt, None).await),
        Ok(request) => stream(&shared, request, Form::Lines).await,
    }
}

fn told(event: io::Result<Event>) -> Response {
    match event {
        Ok(event) => ([(header::CONTENT_TYPE, "application/x-ndjson")], line(&event)).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// The answer to who may not come in.
fn refuse(shared: &Shared, headers: &HeaderMap) -> Option<Response> {
    let given = only(headers, &header::AUTHORIZATION).and_then(|given| given.strip_prefix("Bearer "));
    if given.is_some_and(|given| shared.doors.token().is(given.trim())) {
        return None;
    }
    let words = "this needs Authorization: Bearer TOKEN; hop daemon api says where the token is";
    Some(error(StatusCode::UNAUTHORIZED, words))
}

async fn first(shared: &Shared, request: &Request) -> io::Result<Event> {
    let mut conversation = Conversation::start(&shared.sockets).await?;
    conversation.say(request).await?;
    conversation.next().await
}

/// How events are written.
#[derive(Clone, Copy, Debug)]
enum Form {
    Lines,
    ServerSent,
}

impl Form {
    fn write(self, event: &Event) -> Vec<u8> {
        match self {
            Self::Lines => line(event),
            Self::ServerSent => [b"data: ".as_slice(), &line(event), b"\n"].concat(),
        }
    }

    fn heartbeat(self) -> Vec<u8> {
        match self {
            Self::Lines => b"\n".to_vec(),
            Self::ServerSent => b":\n\n".to_vec(),
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::ServerSent => "text/event-stream",
        }
    }
}

async fn stream(shared: &Shared, request: Request, form: Form) -> Response {
    let Ok(place) = shared.streams.clone().try_acquire_owned() else {
        return error(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many answers are being read already; end one of them",
        );
    };
    let mut conversation = match Conversation::start(&shared.sockets).await {
        Ok(conversation) => conversation,
        Err(error) => return unavailable(&error),
    };
    if let Err(error) = conversation.say(&request).await {
        return unavailable(&error);
    }
    let goes_on = matches!(request, Request::Watch | Request::Attend);
    let body = pieces(place, Some(conversation), move |state| next(state, form, goes_on));
    ([(header::CONTENT_TYPE, form.kind())], body).into_response()
}

/// The next piece of a stream; no state after the last.
async fn next(
    state: Option<Conversation>,
    form: Form,
    goes_on: bool,
) -> Option<(Vec<u8>, Option<Conversation>)> {
    let mut conversation = state?;
    let event = match tokio::time::timeout(HEARTBEAT, conversation.next()).await {
        Err(_) => return Some((form.heartbeat(), Some(conversation))),
        Ok(event) => event.ok()?,
    };
    let is_last = match &event {
        // What a person typed is for ssh alone.
        Event::Answered { .. } => return None,
        Event::Refused { .. } => true,
        Event::Up { .. } | Event::Failed(_) | Event::Declined { .. } | Event::Status(_) | Event::Done => {
            !goes_on
        }
        Event::Hello { .. }
        | Event::Progress { .. }
        | Event::InLine { .. }
        | Event::Prompt(_)
        | Event::Withdrawn { .. }
        | Event::Unanswered
        | Event::Page { .. }
        | Event::Api { .. }
        | Event::Port { .. }
        | Event::Forwarded { .. } => false,
    };
    Some((form.write(&event), (!is_last).then_some(conversation)))
}

fn line(event: &Event) -> Vec<u8> {
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    line
}

fn error(status: StatusCode, words: &str) -> Response {
    let body = serde_json::json!({ "error": words }).to_string() + "\n";
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn unavailable(error: &io::Error) -> Response {
    self::error(StatusCode::SERVICE_UNAVAILABLE, &format!("the broker does not answer: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_a_closed_set() {
        for right in [
            r#"{"request":"status"}"#,
            r#"{"request":"login","alias":"saga"}"#,
            r#"{"request":"login","alias":"saga","lifetime":60,"attended":true}"#,
            r#"{"request":"logout","alias":"saga"}"#,
            r#"{"request":"answer","prompt":3,"text":"123456"}"#,
        ] {
            assert!(parse(right.as_bytes()).is_ok(), "{right}");
        }
        for wrong in [
            r#"{"request":"ask","alias":"saga","text":"x","hint":"answer"}"#,
            r#"{"request":"stop"}"#,
            r#"{"request":"page"}"#,
            r#"{"request":"status","also":1}"#,
            r#"{"request":"login","alias":"-oProxyCommand=x"}"#,
            r#"{"request":"login","alias":"saga","program":"x"}"#,
            "[]",
            "",
        ] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let told = parse(br#"{"request":"answer","prompt":3,"text":"123456","x":1}"#).unwrap_err();
        assert!(!told.contains("123456"), "{told}");
    }
}
