//! What a tenant tries, from inside a project that the keeper started. Each thing that must fail is also done where
//! it must work, so that a test which tries nothing is noticed.
//!
//! Whoever runs the tests starts the projects; the tests at the end do all of it once more as an ordinary user when
//! that was root, and once more with our own walls instead of bubblewrap's.

use crate::requests::Killed;
use crate::site::{BUILDER, FIRST_UID, Site, eventually, key, root, run, uids};
use hop_env::{Environments, Isolation, Limits, Network, ProjectKey};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The words in every file that a tenant must not read.
const SECRET: &str = "SITE SECRET";

/// A site with secrets and two projects.
struct Stage {
    site: Site,
    mine: ProjectKey,
    other: ProjectKey,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut hop_env::KeeperSettings)) -> Self {
        let site = Site::with(change).await;
        let (mine, other) = (key(1), key(2));
        for secret in secrets(&site) {
            let folder = secret.parent().unwrap();
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).unwrap();
            std::fs::write(&secret, SECRET).unwrap();
            std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let stage = Self { site, mine, other };
        assert_eq!(stage.mine("echo ready").await, "ready\n");
        stage.other(&format!("echo {SECRET} > ~/diary")).await;
        stage
    }

    /// Runs a script in the attacker's project.
    async fn mine(&self, script: &str) -> String {
        self.site.run(&self.mine, script).await
    }

    /// Runs a script in the other project.
    async fn other(&self, script: &str) -> String {
        self.site.run(&self.other, script).await
    }
}

fn secrets(site: &Site) -> [PathBuf; 3] {
    ["site/site.sqlite", "site/host-keys/ssh_host_ed25519_key", "signer/user_ca"]
        .map(|name| site.folder.path().join(name))
}

#[tokio::test]
async fn a_project_is_somebody_without_rights() {
    // What this process was given by whoever started it, and what it may do by its groups.
    let _inherited = rustix::io::dup(std::fs::File::open("/proc/self/status").unwrap()).unwrap();
    if root() {
        rustix::thread::set_thread_groups(&[4, 24].map(rustix::process::Gid::from_raw)).unwrap();
    }
    let stage = Stage::new().await;
    let home = stage.site.home(&stage.mine);
    let (own, other) = (home.metadata().unwrap(), stage.site.home(&stage.other).metadata().unwrap());
    assert_eq!(own.mode() & 0o777, 0o700);
    let said = stage.mine("id -un; id -u; id -G; pwd; hostname; echo $HOME; cut -d: -f1 /etc/passwd").await;
    let (uid, host) = (own.uid(), &stage.mine.as_str()[..12]);
    assert_eq!(
        said,
        format!("project\n{uid}\n{uid}\n/home/project\n{host}\n/home/project\nproject\nnobody\n")
    );
    assert_ne!(uid, 0);
    assert_eq!(root(), own.uid() != other.uid(), "by root each project is somebody else");
    let status = stage.mine("cat /proc/self/status").await;
    for line in ["NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"] {
        assert!(status.contains(line), "{status}");
    }
    // Nothing of the keeper's was inherited but the endpoint's listener and where its output goes. (3 is the file
    // that this is written to, 4 the listing itself.)
    assert_eq!(
        stage.mine("cat ~/descriptors").await,
        "0 1 2 3 4
"
    );
    let environment = stage
        .mine("tr '\\0' '\\n' < /proc/$PPID/environ | cut -d= -f1 | grep -v PWD | sort | tr '\\n' ' '")
        .await;
    assert_eq!(environment, "HOME LANG LOGNAME PATH SHELL USER ");
}

