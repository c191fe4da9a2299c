//! The page: open questions, each answered in its form, and all connections. It works without scripts; with one it is
//! live.

use super::Shared;
use super::body::pieces;
use super::conversation::Conversation;
use super::guard::plain;
use super::seen::{Seen, View};
use super::words::{self, Piece};
use crate::prompt::{Class, Open, PromptId};
use crate::protocol::{ConnectionStatus, Event, Request, StateName};
use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use hop_connect::Alias;
use hop_model::Secret;
use hyper::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// The broker answers from memory.
const SOON: Duration = Duration::from_secs(2);
/// A browser that is gone is noticed by a comment that it does not take.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'v> {
    questions: Vec<Question<'v>>,
    connections: Vec<Connection<'v>>,
    notes: Vec<&'v str>,
    notice: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "enter.html")]
struct Enter<'k> {
    path: &'k str,
}

struct Question<'v> {
    id: u64,
    host: &'v str,
    kind: &'static str,
    context: Vec<Vec<Piece<'v>>>,
    text: Vec<Vec<Piece<'v>>>,
    answer: Answer,
    waiters: Vec<String>,
}

/// How a question is answered.
enum Answer {
    /// Something is typed; hidden or shown.
    Typed {
        hidden: bool,
    },
    /// Yes, no or a fingerprint.
    HostKey,
    YesOrNo,
    /// Nothing: it goes by itself.
    Nothing,
}

struct Connection<'v> {
    host: &'v str,
    state: &'static str,
    class: &'static str,
    target: Option<&'v str>,
    via: Option<&'v str>,
    left: Option<String>,
    users: Vec<String>,
    reason: Option<&'v str>,
}

/// What the address of the page may say.
#[derive(Debug, Default, Deserialize)]
pub(super) struct After {
    #[serde(default)]
    said: String,
}

/// An answer as the form sends it.
#[derive(Debug, Deserialize)]
pub(super) struct Filled {
    prompt: PromptId,
    #[serde(default)]
    text: Option<Secret>,
    #[serde(default)]
    decline: Option<String>,
}

/// `GET /enter/LINK`
pub(super) async fn enter(State(shared): State<Arc<Shared>>, Path(link): Path<String>) -> Response {
    let Some(browser) = shared.doors.enter(&link) else {
        return plain(
            StatusCode::FORBIDDEN,
            "This link was used already, or is too old. hop answer --page makes another one.",
        );
    };
    let path = browser.path.expose();
    let cookie = format!("hop={}; Path=/p/{path}/; HttpOnly; SameSite=Strict", browser.cookie.expose());
    // No redirect: after a click in another page, such as a notebook's terminal, the browser would follow it without
    // the cookie that it was just given.
    let page = Enter { path }.render().unwrap_or_default();
    ([(header::SET_COOKIE, cookie)], Html(page)).into_response()
}

/// `GET /p/PATH/`
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    Query(after): Query<After>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = refuse(&shared, &path, &headers) {
        return refused;
    }
    let mut seen = Seen::look(&shared);
    let known = tokio::time::timeout(SOON, seen.wait_for(|view| view.status.is_some())).await;
    let Ok(Ok(view)) = known.map(|known| known.map(|view| view.clone())) else {
        return plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "The daemon does not answer. hop daemon status says more.",
        );
    };
    let notice = match after.said.as_str() {
        "answered" => Some("Your answer was passed on."),
        "late" => Some("That question was settled meanwhile; your answer went nowhere."),
        "declined" => Some("The login was given up."),
        _ => None,
    };
    match Page::new(&view, notice).render() {
        Ok(page) => Html(page).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page cannot be written");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "The page cannot be written.")
        }
    }
}

/// `GET /p/PATH/changes`: an event whenever something is to be seen anew.
pub(super) async fn changes(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = refuse(&shared, &path, &headers) {
        return refused;
    }
    let Ok(place) = shared.streams.clone().try_acquire_owned() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "Too many pages are open already.");
    };
    let body = pieces(place, Seen::look(&shared), |mut seen: watch::Receiver<View>| async move {
        let piece = match tokio::time::timeout(HEARTBEAT, seen.changed()).await {
            Ok(Ok(())) => b"data: changed\n\n".to_vec(),
            Ok(Err(_)) => return None,
            Err(_) => b":\n\n".to_vec(),
        };
        Some((piece, seen))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// `POST /p/PATH/answer`
pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    Form(filled): Form<Filled>,
) -> Response {
    if let Some(refused) = refuse(&shared, &path, &headers) {
        return refused;
    }
    let prompt = filled.prompt;
    let (text, done) = match filled.decline {
        Some(_) => (None, "declined"),
        None => (Some(filled.text.unwrap_or_else(|| Secret::new(String::new()))), "answered"),
    };
    let is_given_up = text.is_none();
    // Who answers has looked; a place that leaves right after its answer must not be the only one there.
    drop(Seen::look(&shared));
    let said = match settle(&shared, prompt, text).await {
        Ok(Event::Withdrawn { .. }) if !is_given_up => "late",
        Ok(_) => done,
        Err(error) => {
            tracing::warn!(%error, "an answer could not be passed on");
            return plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "The daemon does not answer. hop daemon status says more.",
            );
        }
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, format!("/p/{path}/?said={said}"))]).into_response()
}

