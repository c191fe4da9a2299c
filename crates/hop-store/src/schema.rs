//! The schema and its versions.
//!
//! What must stay true: all missing versions are applied in one transaction with the check of what is there, so a
//! store is never left between two versions, and two processes that start at once do not meet half-way. A published
//! migration is never edited.

use crate::db::{Db, Sql, Tx, args};
use crate::open::{OpenError, Preparation};
use crate::time::Timestamp;

struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "site",
        sqlite: include_str!("../migrations/0001_site.sqlite.sql"),
        postgres: include_str!("../migrations/0001_site.postgres.sql"),
    },
    Migration {
        version: 2,
        name: "certificates",
        sqlite: include_str!("../migrations/0002_certificates.sqlite.sql"),
        postgres: include_str!("../migrations/0002_certificates.postgres.sql"),
    },
];

/// Every table of the newest version. What has some of them only is half-made.
const TABLES: &[&str] = &[
    "accounts",
    "audit",
    "certificates",
    "freed_aliases",
    "hop_schema",
    "invitations",
    "members",
    "projects",
    "public_keys",
    "revocations",
    "sign_in_links",
    "site",
    "ssh_sessions",
    "web_sessions",
];

/// Only one process at a time may look and migrate. The number is ours alone in the server's space of such locks.
const LOCK: Sql = Sql::new("wait for another start", "SELECT pg_advisory_xact_lock(7813201475901234)");
const TABLES_OF_SQLITE: Sql = Sql::new(
    "list the tables",
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name",
);
const TABLES_OF_POSTGRES: Sql = Sql::new(
    "list the tables",
    "SELECT tablename::TEXT AS name FROM pg_catalog.pg_tables WHERE schemaname = current_schema() ORDER BY tablename",
);
const VERSION: Sql =
    Sql::new("read the schema's version", "SELECT COALESCE(MAX(version), 0) AS version FROM hop_schema");
const SITE_ROWS: Sql = Sql::new("look for the site's row", "SELECT COUNT(*) AS n FROM site");
const APPLIED: Sql =
    Sql::new("record a migration", "INSERT INTO hop_schema (version, name, migrated) VALUES ($1, $2, $3)");

/// Looks at what is there and does what `preparation` allows to make it the newest version.
pub(crate) async fn prepare(db: &Db, preparation: Preparation, now: Timestamp) -> Result<(), OpenError> {
    let known = newest();
    let mut tx = match preparation {
        Preparation::CreateOrMigrate => {
            let mut tx = db.begin("look at the schema").await?;
            if let Tx::Postgres(_) = tx {
                tx.row(LOCK, args![]).await?;
            }
            tx
        }
        Preparation::ExpectCurrent => db.begin_reading("look at the schema").await?,
    };
    let tables = tables(&mut tx).await?;
    let found = if tables.iter().any(|table| table == "hop_schema") {
        match tx.row(VERSION, args![]).await? {
            Some(row) => row.int("version")?,
            None => 0,
        }
    } else if tables.iter().all(|table| TABLES.contains(&table.as_str())) {
        if !tables.is_empty() {
            return Err(OpenError::HalfMade { missing: missing(&tables) });
        }
        0
    } else {
        return Err(OpenError::NotAStore { tables: tables.into_iter().take(10).collect() });
    };
    match (preparation, tables.is_empty()) {
        _ if found > known => return Err(OpenError::Newer { found, known }),
        (_, false) if found == 0 => {
            return Err(OpenError::HalfMade { missing: vec!["the schema's version".to_owned()] });
        }
        (Preparation::ExpectCurrent, true) => return Err(OpenError::Empty),
        (Preparation::ExpectCurrent, false) if found < known => {
            return Err(OpenError::Older { found, known });
        }
        (Preparation::CreateOrMigrate | Preparation::ExpectCurrent, _) => {}
    }
    for migration in MIGRATIONS.iter().filter(|m| m.version > found) {
        tx.script("migrate the schema", migration.sqlite, migration.postgres).await?;
        tx.run(APPLIED, args![migration.version, migration.name, now]).await?;
    }
    let missing = missing(&self::tables(&mut tx).await?);
    if !missing.is_empty() {
        return Err(OpenError::HalfMade { missing });
    }
    let rows = match tx.row(SITE_ROWS, args![]).await? {
        Some(row) => row.count("n")?,
        None => 0,
    };
    if rows != 1 {
        return Err(OpenError::HalfMade { missing: vec!["the site's row".to_owned()] });
    }
    tx.commit("migrate the schema").await?;
    Ok(())
}

fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

async fn tables(tx: &mut Tx) -> Result<Vec<String>, OpenError> {
    let query = match tx {
        Tx::Sqlite(_) => TABLES_OF_SQLITE,
        Tx::Postgres(_) => TABLES_OF_POSTGRES,
    };
    let rows = tx.rows(query, args![]).await?;
    Ok(rows.iter().map(|row| row.text("name")).collect::<Result<_, _>>()?)
}

fn missing(tables: &[String]) -> Vec<String> {
    let absent = TABLES.iter().filter(|wanted| !tables.iter().any(|table| table == *wanted));
    absent.map(|table| format!("table {table}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_from_one() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(migration.version), Ok(index + 1), "{}", migration.name);
        }
    }

    #[test]
    fn every_table_is_known() {
        let mut made: Vec<_> = MIGRATIONS
            .iter()
            .flat_map(|m| m.sqlite.lines())
            .filter_map(|line| line.strip_prefix("CREATE TABLE ")?.strip_suffix(" ("))
            .collect();
        made.sort_unstable();
        assert_eq!(made, TABLES);
    }
}