#[tokio::test]
async fn the_hosts_and_the_sites_files_are_not_there() {
    let stage = Stage::new().await;
    for path in [
        "/etc/shadow",
        "/etc/ssh/ssh_host_ed25519_key",
        "/root",
        "/var",
        "/sys",
        "/boot",
        "/run/sshd",
        "/srv",
    ] {
        let said = stage.mine(&format!("ls {path}")).await;
        assert!(said.contains("No such file"), "{path}: {said}");
    }
    let mut paths = secrets(&stage.site).to_vec();
    paths.push(stage.site.home(&stage.other).join("diary"));
    for path in paths {
        // It is there, with the words.
        assert!(std::fs::read_to_string(&path).unwrap().contains(SECRET), "{}", path.display());
        let path = path.display();
        for way in [
            format!("{path}"),
            format!("/proc/1/root{path}"),
            format!("/proc/self/root{path}"),
            format!("/proc/1/cwd{path}"),
            format!("/proc/$PPID/cwd/../../../../..{path}"),
            format!("/home/project/../../../../../..{path}"),
            format!("/oldroot{path}"),
        ] {
            let said = stage.mine(&format!("cat {way}")).await;
            assert!(!said.contains(SECRET), "{way}: {said}");
        }
    }
    let said = stage
        .mine("cat /proc/*/root/etc/shadow /proc/*/cwd/diary; for i in /proc/[0-9]*/fd/*; do timeout 0.2 head -c 99 $i; done")
        .await;
    assert!(!said.contains("root:") && !said.contains(SECRET), "{said}");
    // A link in one's own home leads to what one sees oneself.
    let link = format!("ln -s {} ~/link; cat ~/link", stage.site.home(&stage.other).join("diary").display());
    let said = stage.mine(&link).await;
    assert!(said.contains("No such file"), "{said}");
}

/// By root, the uid alone keeps them out, should the walls have a hole.
#[tokio::test]
async fn a_uid_of_its_own_is_a_wall_by_itself() {
    if !root() {
        // By a user everything belongs to that user, and there is nothing but the sandbox.
        return assert_eq!(uids(), None);
    }
    let stage = Stage::with(|settings| settings.isolation = Isolation::Unsandboxed).await;
    let mut paths = secrets(&stage.site).to_vec();
    paths.push(stage.site.home(&stage.other).join("diary"));
    paths.push("/etc/shadow".into());
    for path in paths {
        let said = stage.mine(&format!("cat {}", path.display())).await;
        assert!(said.contains("Permission denied"), "{}: {said}", path.display());
    }
    let run = stage.site.folder.path().join("run").join(stage.other.as_str());
    for socket in [run.join("endpoint"), run.join("door"), stage.site.folder.path().join("keeper.sock")] {
        let said = stage.mine(&connect_unix(&socket)).await;
        assert!(said.contains("PermissionError"), "{}: {said}", socket.display());
    }
    assert!(stage.mine("grep Groups /proc/self/status").await.trim_end().ends_with(':'));
}

fn connect_unix(path: &Path) -> String {
    let path = path.display();
    format!(
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"{path}\"); print(\"REACHED\")' 2>&1"
    )
}

#[tokio::test]
async fn other_processes_are_not_there() {
    let stage = Stage::new().await;
    stage.other("sleep 424242 > /dev/null 2>&1 &").await;
    let look = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 42[4]242'";
    assert_eq!(stage.other(look).await, "1\n");
    assert_eq!(stage.mine(look).await, "0\n");
    let said = stage.mine("ls -d /proc/[0-9]* | wc -l").await;
    assert!(said.trim().parse::<u32>().unwrap() <= 10, "{said}");
    // Whatever numbers the others have.
    stage.mine("kill -9 -1").await;
    assert_eq!(stage.other(look).await, "1\n");
}

fn reach(host: &str, port: u16) -> String {
    format!("timeout 5 bash -c 'exec 3<>/dev/tcp/{host}/{port}' 2>&1 && echo REACHED")
}

