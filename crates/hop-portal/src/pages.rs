//! The pages: routes, the frame around each, and what they have in common.
//!
//! What must stay true: each page works without scripts; a page that changed something answers with a redirect, so that
//! loading it again changes nothing; what people and peers wrote is escaped by the templates.

mod account;
mod activity;
mod assets;
mod browser;
mod invitation;
mod keys;
mod project;
mod project_forms;
mod projects;
mod sign_in;
mod view;
mod when;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use hyper::StatusCode;

use crate::operations::ErrorKind;
use crate::portal::Shared;
use crate::ssh;
use crate::web::{Person, guard};

/// A form: 64 KiB of keys, each character of which a browser may write as three.
const MOST_BODY: usize = 200 * 1_024;

/// All routes, inside of what holds for every request.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(async || Redirect::to("/projects")))
        .route("/assets/{name}", get(assets::serve))
        .route("/favicon.ico", get(async || Redirect::permanent(&assets::ICON.url())))
        .route("/sign-in", get(sign_in::page).post(sign_in::by_password))
        .route("/sign-in/{token}", get(sign_in::link).post(sign_in::by_link))
        .route("/sign-out", post(sign_in::out))
        .route("/invitation/{token}", get(invitation::page).post(invitation::accept))
        .route("/keys", get(keys::page).post(keys::add))
        .route("/keys/{key}/change", post(keys::change))
        .route("/keys/{key}/remove", post(keys::remove))
        .route("/projects", get(projects::page).post(projects::add))
        .route("/projects/{project}", get(project::page))
        .route("/projects/{project}/live", get(project::live))
        .route("/projects/{project}/change", post(project_forms::change))
        .route("/projects/{project}/remove", post(project_forms::remove))
        .route("/projects/{project}/start", post(project_forms::start))
        .route("/projects/{project}/stop", post(project_forms::stop))
        .route("/projects/{project}/keys", post(project_forms::add_key))
        .route("/projects/{project}/members", post(project_forms::add_member))
        .route("/projects/{project}/members/{account}/role", post(project_forms::set_role))
        .route("/projects/{project}/members/{account}/remove", post(project_forms::remove_member))
        .route("/projects/{project}/invitations", post(project_forms::invite))
        .route("/projects/{project}/invitations/{id}/withdraw", post(project_forms::withdraw))
        .route("/projects/{project}/sessions/{id}/end", post(project_forms::end_session))
        .route("/ssh/{project}", get(ssh::enter))
        .route("/ssh/{project}/", get(ssh::enter))
        .route("/account", get(account::page))
        .route("/account/password", post(account::set_password))
        .route("/account/sessions/end", post(account::end_all))
        .route("/account/sessions/{id}/end", post(account::end_one))
        .fallback(async || plain(StatusCode::NOT_FOUND, "There is no such page."))
        .method_not_allowed_fallback(async || {
            plain(StatusCode::METHOD_NOT_ALLOWED, "This page does not take such a request.")
        })
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(middleware::from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

/// What stands around a page.
pub(crate) struct Frame {
    pub(crate) title: String,
    /// The name of who is signed in.
    pub(crate) person: Option<String>,
    /// The part of the site, for the navigation.
    pub(crate) part: &'static str,
    pub(crate) notices: Vec<Notice>,
}

/// Something that the page says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) tone: Tone,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Done,
    Warning,
    Error,
}

impl Frame {
    pub(crate) fn new(
        title: &str,
        part: &'static str,
        person: Option<&Person>,
        notices: Vec<Notice>,
    ) -> Self {
        let person = person.map(|person| person.account.name.to_string());
        Self { title: title.to_owned(), person, part, notices }
    }
}

impl Notice {
    pub(crate) fn done(text: impl Into<String>) -> Self {
        Self { tone: Tone::Done, text: text.into() }
    }

    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Self { tone: Tone::Warning, text: text.into() }
    }

    pub(crate) fn error(text: impl Into<String>) -> Self {
        Self { tone: Tone::Error, text: text.into() }
    }

    pub(crate) fn class(&self) -> &'static str {
        match self.tone {
            Tone::Done => "done",
            Tone::Warning => "warning",
            Tone::Error => "error",
        }
    }

    /// How a screen reader is told.
    pub(crate) fn role(&self) -> &'static str {
        match self.tone {
            Tone::Done => "status",
            Tone::Warning | Tone::Error => "alert",
        }
    }
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    frame: Frame,
    text: &'a str,
}

/// A page of one sentence.
pub(crate) fn plain(status: StatusCode, text: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Grasshopper");
    render(status, &Message { frame: Frame::new(title, "", None, Vec::new()), text })
}

pub(crate) fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page was not rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The status for an operation's refusal. What is wrong with the site itself goes to its log, not to the page.
pub(crate) fn refused(kind: ErrorKind, error: &dyn std::error::Error) -> (StatusCode, Notice) {
    let status = match kind {
        ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::Absent => StatusCode::NOT_FOUND,
        ErrorKind::Temporary => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let text = match kind {
        ErrorKind::Invalid | ErrorKind::Conflict | ErrorKind::Denied | ErrorKind::Absent => {
            sentence(&error.to_string())
        }
        ErrorKind::Temporary => "The site cannot reach its records now; try again in a moment.".to_owned(),
        ErrorKind::Failed => "Something is wrong with the site; its log says what.".to_owned(),
    };
    if matches!(kind, ErrorKind::Temporary | ErrorKind::Failed) {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        tracing::error!(%error, %cause, "a page could not be served");
    }
    (status, Notice::error(text))
}

/// A page of one sentence for a refusal.
pub(crate) fn refused_page(kind: ErrorKind, error: &dyn std::error::Error) -> Response {
    let (status, notice) = refused(kind, error);
    plain(status, &notice.text)
}

/// Back to a page, which says what was done: a word of its own list.
pub(crate) fn back_to(path: &str, done: &str) -> Response {
    Redirect::to(&format!("{path}?done={done}")).into_response()
}

/// What a page was told by [`back_to`].
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Done {
    #[serde(default)]
    done: String,
}

impl Done {
    /// The sentence for the word, if it is in the list.
    pub(crate) fn notices(&self, words: &[(&str, &str)]) -> Vec<Notice> {
        let known = words.iter().find(|(word, _)| *word == self.done);
        known.map(|(_, text)| Notice::done(*text)).into_iter().collect()
    }
}

/// With a capital and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}
