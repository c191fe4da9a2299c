//! One-time sign-in links: each signs one account in, once, until its end.

use serde_json::json;

use crate::accounts::Account;
use crate::change::Change;
use crate::db::{Db, Sql, args};
use crate::error::StoreError;
use crate::id::{AccountId, SignInLinkId};
use crate::time::Timestamp;
use crate::token::TokenHash;

/// A link to be made.
#[derive(Debug, Clone)]
pub struct NewSignInLink {
    /// Its id.
    pub id: SignInLinkId,
    /// The hash of the token in it.
    pub token: TokenHash,
    /// Whom it signs in.
    pub account: AccountId,
    /// From when it is worth nothing.
    pub expires: Timestamp,
}

/// Reading of sign-in links.
pub struct SignInLinks<'a> {
    db: &'a Db,
}

/// Changing of sign-in links.
pub struct SignInLinkChanges<'a> {
    change: &'a mut Change,
}

macro_rules! by_token {
    () => {
        "SELECT a.id, a.name, a.state, a.admin, a.created FROM sign_in_links l JOIN accounts a ON a.id = l.account
         WHERE l.token_hash = $1 AND l.used IS NULL AND l.expires > $2 AND a.state = 'active'"
    };
}
const BY_TOKEN: Sql = Sql::new("find a sign-in link", by_token!());
const ADD: Sql = Sql::new(
    "add a sign-in link",
    "INSERT INTO sign_in_links (id, token_hash, account, created, expires) VALUES ($1, $2, $3, $4, $5)",
);
const USE: Sql = Sql::new("use a sign-in link", "UPDATE sign_in_links SET used = $2 WHERE token_hash = $1");
const REMOVE_OLD: Sql = Sql::new("remove old sign-in links", "DELETE FROM sign_in_links WHERE expires <= $1");

impl<'a> SignInLinks<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self { db }
    }

    /// Whom this token would sign in. It stays unused: a page that asks "sign in as …?" is not a sign-in, and mail
    /// scanners open links.
    pub async fn find_account(
        &self,
        token: TokenHash,
        now: Timestamp,
    ) -> Result<Option<Account>, StoreError> {
        self.db.row(BY_TOKEN, args![&token, now]).await?.as_ref().map(Account::read).transpose()
    }
}

impl<'a> SignInLinkChanges<'a> {
    pub(crate) fn new(change: &'a mut Change) -> Self {
        Self { change }
    }

    /// Makes a link for an account that exists.
    pub async fn add(&mut self, new: &NewSignInLink) -> Result<(), StoreError> {
        let now = self.change.now();
        self.change.run(ADD, args![&new.id, &new.token, &new.account, now, new.expires]).await?;
        let detail = json!({ "link": new.id.to_string() });
        self.change.record("sign-in-link.add", Some(new.account), None, detail).await
    }

    /// Uses a link up and says whom it signs in; `None` when it is used, over, unknown, or its account suspended.
    pub async fn fulfill(&mut self, token: TokenHash) -> Result<Option<Account>, StoreError> {
        let now = self.change.now();
        let Some(row) = self.change.row(BY_TOKEN, args![&token, now]).await? else { return Ok(None) };
        let account = Account::read(&row)?;
        self.change.run(USE, args![&token, now]).await?;
        self.change.record("sign-in-link.fulfill", Some(account.id), None, json!({})).await?;
        Ok(Some(account))
    }

    /// Forgets links whose end has come.
    pub async fn remove_expired(&mut self) -> Result<u64, StoreError> {
        self.change.run(REMOVE_OLD, args![self.change.now()]).await
    }
}
