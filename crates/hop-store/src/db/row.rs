//! One row of an answer, read by column name into our own types.

use sqlx::Row as _;

use crate::error::StoreError;
use crate::hex;
use crate::stored::StoredText;
use crate::time::Timestamp;

/// A row of either database.
pub(crate) enum Row {
    Sqlite(sqlx::sqlite::SqliteRow),
    Postgres(sqlx::postgres::PgRow),
}

macro_rules! read {
    ($row:expr, $column:expr) => {
        match $row {
            Row::Sqlite(row) => row.try_get($column),
            Row::Postgres(row) => row.try_get($column),
        }
        .map_err(|error| StoreError::from_driver("read a row", error))
    };
}

impl Row {
    pub(crate) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        read!(self, column)
    }

    pub(crate) fn bool(&self, column: &'static str) -> Result<bool, StoreError> {
        read!(self, column)
    }

    pub(crate) fn bytes(&self, column: &'static str) -> Result<Vec<u8>, StoreError> {
        read!(self, column)
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp::from_micros)
    }

    pub(crate) fn time_or_null(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        let number: Option<i64> = read!(self, column)?;
        Ok(number.map(Timestamp::from_micros))
    }

    /// A number of bytes or rows.
    pub(crate) fn count(&self, column: &'static str) -> Result<u64, StoreError> {
        let number = self.int(column)?;
        u64::try_from(number).map_err(|_| StoreError::corrupt(column, &number.to_string()))
    }

    pub(crate) fn text<T: StoredText>(&self, column: &'static str) -> Result<T, StoreError> {
        let text: String = read!(self, column)?;
        T::from_stored(&text).ok_or_else(|| StoreError::corrupt(column, &text))
    }

    pub(crate) fn text_or_null<T: StoredText>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        let text: Option<String> = read!(self, column)?;
        text.map(|text| T::from_stored(&text).ok_or_else(|| StoreError::corrupt(column, &text))).transpose()
    }

    /// A hash in hexadecimal digits.
    pub(crate) fn hash(&self, column: &'static str) -> Result<[u8; 32], StoreError> {
        let text: String = read!(self, column)?;
        hex::decode(&text).ok_or_else(|| StoreError::corrupt(column, &text))
    }

    /// A JSON document.
    pub(crate) fn json(&self, column: &'static str) -> Result<serde_json::Value, StoreError> {
        let text: String = read!(self, column)?;
        serde_json::from_str(&text).map_err(|_| StoreError::corrupt(column, &text))
    }
}
