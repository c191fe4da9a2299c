//! Public keys: whose they are, found by fingerprint.
//!
//! What must stay true: a key may belong to any number of accounts and projects, to each once. Every change that can
//! take access away (removal, an earlier end, an end reached) is followed by a revocation in the same change.

use std::net::IpAddr;

use hop_keys::{Fingerprint, PublicKey};
use serde_json::{Value, json};

use crate::change::Change;
use crate::db::{Arg, Db, Row, Sql, args};
use crate::error::StoreError;
use crate::id::{AccountId, KeyId, ProjectId};
use crate::members;
use crate::revocations::Revoked;
use crate::text::Title;
use crate::time::Timestamp;
use crate::{accounts, projects};

/// Who has a key, and so what it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyOwner {
    /// An account: it opens every project of which that is a member.
    Account(AccountId),
    /// A project: it opens this one only, for as long as the member who holds it is one.
    Project {
        /// The project.
        project: ProjectId,
        /// The member.
        holder: AccountId,
    },
}

/// A stored key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its id.
    pub id: KeyId,
    /// Whose it is.
    pub owner: KeyOwner,
    /// What its owner calls it.
    pub title: Title,
    /// Its algorithm, as SSH names it.
    pub algorithm: String,
    /// Its wire form.
    pub blob: Vec<u8>,
    /// SHA-256 of the blob.
    pub fingerprint: Fingerprint,
    /// `MD5:aa:bb:…`, which old clients show.
    pub md5_fingerprint: String,
    /// When it was added.
    pub created: Timestamp,
    /// From when it opens nothing.
    pub expires: Option<Timestamp>,
    /// The last login with it.
    pub last_use: Option<KeyUse>,
}

/// A login with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUse {
    /// When.
    pub at: Timestamp,
    /// From where.
    pub address: IpAddr,
    /// Into which project; `None` for a login that enters none (a jump).
    pub project: Option<ProjectId>,
}

/// A key to be added.
#[derive(Debug, Clone)]
pub struct NewKey<'a> {
    /// Its id.
    pub id: KeyId,
    /// Whose it will be.
    pub owner: KeyOwner,
    /// What to call it.
    pub title: Title,
    /// The key.
    pub key: &'a PublicKey,
    /// From when it opens nothing.
    pub expires: Option<Timestamp>,
}

/// Why a key was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddKeyError {
    /// The owner has it already.
    #[error("this key is there already, as \"{title}\"")]
    Duplicate {
        /// Under which title.
        title: Title,
    },
    /// No such account.
    #[error("there is no account {account}")]
    NoAccount {
        /// The id.
        account: AccountId,
    },
    /// No such project, or it was removed.
    #[error("there is no project {project}")]
    NoProject {
        /// The id.
        project: ProjectId,
    },
    /// Only members hold keys of a project.
    #[error("the account {account} is not a member of the project")]
    NotAMember {
        /// The id.
        account: AccountId,
    },
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a key was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeKeyError {
    /// No such key.
    #[error("there is no key {key}")]
    Absent {
        /// The id.
        key: KeyId,
    },
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reading of keys.
pub struct Keys<'a> {
    db: &'a Db,
}

/// Changing of keys.
pub struct KeyChanges<'a> {
    change: &'a mut Change,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, account, project, holder, title, algorithm, blob, fingerprint, md5_fingerprint, created,
             expires, last_used, last_used_address, last_used_project FROM public_keys ",
            $rest
        )
    };
}
const BY_ID: Sql = Sql::new("find a key", select!("WHERE id = $1"));
pub(crate) const BY_FINGERPRINT: Sql =
    Sql::new("find a key", select!("WHERE fingerprint = $1 ORDER BY created, id"));
const OF_ACCOUNT: Sql = Sql::new("list keys", select!("WHERE account = $1 ORDER BY created, id"));
const OF_PROJECT: Sql = Sql::new("list keys", select!("WHERE project = $1 ORDER BY created, id"));
const ONE_OF_ACCOUNT: Sql = Sql::new("find a key", select!("WHERE account = $1 AND fingerprint = $2"));
const ONE_OF_PROJECT: Sql = Sql::new("find a key", select!("WHERE project = $1 AND fingerprint = $2"));
const HELD_IN_PROJECT: Sql =
    Sql::new("find a member's keys", select!("WHERE project = $1 AND holder = $2 ORDER BY created, id"));
const DUE: Sql = Sql::new(
    "find keys that have expired",
    select!(
        "WHERE expires IS NOT NULL AND NOT expiry_recorded AND expires <= $1 ORDER BY expires, id LIMIT 1000"
    ),
);
const ADD: Sql = Sql::new(
    "add a key",
    "INSERT INTO public_keys (id, account, project, holder, title, algorithm, blob, fingerprint, md5_fingerprint,
                              created, expires, expiry_recorded)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, FALSE)",
);
const SET_TITLE: Sql = Sql::new("rename a key", "UPDATE public_keys SET title = $2 WHERE id = $1");
const SET_EXPIRY: Sql =
    Sql::new("set a key's end", "UPDATE public_keys SET expires = $2, expiry_recorded = FALSE WHERE id = $1");
