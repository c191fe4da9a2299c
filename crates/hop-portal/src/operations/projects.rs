//! Projects: made, named, suspended, removed.

use hop_store::{
    AccountId, Alias, AliasTextError, NewProject, Project, ProjectId, ProjectState, Role, StoreError,
    Timestamp, Title, TitleError,
};

use super::caller::Powers;
use super::denied::from_checked;
use super::{Caller, Denied, ErrorKind, Operations};

/// How a caller stands to a project that it may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectStanding {
    /// The project.
    pub project: Project,
    /// The caller's role; `None` for an operator, and for an admin who is no member.
    pub role: Option<Role>,
    /// Whether the caller may decide what owners decide.
    pub decides: bool,
}

/// Why a project was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The title is not taken.
    #[error(transparent)]
    Title(#[from] TitleError),
    /// The alias is not one.
    #[error("this alias is not taken: {0}")]
    AliasText(#[from] AliasTextError),
    /// Another project has the alias.
    #[error("the alias {alias} is taken")]
    AliasTaken {
        /// The alias.
        alias: Alias,
    },
    /// Another project had it not long ago.
    #[error(
        "the alias {alias} was another project's until lately; it rests for 90 days, so that nobody ends up here \
             who meant that one"
    )]
    AliasRests {
        /// The alias.
        alias: Alias,
        /// When it is free.
        until: Timestamp,
    },
    /// No such account.
    #[error("there is no such account")]
    NoAccount,
    /// The account has as many as the site allows.
    #[error("this account owns {most} projects, which is the limit of this site; remove one first")]
    Full {
        /// The limit.
        most: usize,
    },
    /// Nobody enters it now.
    #[error("this project is suspended")]
    Suspended,
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}
from_checked!(ProjectError);

impl ProjectError {
    /// What it means to a door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Title(_) | Self::AliasText(_) => ErrorKind::Invalid,
            Self::NoAccount => ErrorKind::Absent,
            Self::AliasTaken { .. } | Self::AliasRests { .. } | Self::Full { .. } | Self::Suspended => {
                ErrorKind::Conflict
            }
            Self::Store(error) => ErrorKind::of_store(error),
        }
    }
}

impl From<hop_store::ProjectError> for ProjectError {
    fn from(error: hop_store::ProjectError) -> Self {
        use hop_store::ProjectError as Stored;
        match error {
            Stored::Absent { .. } => Self::Denied(Denied::NoProject),
            Stored::NoAccount { .. } => Self::NoAccount,
            Stored::AliasTaken { alias } => Self::AliasTaken { alias },
            Stored::AliasRests { alias, until } => Self::AliasRests { alias, until },
            Stored::Store(error) => Self::Store(error),
        }
    }
}

impl Operations {
    /// Makes a project whose first owner is `owner`. For that account itself, if the site lets accounts make projects,
    /// and for admins.
    pub async fn add_project(
        &self,
        caller: &Caller,
        owner: AccountId,
        title: &Title,
        alias: Option<&Alias>,
    ) -> Result<Project, ProjectError> {
        let mut turn = self.begin(caller).await?;
        self.check_self_or_admin(caller, owner).await?;
        if !self.rules.accounts_make_projects {
            self.check_admin(caller).await.map_err(|checked| match checked {
                super::denied::Checked::Denied(_) => ProjectError::Denied(Denied::SiteRule),
                super::denied::Checked::Store(error) => ProjectError::Store(error),
            })?;
        }
        if caller.powers() != Powers::Operator {
            let own = self.store.projects().list_of_account(owner).await?;
            let most = self.rules.most_projects;
            if own.iter().filter(|(_, role)| *role == Role::Owner).count() >= most {
                return Err(ProjectError::Full { most });
            }
        }
        let id = ProjectId::new(turn.change.now(), self.id_bytes());
        let environment = self.rules.environment.clone();
        let new = NewProject { id, alias: alias.cloned(), title: title.clone(), environment, owner };
        turn.change.projects().add(&new).await?;
        turn.change.commit().await?;
        self.store.projects().find_by_id(id).await?.ok_or(ProjectError::Denied(Denied::NoProject))
    }

    /// Gives a project another alias, or none. The one it had rests for 90 days. For its owners.
    pub async fn set_alias(
        &self,
        caller: &Caller,
        project: ProjectId,
        alias: Option<&Alias>,
    ) -> Result<(), ProjectError> {
        let mut turn = self.begin(caller).await?;
        self.deciding(caller, project).await?;
        turn.change.projects().set_alias(project, alias).await?;
        Ok(turn.change.commit().await?)
    }

    /// Gives a project another title. For its owners.
    pub async fn set_project_title(
        &self,
        caller: &Caller,
        project: ProjectId,
        title: &Title,
    ) -> Result<(), ProjectError> {
        let mut turn = self.begin(caller).await?;
        self.deciding(caller, project).await?;
        turn.change.projects().set_title(project, title).await?;
        Ok(turn.change.commit().await?)
    }

    /// Closes a project for now; its sessions end. For admins.
    pub async fn suspend_project(&self, caller: &Caller, project: ProjectId) -> Result<(), ProjectError> {
        let mut turn = self.begin(caller).await?;
        self.check_admin(caller).await?;
        turn.change.projects().suspend(project).await?;
        Ok(turn.change.commit().await?)
    }

    /// Opens a suspended project again. For admins.
    pub async fn activate_project(&self, caller: &Caller, project: ProjectId) -> Result<(), ProjectError> {
        let mut turn = self.begin(caller).await?;
        self.check_admin(caller).await?;
        turn.change.projects().activate(project).await?;
        Ok(turn.change.commit().await?)
    }

    /// Removes a project for good: sessions end, keys and invitations go, the alias rests. Its home stays on disk until
    /// somebody removes that. For its owners.
    pub async fn remove_project(&self, caller: &Caller, project: ProjectId) -> Result<(), ProjectError> {
        let mut turn = self.begin(caller).await?;
        self.deciding(caller, project).await?;
        turn.change.projects().remove(project).await?;
        Ok(turn.change.commit().await?)
    }

    /// The project of this name (id in either form, or alias) and how the caller stands to it. For its members and
    /// admins.
    pub async fn find_project(&self, caller: &Caller, name: &str) -> Result<ProjectStanding, ProjectError> {
        let found = self.store.projects().find_by_name(name).await?;
        Ok(self.standing_in(caller, found).await?)
    }

    /// The projects of which the caller's account is a member, oldest first.
    pub async fn own_projects(&self, caller: &Caller) -> Result<Vec<(Project, Role)>, ProjectError> {
        let own = self.own_account(caller).await?;
        Ok(self.store.projects().list_of_account(own.id).await?)
    }

    /// Says in the audit trail that the caller starts a project, and returns it: the door then has it started. For its
    /// members and admins, while it is active.
    pub async fn order_start(&self, caller: &Caller, project: ProjectId) -> Result<Project, ProjectError> {
        self.order(caller, project, "project.start").await
    }

    /// The same for stopping it.
    pub async fn order_stop(&self, caller: &Caller, project: ProjectId) -> Result<Project, ProjectError> {
        self.order(caller, project, "project.stop").await
    }

    async fn order(
        &self,
        caller: &Caller,
        project: ProjectId,
        action: &str,
    ) -> Result<Project, ProjectError> {
        let mut turn = self.begin(caller).await?;
        let standing = self.standing(caller, project).await?;
        if standing.project.state != ProjectState::Active {
            return Err(ProjectError::Suspended);
        }
        turn.change.record(action, None, Some(project), serde_json::json!({})).await?;
        turn.change.commit().await?;
        Ok(standing.project)
    }
}
