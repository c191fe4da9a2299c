//! Accounts: people who can sign in. They are suspended, never removed: records refer to them.

use serde_json::json;

use crate::change::Change;
use crate::db::{Db, Row, Sql, args};
use crate::error::StoreError;
use crate::id::AccountId;
use crate::revocations::Revoked;
use crate::stored::stored_enum;
use crate::text::AccountName;
use crate::time::Timestamp;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its name, which no other has.
    pub name: AccountName,
    /// Whether it may do anything.
    pub state: AccountState,
    /// Whether it runs the site.
    pub admin: bool,
    /// When it was made.
    pub created: Timestamp,
}

stored_enum!(
    /// Whether an account may do anything.
    pub AccountState {
        /// It may.
        Active = "active",
        /// Nothing: no sign-in, no login, and what was open has ended.
        Suspended = "suspended",
    }
);

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: AccountName,
    /// Whether it runs the site.
    pub admin: bool,
}

/// A password's slow hash with its parameters, as the portal made it (PHC string). Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum AddAccountError {
    /// Somebody has the name.
    #[error("there is an account named {name} already")]
    NameTaken {
        /// The name.
        name: AccountName,
    },
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an account was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeAccountError {
    /// No such account.
    #[error("there is no account {account}")]
    Absent {
        /// The id.
        account: AccountId,
    },
    /// Nobody would be left to run the site.
    #[error("{name} is the only active admin; make another one first")]
    LastAdmin {
        /// The account's name.
        name: AccountName,
    },
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reading of accounts.
pub struct Accounts<'a> {
    db: &'a Db,
}

/// Changing of accounts.
pub struct AccountChanges<'a> {
    change: &'a mut Change,
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, name, state, admin, created FROM accounts ", $rest)
    };
}
const BY_ID: Sql = Sql::new("find an account", select!("WHERE id = $1"));
const BY_NAME: Sql = Sql::new("find an account", select!("WHERE name = $1"));
const PAGE: Sql = Sql::new("list accounts", select!("WHERE name > $1 ORDER BY name LIMIT $2"));
const COUNT: Sql = Sql::new("count accounts", "SELECT COUNT(*) AS n FROM accounts");
const PASSWORD: Sql = Sql::new(
    "find a password's hash",
    "SELECT password_hash FROM accounts WHERE id = $1 AND state = 'active'",
);
const ADD: Sql = Sql::new(
    "add an account",
    "INSERT INTO accounts (id, name, state, admin, created) VALUES ($1, $2, 'active', $3, $4)
     ON CONFLICT (name) DO NOTHING",
);
const SET_STATE: Sql = Sql::new("change an account", "UPDATE accounts SET state = $2 WHERE id = $1");
const SET_ADMIN: Sql = Sql::new("change an account", "UPDATE accounts SET admin = $2 WHERE id = $1");
const SET_PASSWORD: Sql = Sql::new("set a password", "UPDATE accounts SET password_hash = $2 WHERE id = $1");
const OTHER_ADMINS: Sql = Sql::new(
    "count admins",
    "SELECT COUNT(*) AS n FROM accounts WHERE admin AND state = 'active' AND id <> $1",
);
const END_WEB_SESSIONS: Sql = Sql::new("end web sessions", "DELETE FROM web_sessions WHERE account = $1");
const DROP_SIGN_IN_LINKS: Sql =
    Sql::new("drop sign-in links", "DELETE FROM sign_in_links WHERE account = $1 AND used IS NULL");
const DROP_INVITATIONS: Sql =
    Sql::new("drop invitations", "DELETE FROM invitations WHERE created_by = $1 AND used IS NULL");

impl<'a> Accounts<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self { db }
    }

    /// The account with this id.
    pub async fn find_by_id(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.db.row(BY_ID, args![&id]).await?.as_ref().map(Account::read).transpose()
    }

    /// The account with this name.
    pub async fn find_by_name(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        self.db.row(BY_NAME, args![name]).await?.as_ref().map(Account::read).transpose()
    }

    /// At most `most` accounts by name, those after `after`.
    pub async fn list(&self, after: Option<&AccountName>, most: u32) -> Result<Vec<Account>, StoreError> {
        let after = after.map_or("", AccountName::as_str);
        let rows = self.db.rows(PAGE, args![after, i64::from(most)]).await?;
        rows.iter().map(Account::read).collect()
    }

    /// How many there are.
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.db.row(COUNT, args![]).await?.map_or(Ok(0), |row| row.count("n"))
    }

    /// The hash of an active account's password; `None` also when it has set none.
    pub async fn find_password_hash(&self, id: AccountId) -> Result<Option<PasswordHash>, StoreError> {
        let Some(row) = self.db.row(PASSWORD, args![&id]).await? else { return Ok(None) };
        Ok(row.text_or_null("password_hash")?.map(PasswordHash))
    }
}

