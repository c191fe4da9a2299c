//! A site in a folder: store, gateway, two accounts, two projects.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hop_e2e::server::hop_binary;
use hop_env::{Environments, Isolation, Keeper, KeeperSettings, ProjectKey, RunAs, State};
use hop_gateway::{Clock, EarlierRuns, Gateway, GatewayConfig, Limits, UserCa};
use hop_keys::{KeyAlgorithm, PrivateKey, SourceAddresses};
use hop_ssh::{HostKey, RekeyLimits, ServerConfig};
use hop_store::{
    AccountId, AccountName, Actor, Alias, Change, Environment, GatewayId, KeyId, KeyOwner, Location,
    NewAccount, NewKey, NewProject, Preparation, ProjectId, Role, SessionFilter, SshSession, Store, Through,
    Timestamp, Title,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The alias of the first project.
pub(crate) const FIRST: &str = "first-one";

/// An account with its key.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) account: AccountId,
    pub(crate) key: KeyId,
    pub(crate) private: PathBuf,
}

pub(crate) struct Site {
    pub(crate) directory: TempDir,
    pub(crate) address: SocketAddr,
    location: Location,
    host_key: String,
    /// `ALGORITHM BASE64`.
    pub(crate) host_key_line: String,
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

/// What a test wants to be different.
pub(crate) struct Options {
    pub(crate) limits: Limits,
    pub(crate) user_ca: UserCa,
    pub(crate) clock: Clock,
    /// Runs when a session gets its id: after its key was proved, before it is registered.
    pub(crate) at_new_session: Arc<dyn Fn() + Send + Sync>,
    /// How long an environment stays when nobody is connected.
    pub(crate) idle_stop: Option<Duration>,
    /// A PostgreSQL database instead of a SQLite file.
    pub(crate) database: Option<String>,
    /// Load balancers.
    pub(crate) proxies: Option<SourceAddresses>,
    /// When the gateway replaces keys.
    pub(crate) rekey: RekeyLimits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            user_ca: UserCa::default(),
            clock: Clock::new(now),
            at_new_session: Arc::new(|| {}),
            idle_stop: None,
            database: None,
            proxies: None,
            rekey: RekeyLimits::default(),
        }
    }
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
}

