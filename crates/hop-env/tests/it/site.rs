//! A keeper in process, its socket, and an endpoint that runs what it is told.

use hop_env::socket::SocketAccess;
use hop_env::{Environments, Isolation, Keeper, KeeperError, KeeperSettings, ProjectKey, RunAs};
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// In hop's place: as `proxy-port` the real one that is in the home; as an endpoint, one that takes one line, a script
/// as a JSON string, and answers with what it printed.
const FAKE_HOP: &str = r#"#!/usr/bin/python3
import json, os, socket, subprocess, sys, threading
if sys.argv[1] == "proxy-port":
    real = os.path.expanduser("~/real-hop")
    os.execv(real, [real] + sys.argv[1:])
with open(os.path.expanduser("~/descriptors"), "w") as descriptors:
    print(*sorted(os.listdir("/proc/self/fd")), file=descriptors)
listener = socket.socket(fileno=0)
with open(os.path.expanduser("~/starts"), "a") as starts:
    starts.write("started\n")
def serve(connection):
    line = connection.makefile("rb").readline()
    if line:
        command = ["/bin/bash", "-c", json.loads(line)]
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        connection.sendall(ran.stdout)
    connection.close()
while True:
    threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
"#;

/// Whether the tests are root: then each project has a uid of its own.
pub(crate) fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says where the uids of a keeper begin that follows another.
pub(crate) const FIRST_UID: &str = "HOP_ENV_FIRST_UID";

/// Names the `hop` that builds walls instead of bubblewrap.
pub(crate) const BUILDER: &str = "HOP_ENV_BUILDER";

/// Uids that other tests do not use at the same time: a keeper ends what is left of its projects' users.
pub(crate) fn uids() -> Option<RangeInclusive<u32>> {
    static TESTS: AtomicU32 = AtomicU32::new(0);
    // Each test has a thread of its own.
    thread_local!(static TEST: u32 = TESTS.fetch_add(1, Ordering::Relaxed));
    let said = std::env::var(FIRST_UID).ok().and_then(|said| said.parse::<u32>().ok());
    let own = 300_000 + std::process::id() % 10_000 * 1000 + TEST.with(|test| test % 100) * 10;
    let first = said.unwrap_or(own);
    root().then(|| first..=first + 9)
}

/// A site's folder with a keeper in it.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) environments: Environments,
    stop: CancellationToken,
    serving: Option<JoinHandle<Result<(), KeeperError>>>,
}

pub(crate) fn key(number: u8) -> ProjectKey {
    ProjectKey::parse(&format!("{number:032x}")).unwrap()
}

impl Site {
    /// With the fake endpoint and the usual settings.
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut KeeperSettings)) -> Self {
        let folder = folder();
        let mut settings = settings(folder.path()).await;
        change(&mut settings);
        Self::serve(folder, settings)
    }

    pub(crate) fn serve(folder: TempDir, settings: KeeperSettings) -> Self {
        let socket = folder.path().join("keeper.sock");
        let listener = hop_env::socket::bind(&socket, SocketAccess::PRIVATE).unwrap();
        let keeper = Keeper::new(settings).unwrap();
        let stop = CancellationToken::new();
        let token = stop.clone();
        let own = rustix::process::geteuid().as_raw();
        let serving = tokio::spawn(async move { keeper.serve(listener, &[own], token).await });
        Self { folder, environments: Environments::at(socket), stop, serving: Some(serving) }
    }

    /// Asks the keeper to end, and waits until it has.
    pub(crate) async fn end(&mut self) {
        self.stop.cancel();
        self.serving.take().unwrap().await.unwrap().unwrap();
    }

    pub(crate) fn home(&self, key: &ProjectKey) -> PathBuf {
        self.folder.path().join("projects").join(key.as_str()).join("home")
    }

    /// How often a project's endpoint was started.
    pub(crate) fn starts(&self, key: &ProjectKey) -> usize {
        std::fs::read_to_string(self.home(key).join("starts")).unwrap_or_default().lines().count()
    }

    /// Runs a script inside a project.
    pub(crate) async fn run(&self, key: &ProjectKey, script: &str) -> String {
        run(self.environments.enter(key).await.unwrap(), script).await
    }
}

/// Runs a script at the other end of a connection.
pub(crate) async fn run(mut stream: UnixStream, script: &str) -> String {
    let line = serde_json::to_string(script).unwrap() + "\n";
    stream.write_all(line.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut said))
        .await
        .expect("the script hangs")
        .unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

/// Waits for something that happens soon or never.
pub(crate) async fn soon<T>(happening: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), happening).await.expect("it does not happen")
}

/// Waits until something that has no event of its own is so.
pub(crate) async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(15), waiting).await.is_ok(), "never: {what}");
}

/// A folder that projects' users may pass through.
pub(crate) fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

/// The usual settings for a keeper in this folder, with the fake endpoint.
pub(crate) async fn settings(folder: &Path) -> KeeperSettings {
    let run_as = match uids() {
        Some(range) => RunAs { uid: *range.start(), gid: *range.start() },
        None => RunAs { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() },
    };
    let isolation = match std::env::var_os(BUILDER) {
        Some(hop) => Isolation::build(run_as, Path::new(&hop)).await.unwrap(),
        None => Isolation::detect(run_as).await.expect("install the Debian package bubblewrap"),
    };
    assert!(Path::new("/usr/bin/python3").exists(), "install the Debian package python3");
    let hop = folder.join("hop");
    std::fs::write(&hop, FAKE_HOP).unwrap();
    std::fs::set_permissions(&hop, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut settings = KeeperSettings::new(isolation, hop, folder.join("projects"), folder.join("run"));
    settings.uids = uids();
    settings
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
