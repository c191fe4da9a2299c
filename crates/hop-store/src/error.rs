//! What can go wrong with the store itself, below the refusals of its operations.

/// The store could not do what was asked, whatever it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer: the server is down, the file cannot be read, or all connections are taken.
    #[error("the store cannot be reached to {what}")]
    Unreachable {
        /// What was to be done.
        what: &'static str,
        /// The driver's reason.
        source: DatabaseError,
    },
    /// Somebody else held it for too long.
    #[error("the store was busy for too long to {what}")]
    Busy {
        /// What was to be done.
        what: &'static str,
        /// The driver's reason.
        source: DatabaseError,
    },
    /// It answered with an error.
    #[error("the store failed to {what}")]
    Failed {
        /// What was to be done.
        what: &'static str,
        /// The driver's reason.
        source: DatabaseError,
    },
    /// A row holds what this program never writes.
    #[error("the store holds {value:?} in `{column}`, which this program never writes there")]
    Corrupt {
        /// The column.
        column: &'static str,
        /// What it holds, at most 80 characters.
        value: String,
    },
    /// A step of the change had failed, so the whole was not stored.
    #[error("nothing was stored, because a step of the change had failed")]
    Broken,
}

/// An error of the database driver, for people to read: its message only. The driver's own `Debug` would show rows, and
/// with them hashes of passwords and tokens.
pub struct DatabaseError(sqlx::Error);

impl StoreError {
    /// Whether waiting and trying again can help: nothing is wrong with what was asked.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } => true,
            Self::Failed { .. } | Self::Corrupt { .. } | Self::Broken => false,
        }
    }

    /// Sorts an error of the driver.
    pub(crate) fn from_driver(what: &'static str, error: sqlx::Error) -> Self {
        let kind = kind(&error);
        let source = DatabaseError(error);
        match kind {
            Kind::Unreachable => Self::Unreachable { what, source },
            Kind::Busy => Self::Busy { what, source },
            Kind::Failed => Self::Failed { what, source },
        }
    }

    /// It did not answer in time.
    pub(crate) fn no_answer(what: &'static str) -> Self {
        let error = std::io::Error::from(std::io::ErrorKind::TimedOut);
        Self::Unreachable { what, source: DatabaseError(sqlx::Error::Io(error)) }
    }

    /// A value that was read and is not understood.
    pub(crate) fn corrupt(column: &'static str, value: &str) -> Self {
        Self::Corrupt { column, value: crate::text::shown(value, 80) }
    }
}

impl DatabaseError {
    pub(crate) const fn new(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl std::fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl std::fmt::Debug for DatabaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DatabaseError({})", self.0)
    }
}

/// Without a source: that would be the driver's.
impl std::error::Error for DatabaseError {}

enum Kind {
    Unreachable,
    Busy,
    Failed,
}

fn kind(error: &sqlx::Error) -> Kind {
    use sqlx::Error;
    match error {
        Error::Io(_) | Error::Tls(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed => {
            Kind::Unreachable
        }
        Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
                postgres_kind(&code)
            } else {
                sqlite_kind(&code)
            }
        }
        _ => Kind::Failed,
    }
}

/// By SQLSTATE (PostgreSQL manual, appendix A).
fn postgres_kind(code: &str) -> Kind {
    match code {
        // Connection exceptions, too many connections, shutdown, crash, starting up.
        "53300" | "57P01" | "57P02" | "57P03" => Kind::Unreachable,
        _ if code.starts_with("08") => Kind::Unreachable,
        // Lock not available, cancelled by a timeout, deadlock, serialization.
        "55P03" | "57014" | "40P01" | "40001" => Kind::Busy,
        _ => Kind::Failed,
    }
}

/// By the primary result code (<https://www.sqlite.org/rescode.html>), the low byte of the extended one.
fn sqlite_kind(code: &str) -> Kind {
    match code.parse::<i32>().map(|extended| extended & 0xff) {
        // SQLITE_BUSY, SQLITE_LOCKED.
        Ok(5 | 6) => Kind::Busy,
        // SQLITE_IOERR, SQLITE_CANTOPEN.
        Ok(10 | 14) => Kind::Unreachable,
        _ => Kind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_code() {
        let word = |kind| match kind {
            Kind::Unreachable => "unreachable",
            Kind::Busy => "busy",
            Kind::Failed => "failed",
        };
        for (code, wanted) in [
            ("08006", "unreachable"),
            ("57P01", "unreachable"),
            ("55P03", "busy"),
            ("40P01", "busy"),
            ("23505", "failed"),
            ("", "failed"),
        ] {
            assert_eq!(word(postgres_kind(code)), wanted, "{code}");
        }
        for (code, wanted) in
            [("5", "busy"), ("517", "busy"), ("266", "unreachable"), ("2067", "failed"), ("x", "failed")]
        {
            assert_eq!(word(sqlite_kind(code)), wanted, "{code}");
        }
    }
}
