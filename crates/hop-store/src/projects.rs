//! Projects: what people log in to. A removed one keeps its row, so that records and its alias's rest have something to
//! refer to; nothing finds it by name any more.

use std::time::Duration;

use serde_json::{Value, json};

use crate::alias::{Alias, ProjectName};
use crate::change::Change;
use crate::db::{Db, Row, Sql, args};
use crate::error::StoreError;
use crate::id::{AccountId, ProjectId};
use crate::members::{self, Role};
use crate::revocations::Revoked;
use crate::stored::stored_enum;
use crate::text::Title;
use crate::time::Timestamp;
use crate::{accounts, keys};

/// How long a freed alias rests before another project may have it: whoever still types it must not end elsewhere.
const REST: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its alias, which no other has.
    pub alias: Option<Alias>,
    /// Its title, for people.
    pub title: Title,
    /// Whether it can be entered.
    pub state: ProjectState,
    /// What it runs in.
    pub environment: Environment,
    /// When it was made.
    pub created: Timestamp,
}

stored_enum!(
    /// Whether a project can be entered.
    pub ProjectState {
        /// It can.
        Active = "active",
        /// Not now; its members, keys and alias are kept.
        Suspended = "suspended",
        /// Never again.
        Removed = "removed",
    }
);

/// What a project runs in. What the settings mean is known to the environments' crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The kind, for example `process`.
    pub kind: String,
    /// Its settings.
    pub settings: Value,
}

/// A project to be made.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Its id.
    pub id: ProjectId,
    /// Its alias.
    pub alias: Option<Alias>,
    /// Its title.
    pub title: Title,
    /// What it runs in.
    pub environment: Environment,
    /// Its first owner.
    pub owner: AccountId,
}

/// Why a project was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// No such project, or it was removed.
    #[error("there is no project {project}")]
    Absent {
        /// The id.
        project: ProjectId,
    },
    /// No such account.
    #[error("there is no account {account}")]
    NoAccount {
        /// The id.
        account: AccountId,
    },
    /// Another project has the alias.
    #[error("the alias {alias} is taken")]
    AliasTaken {
        /// The alias.
        alias: Alias,
    },
    /// Another project had it not long ago.
    #[error("the alias {alias} was another project's and rests for 90 days")]
    AliasRests {
        /// The alias.
        alias: Alias,
        /// When it is free.
        until: Timestamp,
    },
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reading of projects.
pub struct Projects<'a> {
    db: &'a Db,
}

/// Changing of projects.
pub struct ProjectChanges<'a> {
    change: &'a mut Change,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT p.id, p.alias, p.title, p.state, p.environment_kind, p.environment_settings, p.created",
            $rest
        )
    };
}
const BY_ID: Sql = Sql::new("find a project", select!(" FROM projects p WHERE p.id = $1"));
const BY_NAME: Sql = Sql::new(
    "find a project",
    select!(
        " FROM projects p WHERE p.id = COALESCE((SELECT q.id FROM projects q WHERE q.alias = $2), $1)
          AND p.state <> 'removed'"
    ),
);
const OF_ACCOUNT: Sql = Sql::new(
    "list projects",
    select!(
        ", m.role FROM members m JOIN projects p ON p.id = m.project WHERE m.account = $1 AND p.state <> 'removed'
         ORDER BY p.created, p.id"
    ),
);
const PAGE: Sql = Sql::new(
    "list projects",
    select!(" FROM projects p WHERE p.id > $1 AND p.state <> 'removed' ORDER BY p.id LIMIT $2"),
);
const COUNT: Sql = Sql::new("count projects", "SELECT COUNT(*) AS n FROM projects WHERE state <> 'removed'");
const ADD: Sql = Sql::new(
    "add a project",
    "INSERT INTO projects (id, title, state, environment_kind, environment_settings, created)
     VALUES ($1, $2, 'active', $3, $4, $5)",
);
const SET_TITLE: Sql = Sql::new("rename a project", "UPDATE projects SET title = $2 WHERE id = $1");
const SET_STATE: Sql = Sql::new("change a project", "UPDATE projects SET state = $2 WHERE id = $1");
const SET_ENVIRONMENT: Sql = Sql::new(
    "change a project's environment",
    "UPDATE projects SET environment_kind = $2, environment_settings = $3 WHERE id = $1",
);
const SET_ALIAS: Sql = Sql::new("set an alias", "UPDATE projects SET alias = $2 WHERE id = $1");
const ALIAS_OWNER: Sql = Sql::new("look an alias up", "SELECT id FROM projects WHERE alias = $1");
const ALIAS_FREED: Sql =
    Sql::new("look a freed alias up", "SELECT project, freed FROM freed_aliases WHERE alias = $1");
