//! How long a refusal takes, by its reason: `cargo run --release -p hop-gateway --example take_alike -- [ROUNDS]` (default
//! 500 tries of each kind, interleaved, over loopback). Printed are the medians of the time from the last byte of the
//! request to the answer, for a key that is only asked about and for one that is proved, and the widest difference.
//! Nothing is asserted: what else the machine does shows in it.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement: it prints, and what goes wrong ends it"
)]

use hop_gateway::{Clock, EarlierRuns, Gateway, GatewayConfig, Limits, PenaltyLimits, UserCa};
use hop_keys::{KeyAlgorithm, PrivateKey};
use hop_ssh::{HostKey, ServerConfig};
use hop_store::{
    AccountId, AccountName, Actor, Environment, GatewayId, KeyId, KeyOwner, Location, NewAccount, NewKey,
    NewProject, Preparation, ProjectId, Role, Store, Through, Timestamp, Title,
};
use hop_testkit::raw::userauth::{Proof, probe, service_request, signed};
use hop_testkit::raw::{Heard, RawPeer};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

fn random() -> [u8; 10] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}

/// Somebody who is refused.
struct Case {
    what: &'static str,
    user: String,
    key: PrivateKey,
}

fn main() {
    let rounds: usize = std::env::args().nth(1).map_or(500, |text| text.parse().unwrap());
    let directory = tempfile::TempDir::new().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let path = directory.path().join("site.db");
    let (sender, receiver) = std::sync::mpsc::channel();
    // The gateway has a thread of its own; a refusal asks nothing of any environment.
    let keeper = directory.path().join("nobody");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let location = Location::Sqlite { path };
            let store = Store::open(&location, Preparation::CreateOrMigrate, now()).await.unwrap();
            let cases = fill(&store).await;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send((listener.local_addr().unwrap(), cases)).unwrap();
            gateway(store, keeper).serve(vec![listener], CancellationToken::new()).await.unwrap();
        });
    });
    let (address, cases) = receiver.recv().unwrap();
    for proves in [false, true] {
        let mut times = vec![Vec::with_capacity(rounds); cases.len()];
        // The first ones find cold caches.
        for round in 0..rounds + 20 {
            for turn in 0..cases.len() {
                // Another one begins each round: neighbours share what the store's connections remember.
                let at = (turn + round) % cases.len();
                let took = refusal(address, &cases[at], proves);
                if round >= 20 {
                    times[at].push(took);
                }
            }
        }
        println!(
            "{}, {rounds} each:",
            if proves { "a key that is proved" } else { "a key that is asked about" }
        );
        let mut medians = Vec::new();
        for (case, times) in cases.iter().zip(&mut times) {
            times.sort_unstable();
            let [low, median, high] = [1, 2, 3].map(|quarter| times[times.len() * quarter / 4]);
            println!(
                "  {:<18} median {:>7.1} µs   (quartiles {:.1}, {:.1})",
                case.what,
                micros(median),
                micros(low),
                micros(high)
            );
            medians.push(micros(median));
        }
        let least = medians.iter().copied().fold(f64::INFINITY, f64::min);
        let most = medians.iter().copied().fold(0.0, f64::max);
        println!("  widest difference  {:.1} %", (most / least - 1.0) * 100.0);
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// One connection, one request, one answer.
fn refusal(address: SocketAddr, case: &Case, proves: bool) -> Duration {
    let mut peer = RawPeer::connect(address, "test");
    peer.send(&service_request());
    peer.message();
    let blob = case.key.public().blob();
    let request = if proves {
        let session = peer.binding();
        let proof = Proof {
            algorithm: "ssh-ed25519",
            blob,
            key: &case.key,
            session: session.session_id(),
            host_key: None,
        };
        signed(&case.user, &proof)
    } else {
        probe(&case.user, "ssh-ed25519", blob)
    };
    let start = Instant::now();
    peer.send(&request);
    let Heard::Message(_) = peer.hear() else { panic!("{}: no answer", case.what) };
    start.elapsed()
}

fn gateway(store: Store, keeper: std::path::PathBuf) -> Gateway {
    let host_key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let penalties = PenaltyLimits { room: u32::MAX, project_room: u32::MAX, ..PenaltyLimits::default() };
    Gateway::new(GatewayConfig {
        ssh: Arc::new(ServerConfig::new(vec![HostKey::new(host_key)])),
        store,
        environments: hop_env::Environments::at(keeper),
        user_ca: UserCa::default(),
        clock: Clock::new(now),
        random: Arc::new(random),
        gateway: GatewayId::new(now(), random()),
        project_doors: false,
        earlier: EarlierRuns::All,
        proxies: None,
        limits: Limits { penalties, ..Limits::default() },
    })
}

/// Some accounts and projects, and one of each kind that is refused.
async fn fill(store: &Store) -> Vec<Case> {
    let actor = Actor { account: None, through: Through::Command, address: None };
    let mut change = store.change(actor, now()).await.unwrap();
    let mut people = Vec::new();
    for name in ["ada", "bob", "eve"] {
        let account = AccountId::new(now(), random());
        let new = NewAccount { id: account, name: AccountName::parse(name).unwrap(), admin: false };
        change.accounts().add(&new).await.unwrap();
        let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let new = NewKey {
            id: KeyId::new(now(), random()),
            owner: KeyOwner::Account(account),
            title: Title::parse("laptop").unwrap(),
            key: key.public(),
            expires: None,
        };
        change.keys().add(&new).await.unwrap();
        people.push((account, key));
    }
    let [(ada, ada_key), (bob, bob_key), (_, eve_key)] =
        people.try_into().unwrap_or_else(|_| panic!("three people"));
    let project = ProjectId::new(now(), random());
    let environment = Environment { kind: "process".to_owned(), settings: serde_json::json!({}) };
    let title = Title::parse("Project").unwrap();
    change
        .projects()
        .add(&NewProject { id: project, alias: None, title, environment, owner: ada })
        .await
        .unwrap();
    change.members().add(project, bob, Role::Collaborator).await.unwrap();
    change.accounts().suspend(bob).await.unwrap();
    change.commit().await.unwrap();
    let unknown = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let known = project.to_string();
    vec![
        Case { what: "unknown project", user: "00112233445566778899aabbccddeeff".to_owned(), key: ada_key },
        Case { what: "unknown key", user: known.clone(), key: unknown },
        Case { what: "no member", user: known.clone(), key: eve_key },
        Case { what: "suspended account", user: known, key: bob_key },
    ]
}
