//! The two databases behind one face: the only place, with the files below it, where the driver's types appear.
//!
//! What must stay true: SQL is static text in the subset that both understand (`$1`, TEXT, 64-bit integers), the few
//! differences are here. In SQLite there is one writer; in PostgreSQL a transaction reads what was committed before
//! each statement.

mod arg;
pub(crate) mod postgres;
mod row;
pub(crate) mod sqlite;
mod watch;

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use sqlx::{Postgres, Sqlite, Transaction};

pub(crate) use arg::{Arg, args};
pub(crate) use row::Row;
pub(crate) use watch::Watcher;

use crate::error::StoreError;

/// A statement and what it is for, as errors say it: "failed to …".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sql {
    what: &'static str,
    text: &'static str,
}

impl Sql {
    pub(crate) const fn new(what: &'static str, text: &'static str) -> Self {
        Self { what, text }
    }

    #[cfg(test)]
    pub(crate) const fn text(&self) -> &'static str {
        self.text
    }
}

/// Connections to one of the databases.
pub(crate) enum Db {
    /// A file of our own.
    Sqlite {
        /// One connection: SQLite has one writer, and who waits for it waits here, in turn.
        writer: SqlitePool,
        /// Connections that cannot write.
        readers: SqlitePool,
        /// How to make another one.
        options: sqlx::sqlite::SqliteConnectOptions,
    },
    /// A server.
    Postgres {
        /// The connections.
        pool: PgPool,
        /// How to make another one.
        options: sqlx::postgres::PgConnectOptions,
    },
}

/// A transaction; dropped without [`Tx::commit`] it has changed nothing.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Db {
    /// All rows of a query.
    pub(crate) async fn rows(&self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        let rows = match self {
            Self::Sqlite { readers, .. } => arg::sqlite(sql, args)
                .fetch_all(readers)
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
            Self::Postgres { pool, .. } => arg::postgres(sql, args)
                .fetch_all(pool)
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
        };
        rows.map_err(|error| StoreError::from_driver(sql.what, error))
    }

    /// The row of a query that has one or none.
    pub(crate) async fn row(&self, sql: Sql, args: Vec<Arg>) -> Result<Option<Row>, StoreError> {
        let row = match self {
            Self::Sqlite { readers, .. } => {
                arg::sqlite(sql, args).fetch_optional(readers).await.map(|row| row.map(Row::Sqlite))
            }
            Self::Postgres { pool, .. } => {
                arg::postgres(sql, args).fetch_optional(pool).await.map(|row| row.map(Row::Postgres))
            }
        };
        row.map_err(|error| StoreError::from_driver(sql.what, error))
    }

    /// Runs one statement that writes, and says how many rows it touched. It is durable when this returns.
    pub(crate) async fn run(&self, sql: Sql, args: Vec<Arg>) -> Result<u64, StoreError> {
        let touched = match self {
            Self::Sqlite { writer, .. } => {
                arg::sqlite(sql, args).execute(writer).await.map(|done| done.rows_affected())
            }
            Self::Postgres { pool, .. } => {
                arg::postgres(sql, args).execute(pool).await.map(|done| done.rows_affected())
            }
        };
        touched.map_err(|error| StoreError::from_driver(sql.what, error))
    }

    /// Begins a transaction that will write.
    pub(crate) async fn begin(&self, what: &'static str) -> Result<Tx, StoreError> {
        // IMMEDIATE takes the write lock now: a transaction that reads first and is then refused the lock would fail
        // without waiting.
        self.begin_with(what, "BEGIN IMMEDIATE").await
    }

    /// Begins a transaction that only reads, and so waits for nobody.
    pub(crate) async fn begin_reading(&self, what: &'static str) -> Result<Tx, StoreError> {
        self.begin_with(what, "BEGIN").await
    }

    async fn begin_with(&self, what: &'static str, sqlite: &'static str) -> Result<Tx, StoreError> {
        let begun = match self {
            Self::Sqlite { writer, .. } => writer.begin_with(sqlite).await.map(Tx::Sqlite),
            Self::Postgres { pool, .. } => {
                pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.map(Tx::Postgres)
            }
        };
        begun.map_err(|error| StoreError::from_driver(what, error))
    }

    /// Closes the connections; who still uses one ends first.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres { pool, .. } => pool.close().await,
        }
    }
}

impl Tx {
    pub(crate) async fn rows(&mut self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        let rows = match self {
            Self::Sqlite(tx) => arg::sqlite(sql, args)
                .fetch_all(&mut **tx)
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
            Self::Postgres(tx) => arg::postgres(sql, args)
                .fetch_all(&mut **tx)
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
        };
        rows.map_err(|error| StoreError::from_driver(sql.what, error))
    }

    pub(crate) async fn row(&mut self, sql: Sql, args: Vec<Arg>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    pub(crate) async fn run(&mut self, sql: Sql, args: Vec<Arg>) -> Result<u64, StoreError> {
        let touched = match self {
            Self::Sqlite(tx) => {
                arg::sqlite(sql, args).execute(&mut **tx).await.map(|done| done.rows_affected())
            }
            Self::Postgres(tx) => {
                arg::postgres(sql, args).execute(&mut **tx).await.map(|done| done.rows_affected())
            }
        };
        touched.map_err(|error| StoreError::from_driver(sql.what, error))
    }

    /// Runs a file of statements, in the words of the one database or the other.
    pub(crate) async fn script(
        &mut self,
        what: &'static str,
        sqlite: &'static str,
        postgres: &'static str,
    ) -> Result<(), StoreError> {
        let done = match self {
            Self::Sqlite(tx) => sqlx::raw_sql(sqlite).execute(&mut **tx).await.map(drop),
            Self::Postgres(tx) => sqlx::raw_sql(postgres).execute(&mut **tx).await.map(drop),
        };
        done.map_err(|error| StoreError::from_driver(what, error))
    }

    /// Makes what was done visible and durable.
    pub(crate) async fn commit(self, what: &'static str) -> Result<(), StoreError> {
        let done = match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        };
        done.map_err(|error| StoreError::from_driver(what, error))
    }
}