const TAKE_FREED: Sql = Sql::new("take a freed alias", "DELETE FROM freed_aliases WHERE alias = $1");
const FREE_ALIAS: Sql = Sql::new(
    "free an alias",
    "INSERT INTO freed_aliases (alias, project, freed) VALUES ($1, $2, $3)
     ON CONFLICT (alias) DO UPDATE SET project = excluded.project, freed = excluded.freed",
);
const DROP_INVITATIONS: Sql =
    Sql::new("drop invitations", "DELETE FROM invitations WHERE project = $1 AND used IS NULL");

impl<'a> Projects<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self { db }
    }

    /// The project with this id, also one that was removed.
    pub async fn find_by_id(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        self.db.row(BY_ID, args![&id]).await?.as_ref().map(Project::read).transpose()
    }

    /// The project of this name: its id, the id with hyphens, or its alias.
    pub async fn find_by_name(&self, name: &str) -> Result<Option<Project>, StoreError> {
        let (id, alias) = ProjectName::columns(name);
        self.db.row(BY_NAME, args![&id, &alias]).await?.as_ref().map(Project::read).transpose()
    }

    /// The projects of which an account is a member, oldest first.
    pub async fn list_of_account(&self, account: AccountId) -> Result<Vec<(Project, Role)>, StoreError> {
        let rows = self.db.rows(OF_ACCOUNT, args![&account]).await?;
        rows.iter().map(|row| Ok((Project::read(row)?, row.text("role")?))).collect()
    }

    /// At most `most` projects by id, those after `after`.
    pub async fn list(&self, after: Option<ProjectId>, most: u32) -> Result<Vec<Project>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows = self.db.rows(PAGE, args![&after, i64::from(most)]).await?;
        rows.iter().map(Project::read).collect()
    }

    /// How many there are, without those removed.
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.db.row(COUNT, args![]).await?.map_or(Ok(0), |row| row.count("n"))
    }
}

impl<'a> ProjectChanges<'a> {
    pub(crate) fn new(change: &'a mut Change) -> Self {
        Self { change }
    }

    /// Makes a project with its first owner.
    pub async fn add(&mut self, new: &NewProject) -> Result<(), ProjectError> {
        if accounts::find(self.change, new.owner).await?.is_none() {
            return Err(ProjectError::NoAccount { account: new.owner });
        }
        if let Some(alias) = &new.alias {
            self.check_alias(new.id, alias).await?;
        }
        let now = self.change.now();
        let settings = new.environment.settings.to_string();
        let values = args![&new.id, &new.title, &new.environment.kind, &settings, now];
        self.change.run(ADD, values).await?;
        let detail = json!({ "title": new.title.as_str(), "environment": new.environment.kind });
        self.change.record("project.add", Some(new.owner), Some(new.id), detail).await?;
        members::insert(self.change, new.id, new.owner, Role::Owner).await?;
        if let Some(alias) = &new.alias {
            self.take_alias(new.id, alias).await?;
        }
        Ok(())
    }

    /// Gives a project another alias, or none. The one it had rests.
    pub async fn set_alias(&mut self, id: ProjectId, alias: Option<&Alias>) -> Result<(), ProjectError> {
        let project = self.find(id).await?;
        if project.alias.as_ref() == alias {
            return Ok(());
        }
        if let Some(alias) = alias {
            self.check_alias(id, alias).await?;
        }
        self.free_alias(&project).await?;
        if let Some(alias) = alias {
            self.take_alias(id, alias).await?;
        }
        Ok(())
    }

    /// Gives a project another title.
    pub async fn set_title(&mut self, id: ProjectId, title: &Title) -> Result<(), ProjectError> {
        self.find(id).await?;
        self.change.run(SET_TITLE, args![&id, title]).await?;
        Ok(self.change.record("project.rename", None, Some(id), json!({ "title": title.as_str() })).await?)
    }

