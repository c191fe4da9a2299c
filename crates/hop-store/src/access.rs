//! What a gateway asks at a login: all that decides, in one query.
//!
//! What must stay true: the query is the same, with the same joins, whether the project, the key or the membership is
//! known or not, so that its time tells nothing. The number of the last revocation is read in the same instant: what
//! is revoked later has a higher one.

use hop_keys::Fingerprint;

use crate::accounts::AccountState;
use crate::alias::ProjectName;
use crate::db::{Db, Row, Sql, args};
use crate::error::StoreError;
use crate::id::{AccountId, KeyId};
use crate::keys::KeyOwner;
use crate::members::Role;
use crate::projects::{Environment, Project};
use crate::revocations::RevocationSeq;
use crate::text::{AccountName, Title};
use crate::time::Timestamp;

/// What is known about a key at the door of a project. Nothing here is a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAccess {
    /// Revocations after this one came after these facts.
    pub as_of: RevocationSeq,
    /// The project; `None` when there is none of that name.
    pub project: Option<Project>,
    /// Who has the key, at most 32 owners: those whom it lets in come first, the one who had it first before others.
    pub owners: Vec<KeyStanding>,
}

/// One owner of the key, and how the person behind it stands to the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStanding {
    /// This owner's entry of the key.
    pub key: KeyId,
    /// The owner. A key of another project than the one asked for opens nothing here.
    pub owner: KeyOwner,
    /// What the owner calls it.
    pub title: Title,
    /// From when it opens nothing.
    pub expires: Option<Timestamp>,
    /// How the account that holds it stands.
    pub account: Standing,
}

/// How an account stands to the project asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The account.
    pub id: AccountId,
    /// Its name.
    pub name: AccountName,
    /// Whether it may do anything.
    pub state: AccountState,
    /// Its role in the project; `None`: not a member, or no such project.
    pub role: Option<Role>,
}

/// What is known about an account at the door of a project. Nothing here is a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountAccess {
    /// Revocations after this one came after these facts.
    pub as_of: RevocationSeq,
    /// The project; `None` when there is none of that name.
    pub project: Option<Project>,
    /// The account; `None` when there is none of that id.
    pub account: Option<Standing>,
}

/// The gateway's questions.
pub struct Access<'a> {
    db: &'a Db,
}

macro_rules! facts {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT s.last_revocation, p.id AS project_id, p.alias, p.title AS project_title,
                    p.state AS project_state, p.environment_kind, p.environment_settings, p.created AS project_created,
                    a.id AS account_id, a.name, a.state AS account_state, m.role",
            $columns,
            " FROM site s
              LEFT JOIN projects p
                ON p.id = COALESCE((SELECT q.id FROM projects q WHERE q.alias = $2), $1) AND p.state <> 'removed' ",
            $rest
        )
    };
}
const BY_KEY: Sql = Sql::new(
    "look up a key's access",
    facts!(
        ", k.id AS key_id, k.project AS key_project, k.title, k.expires",
        "LEFT JOIN public_keys k ON k.fingerprint = $3
         LEFT JOIN accounts a ON a.id = k.holder
         LEFT JOIN members m ON m.project = p.id AND m.account = a.id
         WHERE s.id = 1
         ORDER BY CASE WHEN m.role IS NOT NULL AND a.state = 'active' AND (k.project IS NULL OR k.project = p.id)
                            AND (k.expires IS NULL OR k.expires > $4) THEN 0 ELSE 1 END,
                  k.created, k.id
         LIMIT 32"
    ),
);
const BY_ACCOUNT: Sql = Sql::new(
    "look up an account's access",
    facts!(
        "",
        "LEFT JOIN accounts a ON a.id = $3
         LEFT JOIN members m ON m.project = p.id AND m.account = a.id
         WHERE s.id = 1"
    ),
);

impl<'a> Access<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self { db }
    }

    /// What is known about a key at the project of this name (its id in either form, or its alias). `now` only sorts
    /// the owners; who decides looks at `expires`.
    pub async fn by_key(
        &self,
        project: &str,
        fingerprint: Fingerprint,
        now: Timestamp,
    ) -> Result<KeyAccess, StoreError> {
        let (id, alias) = ProjectName::columns(project);
        let rows = self.db.rows(BY_KEY, args![&id, &alias, &fingerprint, now]).await?;
        let first = rows.first().ok_or_else(|| StoreError::corrupt("site.id", "no row"))?;
        Ok(KeyAccess {
            as_of: RevocationSeq::read(first, "last_revocation")?,
            project: project_of(first)?,
            owners: rows
                .iter()
                .filter_map(|row| standing_of_key(row).transpose())
                .collect::<Result<_, _>>()?,
        })
    }

    /// What is known about an account, whom a certificate names, at the project of this name.
    pub async fn by_account(&self, project: &str, account: AccountId) -> Result<AccountAccess, StoreError> {
        let (id, alias) = ProjectName::columns(project);
        let row = self.db.row(BY_ACCOUNT, args![&id, &alias, &account]).await?;
        let row = row.ok_or_else(|| StoreError::corrupt("site.id", "no row"))?;
        Ok(AccountAccess {
            as_of: RevocationSeq::read(&row, "last_revocation")?,
            project: project_of(&row)?,
            account: standing(&row)?,
        })
    }
}

fn project_of(row: &Row) -> Result<Option<Project>, StoreError> {
    let Some(id) = row.text_or_null("project_id")? else { return Ok(None) };
    Ok(Some(Project {
        id,
        alias: row.text_or_null("alias")?,
        title: row.text("project_title")?,
        state: row.text("project_state")?,
        environment: Environment {
            kind: row.text("environment_kind")?,
            settings: row.json("environment_settings")?,
        },
        created: row.time("project_created")?,
    }))
}

fn standing(row: &Row) -> Result<Option<Standing>, StoreError> {
    let Some(id) = row.text_or_null("account_id")? else { return Ok(None) };
    Ok(Some(Standing {
        id,
        name: row.text("name")?,
        state: row.text("account_state")?,
        role: row.text_or_null("role")?,
    }))
}

fn standing_of_key(row: &Row) -> Result<Option<KeyStanding>, StoreError> {
    let (Some(key), Some(account)) = (row.text_or_null("key_id")?, standing(row)?) else { return Ok(None) };
    let owner = match row.text_or_null("key_project")? {
        Some(project) => KeyOwner::Project { project, holder: account.id },
        None => KeyOwner::Account(account.id),
    };
    Ok(Some(KeyStanding {
        key,
        owner,
        title: row.text("title")?,
        expires: row.time_or_null("expires")?,
        account,
    }))
}

#[cfg(test)]
mod tests;
