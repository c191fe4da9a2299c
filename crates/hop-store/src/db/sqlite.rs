//! The SQLite file: private to its owner, in a folder private to its owner, in WAL mode.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::db::Db;
use crate::open::{OpenError, Preparation};

/// How long a writer of another process may hold the file.
const BUSY: Duration = Duration::from_secs(5);
/// How long to wait for a connection of our own: longer, because all writers of this process stand in that line.
const ACQUIRE: Duration = Duration::from_secs(10);
/// Reads that run at once.
const READERS: u32 = 4;

/// Opens the file, after looking at its owner and mode and its folder's; makes it if that is asked for.
pub(crate) async fn open(path: &Path, preparation: Preparation) -> Result<Db, OpenError> {
    check_files(path, preparation)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        // What was acknowledged must be there after a power failure, too.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE)
        .connect_with(options.clone())
        .await
        .map_err(|error| opening(path, error))?;
    let options = options.pragma("query_only", "ON");
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE)
        .connect_with(options.clone())
        .await
        .map_err(|error| opening(path, error))?;
    Ok(Db::Sqlite { writer, readers, options })
}

/// Tells a file of another kind from other trouble.
fn opening(path: &Path, error: sqlx::Error) -> OpenError {
    // SQLITE_NOTADB
    let code = error.as_database_error().and_then(|database| database.code().map(|c| c.into_owned()));
    if code.as_deref() == Some("26") {
        return OpenError::NotSqlite { path: path.to_owned() };
    }
    OpenError::Store(crate::error::StoreError::from_driver("open the SQLite file", error))
}

fn check_files(path: &Path, preparation: Preparation) -> Result<(), OpenError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let of_folder = std::fs::metadata(folder).map_err(|source| file_error(folder, source))?;
    check_private(folder, &of_folder)?;
    match std::fs::symlink_metadata(path) {
        Ok(of_file) if !of_file.is_file() => Err(OpenError::NotAFile { path: path.to_owned() }),
        Ok(of_file) => check_private(path, &of_file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match preparation {
            Preparation::CreateOrMigrate => create(path).map(drop),
            Preparation::ExpectCurrent => Err(OpenError::Absent { path: path.to_owned() }),
        },
        Err(source) => Err(file_error(path, source)),
    }
}

/// An empty file of the right mode; SQLite gives its -wal and -shm files the same.
fn create(path: &Path) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|source| file_error(path, source))
}

/// Nobody else may read or write, and it is ours (root may open anybody's: `hop admin` run by root).
fn check_private(path: &Path, metadata: &Metadata) -> Result<(), OpenError> {
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
        return Err(OpenError::NotPrivate { path: path.to_owned(), mode, wanted });
    }
    let own = rustix::process::geteuid().as_raw();
    if own != 0 && metadata.uid() != own {
        return Err(OpenError::Owner { path: path.to_owned(), owner: metadata.uid(), own });
    }
    Ok(())
}

fn file_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::File { path: PathBuf::from(path), source }
}
