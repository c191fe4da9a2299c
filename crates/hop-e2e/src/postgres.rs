//! A PostgreSQL server of the tests' own: a new cluster in a private folder, reachable by a Unix socket only.
//!
//! All test processes of one target folder share one server. It ends, and its folder goes, when the last of them has
//! ended in whatever way: each holds a shared lock on a file, and a shell that waits for the exclusive one stops the
//! server.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::{program, target_folder};

/// A running server. Its superuser is `hop`, without a password.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    /// Its lock keeps the server.
    _user: File,
}

/// Prints the folder once the server answers, then waits on its standard input, which is the file of the lock.
/// Durability is off: a test's cluster does not outlive a power failure.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
initdb=$1 pg_ctl=$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/hop-pg-XXXXXX") || exit 1
if "$initdb" -D "$dir/data" -U hop --auth=trust --no-sync -E UTF8 --locale=C >"$dir/log" 2>&1 &&
    "$pg_ctl" -D "$dir/data" -w -l "$dir/server.log" start >>"$dir/log" 2>&1 \
        -o "-c listen_addresses= -c unix_socket_directories=$dir -c fsync=off -c synchronous_commit=off" \
        -o "-c full_page_writes=off -c shared_buffers=64MB -c max_connections=200"
then
    echo "$dir"
    exec >/dev/null 2>&1
    flock --exclusive 0
else
    cat "$dir/log" "$dir/server.log" >&2
fi
"$pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1
rm -rf "$dir"
"#;

impl Postgres {
    /// The server of this target folder; starts it if this is the first process that asks. Panics with the server's log
    /// when it does not start, and with the Debian package's name when it is not installed.
    #[must_use]
    pub fn shared() -> Self {
        let folder = target_folder().join("tmp");
        std::fs::create_dir_all(&folder).expect("create the folder for the server's locks");
        let open = |name: &str| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.open(folder.join(name)).expect("open a lock file")
        };
        // One at a time looks and starts.
        let (door, user) = (open("postgres-door"), open("postgres-users"));
        door.lock().expect("lock the door");
        // Waits while an old server is being stopped.
        user.lock_shared().expect("lock the server");
        let note = folder.join("postgres-folder");
        let running = std::fs::read_to_string(&note).map(PathBuf::from).unwrap_or_default();
        if UnixStream::connect(running.join(".s.PGSQL.5432")).is_ok() {
            return Self { folder: running, _user: user };
        }
        let started = start(open("postgres-users"));
        std::fs::write(&note, started.as_os_str().as_encoded_bytes()).expect("note the server's folder");
        Self { folder: started, _user: user }
    }

    /// The folder of its socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The connection URL of one of its databases.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://hop@localhost/{database}?host={}", self.folder.display())
    }
}

/// Starts a server that stops when `users` can be locked exclusively.
#[expect(
    clippy::zombie_processes,
    reason = "the shell outlives this process, to stop the server after the last one"
)]
fn start(users: File) -> PathBuf {
    let initdb = program("/usr/lib/postgresql/15/bin/initdb");
    let pg_ctl = program("/usr/lib/postgresql/15/bin/pg_ctl");
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let mut command = if is_root {
        // initdb refuses root; the package brings a user for it.
        let mut command = Command::new(program("setpriv"));
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    command.args(["-c", SCRIPT, "sh"]).arg(initdb).arg(pg_ctl).current_dir("/");
    // A group of its own: it goes on when the first test ends or is interrupted.
    let mut shell = command
        .process_group(0)
        .stdin(users)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start a shell for PostgreSQL");
    let mut line = String::new();
    let stdout = shell.stdout.take().expect("piped");
    let _ = BufReader::new(stdout).read_line(&mut line);
    let folder = PathBuf::from(line.trim_end());
    if folder.as_os_str().is_empty() {
        let output = shell.wait_with_output().expect("wait for the shell");
        panic!("PostgreSQL does not start:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    folder
}