const EXPIRY_RECORDED: Sql =
    Sql::new("record a key's end", "UPDATE public_keys SET expiry_recorded = TRUE WHERE id = $1");
const REMOVE: Sql = Sql::new("remove a key", "DELETE FROM public_keys WHERE id = $1");
/// Two logins at once may arrive in either order.
pub(crate) const RECORD_USE: Sql = Sql::new(
    "record a key's use",
    "UPDATE public_keys SET last_used = $2, last_used_address = $3, last_used_project = $4
     WHERE id = $1 AND (last_used IS NULL OR last_used <= $2)",
);

impl<'a> Keys<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self { db }
    }

    /// The key with this id.
    pub async fn find_by_id(&self, id: KeyId) -> Result<Option<StoredKey>, StoreError> {
        self.db.row(BY_ID, args![&id]).await?.as_ref().map(StoredKey::read).transpose()
    }

    /// Every owner's entry of the key with this fingerprint.
    pub async fn find_by_fingerprint(&self, fingerprint: Fingerprint) -> Result<Vec<StoredKey>, StoreError> {
        self.read(BY_FINGERPRINT, args![&fingerprint]).await
    }

    /// The keys of an account, oldest first.
    pub async fn list_of_account(&self, account: AccountId) -> Result<Vec<StoredKey>, StoreError> {
        self.read(OF_ACCOUNT, args![&account]).await
    }

    /// The keys of a project alone, oldest first.
    pub async fn list_of_project(&self, project: ProjectId) -> Result<Vec<StoredKey>, StoreError> {
        self.read(OF_PROJECT, args![&project]).await
    }

    /// Notes a login with a key. An older one than is noted changes nothing. ([`crate::SshSessions::open`] notes it
    /// for its session.)
    pub async fn record_use(&self, id: KeyId, usage: KeyUse) -> Result<(), StoreError> {
        self.db.run(RECORD_USE, usage.args(id)).await.map(drop)
    }

    async fn read(&self, sql: Sql, args: Vec<Arg>) -> Result<Vec<StoredKey>, StoreError> {
        self.db.rows(sql, args).await?.iter().map(StoredKey::read).collect()
    }
}

impl<'a> KeyChanges<'a> {
    pub(crate) fn new(change: &'a mut Change) -> Self {
        Self { change }
    }

    /// Gives an owner a key.
    pub async fn add(&mut self, new: &NewKey<'_>) -> Result<(), AddKeyError> {
        let fingerprint = new.key.fingerprint();
        let holder = new.owner.holder();
        if accounts::find(self.change, holder).await?.is_none() {
            return Err(AddKeyError::NoAccount { account: holder });
        }
        let same = match new.owner {
            KeyOwner::Account(account) => {
                self.change.row(ONE_OF_ACCOUNT, args![&account, &fingerprint]).await?
            }
            KeyOwner::Project { project, .. } => {
                if projects::find(self.change, project).await?.is_none() {
                    return Err(AddKeyError::NoProject { project });
                }
                if members::role(self.change, project, holder).await?.is_none() {
                    return Err(AddKeyError::NotAMember { account: holder });
                }
                self.change.row(ONE_OF_PROJECT, args![&project, &fingerprint]).await?
            }
        };
        if let Some(row) = same {
            return Err(AddKeyError::Duplicate { title: row.text("title")? });
        }
        let account = new.owner.account();
        let project = new.owner.project();
        let values = args![
            &new.id,
            account.as_ref(),
            project.as_ref(),
            &holder,
            &new.title,
            new.key.algorithm().name(),
            new.key.blob(),
            &fingerprint,
            &new.key.md5_fingerprint(),
            self.change.now(),
            new.expires,
        ];
        self.change.run(ADD, values).await?;
        let detail = json!({
            "title": new.title.as_str(),
            "fingerprint": fingerprint.to_string(),
            "expires": new.expires.map(Timestamp::as_micros),
        });
        Ok(self.change.record("key.add", Some(holder), project, detail).await?)
    }

    /// Gives a key another title.
    pub async fn rename(&mut self, id: KeyId, title: &Title) -> Result<(), ChangeKeyError> {
        let key = self.find(id).await?;
        self.change.run(SET_TITLE, args![&id, title]).await?;
        let detail = key.shown_with("new_title", json!(title.as_str()));
        Ok(self.record("key.rename", &key, detail).await?)
    }

