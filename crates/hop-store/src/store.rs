//! A site's store: the connections and the doors to the repositories.

use std::sync::Arc;

use tokio::sync::watch;

use crate::access::Access;
use crate::accounts::Accounts;
use crate::audit::AuditTrail;
use crate::certificates::Certificates;
use crate::change::{Actor, Change};
use crate::db::{self, Db};
use crate::error::StoreError;
use crate::invitations::Invitations;
use crate::keys::Keys;
use crate::members::Members;
use crate::open::{Location, OpenError, Preparation};
use crate::projects::Projects;
use crate::revocations::{RevocationSeq, Revocations};
use crate::schema;
use crate::sign_in_links::SignInLinks;
use crate::ssh_sessions::SshSessions;
use crate::time::Timestamp;
use crate::web_sessions::WebSessions;

/// A store that is open. Clones share its connections.
///
/// Reading goes through a repository of one aggregate (`store.accounts()`); writing through a [`Change`], but for the
/// few things that happen with every login and take nobody's access away.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    /// The newest revocation that this process has committed; wakes the followers in it at once.
    newest: watch::Sender<RevocationSeq>,
}

impl Store {
    /// Opens the store, after doing what `preparation` allows.
    pub async fn open(
        location: &Location,
        preparation: Preparation,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let db = match location {
            Location::Sqlite { path } => db::sqlite::open(path, preparation).await?,
            Location::Postgres { url } => db::postgres::connect(url).await?,
        };
        if let Err(error) = schema::prepare(&db, preparation, now).await {
            db.close().await;
            return Err(error);
        }
        let inner = Inner { db, newest: watch::Sender::new(RevocationSeq::START) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Begins a change by `actor` at `now`. Changes of all processes follow one another: this waits for the one
    /// before, and the next waits for this one. So do nothing slow between here and [`Change::commit`].
    ///
    /// `now` is the time of all that the change writes.
    pub async fn change(&self, actor: Actor, now: Timestamp) -> Result<Change, StoreError> {
        Change::begin(self, actor, now).await
    }

    /// Accounts.
    pub fn accounts(&self) -> Accounts<'_> {
        Accounts::new(self.db())
    }

    /// Public keys.
    pub fn keys(&self) -> Keys<'_> {
        Keys::new(self.db())
    }

    /// Certificates.
    pub fn certificates(&self) -> Certificates<'_> {
        Certificates::new(self.db())
    }

    /// Projects.
    pub fn projects(&self) -> Projects<'_> {
        Projects::new(self.db())
    }

    /// Members of projects.
    pub fn members(&self) -> Members<'_> {
        Members::new(self.db())
    }

    /// Invitations.
    pub fn invitations(&self) -> Invitations<'_> {
        Invitations::new(self.db())
    }

    /// One-time sign-in links.
    pub fn sign_in_links(&self) -> SignInLinks<'_> {
        SignInLinks::new(self.db())
    }

    /// Sessions of web browsers.
    pub fn web_sessions(&self) -> WebSessions<'_> {
        WebSessions::new(self.db())
    }

    /// SSH sessions.
    pub fn ssh_sessions(&self) -> SshSessions<'_> {
        SshSessions::new(self.db())
    }

    /// What a gateway asks at a login.
    pub fn access(&self) -> Access<'_> {
        Access::new(self.db())
    }

    /// What took access away.
    pub fn revocations(&self) -> Revocations<'_> {
        Revocations::new(self)
    }

    /// The audit trail.
    pub fn audit(&self) -> AuditTrail<'_> {
        AuditTrail::new(self.db())
    }

    /// Closes all connections, after those who use one are done.
    pub async fn close(&self) {
        self.inner.db.close().await;
    }

    pub(crate) fn db(&self) -> &Db {
        &self.inner.db
    }

    pub(crate) fn newest(&self) -> &watch::Sender<RevocationSeq> {
        &self.inner.newest
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.inner.db {
            Db::Sqlite { .. } => "SQLite",
            Db::Postgres { .. } => "PostgreSQL",
        };
        write!(f, "Store({kind})")
    }
}
