//! Members of projects: who may enter, and who may decide.
//!
//! What must stay true: a project always has an owner.

use serde_json::json;

use crate::accounts::{self, AccountState};
use crate::change::Change;
use crate::db::{Db, Row, Sql, args};
use crate::error::StoreError;
use crate::id::{AccountId, ProjectId};
use crate::revocations::Revoked;
use crate::stored::stored_enum;
use crate::text::AccountName;
use crate::time::Timestamp;
use crate::{keys, projects};

stored_enum!(
    /// What a member may do.
    pub Role {
        /// Everything: also decide on members, keys, alias, and removal.
        Owner = "owner",
        /// Enter and work.
        Collaborator = "collaborator",
    }
);

/// A member of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The account.
    pub account: AccountId,
    /// Its name.
    pub name: AccountName,
    /// Whether the account may do anything.
    pub state: AccountState,
    /// What it may do here.
    pub role: Role,
    /// Since when.
    pub added: Timestamp,
}

/// Why a membership was not changed.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// No such project, or it was removed.
    #[error("there is no project {project}")]
    NoProject {
        /// The id.
        project: ProjectId,
    },
    /// No such account.
    #[error("there is no account {account}")]
    NoAccount {
        /// The id.
        account: AccountId,
    },
    /// It is one already.
    #[error("{name} is a member already")]
    AlreadyMember {
        /// The account's name.
        name: AccountName,
    },
    /// It is none.
    #[error("the account {account} is not a member of the project")]
    NotAMember {
        /// The account.
        account: AccountId,
    },
    /// Nobody would be left to decide.
    #[error("the account {account} is the project's only owner; make another one first")]
    LastOwner {
        /// The account.
        account: AccountId,
    },
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reading of members.
pub struct Members<'a> {
    db: &'a Db,
}

/// Changing of members.
pub struct MemberChanges<'a> {
    change: &'a mut Change,
}

const LIST: Sql = Sql::new(
    "list members",
    "SELECT m.account, a.name, a.state, m.role, m.added FROM members m JOIN accounts a ON a.id = m.account
     WHERE m.project = $1 ORDER BY m.added, m.account",
);
const ROLE: Sql = Sql::new("find a member", "SELECT role FROM members WHERE project = $1 AND account = $2");
const OTHER_OWNERS: Sql = Sql::new(
    "count owners",
    "SELECT COUNT(*) AS n FROM members WHERE project = $1 AND role = 'owner' AND account <> $2",
);
const ADD: Sql =
    Sql::new("add a member", "INSERT INTO members (project, account, role, added) VALUES ($1, $2, $3, $4)");
const SET_ROLE: Sql =
    Sql::new("change a member's role", "UPDATE members SET role = $3 WHERE project = $1 AND account = $2");
const REMOVE: Sql = Sql::new("remove a member", "DELETE FROM members WHERE project = $1 AND account = $2");
const DROP_INVITATIONS: Sql = Sql::new(
    "drop invitations",
    "DELETE FROM invitations WHERE project = $1 AND created_by = $2 AND used IS NULL",
);

impl<'a> Members<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self { db }
    }

    /// The members of a project, the first one first.
    pub async fn list(&self, project: ProjectId) -> Result<Vec<Member>, StoreError> {
        self.db.rows(LIST, args![&project]).await?.iter().map(Member::read).collect()
    }

    /// What an account may do in a project; `None` if it is no member.
    pub async fn find_role(
        &self,
        project: ProjectId,
        account: AccountId,
    ) -> Result<Option<Role>, StoreError> {
        self.db.row(ROLE, args![&project, &account]).await?.map(|row| row.text("role")).transpose()
    }
}

impl<'a> MemberChanges<'a> {
    pub(crate) fn new(change: &'a mut Change) -> Self {
        Self { change }
    }

    /// Makes an account a member.
    pub async fn add(
        &mut self,
        project: ProjectId,
        account: AccountId,
        role: Role,
    ) -> Result<(), MemberError> {
        if projects::find(self.change, project).await?.is_none() {
            return Err(MemberError::NoProject { project });
        }
        let Some(found) = accounts::find(self.change, account).await? else {
            return Err(MemberError::NoAccount { account });
        };
        if self::role(self.change, project, account).await?.is_some() {
            return Err(MemberError::AlreadyMember { name: found.name });
        }
        Ok(insert(self.change, project, account, role).await?)
    }

    /// Gives a member another role.
    pub async fn set_role(
        &mut self,
        project: ProjectId,
        account: AccountId,
        role: Role,
    ) -> Result<(), MemberError> {
        let old = self.find(project, account).await?;
        if old == role {
            return Ok(());
        }
        self.refuse_last_owner(project, account, old).await?;
        self.change.run(SET_ROLE, args![&project, &account, &role]).await?;
        let detail = json!({ "role": role.as_str() });
        Ok(self.change.record("member.set-role", Some(account), Some(project), detail).await?)
    }

    /// Ends a membership: the account's sessions in the project end; the project's keys that it holds, and its open
    /// invitations to the project, go.
    pub async fn remove(&mut self, project: ProjectId, account: AccountId) -> Result<(), MemberError> {
        let old = self.find(project, account).await?;
        self.refuse_last_owner(project, account, old).await?;
        keys::remove_held(self.change, project, account).await?;
        self.change.run(DROP_INVITATIONS, args![&project, &account]).await?;
        self.change.run(REMOVE, args![&project, &account]).await?;
        self.change.revoke(Revoked::Member { project, account }).await?;
        Ok(self.change.record("member.remove", Some(account), Some(project), json!({})).await?)
    }

    async fn find(&mut self, project: ProjectId, account: AccountId) -> Result<Role, MemberError> {
        role(self.change, project, account).await?.ok_or(MemberError::NotAMember { account })
    }

    async fn refuse_last_owner(
        &mut self,
        project: ProjectId,
        account: AccountId,
        role: Role,
    ) -> Result<(), MemberError> {
        if role != Role::Owner {
            return Ok(());
        }
        let others = self.change.row(OTHER_OWNERS, args![&project, &account]).await?;
        match others.map_or(Ok(0), |row| row.count("n"))? {
            0 => Err(MemberError::LastOwner { account }),
            _ => Ok(()),
        }
    }
}

/// The role of an account, as the change sees it.
pub(crate) async fn role(
    change: &mut Change,
    project: ProjectId,
    account: AccountId,
) -> Result<Option<Role>, StoreError> {
    change.row(ROLE, args![&project, &account]).await?.map(|row| row.text("role")).transpose()
}

/// A member that was checked for.
pub(crate) async fn insert(
    change: &mut Change,
    project: ProjectId,
    account: AccountId,
    role: Role,
) -> Result<(), StoreError> {
    change.run(ADD, args![&project, &account, &role, change.now()]).await?;
    let detail = json!({ "role": role.as_str() });
    change.record("member.add", Some(account), Some(project), detail).await
}

impl Member {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            account: row.text("account")?,
            name: row.text("name")?,
            state: row.text("state")?,
            role: row.text("role")?,
            added: row.time("added")?,
        })
    }
}
