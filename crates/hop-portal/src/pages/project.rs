//! The page of one project, and its part that is kept up to date while it is open.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use hop_store::{AccountId, AccountState, ProjectState, Role};
use hyper::StatusCode;

use super::activity::{ActivityView, activity};
use super::keys::KeyForm;
use super::view::{KeyView, Names, SessionView, config_name, project_name};
use super::when::When;
use super::{Done, Frame, Notice, refused_page, render};
use crate::operations::{
    Denied, ErrorKind, InvitationError, KeyError, MemberError, ProjectError, ProjectStanding, SessionError,
};
use crate::portal::Shared;
use crate::running::{RunState, RunningError};
use crate::web::Person;

/// Rows of the activity.
const ACTIVITY: u32 = 20;
/// Live sessions on the page.
const SESSIONS: u32 = 100;

const WORDS: &[(&str, &str)] = &[
    ("made", "The project was made. Below is how to log in."),
    ("changed", "The project was changed."),
    ("started", "The project is on."),
    ("stopped", "The project is off. The next login starts it."),
    ("key-added", "The key was added. It opens this project only."),
    ("key-changed", "The key was changed."),
    ("key-removed", "The key was removed; sessions that it opened end now."),
    ("member-added", "The member was added."),
    ("role-set", "The role was changed."),
    ("member-removed", "The member was removed; sessions in this project end now."),
    ("withdrawn", "The invitation was withdrawn."),
    ("ended", "The session ends now."),
];

#[derive(Template)]
#[template(path = "project.html")]
struct ProjectPage {
    frame: Frame,
    id: String,
    title: String,
    alias: String,
    suspended: bool,
    decides: bool,
    role: &'static str,
    /// `ssh climate@host`, and the same by the id.
    command: String,
    command_by_id: String,
    config_name: String,
    config: String,
    known_hosts: String,
    live: Live,
    members: Vec<MemberView>,
    invitations: Vec<InvitationRow>,
    may_invite: bool,
    invitation_link: Option<String>,
    keys: Vec<KeyView>,
    has_urls: bool,
    key_form: KeyForm,
    key_action: String,
    activity: Vec<ActivityView>,
}

/// What changes while the page is open.
#[derive(Template)]
#[template(path = "project_live.html")]
struct Live {
    id: String,
    state: StateView,
    suspended: bool,
    sessions: Vec<SessionView>,
}

enum StateView {
    Stopped,
    Starting,
    Running { since: When },
    Unknown,
}

struct MemberView {
    id: String,
    name: String,
    role: Role,
    suspended: bool,
    added: When,
    is_self: bool,
}

struct InvitationRow {
    id: String,
    role: &'static str,
    inviter: String,
    expires: When,
}

/// What an answer to a form adds to the page.
#[derive(Default)]
pub(super) struct Extra {
    pub(super) notices: Vec<Notice>,
    pub(super) key_form: KeyForm,
    /// Shown this once.
    pub(super) invitation_link: Option<String>,
}

/// Why the page is not shown.
#[derive(Debug, thiserror::Error)]
enum PageError {
    #[error(transparent)]
    Project(#[from] ProjectError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Member(#[from] MemberError),
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Store(#[from] hop_store::StoreError),
}

impl PageError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Project(error) => error.kind(),
            Self::Key(error) => super::keys::kind_of(error),
            Self::Member(error) => error.kind(),
            Self::Invitation(error) => error.kind(),
            Self::Session(error) => error.kind(),
            Self::Store(error) => ErrorKind::of_store(error),
        }
    }
}

/// The page.
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path(name): Path<String>,
    Query(done): Query<Done>,
) -> Response {
    let extra = Extra { notices: done.notices(WORDS), ..Extra::default() };
    show(&shared, &person, &name, StatusCode::OK, extra).await
}

/// The page with what a form has to say.
pub(super) async fn show(
    shared: &Shared,
    person: &Person,
    name: &str,
    status: StatusCode,
    extra: Extra,
) -> Response {
    match build(shared, person, name, extra).await {
        Ok(page) => render(status, &page),
        Err(error) => refused_page(error.kind(), &error),
    }
}

