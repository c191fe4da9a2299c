//! What a gateway's question at a login costs, by the number of accounts: `cargo run --release -p hop-store --example
//! key_lookup -- [--sqlite-only] [--rounds N] [ACCOUNTS…]` (default 100, 10,000 and 100,000), on SQLite and on a PostgreSQL of
//! its own. Each account has three keys and is a member of one project of ten. Nothing is asserted; the figures are printed,
//! as often as there are rounds.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement: it prints, and what goes wrong ends it"
)]

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use hop_e2e::Postgres;
use hop_keys::Fingerprint;
use hop_store::{AccountId, Location, Preparation, ProjectId, Store, Timestamp};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

const KEYS_EACH: u64 = 3;
const MEMBERS_EACH: u64 = 10;
/// Questions of each kind, interleaved.
const ROUNDS: u64 = 500;
const NOW: u64 = 1_800_000_000;

/// Where the rows go, past the repositories: filling is not what is measured.
enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut words = std::env::args().skip(1).peekable();
    let sqlite_only = words.next_if(|word| word == "--sqlite-only").is_some();
    let rounds =
        words.next_if(|word| word == "--rounds").map_or(1, |_| words.next().unwrap().parse().unwrap());
    let mut sizes: Vec<u64> = words.map(|text| text.parse().unwrap()).collect();
    if sizes.is_empty() {
        sizes = vec![100, 10_000, 100_000];
    }
    let server = (!sqlite_only).then(Postgres::shared);
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let mut stores: Vec<(&str, Store, u64)> = Vec::new();
    let mut databases = Vec::new();
    for accounts in sizes {
        let path = folder.path().join(format!("{accounts}.sqlite"));
        let store = open(&Location::Sqlite { path: path.clone() }).await;
        let url = format!("sqlite://{}", path.display());
        fill(Raw::Sqlite(SqliteConnection::connect(&url).await.unwrap()), accounts).await;
        stores.push(("SQLite", store, accounts));
        let Some(server) = &server else { continue };

        let database = format!("lookup_{}_{accounts}", std::process::id());
        let mut admin = PgConnection::connect(&server.url("postgres")).await.unwrap();
        let create = format!("CREATE DATABASE {database} TEMPLATE template0");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
        let url = server.url(&database);
        let store = open(&Location::Postgres { url: url.clone() }).await;
        fill(Raw::Postgres(PgConnection::connect(&url).await.unwrap()), accounts).await;
        stores.push(("PostgreSQL", store, accounts));
        databases.push((admin, database));
    }
    println!("| database | accounts | keys | question | median µs | 95 % µs |");
    println!("|---|---|---|---|---|---|");
    for _ in 0..rounds {
        for (database, store, accounts) in &stores {
            measure(database, store, *accounts).await;
        }
    }
    for (_, store, _) in stores {
        store.close().await;
    }
    for (mut admin, database) in databases {
        let drop = format!("DROP DATABASE {database} WITH (FORCE)");
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await.unwrap();
    }
}

async fn open(location: &Location) -> Store {
    Store::open(location, Preparation::CreateOrMigrate, Timestamp::from_seconds(NOW)).await.unwrap()
}

fn random(number: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&scatter(number).to_be_bytes());
    bytes
}

