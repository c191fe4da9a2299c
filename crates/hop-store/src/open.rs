//! Where a store is, and why it may refuse to be opened.

use std::path::{Path, PathBuf};

use crate::error::{DatabaseError, StoreError};

/// Where a site's store is.
#[derive(Clone)]
pub enum Location {
    /// A SQLite file. Its folder must exist with mode 0700.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A PostgreSQL database (or a schema of it, chosen by `search_path`) of its own.
    Postgres {
        /// `postgres://USER[:PASSWORD]@HOST/DATABASE[?host=/SOCKET/FOLDER]`. Where it is silent, the driver looks at
        /// PG* variables and the password file, as libpq does.
        url: String,
    },
}

/// What opening may do to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preparation {
    /// Make it if there is none, bring an older schema up to date: for the site itself.
    CreateOrMigrate,
    /// It must be there and of exactly this program's schema: for everything that works beside a running site.
    ExpectCurrent,
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or folder cannot be used.
    #[error("cannot open the store at {}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Others may read or write it.
    #[error("{} has mode {mode:04o}; a store must be closed to others ({wanted:04o})", .path.display())]
    NotPrivate {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it should have.
        wanted: u32,
    },
    /// It belongs to somebody else.
    #[error("{} belongs to uid {owner}, this process runs as uid {own}", .path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        own: u32,
    },
    /// A folder, a link, a socket.
    #[error("{} is not a regular file", .path.display())]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// Nothing there.
    #[error("there is no store at {}", .path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file of another kind.
    #[error("{} is not a SQLite file", .path.display())]
    NotSqlite {
        /// The file.
        path: PathBuf,
    },
    /// The connection URL is not understood. It is not repeated: it may hold a password.
    #[error("the PostgreSQL connection URL is not understood")]
    Url {
        /// The driver's reason.
        source: DatabaseError,
    },
    /// The way to the server crosses a network without encryption.
    #[error("the connection to PostgreSQL on {host} would not be encrypted")]
    Unencrypted {
        /// The server.
        host: String,
    },
    /// A database without any table, where a store was expected.
    #[error("the database is empty: no site has been started with it")]
    Empty,
    /// A database of something else.
    #[error("the database is not a store of this program: it has the tables {}", .tables.join(", "))]
    NotAStore {
        /// At most ten of its tables.
        tables: Vec<String>,
    },
    /// Made by a newer version of this program.
    #[error("the store has schema version {found}; this program knows versions up to {known}")]
    Newer {
        /// Its version.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// Made by an older version of this program.
    #[error("the store has schema version {found}; this program needs version {known}")]
    Older {
        /// Its version.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// A part is missing.
    #[error("the store is incomplete: {} missing", .missing.join(", "))]
    HalfMade {
        /// What is missing, by name.
        missing: Vec<String>,
    },
    /// The database did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Location {
    /// `postgres://…` and `postgresql://…` are servers, everything else is the path of a file.
    pub fn parse(text: &str) -> Self {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Self::Postgres { url: text.to_owned() }
        } else {
            Self::Sqlite { path: Path::new(text).to_owned() }
        }
    }
}

impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite { path } => f.debug_struct("Sqlite").field("path", path).finish(),
            // The URL may hold a password.
            Self::Postgres { .. } => f.debug_struct("Postgres").finish_non_exhaustive(),
        }
    }
}

impl OpenError {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotPrivate { path, wanted, .. } => format!("run: chmod {wanted:o} {}", path.display()),
            Self::Owner { owner, .. } => format!("run it as uid {owner}, or as root"),
            Self::Absent { .. } | Self::Empty => "start the site once: it makes its store".to_owned(),
            Self::Unencrypted { .. } => {
                "use a Unix socket, an encrypted tunnel to localhost, or say ?sslmode=disable if the network may see \
                 all"
                    .to_owned()
            }
            Self::NotAStore { .. } => "give the site a database (or a schema) of its own".to_owned(),
            Self::Newer { .. } => "use the version of the program that the site runs".to_owned(),
            Self::Older { .. } => "start the site with this version once: it brings the store up to date".to_owned(),
            Self::HalfMade { .. } => {
                "restore it from a backup; a store without anything to keep can be removed and is made anew".to_owned()
            }
            Self::NotSqlite { .. } => "restore it from a backup, or name another file".to_owned(),
            Self::NotAFile { .. } | Self::File { .. } | Self::Url { .. } | Self::Store(_) => return None,
        })
    }
}
