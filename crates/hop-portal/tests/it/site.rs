//! A store in a private folder with operations on it, a clock that stands still until it is moved, and short ways to
//! fill it.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use hop_e2e::Postgres;
use hop_keys::{KeyAlgorithm, PrivateKey, PublicKey};
use hop_portal::operations::{
    Caller, Clock, KeyPlace, KeySource, Operations, PasswordCost, Passwords, Random, Rules,
};
use hop_store::{
    AccountId, AccountName, Alias, AuditFilter, GatewayId, KeyId, Location, NewSshSession, Preparation,
    ProjectId, SshSessionId, Store, Through, Timestamp, Title,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

/// A password that obeys the rules.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A site without pages.
pub(crate) struct Site {
    pub(crate) operations: Operations,
    pub(crate) random: Random,
    now: Arc<AtomicI64>,
    _folder: TempDir,
    _server: Option<Postgres>,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with_rules(Rules::default()).await
    }

    pub(crate) async fn with_rules(rules: Rules) -> Self {
        // The least that argon2 allows: most tests are not about its cost.
        let cost = PasswordCost { memory_kib: 8, passes: 1, at_once: 2 };
        Self::make(rules, cost, None).await
    }

    /// A site whose passwords cost what they do in earnest.
    pub(crate) async fn with_real_passwords() -> Self {
        Self::make(Rules::default(), PasswordCost::default(), None).await
    }

    /// A site on the tests' PostgreSQL server.
    pub(crate) async fn postgres() -> Self {
        let server = Postgres::shared();
        let database = format!("portal_{}", std::process::id());
        let mut connection = PgConnection::connect(&server.url("postgres")).await.unwrap();
        for sql in [
            format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"),
            format!("CREATE DATABASE {database} TEMPLATE template0"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        }
        let cost = PasswordCost { memory_kib: 8, passes: 1, at_once: 2 };
        Self::make(Rules::default(), cost, Some((server, database))).await
    }

    async fn make(rules: Rules, cost: PasswordCost, postgres: Option<(Postgres, String)>) -> Self {
        let folder = tempfile::Builder::new().prefix("hop-portal-").tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let begin = Timestamp::from_seconds(1_800_000_000);
        let location = match &postgres {
            None => Location::Sqlite { path: folder.path().join("site.sqlite") },
            Some((server, database)) => Location::Postgres { url: server.url(database) },
        };
        let store = Store::open(&location, Preparation::CreateOrMigrate, begin).await.unwrap();
        let now = Arc::new(AtomicI64::new(begin.as_micros()));
        let reading = now.clone();
        let clock: Clock = Arc::new(move || Timestamp::from_micros(reading.load(Ordering::SeqCst)));
        let random = counting();
        let passwords = Passwords::new(cost, &random);
        let operations = Operations::new(store, clock, random.clone(), rules, passwords);
        Self { operations, random, now, _folder: folder, _server: postgres.map(|(server, _)| server) }
    }

    pub(crate) fn store(&self) -> &Store {
        self.operations.store()
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, span: Duration) {
        self.now.fetch_add(i64::try_from(span.as_micros()).unwrap(), Ordering::SeqCst);
    }

    /// An account and its word.
    pub(crate) async fn account(&self, text: &str) -> (AccountId, Caller) {
        self.account_of(text, false).await
    }

    pub(crate) async fn admin(&self, text: &str) -> (AccountId, Caller) {
        self.account_of(text, true).await
    }

    async fn account_of(&self, text: &str, admin: bool) -> (AccountId, Caller) {
        let account = self.operations.add_account(&operator(), &name(text), admin).await.unwrap();
        (account.id, Caller::account(account.id, Through::Portal, Some([192, 0, 2, 7].into())))
    }

    pub(crate) async fn project(&self, owner: AccountId, alias: &str) -> ProjectId {
        let alias = (!alias.is_empty()).then(|| self::alias(alias));
        let title = title("A project");
        let made = self.operations.add_project(&operator(), owner, &title, alias.as_ref()).await.unwrap();
        made.id
    }

    /// A key of an account.
    pub(crate) async fn key(&self, account: AccountId) -> KeyId {
        let source = KeySource::Paste(new_key().to_line("laptop"));
        let place = KeyPlace::Account(account);
        let added = self.operations.add_keys(&operator(), place, None, &source, None).await.unwrap();
        added.added[0].id
    }

    /// A live SSH session.
    pub(crate) async fn ssh_session(&self, account: AccountId, project: ProjectId) -> SshSessionId {
        let id = SshSessionId::new(self.operations.now(), ten(&self.random));
        let new = NewSshSession {
            id,
            gateway: GatewayId::new(self.operations.now(), ten(&self.random)),
            account,
            project,
            source_project: None,
            key: None,
            key_fingerprint: new_key().fingerprint(),
            key_title: "laptop".to_owned(),
            client: ([198, 51, 100, 4], 50_022).into(),
            started: self.operations.now(),
        };
        self.store().ssh_sessions().open(&new).await.unwrap();
        id
    }

    /// The actions of the audit trail, newest first.
    pub(crate) async fn actions(&self) -> Vec<String> {
        let entries = self.store().audit().list(AuditFilter::All, None, 1_000).await.unwrap();
        entries.into_iter().map(|entry| entry.action).collect()
    }
}

/// Whoever runs the site.
pub(crate) fn operator() -> Caller {
    Caller::operator(Through::Command)
}

/// Somebody without an account.
pub(crate) fn visitor() -> Caller {
    Caller::visitor(Through::Portal, None)
}

pub(crate) fn name(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

pub(crate) fn title(text: &str) -> Title {
    Title::parse(text).unwrap()
}

pub(crate) fn alias(text: &str) -> Alias {
    Alias::parse(text).unwrap()
}

/// A key that nobody else has.
pub(crate) fn new_key() -> PublicKey {
    PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().public().clone()
}

/// Never the same twice: enough for a test.
fn counting() -> Random {
    let count = AtomicU64::new(1);
    Arc::new(move |bytes| {
        bytes.fill(0);
        let number = count.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        let from = bytes.len().saturating_sub(number.len());
        for (byte, value) in bytes[from..].iter_mut().zip(number) {
            *byte = value;
        }
    })
}

fn ten(random: &Random) -> [u8; 10] {
    let mut bytes = [0; 10];
    random(&mut bytes);
    bytes
}