    /// Sets from when a key opens nothing; `None`: never.
    pub async fn set_expiry(&mut self, id: KeyId, expires: Option<Timestamp>) -> Result<(), ChangeKeyError> {
        let key = self.find(id).await?;
        self.change.run(SET_EXPIRY, args![&id, expires]).await?;
        if expires.is_some_and(|new| key.expires.is_none_or(|old| new < old)) {
            self.change.revoke(Revoked::Expiry { fingerprint: key.fingerprint, owner: key.owner }).await?;
        }
        let detail = key.shown_with("expires", json!(expires.map(Timestamp::as_micros)));
        Ok(self.record("key.set-expiry", &key, detail).await?)
    }

    /// Takes a key away from its owner.
    pub async fn remove(&mut self, id: KeyId) -> Result<(), ChangeKeyError> {
        let key = self.find(id).await?;
        Ok(remove(self.change, &key).await?)
    }

    /// Records the keys whose end has come, at most 1,000, and says how many: gateways end the sessions that they
    /// opened. To be called again while it returns more than 0.
    pub async fn record_expired(&mut self) -> Result<usize, StoreError> {
        let rows = self.change.rows(DUE, args![self.change.now()]).await?;
        for row in &rows {
            let key = StoredKey::read(row)?;
            self.change.run(EXPIRY_RECORDED, args![&key.id]).await?;
            self.change.revoke(Revoked::Expiry { fingerprint: key.fingerprint, owner: key.owner }).await?;
            self.record("key.expire", &key, key.shown()).await?;
        }
        Ok(rows.len())
    }

    async fn find(&mut self, id: KeyId) -> Result<StoredKey, ChangeKeyError> {
        match self.change.row(BY_ID, args![&id]).await? {
            Some(row) => Ok(StoredKey::read(&row)?),
            None => Err(ChangeKeyError::Absent { key: id }),
        }
    }

    async fn record(&mut self, action: &str, key: &StoredKey, detail: Value) -> Result<(), StoreError> {
        self.change.record(action, Some(key.owner.holder()), key.owner.project(), detail).await
    }
}

/// Takes the keys of a project away that a member holds.
pub(crate) async fn remove_held(
    change: &mut Change,
    project: ProjectId,
    holder: AccountId,
) -> Result<(), StoreError> {
    for row in change.rows(HELD_IN_PROJECT, args![&project, &holder]).await? {
        remove(change, &StoredKey::read(&row)?).await?;
    }
    Ok(())
}

/// Takes all keys of a project away.
pub(crate) async fn remove_of_project(change: &mut Change, project: ProjectId) -> Result<(), StoreError> {
    for row in change.rows(OF_PROJECT, args![&project]).await? {
        remove(change, &StoredKey::read(&row)?).await?;
    }
    Ok(())
}

async fn remove(change: &mut Change, key: &StoredKey) -> Result<(), StoreError> {
    change.run(REMOVE, args![&key.id]).await?;
    change.revoke(Revoked::Key { fingerprint: key.fingerprint, owner: key.owner }).await?;
    change.record("key.remove", Some(key.owner.holder()), key.owner.project(), key.shown()).await
}

impl KeyOwner {
    /// The person who answers for it.
    pub const fn holder(&self) -> AccountId {
        match self {
            Self::Account(account) => *account,
            Self::Project { holder, .. } => *holder,
        }
    }

    /// The project, if it is one's own key.
    pub const fn project(&self) -> Option<ProjectId> {
        match self {
            Self::Account(_) => None,
            Self::Project { project, .. } => Some(*project),
        }
    }

    /// The account, if it is one's own key.
    pub const fn account(&self) -> Option<AccountId> {
        match self {
            Self::Account(account) => Some(*account),
            Self::Project { .. } => None,
        }
    }
}

impl StoredKey {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let holder = row.text("holder")?;
        let owner = match row.text_or_null("project")? {
            Some(project) => KeyOwner::Project { project, holder },
            None => KeyOwner::Account(holder),
        };
        let last_use = match (row.time_or_null("last_used")?, row.text_or_null("last_used_address")?) {
            (Some(at), Some(address)) => {
                Some(KeyUse { at, address, project: row.text_or_null("last_used_project")? })
            }
            _ => None,
        };
        Ok(Self {
            id: row.text("id")?,
            owner,
            title: row.text("title")?,
            algorithm: row.text("algorithm")?,
            blob: row.bytes("blob")?,
            fingerprint: row.text("fingerprint")?,
            md5_fingerprint: row.text("md5_fingerprint")?,
            created: row.time("created")?,
            expires: row.time_or_null("expires")?,
            last_use,
        })
    }

    /// For the audit trail.
    fn shown(&self) -> Value {
        json!({ "title": self.title.as_str(), "fingerprint": self.fingerprint.to_string() })
    }

    fn shown_with(&self, name: &str, value: Value) -> Value {
        json!({ "title": self.title.as_str(), "fingerprint": self.fingerprint.to_string(), name: value })
    }
}

impl KeyUse {
    pub(crate) fn args(&self, id: KeyId) -> Vec<Arg> {
        args![&id, self.at, &self.address, self.project.as_ref()]
    }
}
