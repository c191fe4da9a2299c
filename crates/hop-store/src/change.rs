//! A change: one transaction with everything that belongs together, the audit trail's rows and the revocations
//! included.
//!
//! What must stay true:
//! - Changes follow one another. The first statement of each updates the one row of `site`, which locks it until the
//!   commit (in SQLite the write lock does). So revocations are numbered in the order of commits: a follower that has
//!   seen number n has seen all before, which a sequence of PostgreSQL would not give. And what an operation checked
//!   still holds when it writes.
//! - Nothing outside of changes waits for a row while it holds one that a change could want, so they cannot deadlock.
//! - After a failed statement the whole change is lost; `commit` says so.

use std::net::IpAddr;

use serde_json::Value;

use crate::accounts::AccountChanges;
use crate::audit::{self, AuditRow};
use crate::certificates::CertificateChanges;
use crate::db::{Arg, Row, Sql, Tx, args};
use crate::error::StoreError;
use crate::hex;
use crate::id::{AccountId, ProjectId};
use crate::invitations::InvitationChanges;
use crate::keys::KeyChanges;
use crate::members::MemberChanges;
use crate::projects::ProjectChanges;
use crate::revocations::{self, RevocationSeq, Revoked};
use crate::sign_in_links::SignInLinkChanges;
use crate::store::Store;
use crate::stored::{StoredText as _, stored_enum};
use crate::time::Timestamp;
use crate::web_sessions::WebSessionChanges;

/// Who changes something, for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The account; `None` for the site itself and for a visitor who has not signed in yet.
    pub account: Option<AccountId>,
    /// Which door it came through.
    pub through: Through,
    /// From where, if over a network.
    pub address: Option<IpAddr>,
}

stored_enum!(
    /// The door through which a change comes.
    pub Through {
        /// The web pages.
        Portal = "portal",
        /// The REST API.
        Api = "api",
        /// `hop admin` in a shell.
        Command = "command",
        /// An SSH login.
        Gateway = "gateway",
        /// The site's own doing: the first start, clocks.
        Site = "site",
    }
);

/// A change that has begun. Dropped without [`Change::commit`] it has changed nothing.
pub struct Change {
    tx: Tx,
    store: Store,
    actor: Actor,
    now: Timestamp,
    last_revocation: RevocationSeq,
    audit_seq: i64,
    audit_hash: [u8; 32],
    has_revoked: bool,
    is_broken: bool,
}

const BEGIN: Sql = Sql::new(
    "begin a change",
    "UPDATE site SET changes = changes + 1 WHERE id = 1 RETURNING last_revocation, audit_seq, audit_hash",
);
const FINISH: Sql = Sql::new(
    "finish a change",
    "UPDATE site SET last_revocation = $1, audit_seq = $2, audit_hash = $3 WHERE id = 1",
);

impl Change {
    pub(crate) async fn begin(store: &Store, actor: Actor, now: Timestamp) -> Result<Self, StoreError> {
        let mut tx = store.db().begin("begin a change").await?;
        let Some(row) = tx.row(BEGIN, args![]).await? else {
            return Err(StoreError::corrupt("site.id", "no row"));
        };
        Ok(Self {
            tx,
            store: store.clone(),
            actor,
            now,
            last_revocation: RevocationSeq::read(&row, "last_revocation")?,
            audit_seq: row.int("audit_seq")?,
            audit_hash: row.hash("audit_hash")?,
            has_revoked: false,
            is_broken: false,
        })
    }

