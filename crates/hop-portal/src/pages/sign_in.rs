//! Signing in by link or password, and signing out.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use hop_store::Token;
use hyper::{StatusCode, header};
use serde::Deserialize;

use super::{Frame, Notice, refused, refused_page, render};
use crate::operations::{SignInError, SignedIn};
use crate::portal::Shared;
use crate::web::{MaybePerson, Person, local_path};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    name: String,
    next: String,
}

#[derive(Template)]
#[template(path = "sign_in_link.html")]
struct LinkPage {
    frame: Frame,
    name: String,
    token: String,
    /// Who is signed in here until now, if somebody else.
    other: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
    #[serde(default)]
    done: String,
}

#[derive(Deserialize)]
pub(super) struct PasswordForm {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// The form for name and password.
pub(super) async fn page(Query(query): Query<Next>, who: MaybePerson) -> Response {
    if who.person.is_some() {
        return Redirect::to("/projects").into_response();
    }
    let notices = match query.done.as_str() {
        "out" => vec![Notice::done("You are signed out.")],
        "everywhere" => vec![Notice::done("You are signed out in all browsers.")],
        _ => Vec::new(),
    };
    form(StatusCode::OK, String::new(), &query.next, notices)
}

fn form(status: StatusCode, name: String, next: &str, notices: Vec<Notice>) -> Response {
    let next = local_path(next).unwrap_or_default().to_owned();
    render(status, &SignInPage { frame: Frame::new("Sign in", "", None, notices), name, next })
}

/// Signs in with name and password.
pub(super) async fn by_password(
    State(shared): State<Arc<Shared>>,
    who: MaybePerson,
    Form(posted): Form<PasswordForm>,
) -> Response {
    let now = shared.operations.now();
    let address = who.client.map(|client| client.0);
    if let Some(address) = address
        && let Err(wait) = shared.attempts.take(address, now)
    {
        let text = "Too many wrong passwords came from your network. Wait a minute, or use a sign-in link.";
        let page = form(StatusCode::TOO_MANY_REQUESTS, posted.name, &posted.next, vec![Notice::error(text)]);
        return ([(header::RETRY_AFTER, wait.as_secs().saturating_add(1).to_string())], page).into_response();
    }
    let name = posted.name.trim();
    let tried =
        shared.operations.sign_in_by_password(&who.caller, name, &posted.password, &who.browser).await;
    match tried {
        Ok(signed_in) => {
            if let Some(address) = address {
                shared.attempts.give_back(address);
            }
            welcome(&shared, &signed_in, local_path(&posted.next).unwrap_or("/projects"))
        }
        Err(error) => {
            let (status, notice) = refused(error.kind(), &error);
            form(status, posted.name, &posted.next, vec![notice])
        }
    }
}

/// Asks before a link is used: who opens it may be a mail scanner, or somebody who was sent it to act as another.
pub(super) async fn link(
    State(shared): State<Arc<Shared>>,
    who: MaybePerson,
    Path(token): Path<String>,
) -> Response {
    let found = match Token::parse(&token) {
        Some(token) => shared.operations.find_sign_in_link(&token).await,
        None => Err(SignInError::Spent),
    };
    match found {
        Ok(account) => {
            let other = who.person.as_ref().filter(|person| person.account.id != account.id);
            let other = other.map(|person| person.account.name.to_string());
            let frame = Frame::new("Sign in", "", None, Vec::new());
            render(StatusCode::OK, &LinkPage { frame, name: account.name.to_string(), token, other })
        }
        Err(error) => refused_page(error.kind(), &error),
    }
}

/// Signs in with a link.
pub(super) async fn by_link(
    State(shared): State<Arc<Shared>>,
    who: MaybePerson,
    Path(token): Path<String>,
) -> Response {
    let Some(token) = Token::parse(&token) else {
        return refused_page(SignInError::Spent.kind(), &SignInError::Spent);
    };
    match shared.operations.sign_in_by_link(&who.caller, &token, &who.browser).await {
        Ok(signed_in) => welcome(&shared, &signed_in, "/projects"),
        Err(error) => refused_page(error.kind(), &error),
    }
}

/// Ends the session in use.
pub(super) async fn out(State(shared): State<Arc<Shared>>, person: Person) -> Response {
    match shared.operations.end_web_session(&person.caller, person.session.id).await {
        // It may have ended in another window.
        Ok(()) | Err(SignInError::NoSession) => goodbye(&shared, "out"),
        Err(error) => refused_page(error.kind(), &error),
    }
}

/// The browser gets its session, then goes on.
pub(super) fn welcome(shared: &Shared, signed_in: &SignedIn, to: &str) -> Response {
    let cookie = shared.cookie.set(&signed_in.token, shared.operations.rules().session_life);
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

/// The browser forgets its session.
pub(super) fn goodbye(shared: &Shared, done: &str) -> Response {
    let forget = (header::SET_COOKIE, shared.cookie.clear());
    ([forget], Redirect::to(&format!("/sign-in?done={done}"))).into_response()
}
