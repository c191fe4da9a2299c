//! The list of a person's projects, and the form for a new one.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use hop_store::{Alias, Project, ProjectState, Role, Title};
use hyper::StatusCode;
use serde::Deserialize;

use super::view::project_name;
use super::{Done, Frame, Notice, refused, refused_page, render};
use crate::operations::ProjectError;
use crate::portal::Shared;
use crate::running::RunState;
use crate::web::Person;

const WORDS: &[(&str, &str)] = &[("removed", "The project was removed."), ("left", "You left the project.")];

#[derive(Template)]
#[template(path = "projects.html")]
struct ProjectsPage {
    frame: Frame,
    projects: Vec<ProjectRow>,
    form: ProjectForm,
    has_keys: bool,
    may_add: bool,
}

struct ProjectRow {
    title: String,
    url: String,
    command: String,
    /// Names the command for its copy button.
    code_id: String,
    role: &'static str,
    state: &'static str,
    suspended: bool,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ProjectForm {
    #[serde(default)]
    title: String,
    #[serde(default)]
    alias: String,
}

/// The list.
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Query(done): Query<Done>,
) -> Response {
    show(&shared, &person, StatusCode::OK, done.notices(WORDS), ProjectForm::default()).await
}

async fn show(
    shared: &Shared,
    person: &Person,
    status: StatusCode,
    notices: Vec<Notice>,
    form: ProjectForm,
) -> Response {
    let projects = match shared.operations.own_projects(&person.caller).await {
        Ok(projects) => projects,
        Err(error) => return refused_page(error.kind(), &error),
    };
    let mut rows = Vec::with_capacity(projects.len());
    for (project, role) in &projects {
        rows.push(row(shared, project, *role).await);
    }
    let keys = shared.operations.account_keys(&person.caller, person.account.id).await;
    let page = ProjectsPage {
        frame: Frame::new("Projects", "projects", Some(person), notices),
        projects: rows,
        form,
        // Without an answer nobody is told to add a key that may be there.
        has_keys: keys.map_or(true, |keys| !keys.is_empty()),
        may_add: shared.operations.rules().accounts_make_projects || person.account.admin,
    };
    render(status, &page)
}

async fn row(shared: &Shared, project: &Project, role: Role) -> ProjectRow {
    let state = match shared.environments.state(project.id).await {
        Ok(RunState::Running { .. }) => "running",
        Ok(RunState::Starting) => "starting",
        Ok(RunState::Stopped) => "stopped",
        Err(_) => "unknown",
    };
    ProjectRow {
        title: project.title.to_string(),
        url: format!("/projects/{}", project.id),
        command: shared.names.ssh_command(&project_name(project)),
        code_id: format!("ssh-{}", project.id),
        role: role.as_str(),
        state,
        suspended: project.state == ProjectState::Suspended,
    }
}

/// Makes a project.
pub(super) async fn add(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Form(form): Form<ProjectForm>,
) -> Response {
    match make(&shared, &person, &form).await {
        Ok(project) => Redirect::to(&format!("/projects/{}?done=made", project.id)).into_response(),
        Err(error) => {
            let (status, notice) = refused(error.kind(), &error);
            show(&shared, &person, status, vec![notice], form).await
        }
    }
}

async fn make(shared: &Shared, person: &Person, form: &ProjectForm) -> Result<Project, ProjectError> {
    let title = Title::parse(&form.title)?;
    let alias = read_alias(&form.alias)?;
    shared.operations.add_project(&person.caller, person.account.id, &title, alias.as_ref()).await
}

/// An alias from a form, where nothing means none.
pub(super) fn read_alias(text: &str) -> Result<Option<Alias>, ProjectError> {
    match text.trim() {
        "" => Ok(None),
        alias => Ok(Some(Alias::parse(alias)?)),
    }
}
