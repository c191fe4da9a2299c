//! `hop admin project` and `hop admin member`.

use super::table::Row;
use super::{Desk, done, written};
use crate::cli::admin::{MemberCommand, MemberRole, ProjectCommand};
use crate::error::{CommandError, ErrorKind, OrFail};
use hop_store::{Alias, Project, ProjectId, Role, Title};
use serde::Serialize;

/// Projects read at once.
const PAGE: u32 = 500;

impl From<MemberRole> for Role {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::Owner => Self::Owner,
            MemberRole::Collaborator => Self::Collaborator,
        }
    }
}

#[derive(Serialize)]
struct ProjectRow {
    id: String,
    alias: Option<String>,
    title: String,
    state: String,
    created: String,
    ssh: String,
}

impl ProjectRow {
    fn new(desk: &Desk, project: &Project) -> Self {
        let alias = project.alias.as_ref().map(ToString::to_string);
        let id = project.id.to_string();
        Self {
            ssh: desk.names.ssh_command(alias.as_deref().unwrap_or(&id)),
            id,
            alias,
            title: project.title.as_str().to_owned(),
            state: project.state.as_str().to_owned(),
            created: written(project.created),
        }
    }
}

impl Row for ProjectRow {
    const COLUMNS: &'static [&'static str] = &["id", "alias", "state", "created", "title"];
    fn cells(&self) -> Vec<String> {
        let Self { id, alias, title, state, created, .. } = self;
        vec![id.clone(), alias.clone().unwrap_or_default(), state.clone(), created.clone(), title.clone()]
    }
}

pub(super) async fn project(desk: &Desk, command: &ProjectCommand) -> Result<(), CommandError> {
    let Desk { operations, caller, .. } = desk;
    match command {
        ProjectCommand::List => {
            let mut rows = Vec::new();
            let mut after: Option<ProjectId> = None;
            loop {
                let page = operations.store().projects().list(after, PAGE).await;
                let page = page.or_fail(ErrorKind::Unavailable)?;
                rows.extend(page.iter().map(|project| ProjectRow::new(desk, project)));
                match page.last() {
                    Some(last) => after = Some(last.id),
                    None => return desk.list(&rows),
                }
            }
        }
        ProjectCommand::Add { title, owner, alias } => {
            let owner = desk.account(owner).await?;
            let title = Title::parse(title).or_fail(ErrorKind::Config)?;
            let alias = alias.as_deref().map(Alias::parse).transpose().or_fail(ErrorKind::Config)?;
            let made = done!(operations.add_project(caller, owner.id, &title, alias.as_ref()).await)?;
            shown(desk, made.id).await
        }
        ProjectCommand::Set { project, title, alias } => {
            let id = desk.project(project).await?.id;
            if let Some(title) = title {
                let title = Title::parse(title).or_fail(ErrorKind::Config)?;
                done!(operations.set_project_title(caller, id, &title).await)?;
            }
            if let Some(alias) = alias {
                let alias = match alias.as_str() {
                    "" => None,
                    text => Some(Alias::parse(text).or_fail(ErrorKind::Config)?),
                };
                done!(operations.set_alias(caller, id, alias.as_ref()).await)?;
            }
            shown(desk, id).await
        }
        ProjectCommand::Suspend { project } => {
            let id = desk.project(project).await?.id;
            done!(operations.suspend_project(caller, id).await)?;
            shown(desk, id).await
        }
        ProjectCommand::Activate { project } => {
            let id = desk.project(project).await?.id;
            done!(operations.activate_project(caller, id).await)?;
            shown(desk, id).await
        }
        ProjectCommand::Remove { project } => {
            let id = desk.project(project).await?.id;
            done!(operations.remove_project(caller, id).await)?;
            shown(desk, id).await
        }
    }
}

async fn shown(desk: &Desk, id: ProjectId) -> Result<(), CommandError> {
    let found = desk.operations.store().projects().find_by_id(id).await.or_fail(ErrorKind::Unavailable)?;
    let project =
        found.ok_or_else(|| CommandError::new(ErrorKind::Internal, format!("project {id} is gone")))?;
    let row = ProjectRow::new(desk, &project);
    let words = match row.state.as_str() {
        "active" => format!("project {} opens with\n\n    {}\n", row.id, row.ssh),
        other => format!("project {} is {other}", row.id),
    };
    desk.say(&row, &words)
}

#[derive(Serialize)]
struct MemberRow {
    account: String,
    role: String,
    since: String,
}

impl Row for MemberRow {
    const COLUMNS: &'static [&'static str] = &["account", "role", "since"];
    fn cells(&self) -> Vec<String> {
        vec![self.account.clone(), self.role.clone(), self.since.clone()]
    }
}

pub(super) async fn member(desk: &Desk, command: &MemberCommand) -> Result<(), CommandError> {
    let Desk { operations, caller, .. } = desk;
    let project = match command {
        MemberCommand::List { project } => project,
        MemberCommand::Add { project, account, role } => {
            let (id, account) = (desk.project(project).await?.id, desk.account(account).await?);
            done!(operations.add_member(caller, id, &account.name, (*role).into()).await)?;
            project
        }
        MemberCommand::Set { project, account, role } => {
            let (id, account) = (desk.project(project).await?.id, desk.account(account).await?);
            done!(operations.set_role(caller, id, account.id, (*role).into()).await)?;
            project
        }
        MemberCommand::Remove { project, account } => {
            let (id, account) = (desk.project(project).await?.id, desk.account(account).await?);
            done!(operations.remove_member(caller, id, account.id).await)?;
            project
        }
    };
    let id = desk.project(project).await?.id;
    let members = done!(operations.members(caller, id).await)?.into_iter();
    let rows: Vec<_> = members
        .map(|member| MemberRow {
            account: member.name.to_string(),
            role: member.role.as_str().to_owned(),
            since: written(member.added),
        })
        .collect();
    desk.list(&rows)
}
