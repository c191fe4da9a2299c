//! The page of one's own account: password, web sessions.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use hop_store::WebSessionId;
use hyper::{StatusCode, header};
use serde::Deserialize;

use super::browser::browser_name;
use super::sign_in::goodbye;
use super::when::When;
use super::{Done, Frame, Notice, refused, refused_page, render};
use crate::operations::{AccountError, SignInError};
use crate::portal::Shared;
use crate::web::Person;

const WORDS: &[(&str, &str)] = &[
    ("password", "The password was set. All other browsers are signed out."),
    ("no-password", "The password was taken away. All other browsers are signed out."),
    ("ended", "That browser is signed out."),
];

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    name: String,
    admin: bool,
    created: When,
    has_password: bool,
    sessions: Vec<WebSessionView>,
}

struct WebSessionView {
    id: String,
    browser: String,
    address: String,
    created: When,
    last_seen: When,
    is_own: bool,
}

#[derive(Deserialize)]
pub(super) struct PasswordForm {
    #[serde(default)]
    current: String,
    #[serde(default)]
    new: String,
    #[serde(default)]
    again: String,
    #[serde(default)]
    remove: String,
}

/// The page.
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Query(done): Query<Done>,
) -> Response {
    show(&shared, &person, StatusCode::OK, done.notices(WORDS)).await
}

async fn show(shared: &Shared, person: &Person, status: StatusCode, notices: Vec<Notice>) -> Response {
    match build(shared, person, notices).await {
        Ok(page) => render(status, &page),
        Err(error) => refused_page(error.kind(), &error),
    }
}

async fn build(shared: &Shared, person: &Person, notices: Vec<Notice>) -> Result<AccountPage, SignInError> {
    let now = shared.operations.now();
    let sessions = shared.operations.web_sessions(&person.caller).await?;
    let sessions = sessions.into_iter().map(|session| WebSessionView {
        id: session.id.to_string(),
        browser: browser_name(&session.user_agent),
        address: session.address.map(|address| address.to_canonical().to_string()).unwrap_or_default(),
        created: When::new(session.created, now),
        last_seen: When::new(session.last_seen, now),
        is_own: session.id == person.session.id,
    });
    Ok(AccountPage {
        frame: Frame::new("Account", "account", Some(person), notices),
        name: person.account.name.to_string(),
        admin: person.account.admin,
        created: When::new(person.account.created, now),
        has_password: shared.operations.has_password(person.account.id).await?,
        sessions: sessions.collect(),
    })
}

/// Sets the password or takes it away; the browser gets a new session, the others lose theirs.
pub(super) async fn set_password(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Form(form): Form<PasswordForm>,
) -> Response {
    let is_removal = form.remove == "yes";
    if !is_removal && form.new != form.again {
        let notice = Notice::error("The two new passwords are not the same.");
        return show(&shared, &person, StatusCode::UNPROCESSABLE_ENTITY, vec![notice]).await;
    }
    // The current password is a password that could be guessed here, by who found a browser signed in.
    let address = person.browser.address;
    if let Some(address) = address
        && shared.attempts.take(address, shared.operations.now()).is_err()
    {
        let notice = Notice::error("Too many wrong passwords came from your network. Wait a minute.");
        return show(&shared, &person, StatusCode::TOO_MANY_REQUESTS, vec![notice]).await;
    }
    let new = (!is_removal).then_some(form.new.as_str());
    let id = person.account.id;
    let set = shared.operations.set_password(&person.caller, id, Some(&form.current), new).await;
    if let Some(address) = address
        && !matches!(set, Err(AccountError::WrongPassword))
    {
        shared.attempts.give_back(address);
    }
    if let Err(error) = set {
        let (status, notice) = refused(error.kind(), &error);
        return show(&shared, &person, status, vec![notice]).await;
    }
    match shared.operations.renew_session(&person.caller, &person.browser).await {
        Ok(signed_in) => {
            let cookie = shared.cookie.set(&signed_in.token, shared.operations.rules().session_life);
            let word = if is_removal { "no-password" } else { "password" };
            let to = Redirect::to(&format!("/account?done={word}"));
            ([(header::SET_COOKIE, cookie)], to).into_response()
        }
        Err(error) => refused_page(error.kind(), &error),
    }
}

/// Signs one browser out.
pub(super) async fn end_one(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path(id): Path<String>,
) -> Response {
    let ended = match WebSessionId::parse(&id) {
        Some(id) => shared.operations.end_web_session(&person.caller, id).await,
        None => Err(SignInError::NoSession),
    };
    match ended {
        Ok(()) if id == person.session.id.to_string() => goodbye(&shared, "out"),
        Ok(()) => super::back_to("/account", "ended"),
        Err(error) => {
            let (status, notice) = refused(error.kind(), &error);
            show(&shared, &person, status, vec![notice]).await
        }
    }
}

/// Signs all browsers out, this one included.
pub(super) async fn end_all(State(shared): State<Arc<Shared>>, person: Person) -> Response {
    match shared.operations.end_web_sessions(&person.caller, person.account.id).await {
        Ok(_) => goodbye(&shared, "everywhere"),
        Err(error) => refused_page(error.kind(), &error),
    }
}
