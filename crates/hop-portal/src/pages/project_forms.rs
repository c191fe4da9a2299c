//! The forms on a project's page.

use std::sync::Arc;
use std::time::Duration;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use hop_store::{AccountId, AccountName, InvitationId, ProjectId, Role, SessionFilter, SshSessionId, Title};
use hyper::StatusCode;
use serde::Deserialize;

use super::keys::{KeyForm, add_from_form};
use super::project::{Extra, read_id, show};
use super::projects::read_alias;
use super::{Notice, back_to, refused, sentence};
use crate::operations::{ErrorKind, InvitationError, KeyPlace, MemberError, ProjectError, SessionError};
use crate::portal::Shared;
use crate::running::RunningError;
use crate::web::Person;

/// How long an invitation from the page is good.
const INVITATION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[derive(Debug, Deserialize)]
pub(super) struct ChangeForm {
    title: String,
    #[serde(default)]
    alias: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct MemberForm {
    name: String,
    #[serde(default)]
    role: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct RoleForm {
    #[serde(default)]
    role: String,
}

/// Title and alias.
pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path(project): Path<String>,
    Form(form): Form<ChangeForm>,
) -> Response {
    let done = async {
        let (operations, caller) = (&shared.operations, &person.caller);
        let id = read_id(&project)?;
        let standing = operations.find_project(caller, &project).await?;
        let title = Title::parse(&form.title)?;
        let alias = read_alias(&form.alias)?;
        if title != standing.project.title {
            operations.set_project_title(caller, id, &title).await?;
        }
        if alias != standing.project.alias {
            operations.set_alias(caller, id, alias.as_ref()).await?;
        }
        Ok::<(), ProjectError>(())
    };
    let done = done.await;
    finish(&shared, &person, &project, done, ProjectError::kind, "changed").await
}

/// What the gateway may take to end the sessions of a project that was removed.
const GOODBYES: Duration = Duration::from_secs(2);

/// Waits until no session in a project is open.
async fn sessions_end(shared: &Shared, project: ProjectId) {
    let sessions = shared.operations.store().ssh_sessions();
    while sessions.list_live(SessionFilter::Project(project), 1).await.is_ok_and(|live| !live.is_empty()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Removes the project for good.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path(project): Path<String>,
) -> Response {
    let done = async {
        let id = read_id(&project)?;
        shared.operations.remove_project(&person.caller, id).await?;
        // The gateway first tells clients why they go; without their environment they would hear only that it is gone.
        let _at_most = tokio::time::timeout(GOODBYES, sessions_end(&shared, id)).await;
        // What runs in it has no project any more; if this fails it ends with the site's own clean-up.
        if let Err(error) = shared.environments.stop(id).await {
            tracing::warn!(project = %id, %error, "a removed project was not stopped");
        }
        Ok::<(), ProjectError>(())
    };
    match done.await {
        Ok(()) => back_to("/projects", "removed"),
        Err(error) => told(&shared, &person, &project, refused(error.kind(), &error)).await,
    }
}

/// Starts the environment.
pub(super) async fn start(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path(project): Path<String>,
) -> Response {
    let found = match read_id(&project) {
        Ok(id) => shared.operations.order_start(&person.caller, id).await,
        Err(denied) => Err(denied.into()),
    };
    match found {
        Ok(found) => {
            let done = shared.environments.start(found).await;
            running(&shared, &person, &project, done, "started").await
        }
        Err(error) => told(&shared, &person, &project, refused(error.kind(), &error)).await,
    }
}

/// Stops the environment.
pub(super) async fn stop(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path(project): Path<String>,
) -> Response {
    let found = match read_id(&project) {
        Ok(id) => shared.operations.order_stop(&person.caller, id).await,
        Err(denied) => Err(denied.into()),
    };
    match found {
        Ok(found) => {
            let done = shared.environments.stop(found.id).await;
            running(&shared, &person, &project, done, "stopped").await
        }
        Err(error) => told(&shared, &person, &project, refused(error.kind(), &error)).await,
    }
}

async fn running(
    shared: &Shared,
    person: &Person,
    project: &str,
    done: Result<(), RunningError>,
    word: &str,
) -> Response {
    match done {
        Ok(()) => back_to(&format!("/projects/{project}"), word),
        Err(error) => {
            let notices = vec![Notice::error(sentence(&error.to_string()))];
            let extra = Extra { notices, ..Extra::default() };
            show(shared, person, project, StatusCode::SERVICE_UNAVAILABLE, extra).await
        }
    }
}

/// Adds keys of the project alone, held by who adds them.
pub(super) async fn add_key(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path(project): Path<String>,
    Form(form): Form<KeyForm>,
) -> Response {
    let added = match read_id(&project) {
        Ok(id) => {
            let place = KeyPlace::Project { project: id, holder: person.account.id };
            add_from_form(&shared, &person, place, &form).await
        }
        Err(denied) => Err(denied.into()),
    };
    match added {
        Ok(outcome) if outcome.is_plain() => back_to(&format!("/projects/{project}"), "key-added"),
        Ok(outcome) => {
            let (status, notices) = outcome.tell();
            let key_form = if outcome.added.is_empty() { form } else { KeyForm::default() };
            show(&shared, &person, &project, status, Extra { notices, key_form, ..Extra::default() }).await
        }
        Err(error) => {
            let (status, notice) = refused(error.kind(), &error);
            let key_form = form.without_secret(&error);
            let extra = Extra { notices: vec![notice], key_form, ..Extra::default() };
            show(&shared, &person, &project, status, extra).await
        }
    }
}

/// Makes somebody who has an account a member.
pub(super) async fn add_member(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path(project): Path<String>,
    Form(form): Form<MemberForm>,
) -> Response {
    let name = match AccountName::parse(form.name.trim()) {
        Ok(name) => name,
        Err(error) => {
            return told(&shared, &person, &project, refused(ErrorKind::Invalid, &error)).await;
        }
    };
    let done = match read_id(&project) {
        Ok(id) => shared.operations.add_member(&person.caller, id, &name, role(&form.role)).await,
        Err(denied) => Err(denied.into()),
    };
    finish(&shared, &person, &project, done, MemberError::kind, "member-added").await
}

/// Gives a member another role.
pub(super) async fn set_role(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path((project, account)): Path<(String, String)>,
    Form(form): Form<RoleForm>,
) -> Response {
    let done = async {
        let id = read_id(&project)?;
        let account = AccountId::parse(&account).ok_or(MemberError::NotAMember)?;
        shared.operations.set_role(&person.caller, id, account, role(&form.role)).await
    };
    let done = done.await;
    finish(&shared, &person, &project, done, MemberError::kind, "role-set").await
}

/// Ends a membership, also one's own.
pub(super) async fn remove_member(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path((project, account)): Path<(String, String)>,
) -> Response {
    let account = AccountId::parse(&account);
    let done = async {
        let id = read_id(&project)?;
        let account = account.ok_or(MemberError::NotAMember)?;
        shared.operations.remove_member(&person.caller, id, account).await
    };
    let done = done.await;
    if done.is_ok() && account == Some(person.account.id) && !person.account.admin {
        return back_to("/projects", "left");
    }
    finish(&shared, &person, &project, done, MemberError::kind, "member-removed").await
}

/// Makes an invitation and shows its link, this once.
pub(super) async fn invite(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path(project): Path<String>,
    Form(form): Form<RoleForm>,
) -> Response {
    let made = match read_id(&project) {
        Ok(id) => {
            let membership = Some((id, role(&form.role)));
            shared.operations.invite(&person.caller, membership, INVITATION).await
        }
        Err(denied) => Err(denied.into()),
    };
    match made {
        Ok(invited) => {
            let invitation_link = Some(shared.names.invitation_link(&invited.token));
            let notices =
                vec![Notice::done("The invitation is ready: send its link, which is shown only now.")];
            let extra = Extra { notices, invitation_link, ..Extra::default() };
            show(&shared, &person, &project, StatusCode::OK, extra).await
        }
        Err(error) => told(&shared, &person, &project, refused(error.kind(), &error)).await,
    }
}

/// Withdraws an invitation.
pub(super) async fn withdraw(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path((project, invitation)): Path<(String, String)>,
) -> Response {
    let done = async {
        let id = read_id(&project)?;
        let invitation = InvitationId::parse(&invitation).ok_or(InvitationError::Spent)?;
        shared.operations.withdraw_invitation(&person.caller, Some(id), invitation).await
    };
    let done = done.await;
    finish(&shared, &person, &project, done, InvitationError::kind, "withdrawn").await
}

/// Ends a live SSH session.
pub(super) async fn end_session(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path((project, session)): Path<(String, String)>,
) -> Response {
    let done = match SshSessionId::parse(&session) {
        Some(session) => shared.operations.end_ssh_session(&person.caller, session).await.map(drop),
        None => Err(SessionError::Absent),
    };
    finish(&shared, &person, &project, done, SessionError::kind, "ended").await
}

/// Only one word gives the greater right.
fn role(text: &str) -> Role {
    match text {
        "owner" => Role::Owner,
        _ => Role::Collaborator,
    }
}

/// Back to the page, or the page with what went wrong.
async fn finish<E: std::error::Error + Send>(
    shared: &Shared,
    person: &Person,
    project: &str,
    done: Result<(), E>,
    kind: fn(&E) -> ErrorKind,
    word: &str,
) -> Response {
    match done {
        Ok(()) => Redirect::to(&format!("/projects/{project}?done={word}")).into_response(),
        Err(error) => {
            let refusal = refused(kind(&error), &error);
            told(shared, person, project, refusal).await
        }
    }
}

async fn told(
    shared: &Shared,
    person: &Person,
    project: &str,
    (status, notice): (StatusCode, Notice),
) -> Response {
    show(shared, person, project, status, Extra { notices: vec![notice], ..Extra::default() }).await
}