/// Answers a question, or gives its login up (`None`): [`Event::Done`], or [`Event::Withdrawn`] when it is not open any
/// more.
pub(super) async fn settle(shared: &Shared, prompt: PromptId, text: Option<Secret>) -> io::Result<Event> {
    let mut conversation = Conversation::start(&shared.sockets).await?;
    // Only a place that is shown a question may answer it.
    let Some(alias) = shown(&mut conversation, prompt).await? else {
        return Ok(Event::Withdrawn { prompt });
    };
    let request = match text {
        Some(text) => Request::Answer { prompt, text },
        // A place that only declines leaves the question to others.
        None => Request::Logout { alias, at_once: true },
    };
    let is_answer = matches!(request, Request::Answer { .. });
    conversation.say(&request).await?;
    conversation.say(&Request::Status).await?;
    let mut settled = Event::Done;
    loop {
        match conversation.next().await? {
            Event::Withdrawn { prompt: gone } if gone == prompt && is_answer => {
                settled = Event::Withdrawn { prompt };
            }
            Event::Status(_) => return Ok(settled),
            _ => {}
        }
    }
}

/// Has a question shown; its host, when it is open.
async fn shown(conversation: &mut Conversation, prompt: PromptId) -> io::Result<Option<Alias>> {
    conversation.say(&Request::Attend).await?;
    // The answer to this comes when all questions were shown.
    conversation.say(&Request::Status).await?;
    let mut found = None;
    loop {
        match conversation.next().await? {
            Event::Prompt(open) if open.id == prompt => found = Some(open.alias),
            Event::Withdrawn { prompt: gone } if gone == prompt => found = None,
            Event::Status(_) => return Ok(found),
            _ => {}
        }
    }
}

/// The answer to who may not come in.
fn refuse(shared: &Shared, path: &str, headers: &HeaderMap) -> Option<Response> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut ours = cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == "hop");
    let is_known = ours.any(|(_, cookie)| shared.doors.knows(path, cookie));
    if is_known {
        return None;
    }
    let words = "This browser was not let in. hop answer --page makes a link that opens the page once.";
    Some(plain(StatusCode::FORBIDDEN, words))
}

impl<'v> Page<'v> {
    fn new(view: &'v View, notice: Option<&'static str>) -> Self {
        let all = view.status.as_ref().map(|status| status.connections.as_slice()).unwrap_or_default();
        Self {
            questions: view.questions.iter().map(|open| Question::new(open, all)).collect(),
            connections: all.iter().map(Connection::new).collect(),
            notes: view.notes.iter().map(String::as_str).collect(),
            notice,
        }
    }
}

impl<'v> Question<'v> {
    fn new(open: &'v Open, connections: &[ConnectionStatus]) -> Self {
        let waiters =
            connections.iter().find(|connection| connection.alias == open.alias).map(|connection| {
                connection.waiters.iter().map(|who| format!("{} ({})", who.what, who.pid)).collect()
            });
        Self {
            id: open.id.number(),
            host: open.alias.as_str(),
            kind: open.class.name(),
            context: open
                .context
                .iter()
                .filter(|line| !line.is_empty())
                .map(|line| words::pieces(line))
                .collect(),
            text: open.text.lines().map(words::pieces).collect(),
            answer: Answer::of(open),
            waiters: waiters.unwrap_or_default(),
        }
    }
}

impl Answer {
    fn of(open: &Open) -> Self {
        match open.class {
            Class::HostKey => Self::HostKey,
            Class::Confirm => Self::YesOrNo,
            Class::Touch => Self::Nothing,
            Class::Passphrase
            | Class::Password
            | Class::Code
            | Class::PasswordAndCode
            | Class::Menu
            | Class::Link
            | Class::Pin
            | Class::NewPassword
            | Class::Unknown => Self::Typed { hidden: !open.echo },
        }
    }
}

impl<'v> Connection<'v> {
    fn new(status: &'v ConnectionStatus) -> Self {
        let (state, class) = match status.state {
            StateName::Up => ("logged in", "up"),
            StateName::Starting => ("logging in", "starting"),
            StateName::Draining => ("logging out", "starting"),
            StateName::Down => ("not logged in", "down"),
        };
        Self {
            host: status.alias.as_str(),
            state,
            class,
            target: status.target.as_deref(),
            via: status.via.as_deref(),
            left: status.until.map(left),
            users: status.users.iter().map(|user| format!("{} ({})", user.what, user.pid)).collect(),
            reason: status.reason.as_deref(),
        }
    }
}

/// How long something lasts yet.
fn left(until: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let minutes = until.saturating_sub(now).div_ceil(60);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}