#[tokio::test]
async fn nothing_of_the_network_is_reached() {
    let stage = Stage::new().await;
    // These stand for the portal, PostgreSQL and what listens on all addresses.
    let [portal, database, everywhere] =
        ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"].map(|address| TcpListener::bind(address).unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let abstract_name = format!("portal-{}", std::process::id());
    let _abstract =
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(&abstract_name).unwrap()).unwrap();
    let reach_abstract = format!(
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"\\0{abstract_name}\"); print(\"REACHED\")' 2>&1"
    );
    let reach_keeper = connect_unix(&stage.site.folder.path().join("keeper.sock"));
    let targets = [
        reach("127.0.0.1", port(&portal)),
        reach("::1", port(&database)),
        reach("127.0.0.1", port(&everywhere)),
        reach_abstract,
    ];
    let outside =
        [reach("169.254.169.254", 80), reach("10.0.0.1", 80), reach("192.0.2.1", 443), reach_keeper.clone()];
    for script in targets.iter().chain(&outside) {
        let said = stage.mine(script).await;
        assert!(!said.contains("REACHED") && !said.is_empty(), "{script}: {said}");
    }
    assert_eq!(stage.mine("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '").await, "lo\n");
    assert!(!stage.mine("getent hosts localhost example.org").await.contains("example"));
    // The same words do reach them where the network was asked for; the keeper's file is not there even so.
    let open = Stage::with(|settings| settings.network = Network::Host).await;
    for script in &targets {
        assert_eq!(open.mine(script).await, "REACHED\n", "{script}");
    }
    assert!(!open.mine(&reach_keeper).await.contains("REACHED"));
}

#[tokio::test]
async fn another_projects_ports_and_sockets_are_its_own() {
    let stage = Stage::new().await;
    let serve = "python3 - > /dev/null 2>&1 <<'END' &
import socket, time
port = socket.create_server(('127.0.0.1', 4242))
named = socket.socket(socket.AF_UNIX); named.bind('/tmp/named'); named.listen()
hidden = socket.socket(socket.AF_UNIX); hidden.bind('\\0hidden'); hidden.listen()
open('/tmp/ready', 'w').close()
time.sleep(1000)
END
until [ -e /tmp/ready ]; do sleep 0.01; done";
    stage.other(serve).await;
    for script in [
        reach("127.0.0.1", 4242),
        connect_unix(Path::new("/tmp/named")),
        connect_unix(Path::new("\\0hidden")),
    ] {
        assert_eq!(stage.other(&script).await, "REACHED\n", "{script}");
        let said = stage.mine(&script).await;
        assert!(!said.contains("REACHED") && !said.is_empty(), "{script}: {said}");
    }
}

#[tokio::test]
async fn it_cannot_mount_make_devices_or_gain_rights() {
    let stage = Stage::new().await;
    for script in [
        "mount -t tmpfs none /tmp",
        "mount --bind /proc /tmp",
        "mount -o remount,rw /usr",
        "umount /etc",
        "mknod /tmp/disk b 8 0",
        "mknod ~/memory c 1 1",
        "unshare -Ur true",
        "unshare -m true",
        "nsenter -t 1 -m true",
        "touch /usr/bin/x",
        "touch /etc/x",
        "touch /x",
        "touch /dev/x",
        "touch /run/grasshopper/hop",
        "setpriv --reuid=0 true",
        "su -c true",
        "chroot / true",
        "hostname x",
        "dmesg",
        "echo 1 > /proc/sys/kernel/sysrq",
        "echo x > /proc/sysrq-trigger",
        "nice -n -5 true 2>&1 | grep -q cannot && false",
        "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'",
        "python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'",
    ] {
        let said = stage.mine(&format!("{script} && echo DID")).await;
        assert!(!said.contains("DID"), "{script}: {said}");
    }
}

