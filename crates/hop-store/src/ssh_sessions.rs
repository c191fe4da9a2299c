//! SSH sessions through the gateway: who came with which key from where, how much passed, and how it ended. Rows are
//! written at once, outside changes: they take nothing away and nobody else writes them.

use std::net::SocketAddr;

use hop_keys::Fingerprint;

use crate::db::{Arg, Db, Row, Sql, args};
use crate::error::StoreError;
use crate::id::{AccountId, GatewayId, KeyId, ProjectId, SshSessionId};
use crate::keys::{KeyUse, RECORD_USE};
use crate::stored::stored_enum;
use crate::text::shown;
use crate::time::Timestamp;

/// What is kept of a key's title and of how a session ended.
const TEXT_MOST: usize = 300;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSession {
    /// Its id.
    pub id: SshSessionId,
    /// The run of the gateway that has or had it.
    pub gateway: GatewayId,
    /// Who answers for it: the account, or the holder of a project's key.
    pub account: AccountId,
    /// The project entered.
    pub project: ProjectId,
    /// The project from which it came, if from inside one.
    pub source_project: Option<ProjectId>,
    /// The key that was proved.
    pub key_fingerprint: Fingerprint,
    /// What it was called then; for a certificate, its key ID.
    pub key_title: String,
    /// From where.
    pub client: SocketAddr,
    /// When it began.
    pub started: Timestamp,
    /// Bytes from the client, as far as was noted.
    pub bytes_from_client: u64,
    /// Bytes to the client, as far as was noted.
    pub bytes_to_client: u64,
    /// How and when it ended; `None` while it is live.
    pub end: Option<SessionEnd>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEnd {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub cause: EndCause,
    /// In a sentence; may be empty.
    pub detail: String,
}

stored_enum!(
    /// Why a session ended.
    pub EndCause {
        /// The client closed it.
        Client = "client",
        /// The project's environment closed it.
        Environment = "environment",
        /// Access was taken away, or expired.
        Revoked = "revoked",
        /// Somebody ended it.
        Ended = "ended",
        /// Nothing passed for too long.
        Idle = "idle",
        /// A connection broke.
        Broken = "broken",
        /// The gateway was stopped.
        Stopped = "stopped",
        /// The gateway is gone without having said how it ended.
        Lost = "lost",
    }
);

/// A session that begins.
#[derive(Debug, Clone)]
pub struct NewSshSession {
    /// Its id.
    pub id: SshSessionId,
    /// The run of the gateway.
    pub gateway: GatewayId,
    /// Who answers for it.
    pub account: AccountId,
    /// The project entered.
    pub project: ProjectId,
    /// The project from which it comes, if from inside one.
    pub source_project: Option<ProjectId>,
    /// The stored key, whose last use this becomes; `None` for a certificate.
    pub key: Option<KeyId>,
    /// The key that was proved.
    pub key_fingerprint: Fingerprint,
    /// What it is called; for a certificate, its key ID.
    pub key_title: String,
    /// From where.
    pub client: SocketAddr,
    /// When.
    pub started: Timestamp,
}

/// Which sessions [`SshSessions::list`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionFilter {
    /// All.
    All,
    /// Those of an account.
    Account(AccountId),
    /// Those in a project.
    Project(ProjectId),
}

/// Reading and writing of SSH sessions.
pub struct SshSessions<'a> {
    db: &'a Db,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, gateway, account, project, source_project, key_fingerprint, key_title, client_address, started,
             ended, bytes_from_client, bytes_to_client, end_cause, end_detail FROM ssh_sessions ",
            $rest
        )
    };
}
const BY_ID: Sql = Sql::new("find a session", select!("WHERE id = $1"));
const LIVE: Sql = Sql::new("list sessions", select!("WHERE ended IS NULL ORDER BY started, id LIMIT $1"));
const LIVE_OF_ACCOUNT: Sql =
    Sql::new("list sessions", select!("WHERE ended IS NULL AND account = $2 ORDER BY started, id LIMIT $1"));
const LIVE_OF_PROJECT: Sql =
    Sql::new("list sessions", select!("WHERE ended IS NULL AND project = $2 ORDER BY started, id LIMIT $1"));
const LATEST: Sql = Sql::new("list sessions", select!("WHERE id < $1 ORDER BY id DESC LIMIT $2"));
const LATEST_OF_ACCOUNT: Sql =
    Sql::new("list sessions", select!("WHERE id < $1 AND account = $3 ORDER BY id DESC LIMIT $2"));
const LATEST_OF_PROJECT: Sql =
    Sql::new("list sessions", select!("WHERE id < $1 AND project = $3 ORDER BY id DESC LIMIT $2"));
const OPEN: Sql = Sql::new(
    "record a session",
    "INSERT INTO ssh_sessions (id, gateway, account, project, source_project, key_fingerprint, key_title,
                               client_address, started, bytes_from_client, bytes_to_client)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0)",
);
const NOTE_BYTES: Sql = Sql::new(
    "note a session's bytes",
    "UPDATE ssh_sessions SET bytes_from_client = $2, bytes_to_client = $3 WHERE id = $1 AND ended IS NULL",
);
const CLOSE: Sql = Sql::new(
    "record a session's end",
    "UPDATE ssh_sessions
     SET ended = $2, bytes_from_client = $3, bytes_to_client = $4, end_cause = $5, end_detail = $6
     WHERE id = $1 AND ended IS NULL",
);
const CLOSE_LOST: Sql = Sql::new(
    "record the end of lost sessions",
    "UPDATE ssh_sessions SET ended = $2, end_cause = 'lost', end_detail = '' WHERE gateway = $1 AND ended IS NULL",
);
const LIVE_GATEWAYS: Sql = Sql::new(
    "list gateways with sessions",
    "SELECT DISTINCT gateway FROM ssh_sessions WHERE ended IS NULL ORDER BY gateway",
);