    /// Changes of accounts.
    pub fn accounts(&mut self) -> AccountChanges<'_> {
        AccountChanges::new(self)
    }

    /// Changes of public keys.
    pub fn keys(&mut self) -> KeyChanges<'_> {
        KeyChanges::new(self)
    }

    /// Changes of certificates.
    pub fn certificates(&mut self) -> CertificateChanges<'_> {
        CertificateChanges::new(self)
    }

    /// Changes of projects.
    pub fn projects(&mut self) -> ProjectChanges<'_> {
        ProjectChanges::new(self)
    }

    /// Changes of members.
    pub fn members(&mut self) -> MemberChanges<'_> {
        MemberChanges::new(self)
    }

    /// Changes of invitations.
    pub fn invitations(&mut self) -> InvitationChanges<'_> {
        InvitationChanges::new(self)
    }

    /// Changes of sign-in links.
    pub fn sign_in_links(&mut self) -> SignInLinkChanges<'_> {
        SignInLinkChanges::new(self)
    }

    /// Changes of web sessions.
    pub fn web_sessions(&mut self) -> WebSessionChanges<'_> {
        WebSessionChanges::new(self)
    }

    /// The time of this change.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Who makes this change.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Adds a row to the audit trail: `action` as `noun.verb`, whom and which project it concerns, and details
    /// without secrets. The operations of this crate write their own; this is for what happens elsewhere.
    pub async fn record(
        &mut self,
        action: &str,
        account: Option<AccountId>,
        project: Option<ProjectId>,
        detail: Value,
    ) -> Result<(), StoreError> {
        let row = AuditRow {
            seq: self.audit_seq + 1,
            at: self.now,
            actor: self.actor.account.map(|id| id.to_stored()),
            through: self.actor.through.to_stored(),
            address: self.actor.address.map(|address| address.to_stored()),
            action: action.to_owned(),
            account: account.map(|id| id.to_stored()),
            project: project.map(|id| id.to_stored()),
            detail: detail.to_string(),
        };
        let hash = row.hash(&self.audit_hash);
        self.run(audit::APPEND, row.args(&hash)).await?;
        self.audit_seq = row.seq;
        self.audit_hash = hash;
        Ok(())
    }

    /// Has gateways judge the sessions that it concerns again, once this is committed. The operations of this crate
    /// do it themselves; this is to end a session.
    pub async fn revoke(&mut self, revoked: Revoked) -> Result<(), StoreError> {
        let seq = self.last_revocation.next();
        self.run(revocations::APPEND, revoked.args(seq, self.now)).await?;
        self.last_revocation = seq;
        self.has_revoked = true;
        Ok(())
    }

    /// Stores all of it, durably, and wakes who follows revocations.
    ///
    /// Not cancel safe: dropped before it returns, the change may or may not have been stored.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        if self.is_broken {
            return Err(StoreError::Broken);
        }
        let audit_hash = hex::encode(&self.audit_hash);
        self.tx.run(FINISH, args![self.last_revocation.as_i64(), self.audit_seq, &audit_hash]).await?;
        if self.has_revoked {
            self.tx.notify().await?;
        }
        self.tx.commit("finish a change").await?;
        if self.has_revoked {
            self.store.newest().send_if_modified(|newest| {
                let is_newer = *newest < self.last_revocation;
                *newest = self.last_revocation.max(*newest);
                is_newer
            });
        }
        Ok(())
    }

    pub(crate) async fn rows(&mut self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        // Broken also when this future is dropped half-way: then nobody knows what was done.
        let was_broken = std::mem::replace(&mut self.is_broken, true);
        let rows = self.tx.rows(sql, args).await;
        self.is_broken = was_broken || rows.is_err();
        rows
    }

    pub(crate) async fn row(&mut self, sql: Sql, args: Vec<Arg>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    pub(crate) async fn run(&mut self, sql: Sql, args: Vec<Arg>) -> Result<u64, StoreError> {
        let was_broken = std::mem::replace(&mut self.is_broken, true);
        let touched = self.tx.run(sql, args).await;
        self.is_broken = was_broken || touched.is_err();
        touched
    }
}

impl Actor {
    /// The site itself.
    pub const fn site() -> Self {
        Self { account: None, through: Through::Site, address: None }
    }

    /// A person's account through a door.
    pub const fn account(account: AccountId, through: Through, address: Option<IpAddr>) -> Self {
        Self { account: Some(account), through, address }
    }
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Change").field("actor", &self.actor).field("now", &self.now).finish_non_exhaustive()
    }
}
