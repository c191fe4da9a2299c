//! Who may do what, and how a "no" is said.

use hop_store::{Account, AccountId, AccountState, Project, ProjectId, ProjectState, Role, StoreError};

use super::Operations;
use super::caller::{Caller, Powers};
use super::projects::ProjectStanding;

/// Why a caller may not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody has signed in.
    #[error("sign in first")]
    NotSignedIn,
    /// The account may do nothing now.
    #[error("this account is suspended")]
    Suspended,
    /// It takes an admin of the site.
    #[error("only an admin of the site can do this")]
    NotAdmin,
    /// It takes an owner of the project.
    #[error("only an owner of the project can do this")]
    NotOwner,
    /// It is somebody else's.
    #[error("only the account itself or an admin of the site can do this")]
    NotYours,
    /// No such project, or none of the caller's: the same words for both.
    #[error("there is no such project, or you are not a member of it")]
    NoProject,
    /// The site's rules leave it to admins.
    #[error("this site leaves this to its admins")]
    SiteRule,
}

/// What an error means to a door: a status code, an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// What was asked makes no sense or breaks a rule; asking differently helps.
    Invalid,
    /// Another thing stands against it: a name that is taken, a last owner.
    Conflict,
    /// The caller may not.
    Denied,
    /// It is not there.
    Absent,
    /// Later it may work.
    Temporary,
    /// Something is wrong with the site.
    Failed,
}

/// What the store said, below the refusals of an operation.
#[derive(Debug, thiserror::Error)]
pub(super) enum Checked {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Denied {
    /// What it means to a door.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NoProject => ErrorKind::Absent,
            Self::NotSignedIn
            | Self::Suspended
            | Self::NotAdmin
            | Self::NotOwner
            | Self::NotYours
            | Self::SiteRule => ErrorKind::Denied,
        }
    }
}

impl ErrorKind {
    /// The kind of an error of the store.
    pub fn of_store(error: &StoreError) -> Self {
        if error.is_temporary() { Self::Temporary } else { Self::Failed }
    }
}

/// Gives an operation's error the two parts that all of them have.
macro_rules! from_checked {
    ($error:ident) => {
        impl From<$crate::operations::denied::Checked> for $error {
            fn from(checked: $crate::operations::denied::Checked) -> Self {
                match checked {
                    $crate::operations::denied::Checked::Denied(denied) => Self::Denied(denied),
                    $crate::operations::denied::Checked::Store(store) => Self::Store(store),
                }
            }
        }
    };
}
pub(super) use from_checked;

impl Operations {
    /// The active account of a caller who has signed in.
    pub(super) async fn own_account(&self, caller: &Caller) -> Result<Account, Checked> {
        let Powers::Account(id) = caller.powers() else { return Err(Denied::NotSignedIn.into()) };
        let account = self.store.accounts().find_by_id(id).await?.ok_or(Denied::NotSignedIn)?;
        match account.state {
            AccountState::Active => Ok(account),
            AccountState::Suspended => Err(Denied::Suspended.into()),
        }
    }

    /// An operator or an admin.
    pub(super) async fn check_admin(&self, caller: &Caller) -> Result<(), Checked> {
        match caller.powers() {
            Powers::Operator => Ok(()),
            Powers::Visitor | Powers::Account(_) => match self.own_account(caller).await?.admin {
                true => Ok(()),
                false => Err(Denied::NotAdmin.into()),
            },
        }
    }

    /// The account itself, an operator or an admin.
    pub(super) async fn check_self_or_admin(&self, caller: &Caller, of: AccountId) -> Result<(), Checked> {
        if caller.powers() == Powers::Operator {
            return Ok(());
        }
        let own = self.own_account(caller).await?;
        if own.id == of || own.admin { Ok(()) } else { Err(Denied::NotYours.into()) }
    }

    /// The caller's standing in a project of which it knows: a member's, an admin's, an operator's.
    pub(super) async fn standing(
        &self,
        caller: &Caller,
        project: ProjectId,
    ) -> Result<ProjectStanding, Checked> {
        let found = self.store.projects().find_by_id(project).await?;
        self.standing_in(caller, found).await
    }

    pub(super) async fn standing_in(
        &self,
        caller: &Caller,
        project: Option<Project>,
    ) -> Result<ProjectStanding, Checked> {
        let project = project.filter(|found| found.state != ProjectState::Removed);
        if caller.powers() == Powers::Operator {
            let project = project.ok_or(Denied::NoProject)?;
            return Ok(ProjectStanding { project, role: None, decides: true });
        }
        let own = self.own_account(caller).await?;
        let project = project.ok_or(Denied::NoProject)?;
        let role = self.store.members().find_role(project.id, own.id).await?;
        if role.is_none() && !own.admin {
            return Err(Denied::NoProject.into());
        }
        Ok(ProjectStanding { project, role, decides: own.admin || role == Some(Role::Owner) })
    }

    /// The same, for what only owners (and admins) decide.
    pub(super) async fn deciding(
        &self,
        caller: &Caller,
        project: ProjectId,
    ) -> Result<ProjectStanding, Checked> {
        let standing = self.standing(caller, project).await?;
        if standing.decides { Ok(standing) } else { Err(Denied::NotOwner.into()) }
    }
}
