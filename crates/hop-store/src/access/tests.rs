use std::os::unix::fs::PermissionsExt;

use sqlx::{AssertSqlSafe, Row as _};

use super::*;
use crate::keys::BY_FINGERPRINT;
use crate::open::{Location, Preparation};
use crate::store::Store;

/// The steps of a query that read a table from end to end.
async fn scans(db: &Db, sql: Sql) -> Vec<String> {
    let Db::Sqlite { writer, .. } = db else { panic!("a SQLite store") };
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", sql.text()));
    let steps = sqlx::query(explain).fetch_all(writer).await.unwrap();
    let steps = steps.iter().map(|row| row.get::<String, _>("detail"));
    steps.filter(|step| step.starts_with("SCAN")).collect()
}

#[tokio::test]
async fn what_a_login_asks_is_answered_from_indexes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let location = Location::Sqlite { path: folder.path().join("site.sqlite") };
    let now = Timestamp::from_seconds(0);
    let store = Store::open(&location, Preparation::CreateOrMigrate, now).await.unwrap();
    for sql in [BY_KEY, BY_ACCOUNT, BY_FINGERPRINT] {
        assert_eq!(scans(store.db(), sql).await, Vec::<String>::new(), "{sql:?}");
    }
    // The test itself sees a scan where there is one.
    let unindexed = Sql::new("scan", "SELECT id FROM public_keys WHERE title = $1");
    assert_eq!(scans(store.db(), unindexed).await.len(), 1);
}