    /// Gives a project another environment. Running ones are not this crate's business.
    pub async fn set_environment(
        &mut self,
        id: ProjectId,
        environment: &Environment,
    ) -> Result<(), ProjectError> {
        self.find(id).await?;
        let settings = environment.settings.to_string();
        self.change.run(SET_ENVIRONMENT, args![&id, &environment.kind, &settings]).await?;
        let detail = json!({ "kind": environment.kind, "settings": environment.settings });
        Ok(self.change.record("project.set-environment", None, Some(id), detail).await?)
    }

    /// Closes a project for now: its sessions end.
    pub async fn suspend(&mut self, id: ProjectId) -> Result<(), ProjectError> {
        if self.find(id).await?.state == ProjectState::Suspended {
            return Ok(());
        }
        self.change.run(SET_STATE, args![&id, &ProjectState::Suspended]).await?;
        self.change.revoke(Revoked::Project { project: id }).await?;
        Ok(self.change.record("project.suspend", None, Some(id), json!({})).await?)
    }

    /// Opens a suspended project again.
    pub async fn activate(&mut self, id: ProjectId) -> Result<(), ProjectError> {
        if self.find(id).await?.state == ProjectState::Active {
            return Ok(());
        }
        self.change.run(SET_STATE, args![&id, &ProjectState::Active]).await?;
        Ok(self.change.record("project.activate", None, Some(id), json!({})).await?)
    }

    /// Removes a project for good: its sessions end, its keys and open invitations go, its alias rests. Its members
    /// stay on record. What it holds on disk is not this crate's business.
    pub async fn remove(&mut self, id: ProjectId) -> Result<(), ProjectError> {
        let project = self.find(id).await?;
        self.free_alias(&project).await?;
        self.change.run(SET_STATE, args![&id, &ProjectState::Removed]).await?;
        keys::remove_of_project(self.change, id).await?;
        self.change.run(DROP_INVITATIONS, args![&id]).await?;
        self.change.revoke(Revoked::Project { project: id }).await?;
        Ok(self.change.record("project.remove", None, Some(id), json!({})).await?)
    }

    async fn find(&mut self, id: ProjectId) -> Result<Project, ProjectError> {
        find(self.change, id).await?.ok_or(ProjectError::Absent { project: id })
    }

    /// Whether `project` may take the alias: nobody has it, and nobody else had it lately.
    async fn check_alias(&mut self, project: ProjectId, alias: &Alias) -> Result<(), ProjectError> {
        if self.change.row(ALIAS_OWNER, args![alias]).await?.is_some() {
            return Err(ProjectError::AliasTaken { alias: alias.clone() });
        }
        let Some(row) = self.change.row(ALIAS_FREED, args![alias]).await? else { return Ok(()) };
        let until = row.time("freed")?.plus(REST);
        if row.text::<ProjectId>("project")? != project && self.change.now() < until {
            return Err(ProjectError::AliasRests { alias: alias.clone(), until });
        }
        Ok(())
    }

    async fn take_alias(&mut self, id: ProjectId, alias: &Alias) -> Result<(), StoreError> {
        self.change.run(TAKE_FREED, args![alias]).await?;
        self.change.run(SET_ALIAS, args![&id, alias]).await?;
        let detail = json!({ "alias": alias.as_str() });
        self.change.record("project.set-alias", None, Some(id), detail).await
    }

    async fn free_alias(&mut self, project: &Project) -> Result<(), StoreError> {
        let Some(alias) = &project.alias else { return Ok(()) };
        self.change.run(SET_ALIAS, args![&project.id, None::<&Alias>]).await?;
        self.change.run(FREE_ALIAS, args![alias, &project.id, self.change.now()]).await?;
        let detail = json!({ "alias": alias.as_str() });
        self.change.record("project.free-alias", None, Some(project.id), detail).await
    }
}

/// The project, as the change sees it; `None` for one that was removed.
pub(crate) async fn find(change: &mut Change, id: ProjectId) -> Result<Option<Project>, StoreError> {
    let project = change.row(BY_ID, args![&id]).await?.as_ref().map(Project::read).transpose()?;
    Ok(project.filter(|project| project.state != ProjectState::Removed))
}

impl Project {
    pub(crate) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("id")?,
            alias: row.text_or_null("alias")?,
            title: row.text("title")?,
            state: row.text("state")?,
            environment: Environment {
                kind: row.text("environment_kind")?,
                settings: row.json("environment_settings")?,
            },
            created: row.time("created")?,
        })
    }
}