/// Neighbours far apart, so that an index is met in no order.
fn scatter(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn account(number: u64) -> AccountId {
    AccountId::new(Timestamp::from_seconds(NOW), random(number))
}

fn project(number: u64) -> ProjectId {
    ProjectId::new(Timestamp::from_seconds(NOW), random(number))
}

fn fingerprint(number: u64) -> Fingerprint {
    let mut bytes = [0; 32];
    for (part, chunk) in (0..).zip(bytes.chunks_exact_mut(8)) {
        chunk.copy_from_slice(&scatter(number.wrapping_mul(4) + part).to_be_bytes());
    }
    Fingerprint::from_bytes(bytes)
}

async fn fill(mut raw: Raw, accounts: u64) {
    let blob = match raw {
        Raw::Sqlite(_) => format!("X'{}'", "00".repeat(51)),
        Raw::Postgres(_) => format!("'\\x{}'", "00".repeat(51)),
    };
    let truth = match raw {
        Raw::Sqlite(_) => "0",
        Raw::Postgres(_) => "FALSE",
    };
    raw.run("BEGIN").await;
    let row = |n| format!("('{}', 'user{n}', 'active', {truth}, 0)", account(n));
    raw.insert("accounts (id, name, state, admin, created)", accounts, row).await;
    let row = |n| format!("('{}', 'project{n}', 'Project', 'active', 'process', '{{}}', 0)", project(n));
    let columns = "projects (id, alias, title, state, environment_kind, environment_settings, created)";
    raw.insert(columns, accounts / MEMBERS_EACH, row).await;
    let row = |n| format!("('{}', '{}', 'collaborator', 0)", project(n / MEMBERS_EACH), account(n));
    raw.insert("members (project, account, role, added)", accounts, row).await;
    let row = |n| {
        let (id, holder, fingerprint) = (account(n), account(n / KEYS_EACH), fingerprint(n));
        format!(
            "('{id}', '{holder}', '{holder}', 'laptop', 'ssh-ed25519', {blob}, '{fingerprint}', 'MD5:00', 0, {truth})"
        )
    };
    let columns =
        "public_keys (id, account, holder, title, algorithm, blob, fingerprint, md5_fingerprint, created,
                                expiry_recorded)";
    raw.insert(columns, accounts * KEYS_EACH, row).await;
    raw.run("COMMIT").await;
    raw.run("ANALYZE").await;
}

impl Raw {
    async fn insert(&mut self, table: &str, count: u64, row: impl Fn(u64) -> String) {
        for first in (0..count).step_by(500) {
            let mut sql = format!("INSERT INTO {table} VALUES ");
            for number in first..count.min(first + 500) {
                let comma = if number == first { "" } else { ", " };
                write!(sql, "{comma}{}", row(number)).unwrap();
            }
            self.run(&sql).await;
        }
    }

    async fn run(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(connection) => sqlx::raw_sql(sql).execute(connection).await.map(drop).unwrap(),
            Self::Postgres(connection) => sqlx::raw_sql(sql).execute(connection).await.map(drop).unwrap(),
        }
    }
}

async fn measure(database: &str, store: &Store, accounts: u64) {
    let keys = accounts * KEYS_EACH;
    let questions = [
        "member, project by id",
        "member, project by alias",
        "not a member",
        "unknown key",
        "unknown project",
        "both unknown",
        "owners of a fingerprint",
    ];
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); questions.len()];
    for round in 0..ROUNDS {
        let number = scatter(round) % keys;
        let own = number / KEYS_EACH / MEMBERS_EACH;
        let other = (own + 1) % (accounts / MEMBERS_EACH);
        let id = project(own).to_string();
        let nowhere = project(accounts + round).to_string();
        let cases = [
            (id.as_str(), fingerprint(number), true),
            (&format!("project{own}"), fingerprint(number), true),
            (&project(other).to_string(), fingerprint(number), false),
            (&id, fingerprint(keys + round), false),
            (&nowhere, fingerprint(number), false),
            (&nowhere, fingerprint(keys + round), false),
        ];
        for (case, (name, fingerprint, enters)) in cases.into_iter().enumerate() {
            let begin = Instant::now();
            let access =
                store.access().by_key(name, fingerprint, Timestamp::from_seconds(NOW)).await.unwrap();
            times[case].push(begin.elapsed());
            let is_member = access.owners.iter().any(|owner| owner.account.role.is_some());
            assert_eq!(access.project.is_some() && is_member, enters, "{}", questions[case]);
        }
        let begin = Instant::now();
        let found = store.keys().find_by_fingerprint(fingerprint(number)).await.unwrap();
        times[6].push(begin.elapsed());
        assert_eq!(found.len(), 1);
    }
    for (question, times) in questions.iter().zip(&mut times) {
        times.sort_unstable();
        let at = |percent: usize| times[times.len() * percent / 100].as_micros();
        println!("| {database} | {accounts} | {keys} | {question} | {} | {} |", at(50), at(95));
    }
}
