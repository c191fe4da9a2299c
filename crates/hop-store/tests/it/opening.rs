//! Opening: what is made, what is refused, and that both schemas are one.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hop_store::{AccountId, Actor, Location, NewAccount, OpenError, Preparation, Store};

use crate::site::{Raw, Site, at, both, empty_postgres, name, private_folder};

use Preparation::{CreateOrMigrate, ExpectCurrent};

both! {
    a_store_is_found_again
    a_newer_schema_is_refused
    a_half_made_store_is_refused
    a_store_of_something_else_is_refused
    two_starts_at_once_make_one_store
}

async fn open(location: &Location, preparation: Preparation) -> Result<Store, OpenError> {
    Store::open(location, preparation, at(0)).await
}

async fn a_store_is_found_again(site: Site) {
    let id = site.account("ada").await;
    site.store.close().await;
    for preparation in [ExpectCurrent, CreateOrMigrate] {
        let store = open(&site.location, preparation).await.unwrap();
        assert!(store.accounts().find_by_id(id).await.unwrap().is_some());
        store.close().await;
        assert!(store.accounts().find_by_id(id).await.unwrap_err().is_temporary(), "closed");
    }
}

async fn a_newer_schema_is_refused(site: Site) {
    site.run_raw("INSERT INTO hop_schema (version, name, migrated) VALUES (7, 'later', 0)").await.unwrap();
    for preparation in [ExpectCurrent, CreateOrMigrate] {
        let error = open(&site.location, preparation).await.unwrap_err();
        assert!(matches!(error, OpenError::Newer { found: 7, known: 2 }), "{error:?}");
        assert_eq!(error.to_string(), "the store has schema version 7; this program knows versions up to 2");
        assert!(error.hint().is_some());
    }
}

async fn a_half_made_store_is_refused(site: Site) {
    let missing = async || match open(&site.location, CreateOrMigrate).await {
        Err(OpenError::HalfMade { missing }) => missing,
        other => panic!("{other:?}"),
    };
    site.run_raw("DELETE FROM site").await.unwrap();
    assert_eq!(missing().await, ["the site's row"]);
    site.run_raw("DROP TABLE ssh_sessions; DROP TABLE revocations").await.unwrap();
    assert_eq!(missing().await, ["table revocations", "table ssh_sessions"]);
    site.run_raw("DELETE FROM hop_schema").await.unwrap();
    assert_eq!(missing().await, ["the schema's version"]);
    site.run_raw("DROP TABLE hop_schema").await.unwrap();
    assert_eq!(missing().await, ["table hop_schema", "table revocations", "table ssh_sessions"]);
}

async fn a_store_of_something_else_is_refused(site: Site) {
    site.run_raw("DROP TABLE hop_schema; CREATE TABLE django_migrations (id INTEGER)").await.unwrap();
    let error = open(&site.location, CreateOrMigrate).await.unwrap_err();
    let OpenError::NotAStore { tables } = &error else { panic!("{error:?}") };
    assert!(tables.contains(&"django_migrations".to_owned()), "{tables:?}");
}

async fn two_starts_at_once_make_one_store(site: Site) {
    let (location, _folder) = if site.is_sqlite() {
        let folder = private_folder();
        (Location::Sqlite { path: folder.path().join("new.sqlite") }, Some(folder))
    } else {
        (Location::Postgres { url: empty_postgres().await }, None)
    };
    if let Location::Sqlite { path } = &location {
        // The file itself is made before the schema; here both find it.
        std::fs::write(path, "").unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let error = open(&location, ExpectCurrent).await.unwrap_err();
    assert!(matches!(error, OpenError::Empty), "{error:?}");
    let (first, second) = tokio::join!(open(&location, CreateOrMigrate), open(&location, CreateOrMigrate));
    let (first, second) = (first.unwrap(), second.unwrap());
    let id = AccountId::new(at(0), [1; 10]);
    let mut change = first.change(Actor::site(), at(1)).await.unwrap();
    change.accounts().add(&NewAccount { id, name: name("ada"), admin: true }).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(second.accounts().count().await.unwrap(), 1);
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn the_sqlite_file_is_private() {
    let folder = private_folder();
    let path = folder.path().join("site.sqlite");
    let location = Location::Sqlite { path: path.clone() };
    let error = open(&location, ExpectCurrent).await.unwrap_err();
    assert!(matches!(error, OpenError::Absent { .. }), "{error:?}");
    assert!(!path.exists(), "looking for a store makes none");

    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let error = open(&location, CreateOrMigrate).await.unwrap_err();
    assert!(matches!(error, OpenError::NotPrivate { mode: 0o755, wanted: 0o700, .. }), "{error:?}");
    assert_eq!(error.hint(), Some(format!("run: chmod 700 {}", folder.path().display())));
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();

    let store = open(&location, CreateOrMigrate).await.unwrap();
    store.accounts().count().await.unwrap();
    for file in ["site.sqlite", "site.sqlite-wal", "site.sqlite-shm"] {
        assert_eq!(mode(&folder.path().join(file)), 0o600, "{file}");
    }
    store.close().await;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let error = open(&location, CreateOrMigrate).await.unwrap_err();
    assert!(matches!(error, OpenError::NotPrivate { mode: 0o640, wanted: 0o600, .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_no_sqlite_file_is_refused() {
    let folder = private_folder();
    let path = folder.path().join("site.sqlite");
    std::fs::write(&path, "this is a letter, not a database, and long enough to be read as one".repeat(20))
        .unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let error = open(&Location::Sqlite { path: path.clone() }, CreateOrMigrate).await.unwrap_err();
    assert!(matches!(error, OpenError::NotSqlite { .. }), "{error:?}");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    let error = open(&Location::Sqlite { path: path.clone() }, CreateOrMigrate).await.unwrap_err();
    assert!(matches!(error, OpenError::NotAFile { .. }), "{error:?}");
    let nowhere = Location::Sqlite { path: folder.path().join("a/b") };
    let error = open(&nowhere, CreateOrMigrate).await.unwrap_err();
    assert!(matches!(error, OpenError::File { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let folder = private_folder();
    let url = format!("postgres://hop:secret@localhost/site?host={}", folder.path().display());
    let location = Location::parse(&url);
    assert!(!format!("{location:?}").contains("secret"));
    let error = open(&location, ExpectCurrent).await.unwrap_err();
    let OpenError::Store(cause) = &error else { panic!("{error:?}") };
    assert!(cause.is_temporary(), "{cause:?}");
    assert!(!format!("{error:?} {error}").contains("secret"));
}

/// Table, column and whether it may be null, of all tables.
async fn columns(site: &Site) -> Vec<(String, String, bool)> {
    let sqlite = "SELECT t.name, c.name, c.\"notnull\" = 0 AND (c.pk = 0) FROM sqlite_schema t
                  JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'";
    let postgres =
        "SELECT table_name::TEXT, column_name::TEXT, is_nullable = 'YES' FROM information_schema.columns
                    WHERE table_schema = 'public'";
    let mut rows: Vec<(String, String, bool)> = match &site.raw {
        Raw::Sqlite(pool) => sqlx::query_as(sqlite).fetch_all(pool).await.unwrap(),
        Raw::Postgres(pool) => sqlx::query_as(postgres).fetch_all(pool).await.unwrap(),
    };
    rows.sort();
    rows
}

#[tokio::test]
async fn both_schemas_are_one() {
    let (sqlite, postgres) = (columns(&Site::sqlite().await).await, columns(&Site::postgres().await).await);
    assert!(sqlite.len() > 80, "{}", sqlite.len());
    assert_eq!(sqlite, postgres);
}
