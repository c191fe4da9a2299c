//! Taking an invitation: with the account that is signed in, or with a new one.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use hop_store::{AccountName, Role, Token};
use hyper::StatusCode;
use serde::Deserialize;

use super::sign_in::welcome;
use super::{Frame, Notice, refused, refused_page, render, sentence};
use crate::operations::{InvitationError, InvitationView};
use crate::portal::Shared;
use crate::web::MaybePerson;

#[derive(Template)]
#[template(path = "invitation.html")]
struct InvitationPage {
    frame: Frame,
    token: String,
    project: Option<String>,
    role: &'static str,
    inviter: Option<String>,
    /// The name that was asked for.
    name: String,
    /// Who is signed in here.
    own: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct AcceptForm {
    /// With the account that is signed in.
    #[serde(default)]
    own: String,
    #[serde(default)]
    name: String,
}

/// What is offered, and by whom.
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    who: MaybePerson,
    Path(token): Path<String>,
) -> Response {
    match find(&shared, &token).await {
        Ok((_, view)) => show(StatusCode::OK, &who, token, &view, String::new(), Vec::new()),
        Err(error) => refused_page(error.kind(), &error),
    }
}

/// Takes it.
pub(super) async fn accept(
    State(shared): State<Arc<Shared>>,
    who: MaybePerson,
    Path(token): Path<String>,
    Form(posted): Form<AcceptForm>,
) -> Response {
    let (secret, view) = match find(&shared, &token).await {
        Ok(found) => found,
        Err(error) => return refused_page(error.kind(), &error),
    };
    if let (Some(person), "yes") = (&who.person, posted.own.as_str()) {
        return match shared.operations.accept(&person.caller, &secret).await {
            Ok(project) => Redirect::to(&format!("/projects/{project}")).into_response(),
            Err(error) => {
                let (status, notice) = refused(error.kind(), &error);
                show(status, &who, token, &view, posted.name, vec![notice])
            }
        };
    }
    let name = match AccountName::parse(posted.name.trim()) {
        Ok(name) => name,
        Err(error) => {
            let notice = Notice::error(sentence(&error.to_string()));
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return show(status, &who, token, &view, posted.name, vec![notice]);
        }
    };
    match shared.operations.accept_as_new(&who.caller, &secret, &name, &who.browser).await {
        Ok(signed_in) => {
            let to = match &view.project {
                Some(project) => format!("/projects/{}", project.id),
                None => "/keys".to_owned(),
            };
            welcome(&shared, &signed_in, &to)
        }
        Err(error) => {
            let (status, notice) = refused(error.kind(), &error);
            show(status, &who, token, &view, posted.name, vec![notice])
        }
    }
}

async fn find(shared: &Shared, token: &str) -> Result<(Token, InvitationView), InvitationError> {
    let token = Token::parse(token).ok_or(InvitationError::Spent)?;
    let view = shared.operations.find_invitation(&token).await?;
    Ok((token, view))
}

fn show(
    status: StatusCode,
    who: &MaybePerson,
    token: String,
    view: &InvitationView,
    name: String,
    notices: Vec<Notice>,
) -> Response {
    let role = match view.invitation.membership {
        Some((_, Role::Owner)) => "an owner",
        Some((_, Role::Collaborator)) | None => "a collaborator",
    };
    let page = InvitationPage {
        frame: Frame::new("Invitation", "", who.person.as_ref(), notices),
        token,
        project: view.project.as_ref().map(|project| project.title.to_string()),
        role,
        inviter: view.inviter.as_ref().map(ToString::to_string),
        name,
        own: who.person.as_ref().map(|person| person.account.name.to_string()),
    };
    render(status, &page)
}