impl<'a> SshSessions<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Self { db }
    }

    /// Records that a session begins, and the use of its key with it.
    pub async fn open(&self, new: &NewSshSession) -> Result<(), StoreError> {
        let mut tx = self.db.begin("record a session").await?;
        let values = args![
            &new.id,
            &new.gateway,
            &new.account,
            &new.project,
            new.source_project.as_ref(),
            &new.key_fingerprint,
            &shown(&new.key_title, TEXT_MOST),
            &new.client,
            new.started,
        ];
        tx.run(OPEN, values).await?;
        if let Some(key) = new.key {
            let usage = KeyUse { at: new.started, address: new.client.ip(), project: Some(new.project) };
            tx.run(RECORD_USE, usage.args(key)).await?;
        }
        tx.commit("record a session").await
    }

    /// Notes how much has passed so far, so that little is unknown if the gateway is lost.
    pub async fn note_bytes(
        &self,
        id: SshSessionId,
        from_client: u64,
        to_client: u64,
    ) -> Result<(), StoreError> {
        self.db.run(NOTE_BYTES, args![&id, bytes(from_client), bytes(to_client)]).await.map(drop)
    }

    /// Records how a session ended; false when it had ended before, or never began.
    pub async fn close(
        &self,
        id: SshSessionId,
        from_client: u64,
        to_client: u64,
        end: &SessionEnd,
    ) -> Result<bool, StoreError> {
        let values = args![
            &id,
            end.at,
            bytes(from_client),
            bytes(to_client),
            &end.cause,
            &shown(&end.detail, TEXT_MOST),
        ];
        Ok(self.db.run(CLOSE, values).await? > 0)
    }

    /// Records that the sessions of a gateway that is gone have ended, and says how many.
    pub async fn close_lost(&self, gateway: GatewayId, now: Timestamp) -> Result<u64, StoreError> {
        self.db.run(CLOSE_LOST, args![&gateway, now]).await
    }

    /// The runs of gateways that have live sessions, by their own account: some may be gone.
    pub async fn list_gateways(&self) -> Result<Vec<GatewayId>, StoreError> {
        self.db.rows(LIVE_GATEWAYS, args![]).await?.iter().map(|row| row.text("gateway")).collect()
    }

    /// The session with this id.
    pub async fn find_by_id(&self, id: SshSessionId) -> Result<Option<SshSession>, StoreError> {
        self.db.row(BY_ID, args![&id]).await?.as_ref().map(SshSession::read).transpose()
    }

    /// At most `most` live sessions, the oldest first.
    pub async fn list_live(&self, filter: SessionFilter, most: u32) -> Result<Vec<SshSession>, StoreError> {
        let most = i64::from(most);
        match filter {
            SessionFilter::All => self.read(LIVE, args![most]).await,
            SessionFilter::Account(account) => self.read(LIVE_OF_ACCOUNT, args![most, &account]).await,
            SessionFilter::Project(project) => self.read(LIVE_OF_PROJECT, args![most, &project]).await,
        }
    }

    /// At most `most` sessions, live or not, that began before session `before` (`None`: the newest), newest first.
    pub async fn list(
        &self,
        filter: SessionFilter,
        before: Option<SshSessionId>,
        most: u32,
    ) -> Result<Vec<SshSession>, StoreError> {
        // Ids of version 7 sort by time; "g" is after every hexadecimal digit.
        let before = before.map_or_else(|| "g".to_owned(), |id| id.to_string());
        let most = i64::from(most);
        match filter {
            SessionFilter::All => self.read(LATEST, args![&before, most]).await,
            SessionFilter::Account(account) => {
                self.read(LATEST_OF_ACCOUNT, args![&before, most, &account]).await
            }
            SessionFilter::Project(project) => {
                self.read(LATEST_OF_PROJECT, args![&before, most, &project]).await
            }
        }
    }

    async fn read(&self, sql: Sql, args: Vec<Arg>) -> Result<Vec<SshSession>, StoreError> {
        self.db.rows(sql, args).await?.iter().map(SshSession::read).collect()
    }
}

/// The databases' integers have a sign; 2^63 bytes do not pass.
fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl SshSession {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let end = match (row.time_or_null("ended")?, row.text_or_null("end_cause")?) {
            (Some(at), Some(cause)) => {
                Some(SessionEnd { at, cause, detail: row.text_or_null("end_detail")?.unwrap_or_default() })
            }
            _ => None,
        };
        Ok(Self {
            id: row.text("id")?,
            gateway: row.text("gateway")?,
            account: row.text("account")?,
            project: row.text("project")?,
            source_project: row.text_or_null("source_project")?,
            key_fingerprint: row.text("key_fingerprint")?,
            key_title: row.text("key_title")?,
            client: row.text("client_address")?,
            started: row.time("started")?,
            bytes_from_client: row.count("bytes_from_client")?,
            bytes_to_client: row.count("bytes_to_client")?,
            end,
        })
    }
}
