//! A PostgreSQL server for one test, which may kill it: a cluster as it is installed, with full durability.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::program::program;

/// The system's user for PostgreSQL, which refuses root.
const USER: &str = "postgres";
/// For a start, which may have to replay what was written before a crash.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server, reachable by a Unix socket only. Its superuser is `hop`, without a password.
#[derive(Debug)]
pub struct OwnPostgres {
    folder: TempDir,
    server: Child,
}

impl OwnPostgres {
    /// Makes a cluster and starts its server. Panics with what the server says when it does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("hop-pg-").tempdir().expect("create a temporary folder");
        // Whoever connects passes through to the socket.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).expect("open the folder");
        if is_root() {
            let (uid, gid) = ids_of(USER);
            chown(folder.path(), Some(uid), Some(gid)).expect("give the folder to PostgreSQL's user");
        }
        let made = as_its_user("/usr/lib/postgresql/15/bin/initdb")
            .arg("-D")
            .arg(folder.path().join("data"))
            .args(["-U", "hop", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"])
            .output()
            .expect("run initdb");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let server = launch(folder.path());
        Self { folder, server }
    }

    /// The connection URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://hop@localhost/postgres?host={}", self.folder.path().display())
    }

    /// Kills all its processes, as a machine that runs out of memory does.
    pub fn kill(&mut self) {
        let main = self.server.id();
        let children = Command::new(program("pgrep")).args(["-P", &main.to_string()]).output();
        let children = String::from_utf8(children.expect("run pgrep").stdout).expect("numbers");
        // Without the first one nobody starts the others again.
        self.server.kill().expect("kill the server");
        self.server.wait().expect("wait for the server");
        let _some_end_by_themselves =
            Command::new("kill").arg("-9").args(children.lines()).stderr(Stdio::null()).status();
        let start = Instant::now();
        while children.lines().any(is_alive) {
            assert!(start.elapsed() < PATIENCE, "a process of PostgreSQL does not die: {children}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts the server again on the same data.
    pub fn start_again(&mut self) {
        self.server = launch(self.folder.path());
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        // Without the first process the others end.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Starts the server and waits until it says that it is ready.
fn launch(folder: &Path) -> Child {
    let mut server = as_its_user("/usr/lib/postgresql/15/bin/postgres")
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder)
        .args(["-c", "listen_addresses=", "-c", "shared_buffers=32MB", "-c", "max_connections=50"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("start PostgreSQL");
    let log = BufReader::new(server.stderr.take().expect("piped"));
    let (ready, is_ready) = mpsc::channel();
    // Reads to the end, so that the server never waits for us.
    std::thread::spawn(move || {
        let mut said = String::new();
        for line in log.lines().map_while(Result::ok) {
            if line.contains("database system is ready to accept connections") {
                let _nobody_waits_again = ready.send(Ok(()));
            }
            if said.len() < 64 * 1024 {
                said.push_str(&line);
                said.push('\n');
            }
        }
        let _it_was_ready = ready.send(Err(said));
    });
    match is_ready.recv_timeout(PATIENCE) {
        Ok(Ok(())) => server,
        Ok(Err(said)) => panic!("PostgreSQL does not start:\n{said}"),
        Err(error) => panic!("PostgreSQL is not ready: {error}"),
    }
}

/// A program of PostgreSQL's as the user that may run it; it ends with us.
fn as_its_user(command: &str) -> Command {
    let mut as_user = Command::new(program("setpriv"));
    if is_root() {
        as_user.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--init-groups"]);
    }
    as_user.args(["--pdeathsig=KILL", "--"]).arg(program(command)).current_dir("/").stdin(Stdio::null());
    as_user.stdout(Stdio::null());
    as_user
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn ids_of(name: &str) -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let line = users.lines().find(|line| line.split(':').next() == Some(name));
    let line =
        line.unwrap_or_else(|| panic!("there is no user {name}: install the Debian package postgresql"));
    let mut numbers = line.split(':').skip(2).map(|number| number.parse().expect("a number"));
    (numbers.next().expect("a user"), numbers.next().expect("a group"))
}

/// Whether a process has not ended; one that nobody waited for has.
fn is_alive(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
