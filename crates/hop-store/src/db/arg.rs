//! The values of a statement's parameters.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Postgres, Sqlite};

use crate::db::Sql;
use crate::stored::StoredText;
use crate::time::Timestamp;

/// One parameter. A NULL has a type too: PostgreSQL asks for it.
#[derive(Debug)]
pub(crate) enum Arg {
    Text(Option<String>),
    Int(Option<i64>),
    Bool(bool),
    Bytes(Vec<u8>),
}

/// The parameters `$1, $2, …` of a statement.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::Arg::from($value)),*] };
}
pub(crate) use args;

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl<T: StoredText> From<&T> for Arg {
    fn from(value: &T) -> Self {
        Self::Text(Some(value.to_stored()))
    }
}

impl<T: StoredText> From<Option<&T>> for Arg {
    fn from(value: Option<&T>) -> Self {
        Self::Text(value.map(StoredText::to_stored))
    }
}

impl From<Timestamp> for Arg {
    fn from(time: Timestamp) -> Self {
        Self::Int(Some(time.as_micros()))
    }
}

impl From<Option<Timestamp>> for Arg {
    fn from(time: Option<Timestamp>) -> Self {
        Self::Int(time.map(Timestamp::as_micros))
    }
}

impl From<i64> for Arg {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<bool> for Arg {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<&[u8]> for Arg {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_owned())
    }
}

/// Both drivers take the four types alike. Should a value not be encodable, the statement says so when it runs.
macro_rules! bind {
    ($sql:expr, $args:expr) => {
        $args.into_iter().fold(sqlx::query($sql.text), |query, arg| match arg {
            Arg::Text(value) => query.bind(value),
            Arg::Int(value) => query.bind(value),
            Arg::Bool(value) => query.bind(value),
            Arg::Bytes(value) => query.bind(value),
        })
    };
}

pub(super) fn sqlite(sql: Sql, args: Vec<Arg>) -> Query<'static, Sqlite, SqliteArguments> {
    bind!(sql, args)
}

pub(super) fn postgres(sql: Sql, args: Vec<Arg>) -> Query<'static, Postgres, PgArguments> {
    bind!(sql, args)
}