/// Different each time is all that the tests need.
pub(crate) fn random() -> [u8; 10] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; 10];
    let (front, _) = bytes.split_at_mut(8);
    front.copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let directory = TempDir::new().unwrap();
        // Projects run as users of their own and must get to their homes.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let private = directory.path().join("site");
        std::fs::create_dir(&private).unwrap();
        std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
        let location = match &options.database {
            None => Location::Sqlite { path: private.join("site.db") },
            Some(url) => Location::Postgres { url: url.clone() },
        };
        let store = Store::open(&location, Preparation::CreateOrMigrate, now()).await.unwrap();

        let mut change = change(&store).await;
        let ada = person(&mut change, directory.path(), "ada").await;
        let bob = person(&mut change, directory.path(), "bob").await;
        let eve = person(&mut change, directory.path(), "eve").await;
        let (first, second) = (ProjectId::new(now(), random()), ProjectId::new(now(), random()));
        for (id, alias, title) in [(first, FIRST, "First"), (second, "second-one", "Second")] {
            let new = NewProject {
                id,
                alias: Some(Alias::parse(alias).unwrap()),
                title: Title::parse(title).unwrap(),
                environment: Environment { kind: "process".to_owned(), settings: serde_json::json!({}) },
                owner: ada.account,
            };
            change.projects().add(&new).await.unwrap();
        }
        change.members().add(first, bob.account, Role::Collaborator).await.unwrap();
        change.commit().await.unwrap();

        let stop = CancellationToken::new();
        let host_key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let host_key_line = host_key.public().to_line("");
        let host_key_text = host_key.to_openssh("").to_string();
        let environments = environments(directory.path(), &options, &host_key_line, stop.clone()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let at_new_session = options.at_new_session;
        let mut ssh = ServerConfig::new(vec![HostKey::new(host_key)]);
        ssh.rekey = options.rekey;
        let config = GatewayConfig {
            ssh: Arc::new(ssh),
            store: store.clone(),
            environments: environments.clone(),
            user_ca: options.user_ca,
            clock: options.clock,
            random: Arc::new(move || {
                at_new_session();
                random()
            }),
            gateway: GatewayId::new(now(), random()),
            project_doors: true,
            earlier: EarlierRuns::One(None),
            proxies: options.proxies,
            limits: options.limits,
        };
        let token = stop.clone();
        tokio::spawn(async move { Gateway::new(config).serve(vec![listener], token).await.unwrap() });
        let host_key = host_key_text;
        Self {
            directory,
            address,
            location,
            host_key,
            host_key_line: host_key_line.trim().to_owned(),
            store,
            environments,
            ada,
            bob,
            eve,
            first,
            second,
            stop,
        }
    }

    /// Another gateway of this site, with a store handle of its own.
    pub(crate) async fn second_gateway(&self, earlier: EarlierRuns) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let host_key = PrivateKey::from_openssh(&self.host_key, None).unwrap();
        let config = GatewayConfig {
            ssh: Arc::new(ServerConfig::new(vec![HostKey::new(host_key)])),
            store: self.other_process().await,
            environments: self.environments.clone(),
            user_ca: UserCa::default(),
            clock: Clock::new(now),
            random: Arc::new(random),
            gateway: GatewayId::new(now(), random()),
            project_doors: false,
            earlier,
            proxies: None,
            limits: Limits::default(),
        };
        let token = self.stop.clone();
        tokio::spawn(async move { Gateway::new(config).serve(vec![listener], token).await.unwrap() });
        address
    }

    /// The store as another process has it: what is changed by it reaches the gateway by the database alone.
    pub(crate) async fn other_process(&self) -> Store {
        Store::open(&self.location, Preparation::ExpectCurrent, now()).await.unwrap()
    }

    /// A file in a project's home, seen from outside.
    pub(crate) fn in_home(&self, project: ProjectId, name: &str) -> PathBuf {
        self.directory.path().join("projects").join(project.to_string()).join("home").join(name)
    }

    /// Makes a project's next start wait until its home has the file `go`. It must have been started before.
    pub(crate) async fn slow_down(&self, project: ProjectId) {
        let kept = self.in_home(project, "real-hop");
        std::fs::copy(hop_binary(), &kept).unwrap();
        std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o755)).unwrap();
        let script =
            "while [ ! -e /home/project/go ]; do sleep 0.05; done\nexec /home/project/real-hop \"$@\"\n";
        self.replace_hop(project, script).await;
    }

    /// Stops a project; its next start runs this script.
    pub(crate) async fn replace_hop(&self, project: ProjectId, script: &str) {
        self.environments.stop(&ProjectKey::parse(&project.to_string()).unwrap()).await.unwrap();
        let hop = self.directory.path().join("hop");
        std::fs::remove_file(&hop).unwrap();
        std::fs::write(&hop, format!("#!/bin/sh\n{script}")).unwrap();
        std::fs::set_permissions(&hop, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Whether anything of a project runs.
    pub(crate) async fn is_running(&self, project: ProjectId) -> bool {
        let key = ProjectKey::parse(&project.to_string()).unwrap();
        self.environments.state(&key).await.unwrap() != State::Stopped
    }

    pub(crate) async fn change(&self) -> Change {
        change(&self.store).await
    }

    /// A client's configuration in which the host `gateway` is this site's, and `jump` its door to others. The key of
    /// `inner` is shown to every other host.
    pub(crate) fn config_of(&self, person: &Person, inner: &Person) -> PathBuf {
        let path = self.directory.path().join(format!("{}-{}.config", person.name, inner.name));
        if path.exists() {
            return path;
        }
        let known_hosts = self.directory.path().join("known_hosts");
        let text = format!(
            "Host gateway\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {outer}\n\
             Host * !gateway\n  IdentityFile {inner}\n\
             Host *\n  BatchMode yes\n  StrictHostKeyChecking no\n  IdentitiesOnly yes\n  \
             IdentityAgent none\n  ControlPath none\n  UserKnownHostsFile {known_hosts}\n",
            port = self.address.port(),
            outer = person.private.display(),
            inner = inner.private.display(),
            known_hosts = known_hosts.display(),
        );
        // In one piece: other clients may be starting.
        let made = tempfile::NamedTempFile::new_in(self.directory.path()).unwrap();
        std::fs::write(made.path(), text).unwrap();
        made.persist(&path).unwrap();
        path
    }

    fn command(&self, program: &str, person: &Person) -> Command {
        let mut command = Command::new(program);
        command.arg("-F").arg(self.config_of(person, person)).stdin(Stdio::null());
        command
    }

    /// Runs ssh as a person, to a user name at the gateway.
    pub(crate) async fn ssh(&self, person: &Person, user: &str, words: &[&str]) -> Output {
        let mut command = self.command("ssh", person);
        command.arg(format!("{user}@gateway")).args(words);
        output(command).await
    }

    /// Runs ssh as a person with these words behind the configuration.
    pub(crate) async fn ssh_words(&self, person: &Person, words: &[&str]) -> Output {
        let mut command = self.command("ssh", person);
        command.args(words);
        output(command).await
    }

    /// Starts ssh as a person and leaves it running; its output is to be read.
    pub(crate) fn ssh_running(&self, person: &Person, user: &str, words: &[&str]) -> Child {
        let mut command = self.command("ssh", person);
        command.arg(format!("{user}@gateway")).args(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts ssh as a person with these words behind the configuration, and leaves it running with a pipe for input.
    pub(crate) fn running(&self, program: &str, person: &Person, words: &[&str]) -> Child {
        let mut command = self.command(program, person);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("install the Debian package openssh-client")
    }

    /// Runs sftp with a batch.
    pub(crate) async fn sftp(&self, person: &Person, user: &str, batch: &str) -> Output {
        let file = self.directory.path().join("batch");
        std::fs::write(&file, batch).unwrap();
        let mut command = self.command("sftp", person);
        command.arg("-b").arg(file).arg(format!("{user}@gateway"));
        output(command).await
    }

    /// How many sessions of a project are on record as live.
    pub(crate) async fn live(&self, project: ProjectId) -> usize {
        let filter = SessionFilter::Project(project);
        self.store.ssh_sessions().list_live(filter, 100).await.unwrap().len()
    }

    /// Every session of a project, once none is live: rows are closed a moment after the client has seen the end.
    pub(crate) async fn sessions_of(&self, project: ProjectId) -> Vec<SshSession> {
        let filter = SessionFilter::Project(project);
        while !self.store.ssh_sessions().list_live(filter, 100).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.store.ssh_sessions().list(filter, None, 100).await.unwrap()
    }
}

/// The first line that a running client prints; its output stays open as long as the reader.
pub(crate) async fn first_line(client: &mut Child) -> (String, BufReader<ChildStdout>) {
    let mut output = BufReader::new(client.stdout.take().unwrap());
    let read = move || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        (line, output)
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

/// Waits until a client has complained about something with these words; returns all it said so far.
pub(crate) async fn said(client: &mut Child, words: &'static str) -> (String, BufReader<ChildStderr>) {
    let mut errors = BufReader::new(client.stderr.take().unwrap());
    let read = move || {
        let mut all = String::new();
        while !all.contains(words) {
            assert!(errors.read_line(&mut all).unwrap() > 0, "it said only: {all}");
        }
        (all, errors)
    };
    let reading = tokio::task::spawn_blocking(read);
    tokio::time::timeout(Duration::from_secs(30), reading).await.expect("it does not say so").unwrap()
}

/// Waits for a client to end: its status, what it complained about, and how long that took.
pub(crate) async fn ended(mut client: Child) -> (ExitStatus, String, Duration) {
    let start = Instant::now();
    let wait = move || {
        let mut said = String::new();
        client.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (client.wait().unwrap(), said, start.elapsed())
    };
    let waiting = tokio::task::spawn_blocking(wait);
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it goes on").unwrap()
}

/// Runs a program to its end.
pub(crate) async fn output(mut command: Command) -> Output {
    let run = move || command.output().expect("install the Debian package openssh-client");
    tokio::task::spawn_blocking(run).await.unwrap()
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) async fn change(store: &Store) -> Change {
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
    Person { name: name.to_owned(), account, key, private }
}

/// A keeper in this process: the other side of the socket.
async fn environments(
    directory: &Path,
    options: &Options,
    host_key: &str,
    stop: CancellationToken,
) -> Environments {
    let is_root = rustix::process::geteuid().is_root();
    // A keeper ends what it finds of its uids: each test process has its own, and each of its sites.
    static SITES: AtomicU32 = AtomicU32::new(0);
    let site = SITES.fetch_add(1, Ordering::Relaxed) % 16;
    let first_uid = 1_000_000 + (std::process::id() % 100_000) * 1024 + site * 64;
    let run_as = match is_root {
        true => RunAs { uid: first_uid, gid: first_uid },
        false => RunAs { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() },
    };
    let isolation = Isolation::detect(run_as).await.expect("install the Debian package bubblewrap");
    let hop = directory.join("hop");
    // Where the projects' user gets to it, whatever the modes on the way to the build.
    if std::fs::hard_link(hop_binary(), &hop).is_err() {
        std::fs::copy(hop_binary(), &hop).unwrap();
    }
    let runtime = directory.join("r");
    let mut settings = KeeperSettings::new(isolation, hop, directory.join("projects"), runtime);
    settings.uids = is_root.then_some(first_uid..=first_uid + 63);
    settings.idle_stop = options.idle_stop;
    settings.start_timeout = Duration::from_secs(300);
    settings.gateway_host_keys = vec![host_key.trim().to_owned()];
    let socket = directory.join("keeper.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let keeper = tokio::task::spawn_blocking(move || Keeper::new(settings).unwrap()).await.unwrap();
    let uid = rustix::process::geteuid().as_raw();
    tokio::spawn(async move { keeper.serve(listener, &[uid], stop).await.unwrap() });
    Environments::at(socket)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
