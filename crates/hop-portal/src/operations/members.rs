//! Members of projects: owners decide on them; whoever wants may leave.

use hop_store::{AccountId, AccountName, Member, ProjectId, Role, StoreError};

use super::denied::from_checked;
use super::{Caller, Denied, ErrorKind, Operations};

/// Why a membership was not changed.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No such account.
    #[error("there is no account named {name} here; send an invitation instead")]
    NoAccount {
        /// The name.
        name: AccountName,
    },
    /// It is one already.
    #[error("the account {name} is a member already")]
    AlreadyMember {
        /// The account's name.
        name: AccountName,
    },
    /// It is none.
    #[error("this account is not a member of the project")]
    NotAMember,
    /// Nobody would be left to decide.
    #[error("this is the project's only owner; make another member an owner first")]
    LastOwner,
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}
from_checked!(MemberError);

impl MemberError {
    /// What it means to a door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::NoAccount { .. } | Self::NotAMember => ErrorKind::Absent,
            Self::AlreadyMember { .. } | Self::LastOwner => ErrorKind::Conflict,
            Self::Store(error) => ErrorKind::of_store(error),
        }
    }
}

impl From<hop_store::MemberError> for MemberError {
    fn from(error: hop_store::MemberError) -> Self {
        use hop_store::MemberError as Stored;
        match error {
            Stored::NoProject { .. } => Self::Denied(Denied::NoProject),
            Stored::NoAccount { .. } | Stored::NotAMember { .. } => Self::NotAMember,
            Stored::AlreadyMember { name } => Self::AlreadyMember { name },
            Stored::LastOwner { .. } => Self::LastOwner,
            Stored::Store(error) => Self::Store(error),
        }
    }
}

impl Operations {
    /// Makes the account of this name a member. For the project's owners.
    pub async fn add_member(
        &self,
        caller: &Caller,
        project: ProjectId,
        name: &AccountName,
        role: Role,
    ) -> Result<(), MemberError> {
        let mut turn = self.begin(caller).await?;
        self.deciding(caller, project).await?;
        let account = self.store.accounts().find_by_name(name).await?;
        let account = account.ok_or_else(|| MemberError::NoAccount { name: name.clone() })?;
        turn.change.members().add(project, account.id, role).await?;
        Ok(turn.change.commit().await?)
    }

    /// Gives a member another role. For the project's owners.
    pub async fn set_role(
        &self,
        caller: &Caller,
        project: ProjectId,
        account: AccountId,
        role: Role,
    ) -> Result<(), MemberError> {
        let mut turn = self.begin(caller).await?;
        self.deciding(caller, project).await?;
        turn.change.members().set_role(project, account, role).await?;
        Ok(turn.change.commit().await?)
    }

    /// Ends a membership: the account's sessions in the project end, and the project's keys that it holds go. For the
    /// project's owners, and for a member who leaves.
    pub async fn remove_member(
        &self,
        caller: &Caller,
        project: ProjectId,
        account: AccountId,
    ) -> Result<(), MemberError> {
        let mut turn = self.begin(caller).await?;
        if caller.account_id() == Some(account) {
            self.standing(caller, project).await?;
        } else {
            self.deciding(caller, project).await?;
        }
        turn.change.members().remove(project, account).await?;
        Ok(turn.change.commit().await?)
    }

    /// The members of a project, the first one first. For its members.
    pub async fn members(&self, caller: &Caller, project: ProjectId) -> Result<Vec<Member>, MemberError> {
        self.standing(caller, project).await?;
        Ok(self.store.members().list(project).await?)
    }
}
