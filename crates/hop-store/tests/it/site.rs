//! One store for one test, and short ways to fill it.

use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hop_e2e::Postgres;
use hop_keys::{KeyAlgorithm, PrivateKey, PublicKey};
use hop_store::{
    AccountId, AccountName, Actor, Alias, Change, Environment, GatewayId, InvitationId, KeyId, KeyOwner,
    Location, NewAccount, NewKey, NewProject, Preparation, ProjectId, SignInLinkId, SshSessionId, Store,
    Timestamp, Title, Token, WebSessionId,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, SqlitePool};
use tempfile::TempDir;

/// Makes two tests of an `async fn NAME(site: Site)`: `NAME::sqlite` and `NAME::postgres`.
macro_rules! both {
    ($($name:ident)+) => {$(
        mod $name {
            #[tokio::test]
            async fn sqlite() {
                super::$name($crate::Site::sqlite().await).await;
            }

            #[tokio::test]
            async fn postgres() {
                let site = $crate::Site::postgres().await;
                let database = site.database();
                super::$name(site).await;
                $crate::site::drop_database(&database).await;
            }
        }
    )+};
}
pub(crate) use both;

/// A fresh store.
pub(crate) struct Site {
    pub(crate) store: Store,
    pub(crate) location: Location,
    /// Past all rules, as somebody with the database's own tools.
    pub(crate) raw: Raw,
    ids: AtomicU64,
    database: String,
    _folder: Option<TempDir>,
}

/// A connection without this crate.
pub(crate) enum Raw {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Seconds after the time at which every test begins.
pub(crate) fn at(seconds: i64) -> Timestamp {
    let begin = Timestamp::from_seconds(1_800_000_000);
    let span = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { begin.minus(span) } else { begin.plus(span) }
}

pub(crate) fn title(text: &str) -> Title {
    Title::parse(text).unwrap()
}

pub(crate) fn name(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

pub(crate) fn alias(text: &str) -> Alias {
    Alias::parse(text).unwrap()
}

/// A key that nobody else has.
pub(crate) fn new_key() -> PublicKey {
    PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().public().clone()
}

/// A folder for a SQLite file.
pub(crate) fn private_folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("hop-store-").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
    folder
}

fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(Postgres::shared)
}

/// A new database on the tests' server. Its locale sorts unlike bytes.
async fn create_database() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let database = format!("site_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
    let locale = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C' ENCODING 'UTF8'";
    on_server(format!("CREATE DATABASE {database} TEMPLATE template0 {locale}")).await;
    database
}

/// Takes a database away, whoever is still connected to it.
pub(crate) async fn drop_database(database: &str) {
    on_server(format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await;
}

async fn on_server(sql: String) {
    let mut connection = PgConnection::connect(&server().url("postgres")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A database without any table.
pub(crate) async fn empty_postgres() -> String {
    server().url(&create_database().await)
}

impl Site {
    pub(crate) async fn sqlite() -> Self {
        let folder = private_folder();
        let path = folder.path().join("site.sqlite");
        let location = Location::Sqlite { path: path.clone() };
        let store = Store::open(&location, Preparation::CreateOrMigrate, at(0)).await.unwrap();
        let raw = Raw::Sqlite(SqlitePool::connect(&format!("sqlite://{}", path.display())).await.unwrap());
        Self { store, location, raw, ids: AtomicU64::new(0), database: String::new(), _folder: Some(folder) }
    }

    pub(crate) async fn postgres() -> Self {
        let database = create_database().await;
        let url = server().url(&database);
        let location = Location::Postgres { url: url.clone() };
        let store = Store::open(&location, Preparation::CreateOrMigrate, at(0)).await.unwrap();
        let raw = Raw::Postgres(PgPool::connect(&url).await.unwrap());
        Self { store, location, raw, ids: AtomicU64::new(0), database, _folder: None }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.raw, Raw::Sqlite(_))
    }

    /// The name of its database on the server.
    pub(crate) fn database(&self) -> String {
        self.database.clone()
    }

    /// The same store as another process sees it.
    pub(crate) async fn another_process(&self) -> Store {
        Store::open(&self.location, Preparation::ExpectCurrent, at(0)).await.unwrap()
    }

    /// A change by the site itself.
    pub(crate) async fn change(&self, now: Timestamp) -> Change {
        self.store.change(Actor::site(), now).await.unwrap()
    }

    /// Runs SQL past all rules.
    pub(crate) async fn run_raw(&self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.raw {
            Raw::Sqlite(pool) => sqlx::raw_sql(sql).execute(pool).await.map(drop),
            Raw::Postgres(pool) => sqlx::raw_sql(sql).execute(pool).await.map(drop),
        }
    }

    /// An active account that is no admin.
    pub(crate) async fn account(&self, text: &str) -> AccountId {
        let id = self.account_id();
        let mut change = self.change(at(0)).await;
        change.accounts().add(&NewAccount { id, name: name(text), admin: false }).await.unwrap();
        change.commit().await.unwrap();
        id
    }

    /// A project with its owner.
    pub(crate) async fn project(&self, owner: AccountId, alias: Option<Alias>) -> ProjectId {
        let new = self.new_project(owner, alias);
        let mut change = self.change(at(0)).await;
        change.projects().add(&new).await.unwrap();
        change.commit().await.unwrap();
        new.id
    }

    pub(crate) fn new_project(&self, owner: AccountId, alias: Option<Alias>) -> NewProject {
        let settings = serde_json::json!({ "network": "none" });
        let environment = Environment { kind: "process".to_owned(), settings };
        NewProject { id: self.project_id(), alias, title: title("A project"), environment, owner }
    }

    /// A key that its owner gets.
    pub(crate) async fn key(&self, owner: KeyOwner, key: &PublicKey, expires: Option<Timestamp>) -> KeyId {
        let id = self.key_id();
        let mut change = self.change(at(0)).await;
        change.keys().add(&NewKey { id, owner, title: title("laptop"), key, expires }).await.unwrap();
        change.commit().await.unwrap();
        id
    }

    pub(crate) fn token(&self) -> Token {
        let mut bytes = [0; 32];
        bytes[..10].copy_from_slice(&self.random());
        Token::from_bytes(bytes)
    }

    pub(crate) fn account_id(&self) -> AccountId {
        AccountId::new(at(0), self.random())
    }

    pub(crate) fn project_id(&self) -> ProjectId {
        ProjectId::new(at(0), self.random())
    }

    pub(crate) fn key_id(&self) -> KeyId {
        KeyId::new(at(0), self.random())
    }

    pub(crate) fn invitation_id(&self) -> InvitationId {
        InvitationId::new(at(0), self.random())
    }

    pub(crate) fn link_id(&self) -> SignInLinkId {
        SignInLinkId::new(at(0), self.random())
    }

    pub(crate) fn web_session_id(&self) -> WebSessionId {
        WebSessionId::new(at(0), self.random())
    }

    pub(crate) fn ssh_session_id(&self, started: Timestamp) -> SshSessionId {
        SshSessionId::new(started, self.random())
    }

    pub(crate) fn gateway_id(&self) -> GatewayId {
        GatewayId::new(at(0), self.random())
    }

    /// Never the same twice, and in order: enough for a test.
    fn random(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        let count = self.ids.fetch_add(1, Ordering::SeqCst) + 1;
        bytes[2..].copy_from_slice(&count.to_be_bytes());
        bytes
    }
}
