//! A sign that another connection may have committed something: in SQLite `PRAGMA data_version` every 250 ms, in
//! PostgreSQL a notification or a second gone by.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{ConnectOptions as _, Row as _, SqliteConnection};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::db::{Db, Tx};
use crate::error::StoreError;

/// The channel of NOTIFY. It is one per database; who listens in another schema of it wakes for nothing.
const CHANNEL: &str = "hop_revocations";
const SQLITE_EVERY: Duration = Duration::from_millis(250);
/// Notifications can be lost (a restart, a connection that broke), so the table is looked at anyway.
const POSTGRES_EVERY: Duration = Duration::from_secs(1);

/// A connection of its own that waits for changes.
pub(crate) enum Watcher {
    Sqlite { connection: SqliteConnection, seen: i64 },
    Postgres { listener: PgListener },
}

impl Db {
    /// Begins to watch: what is committed after this returns is noticed.
    pub(crate) async fn watch(&self) -> Result<Watcher, StoreError> {
        let failed = |error| StoreError::from_driver("watch for revocations", error);
        match self {
            Self::Sqlite { options, .. } => {
                let mut connection = options.connect().await.map_err(failed)?;
                let seen = data_version(&mut connection).await.map_err(failed)?;
                Ok(Watcher::Sqlite { connection, seen })
            }
            Self::Postgres { options, .. } => {
                // A pool of one, because the listener takes it for good and asks the pool to reconnect.
                let pool = PgPoolOptions::new()
                    .max_connections(1)
                    .idle_timeout(None)
                    .max_lifetime(None)
                    .connect_lazy_with(options.clone());
                let mut listener = PgListener::connect_with(&pool).await.map_err(failed)?;
                listener.listen(CHANNEL).await.map_err(failed)?;
                Ok(Watcher::Postgres { listener })
            }
        }
    }
}

impl Watcher {
    /// Returns when something may have been committed: at once after a notification, else after the interval. It
    /// returns too when the connection is in trouble: the look at the table that follows will say so. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        match self {
            Self::Sqlite { connection, seen } => loop {
                sleep_until(Instant::now() + SQLITE_EVERY).await;
                match data_version(connection).await {
                    Ok(version) if version == *seen => {}
                    Ok(version) => {
                        *seen = version;
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "PRAGMA data_version failed");
                        return;
                    }
                }
            },
            Self::Postgres { listener } => {
                let next = Instant::now() + POSTGRES_EVERY;
                if let Ok(Err(error)) = timeout_at(next, listener.try_recv()).await {
                    tracing::warn!(%error, "no notifications from PostgreSQL for now");
                    sleep_until(next).await;
                }
            }
        }
    }
}

impl Tx {
    /// Wakes the watchers of other processes when this transaction is committed. SQLite needs no call for that.
    pub(crate) async fn notify(&mut self) -> Result<(), StoreError> {
        let Self::Postgres(tx) = self else { return Ok(()) };
        let sent = sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(&mut **tx).await;
        sent.map(drop).map_err(|error| StoreError::from_driver("announce a revocation", error))
    }
}

async fn data_version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query("PRAGMA data_version").fetch_one(connection).await?.try_get(0)
}