#[tokio::test]
async fn the_endpoint_is_not_traced_or_read() {
    let stage = Stage::new().await;
    let hop = stage.site.home(&stage.mine).join("real-hop");
    std::fs::copy(hop_e2e::server::hop_binary(), &hop).unwrap();
    std::fs::set_permissions(&hop, std::fs::Permissions::from_mode(0o755)).unwrap();
    // A real endpoint, and beside it a process that hides nothing, to show that the tries work.
    let script = r#"
import ctypes, os, socket, subprocess, time
listener = socket.socket(socket.AF_UNIX); listener.bind("/tmp/endpoint"); listener.listen()
endpoint = subprocess.Popen([os.path.expanduser("~/real-hop"), "endpoint", "--site"], stdin=listener, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
listener.close()
asked = socket.socket(socket.AF_UNIX); asked.connect("/tmp/endpoint"); asked.shutdown(socket.SHUT_WR); asked.recv(1)
plain = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
libc = ctypes.CDLL(None, use_errno=True)
for name, pid in [("plain", plain.pid), ("endpoint", endpoint.pid)]:
    did = []
    for file in ["environ", "mem", "maps", "io"]:
        try:
            open(f"/proc/{pid}/{file}", "rb").close(); did.append(file)
        except OSError: pass
    try:
        os.listdir(f"/proc/{pid}/fd"); did.append("fd")
    except OSError: pass
    if libc.ptrace(16, pid, 0, 0) == 0: did.append("ptrace")
    print(name, *did)
plain.kill(); endpoint.kill()
"#;
    let said = stage.mine(&format!("python3 - 2>&1 <<'END'\n{script}END\n")).await;
    // Children may be traced unless the system forbids it (ptrace_scope above 1).
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let traced = if matches!(scope.trim(), "" | "0" | "1") { " ptrace" } else { "" };
    assert_eq!(said, format!("plain environ mem maps io fd{traced}\nendpoint\n"));
}

#[tokio::test]
async fn fork_bombs_stay_inside() {
    let limits = Limits { processes: 60, open_files: 64, ..Limits::default() };
    let stage = Stage::with(|settings| settings.limits = limits).await;
    let bomb = "for i in $(seq 200); do sleep 1 & done 2>&1; wait";
    let said = stage.mine(bomb).await;
    assert!(said.contains("fork") || said.contains("Resource temporarily unavailable"), "{said}");
    assert_eq!(stage.other("echo well").await, "well\n");
    assert_eq!(stage.mine("ulimit -n; ulimit -c; ulimit -u").await, "64\n0\n60\n");
    assert!(stage.mine("ulimit -n 65 || ulimit -Hn").await.contains("64"));
    let open = "python3 -c 'import os\nwhile True: os.dup(0)' 2>&1";
    assert!(stage.mine(open).await.contains("Too many open files"));
}

#[tokio::test]
async fn full_disks_in_memory_stay_small() {
    let limits = Limits { temporary: 1 << 20, ..Limits::default() };
    let stage = Stage::with(|settings| settings.limits = limits).await;
    for folder in ["/tmp", "/run", "/dev/shm"] {
        let said = stage
            .mine(&format!("head -c 5000000 /dev/zero 2>&1 > {folder}/full; stat -c %s {folder}/full"))
            .await;
        assert!(said.contains("No space left"), "{folder}: {said}");
    }
    // And there is no other place to write to, apart from the home.
    let read_only = "while read -r _ _ _ _ place options _; do case $options in ro,*) echo $place;; esac; done \
                     < /proc/self/mountinfo | grep -xE '/|/usr|/etc|/dev|/run/grasshopper/hop' | sort";
    assert_eq!(stage.mine(read_only).await, "/\n/dev\n/etc\n/run/grasshopper/hop\n/usr\n");
    let said = stage
        .mine("find / -name proc -prune -o -name pts -prune -o -type d -writable -print 2>/dev/null | sort")
        .await;
    assert_eq!(said, "/dev/shm\n/home/project\n/run\n/run/grasshopper\n/tmp\n");
}

#[tokio::test]
async fn memory_of_a_process_is_limited() {
    let limits = Limits { memory_of_a_process: Some(512 << 20), ..Limits::default() };
    let stage = Stage::with(|settings| settings.limits = limits).await;
    let take =
        |mebibytes: u32| format!("python3 -c 'x = bytearray({mebibytes} << 20); print(len(x) >> 20)' 2>&1");
    assert_eq!(stage.mine(&take(64)).await, "64\n");
    assert!(stage.mine(&take(600)).await.contains("MemoryError"));
}

/// Looks for a key in the session keyring (keyctl(2): 250 is the call, 10 the search).
const SEARCH: &str = "
import ctypes
libc = ctypes.CDLL(None)
print('found', libc.syscall(250, 10, -3, b'user', b'ticket', 0) > 0)
";

/// Starts the program that it is given, with a key in the session keyring.
const WITH_A_KEY: &str = "
import ctypes, os, sys
libc = ctypes.CDLL(None)
assert libc.syscall(250, 1, None) > 0 and libc.syscall(248, b'user', b'ticket', b'secret', 6, -3) > 0
assert libc.syscall(250, 10, -3, b'user', b'ticket', 0) > 0
os.execv(sys.argv[1], sys.argv[1:])
";

#[tokio::test]
async fn keys_of_whoever_started_the_keeper_are_not_there() {
    let folder = crate::site::folder();
    let keeper = Command::new("/usr/bin/python3")
        .args(["-c", WITH_A_KEY])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "requests::keeper_until_killed", "--ignored"])
        .env("HOP_ENV_KEEPER", folder.path())
        .env(FIRST_UID, uids().map_or(0, |range| *range.start()).to_string())
        .stdout(std::process::Stdio::null())
        .spawn();
    let mut keeper = Killed(keeper.expect("install the Debian package python3"));
    let environments = Environments::at(folder.path().join("keeper.sock"));
    eventually("it serves", async || environments.list().await.is_ok()).await;
    let stream = environments.enter(&key(1)).await.unwrap();
    assert_eq!(run(stream, &format!("python3 -c \"{SEARCH}\" 2>&1")).await, "found False\n");
    keeper.0.kill().unwrap();
    keeper.0.wait().unwrap();
}