impl<'a> AccountChanges<'a> {
    pub(crate) fn new(change: &'a mut Change) -> Self {
        Self { change }
    }

    /// Makes an account, active.
    pub async fn add(&mut self, new: &NewAccount) -> Result<(), AddAccountError> {
        let values = args![&new.id, &new.name, new.admin, self.change.now()];
        if self.change.run(ADD, values).await? == 0 {
            return Err(AddAccountError::NameTaken { name: new.name.clone() });
        }
        let detail = json!({ "name": new.name.as_str(), "admin": new.admin });
        Ok(self.change.record("account.add", Some(new.id), None, detail).await?)
    }

    /// Takes everything from an account: its sessions end, its web sessions, sign-in links and invitations go.
    pub async fn suspend(&mut self, id: AccountId) -> Result<(), ChangeAccountError> {
        let account = self.find(id).await?;
        if account.state == AccountState::Suspended {
            return Ok(());
        }
        self.refuse_last_admin(&account).await?;
        self.change.run(SET_STATE, args![&id, &AccountState::Suspended]).await?;
        self.change.run(END_WEB_SESSIONS, args![&id]).await?;
        self.change.run(DROP_SIGN_IN_LINKS, args![&id]).await?;
        self.change.run(DROP_INVITATIONS, args![&id]).await?;
        self.change.revoke(Revoked::Account { account: id }).await?;
        Ok(self.change.record("account.suspend", Some(id), None, json!({})).await?)
    }

    /// Gives a suspended account back what its keys and memberships allow.
    pub async fn activate(&mut self, id: AccountId) -> Result<(), ChangeAccountError> {
        if self.find(id).await?.state == AccountState::Active {
            return Ok(());
        }
        self.change.run(SET_STATE, args![&id, &AccountState::Active]).await?;
        Ok(self.change.record("account.activate", Some(id), None, json!({})).await?)
    }

    /// Says whether it runs the site.
    pub async fn set_admin(&mut self, id: AccountId, admin: bool) -> Result<(), ChangeAccountError> {
        let account = self.find(id).await?;
        if account.admin == admin {
            return Ok(());
        }
        self.refuse_last_admin(&account).await?;
        self.change.run(SET_ADMIN, args![&id, admin]).await?;
        Ok(self.change.record("account.set-admin", Some(id), None, json!({ "admin": admin })).await?)
    }

    /// Sets the password, or takes it away.
    pub async fn set_password(
        &mut self,
        id: AccountId,
        hash: Option<&PasswordHash>,
    ) -> Result<(), ChangeAccountError> {
        self.find(id).await?;
        self.change.run(SET_PASSWORD, args![&id, hash.map(|hash| &hash.0)]).await?;
        let action = if hash.is_some() { "account.set-password" } else { "account.remove-password" };
        Ok(self.change.record(action, Some(id), None, json!({})).await?)
    }

    async fn find(&mut self, id: AccountId) -> Result<Account, ChangeAccountError> {
        find(self.change, id).await?.ok_or(ChangeAccountError::Absent { account: id })
    }

    async fn refuse_last_admin(&mut self, account: &Account) -> Result<(), ChangeAccountError> {
        if !account.admin || account.state != AccountState::Active {
            return Ok(());
        }
        let others = self.change.row(OTHER_ADMINS, args![&account.id]).await?;
        match others.map_or(Ok(0), |row| row.count("n"))? {
            0 => Err(ChangeAccountError::LastAdmin { name: account.name.clone() }),
            _ => Ok(()),
        }
    }
}

/// The account, as the change sees it.
pub(crate) async fn find(change: &mut Change, id: AccountId) -> Result<Option<Account>, StoreError> {
    change.row(BY_ID, args![&id]).await?.as_ref().map(Account::read).transpose()
}

impl Account {
    pub(crate) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            state: row.text("state")?,
            admin: row.bool("admin")?,
            created: row.time("created")?,
        })
    }
}

impl PasswordHash {
    /// A hash as the portal made it.
    pub const fn new(phc: String) -> Self {
        Self(phc)
    }

    /// The hash, for checking a password against it.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash")
    }
}
