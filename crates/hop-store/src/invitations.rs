//! Invitations: links by which somebody gets an account, perhaps with a membership. Each works once, until its end.

use serde_json::json;

use crate::change::Change;
use crate::db::{Db, Row, Sql, args};
use crate::error::StoreError;
use crate::id::{AccountId, InvitationId, ProjectId};
use crate::members::Role;
use crate::projects;
use crate::time::Timestamp;
use crate::token::TokenHash;

/// An invitation. The one who sent it is `None` for the site itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// The project to which it invites, and as what.
    pub membership: Option<(ProjectId, Role)>,
    /// Who made it.
    pub created_by: Option<AccountId>,
    /// When.
    pub created: Timestamp,
    /// From when it is worth nothing.
    pub expires: Timestamp,
    /// Who used it, and when.
    pub used: Option<(AccountId, Timestamp)>,
}

/// An invitation to be made, by the change's actor.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// Its id.
    pub id: InvitationId,
    /// The hash of the token in the link.
    pub token: TokenHash,
    /// The project to which it invites, and as what.
    pub membership: Option<(ProjectId, Role)>,
    /// From when it is worth nothing.
    pub expires: Timestamp,
}

/// Why an invitation was not made.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// No such project, or it was removed.
    #[error("there is no project {project}")]
    NoProject {
        /// The id.
        project: ProjectId,
    },
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reading of invitations.
pub struct Invitations<'a> {
    db: &'a Db,
}

/// Changing of invitations.
pub struct InvitationChanges<'a> {
    change: &'a mut Change,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, project, role, created_by, created, expires, used, used_by FROM invitations ",
            $rest
        )
    };
}
const BY_TOKEN: Sql =
    Sql::new("find an invitation", select!("WHERE token_hash = $1 AND used IS NULL AND expires > $2"));
const OPEN: Sql = Sql::new(
    "list invitations",
    select!("WHERE used IS NULL AND expires > $1 ORDER BY created, id LIMIT $2"),
);
const OPEN_OF_PROJECT: Sql = Sql::new(
    "list invitations",
    select!("WHERE project = $3 AND used IS NULL AND expires > $1 ORDER BY created, id LIMIT $2"),
);
const ADD: Sql = Sql::new(
    "add an invitation",
    "INSERT INTO invitations (id, token_hash, project, role, created_by, created, expires)
     VALUES ($1, $2, $3, $4, $5, $6, $7)",
);
const USE: Sql = Sql::new(
    "use an invitation",
    "UPDATE invitations SET used = $2, used_by = $3
     WHERE token_hash = $1 AND used IS NULL AND expires > $2
     RETURNING id, project, role, created_by, created, expires, used, used_by",
);
const REMOVE: Sql = Sql::new(
    "withdraw an invitation",
    "DELETE FROM invitations WHERE id = $1 AND used IS NULL RETURNING project",
);

impl<'a> Invitations<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self { db }
    }

    /// The invitation of this token, if it can still be used.
    pub async fn find_by_token(
        &self,
        token: TokenHash,
        now: Timestamp,
    ) -> Result<Option<Invitation>, StoreError> {
        self.db.row(BY_TOKEN, args![&token, now]).await?.as_ref().map(Invitation::read).transpose()
    }

    /// At most `most` invitations that can still be used, oldest first; those to one project, or all.
    pub async fn list_open(
        &self,
        project: Option<ProjectId>,
        now: Timestamp,
        most: u32,
    ) -> Result<Vec<Invitation>, StoreError> {
        let most = i64::from(most);
        let rows = match project {
            Some(project) => self.db.rows(OPEN_OF_PROJECT, args![now, most, &project]).await?,
            None => self.db.rows(OPEN, args![now, most]).await?,
        };
        rows.iter().map(Invitation::read).collect()
    }
}

impl<'a> InvitationChanges<'a> {
    pub(crate) fn new(change: &'a mut Change) -> Self {
        Self { change }
    }

    /// Makes an invitation.
    pub async fn add(&mut self, new: &NewInvitation) -> Result<(), InviteError> {
        let (project, role) = new.membership.unzip();
        if let Some(project) = project
            && projects::find(self.change, project).await?.is_none()
        {
            return Err(InviteError::NoProject { project });
        }
        let creator = self.change.actor().account;
        let values = args![
            &new.id,
            &new.token,
            project.as_ref(),
            role.as_ref(),
            creator.as_ref(),
            self.change.now(),
            new.expires,
        ];
        self.change.run(ADD, values).await?;
        let detail = json!({ "invitation": new.id.to_string(), "role": role.map(Role::as_str) });
        Ok(self.change.record("invitation.add", None, project, detail).await?)
    }

    /// Uses an invitation for an account, which exists by now; `None` when it cannot be used (any more). What it
    /// promises is for the caller to do, in the same change.
    pub async fn fulfill(
        &mut self,
        token: TokenHash,
        account: AccountId,
    ) -> Result<Option<Invitation>, StoreError> {
        let Some(row) = self.change.row(USE, args![&token, self.change.now(), &account]).await? else {
            return Ok(None);
        };
        let used = Invitation::read(&row)?;
        let project = used.membership.map(|(project, _)| project);
        let detail = json!({ "invitation": used.id.to_string() });
        self.change.record("invitation.fulfill", Some(account), project, detail).await?;
        Ok(Some(used))
    }

    /// Withdraws an invitation; false when there is none that could still be withdrawn.
    pub async fn remove(&mut self, id: InvitationId) -> Result<bool, StoreError> {
        let Some(row) = self.change.row(REMOVE, args![&id]).await? else { return Ok(false) };
        let detail = json!({ "invitation": id.to_string() });
        self.change.record("invitation.remove", None, row.text_or_null("project")?, detail).await?;
        Ok(true)
    }
}

impl Invitation {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let project: Option<ProjectId> = row.text_or_null("project")?;
        let used_by: Option<AccountId> = row.text_or_null("used_by")?;
        Ok(Self {
            id: row.text("id")?,
            membership: project.zip(row.text_or_null("role")?),
            created_by: row.text_or_null("created_by")?,
            created: row.time("created")?,
            expires: row.time("expires")?,
            used: used_by.zip(row.time_or_null("used")?),
        })
    }
}