/// The live part alone.
pub(super) async fn live(
    State(shared): State<Arc<Shared>>,
    person: Person,
    Path(name): Path<String>,
) -> Response {
    let live = async {
        let standing = shared.operations.find_project(&person.caller, &name).await?;
        live_part(&shared, &person, &standing).await
    };
    match live.await {
        Ok(live) => render(StatusCode::OK, &live),
        Err(error) if error.kind() == ErrorKind::Absent => {
            // No member any more, or no project: the list shows what is left.
            (StatusCode::NOT_FOUND, [("hx-redirect", "/projects")]).into_response()
        }
        Err(error) => refused_page(error.kind(), &error),
    }
}

async fn build(shared: &Shared, person: &Person, name: &str, extra: Extra) -> Result<ProjectPage, PageError> {
    let (operations, caller) = (&shared.operations, &person.caller);
    let standing = operations.find_project(caller, name).await?;
    let (project, now) = (&standing.project, operations.now());
    let mut names = Names::new(operations.store());
    let mut keys = Vec::new();
    for key in &operations.project_keys(caller, project.id).await? {
        let may_change = standing.decides || key.owner.holder() == person.account.id;
        keys.push(names.key(key, now, may_change).await?);
    }
    let members = operations.members(caller, project.id).await?;
    let members = members.into_iter().map(|member| MemberView {
        id: member.account.to_string(),
        name: member.name.to_string(),
        role: member.role,
        suspended: member.state == AccountState::Suspended,
        added: When::new(member.added, now),
        is_self: member.account == person.account.id,
    });
    let mut invitations = Vec::new();
    if standing.decides {
        for open in operations.open_invitations(caller, project.id).await? {
            invitations.push(InvitationRow {
                id: open.id.to_string(),
                role: open.membership.map_or("", |(_, role)| role.as_str()),
                inviter: inviter(&mut names, open.created_by).await?,
                expires: When::new(open.expires, now),
            });
        }
    }
    let activity = activity(shared, person, project.id, ACTIVITY, &mut names).await?;
    let config_name = config_name(project);
    Ok(ProjectPage {
        frame: Frame::new(project.title.as_str(), "projects", Some(person), extra.notices),
        id: project.id.to_string(),
        title: project.title.to_string(),
        alias: project.alias.as_ref().map(ToString::to_string).unwrap_or_default(),
        suspended: project.state == ProjectState::Suspended,
        decides: standing.decides,
        role: standing.role.map_or("admin of the site", Role::as_str),
        command: shared.names.ssh_command(&project_name(project)),
        command_by_id: shared.names.ssh_command(&project.id.to_string()),
        config: shared.names.ssh_config(&config_name, project.id),
        config_name,
        known_hosts: shared.names.host_key_lines().join("\n"),
        live: live_part(shared, person, &standing).await?,
        members: members.collect(),
        invitations,
        may_invite: standing.decides && (operations.rules().owners_invite || person.account.admin),
        invitation_link: extra.invitation_link,
        keys,
        has_urls: shared.key_urls.is_some(),
        key_form: extra.key_form,
        key_action: format!("/projects/{}/keys", project.id),
        activity,
    })
}

async fn inviter(names: &mut Names<'_>, account: Option<AccountId>) -> Result<String, PageError> {
    match account {
        Some(account) => Ok(names.account(account).await?),
        None => Ok("the site".to_owned()),
    }
}

async fn live_part(shared: &Shared, person: &Person, standing: &ProjectStanding) -> Result<Live, PageError> {
    let (project, now) = (&standing.project, shared.operations.now());
    let state = match shared.environments.state(project.id).await {
        Ok(RunState::Stopped) => StateView::Stopped,
        Ok(RunState::Starting) => StateView::Starting,
        Ok(RunState::Running { since }) => StateView::Running { since: When::new(since, now) },
        Err(RunningError::Unreachable | RunningError::Failed { .. }) => StateView::Unknown,
    };
    let mut names = Names::new(shared.operations.store());
    let mut sessions = Vec::new();
    for session in &shared.operations.project_sessions(&person.caller, project.id, SESSIONS).await? {
        let may_end = standing.decides || session.account == person.account.id;
        sessions.push(names.session(session, now, may_end).await?);
    }
    let suspended = project.state == ProjectState::Suspended;
    Ok(Live { id: project.id.to_string(), state, suspended, sessions })
}

/// The id in a route; pages link by id only.
pub(super) fn read_id(text: &str) -> Result<hop_store::ProjectId, Denied> {
    hop_store::ProjectId::parse(text).ok_or(Denied::NoProject)
}
