//! A site in a folder: store, gateway, two accounts, two projects.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use hop_e2e::server::hop_binary;
use hop_env::{Environments, Isolation, Limits as EnvLimits, Network, RunAs, Settings};
use hop_gateway::{Gateway, GatewayConfig, Limits};
use hop_keys::{KeyAlgorithm, PrivateKey};
use hop_ssh::{HostKey, ServerConfig};
use hop_store::{
    AccountId, AccountName, Actor, Change, Environment, GatewayId, KeyId, KeyOwner, Location, NewAccount,
    NewKey, NewProject, Preparation, ProjectId, Role, Store, Through, Timestamp, Title,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// An account with its key.
pub(crate) struct Person {
    pub(crate) account: AccountId,
    pub(crate) key: KeyId,
    pub(crate) private: PathBuf,
}

pub(crate) struct Site {
    pub(crate) directory: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) store: Store,
    pub(crate) environments: Environments,
    /// Owner of both projects.
    pub(crate) ada: Person,
    /// Collaborator of the first.
    pub(crate) bob: Person,
    /// Has an account and a key, and is no member of anything.
    pub(crate) eve: Person,
    pub(crate) first: ProjectId,
    pub(crate) second: ProjectId,
    stop: CancellationToken,
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
}

/// Different each time is all that the tests need.
fn random() -> [u8; 10] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; 10];
    let (front, _) = bytes.split_at_mut(8);
    front.copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}

impl Site {
    pub(crate) async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        // Projects run as users of their own and must get to their homes.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let private = directory.path().join("site");
        std::fs::create_dir(&private).unwrap();
        std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
        let location = Location::Sqlite { path: private.join("site.db") };
        let store = Store::open(&location, Preparation::CreateOrMigrate, now()).await.unwrap();

        let mut change = change(&store).await;
        let ada = person(&mut change, directory.path(), "ada").await;
        let bob = person(&mut change, directory.path(), "bob").await;
        let eve = person(&mut change, directory.path(), "eve").await;
        let (first, second) = (ProjectId::new(now(), random()), ProjectId::new(now(), random()));
        for (id, title) in [(first, "First"), (second, "Second")] {
            let new = NewProject {
                id,
                alias: None,
                title: Title::parse(title).unwrap(),
                environment: Environment { kind: "process".to_owned(), settings: serde_json::json!({}) },
                owner: ada.account,
            };
            change.projects().add(&new).await.unwrap();
        }
        change.members().add(first, bob.account, Role::Collaborator).await.unwrap();
        change.commit().await.unwrap();

        let environments = environments(directory.path()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let homes = directory.path().join("homes");
        std::fs::create_dir(&homes).unwrap();
        let host_key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let config = GatewayConfig {
            ssh: Arc::new(ServerConfig::new(vec![HostKey::new(host_key)])),
            store: store.clone(),
            environments: environments.clone(),
            place: Arc::new(move |project| Some(place(&homes, &project.id.to_string()))),
            clock: Arc::new(now),
            random: Arc::new(random),
            gateway: GatewayId::new(now(), random()),
            limits: Limits::default(),
        };
        let stop = CancellationToken::new();
        let token = stop.clone();
        tokio::spawn(async move { Gateway::new(config).serve(listener, token).await.unwrap() });
        Self { directory, address, store, environments, ada, bob, eve, first, second, stop }
    }

    pub(crate) async fn change(&self) -> Change {
        change(&self.store).await
    }

    fn command(&self, program: &str, person: &Person) -> Command {
        let mut command = Command::new(program);
        command
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "ControlPath=none"])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", self.directory.path().join("known_hosts").display()))
            .args(["-o", &format!("Port={}", self.address.port()), "-i"])
            .arg(&person.private)
            .stdin(Stdio::null());
        command
    }

    /// Runs ssh as a person, to a user name at the gateway.
    pub(crate) async fn ssh(&self, person: &Person, user: &str, words: &[&str]) -> Output {
        let mut command = self.command("ssh", person);
        command.arg(format!("{user}@127.0.0.1")).args(words);
        tokio::task::spawn_blocking(move || {
            command.output().expect("install the Debian package openssh-client")
        })
        .await
        .unwrap()
    }

    /// Starts ssh as a person and leaves it running; its output is to be read.
    pub(crate) fn ssh_running(&self, person: &Person, user: &str, words: &[&str]) -> Child {
        let mut command = self.command("ssh", person);
        command.arg(format!("{user}@127.0.0.1")).args(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs sftp with a batch.
    pub(crate) async fn sftp(&self, person: &Person, user: &str, batch: &str) -> Output {
        let file = self.directory.path().join("batch");
        std::fs::write(&file, batch).unwrap();
        let mut command = self.command("sftp", person);
        command.arg("-b").arg(file).arg(format!("{user}@127.0.0.1"));
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn change(store: &Store) -> Change {
    let actor = Actor { account: None, through: Through::Command, address: None };
    store.change(actor, now()).await.unwrap()
}

async fn person(change: &mut Change, directory: &Path, name: &str) -> Person {
    let account = AccountId::new(now(), random());
    let new = NewAccount { id: account, name: AccountName::parse(name).unwrap(), admin: false };
    change.accounts().add(&new).await.unwrap();
    let private = directory.join(format!("{name}.key"));
    let made = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    std::fs::write(&private, made.to_openssh(name).as_bytes()).unwrap();
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o600)).unwrap();
    let key = KeyId::new(now(), random());
    let new = NewKey {
        id: key,
        owner: KeyOwner::Account(account),
        title: Title::parse(&format!("{name}'s laptop")).unwrap(),
        key: made.public(),
        expires: None,
    };
    change.keys().add(&new).await.unwrap();
    Person { account, key, private }
}

fn run_as() -> RunAs {
    match rustix::process::geteuid().as_raw() {
        0 => RunAs { uid: 232_001, gid: 232_001 },
        uid => RunAs { uid, gid: rustix::process::getegid().as_raw() },
    }
}

async fn environments(directory: &Path) -> Environments {
    let isolation = Isolation::detect(run_as()).await.expect("install the Debian package bubblewrap");
    let hop = directory.join("hop");
    // Where the projects' user gets to it, whatever the modes on the way to the build.
    if std::fs::hard_link(hop_binary(), &hop).is_err() {
        std::fs::copy(hop_binary(), &hop).unwrap();
    }
    let runtime = directory.join("r");
    std::fs::create_dir(&runtime).unwrap();
    Environments::new(Settings {
        isolation,
        hop,
        runtime,
        network: Network::None,
        limits: EnvLimits::default(),
    })
}

fn place(homes: &Path, id: &str) -> hop_env::Project {
    let home = homes.join(id);
    let run_as = run_as();
    if !home.exists() {
        std::fs::create_dir(&home).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&home, Some(run_as.uid), Some(run_as.gid)).unwrap();
        }
    }
    hop_env::Project { id: id.to_owned(), user: "project".to_owned(), home, run_as }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