/// All attacks of this file once more, with the keeper run by an ordinary user.
#[test]
fn again_when_a_user_started_it() {
    again(true, false);
}

/// And with the walls that `hop walls` builds, for machines without bubblewrap.
#[test]
fn again_behind_our_own_walls() {
    again(false, true);
}

#[test]
fn again_behind_our_own_walls_when_a_user_started_it() {
    again(true, true);
}

/// Says that these tests run once more, and must not do so again.
const AGAIN: &str = "HOP_ENV_ATTACKS_AGAIN";

fn again(by_user: bool, own_walls: bool) {
    if std::env::var_os(AGAIN).is_some() {
        return;
    }
    let folder = crate::site::folder();
    let place = |name: &str, program: &Path| {
        let place = folder.path().join(name);
        if std::fs::hard_link(program, &place).is_err() {
            std::fs::copy(program, &place).unwrap();
        }
        place
    };
    let tests = place("tests", &std::env::current_exe().unwrap());
    let hop = place("hop", hop_e2e::server::hop_binary());
    let mut command = Command::new("setpriv");
    if by_user && root() {
        let user = 65_000 - std::process::id() % 1000;
        command
            .args([&format!("--reuid={user}"), &format!("--regid={user}")])
            .args(["--clear-groups", "--inh-caps=-all"]);
    }
    command.arg("--").arg(tests).args(["attacks::", "--test-threads=2", "--skip=again"]);
    if own_walls {
        command.env(BUILDER, &hop);
    }
    let output = command
        .env(AGAIN, "1")
        .env("HOP_BIN", hop)
        .env_remove("TMPDIR")
        .current_dir("/")
        .output()
        .expect("install the Debian package util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("test result: ok. 12 passed; 0 failed; 0 ignored"), "{said}");
}
