//! Sessions of web browsers: opaque tokens, of which only the hash is kept. A session ends when it was not used for its
//! idle time, when its absolute end comes, when it is revoked, or when its account is suspended.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use crate::accounts::Account;
use crate::change::Change;
use crate::db::{Db, Row, Sql, args};
use crate::error::StoreError;
use crate::id::{AccountId, WebSessionId};
use crate::text::shown;
use crate::time::{Timestamp, micros};
use crate::token::TokenHash;

/// What is kept of a browser's name.
const USER_AGENT_MOST: usize = 256;

/// A session of a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSession {
    /// Its id, for lists; it opens nothing.
    pub id: WebSessionId,
    /// Who is signed in.
    pub account: AccountId,
    /// Since when.
    pub created: Timestamp,
    /// When it was last used, as far as was noted.
    pub last_seen: Timestamp,
    /// When it ends if it is not used again.
    pub idle_end: Timestamp,
    /// When it ends in any case.
    pub expires: Timestamp,
    /// From where it was last used.
    pub address: Option<IpAddr>,
    /// What the browser calls itself, at most 256 characters.
    pub user_agent: String,
}

/// A session to be made.
#[derive(Debug, Clone)]
pub struct NewWebSession {
    /// Its id.
    pub id: WebSessionId,
    /// The hash of the token in the cookie.
    pub token: TokenHash,
    /// Who signs in.
    pub account: AccountId,
    /// How long it may be idle.
    pub idle: Duration,
    /// When it ends in any case.
    pub expires: Timestamp,
    /// From where.
    pub address: Option<IpAddr>,
    /// What the browser calls itself; unprintable characters and what is too long are cut.
    pub user_agent: String,
}

/// Reading of web sessions, and noting that they are used.
pub struct WebSessions<'a> {
    db: &'a Db,
}

/// Changing of web sessions.
pub struct WebSessionChanges<'a> {
    change: &'a mut Change,
}

macro_rules! columns {
    () => {
        "s.id AS session, s.account, s.created AS session_created, s.last_seen, s.idle, s.expires, s.address, s.user_agent"
    };
}
const BY_TOKEN: Sql = Sql::new(
    "find a web session",
    concat!(
        "SELECT a.id, a.name, a.state, a.admin, a.created, ",
        columns!(),
        " FROM web_sessions s JOIN accounts a ON a.id = s.account
         WHERE s.token_hash = $1 AND s.expires > $2 AND s.last_seen > $2 - s.idle AND a.state = 'active'"
    ),
);
const OF_ACCOUNT: Sql = Sql::new(
    "list web sessions",
    concat!(
        "SELECT ",
        columns!(),
        " FROM web_sessions s WHERE s.account = $1 AND s.expires > $2 AND s.last_seen > $2 - s.idle
         ORDER BY s.last_seen DESC, s.id"
    ),
);
const TOUCH: Sql = Sql::new(
    "note a web session's use",
    "UPDATE web_sessions SET last_seen = $2, address = $3 WHERE id = $1 AND last_seen < $2",
);
const ADD: Sql = Sql::new(
    "add a web session",
    "INSERT INTO web_sessions (id, token_hash, account, created, last_seen, idle, expires, address, user_agent)
     VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8)",
);
const REVOKE: Sql = Sql::new("end a web session", "DELETE FROM web_sessions WHERE id = $1 AND account = $2");
const REVOKE_ALL: Sql =
    Sql::new("end web sessions", "DELETE FROM web_sessions WHERE account = $1 AND id <> $2");
const REMOVE_OLD: Sql = Sql::new(
    "remove old web sessions",
    "DELETE FROM web_sessions WHERE expires <= $1 OR last_seen <= $1 - idle",
);

impl<'a> WebSessions<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self { db }
    }

    /// The session of this token and its account, if the session has not ended and the account is active.
    pub async fn find_by_token(
        &self,
        token: TokenHash,
        now: Timestamp,
    ) -> Result<Option<(WebSession, Account)>, StoreError> {
        let Some(row) = self.db.row(BY_TOKEN, args![&token, now]).await? else { return Ok(None) };
        Ok(Some((WebSession::read(&row)?, Account::read(&row)?)))
    }

    /// The sessions of an account that have not ended, the last used first.
    pub async fn list(&self, account: AccountId, now: Timestamp) -> Result<Vec<WebSession>, StoreError> {
        self.db.rows(OF_ACCOUNT, args![&account, now]).await?.iter().map(WebSession::read).collect()
    }

    /// Notes that a session is used, which puts off its idle end. Once a minute is enough.
    pub async fn touch(
        &self,
        id: WebSessionId,
        now: Timestamp,
        address: Option<IpAddr>,
    ) -> Result<(), StoreError> {
        self.db.run(TOUCH, args![&id, now, address.as_ref()]).await.map(drop)
    }
}

impl<'a> WebSessionChanges<'a> {
    pub(crate) fn new(change: &'a mut Change) -> Self {
        Self { change }
    }

    /// Begins a session of an account that has just signed in.
    pub async fn add(&mut self, new: &NewWebSession) -> Result<(), StoreError> {
        let values = args![
            &new.id,
            &new.token,
            &new.account,
            self.change.now(),
            micros(new.idle),
            new.expires,
            new.address.as_ref(),
            &shown(&new.user_agent, USER_AGENT_MOST),
        ];
        self.change.run(ADD, values).await?;
        let detail = json!({ "session": new.id.to_string() });
        self.change.record("web-session.add", Some(new.account), None, detail).await
    }

    /// Ends one session of an account (sign-out, or from the list); false when there is none of this id.
    pub async fn revoke(&mut self, account: AccountId, id: WebSessionId) -> Result<bool, StoreError> {
        if self.change.run(REVOKE, args![&id, &account]).await? == 0 {
            return Ok(false);
        }
        let detail = json!({ "session": id.to_string() });
        self.change.record("web-session.revoke", Some(account), None, detail).await?;
        Ok(true)
    }

    /// Ends all sessions of an account but one, and says how many.
    pub async fn revoke_all(
        &mut self,
        account: AccountId,
        except: Option<WebSessionId>,
    ) -> Result<u64, StoreError> {
        let except = except.map(|id| id.to_string()).unwrap_or_default();
        let ended = self.change.run(REVOKE_ALL, args![&account, &except]).await?;
        self.change.record("web-session.revoke-all", Some(account), None, json!({ "ended": ended })).await?;
        Ok(ended)
    }

    /// Forgets sessions that have ended by themselves.
    pub async fn remove_expired(&mut self) -> Result<u64, StoreError> {
        self.change.run(REMOVE_OLD, args![self.change.now()]).await
    }
}

impl WebSession {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let last_seen = row.time("last_seen")?;
        Ok(Self {
            id: row.text("session")?,
            account: row.text("account")?,
            created: row.time("session_created")?,
            last_seen,
            idle_end: last_seen.plus(Duration::from_micros(row.count("idle")?)),
            expires: row.time("expires")?,
            address: row.text_or_null("address")?,
            user_agent: row.text("user_agent")?,
        })
    }
}
