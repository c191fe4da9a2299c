//! One machine of a lab: a process whose namespaces are the machine, and what is mounted there.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{PERSON, SEED};
use crate::program::program;
use crate::{Identity, Run, Scratch};

/// Numbers of the person's account; nobody on the host has them.
const UID: &str = "31001";
/// The person's password ([`super::PASSWORD`]) as /etc/shadow keeps it.
const HASH: &str =
    "$6$grasshopper$DfV3MG.US/kTvNdN.oCM5hylVtoCTMnckMLepwXLo7/r8Y55EhGZjD8kXr0Yz9ElXpvxPq780fGGOBxxfZv.P0";
/// Where programs of a machine are looked for.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
/// Where `hop` keeps the person's sockets: its usual place in /tmp is the host's, which labs share.
const SOCKETS: &str = "/run/hop";
/// Every machine knows all names.
const HOSTS: &str = "127.0.0.1 localhost\n10.77.1.2 client\n10.77.1.1 bastion\n10.77.2.2 cluster\n";

/// A listener that has one connection, and hangs up on all others. It goes to the background when it listens.
const ONE_AT_A_TIME: &str = "\
import os, socket, subprocess, sys
listener, child = socket.create_server(('', int(sys.argv[1]))), None
if os.fork():
    os._exit(0)
os.setsid()
null = os.open('/dev/null', os.O_RDWR)
for stream in range(3):
    os.dup2(null, stream)
while True:
    connection, _ = listener.accept()
    if child is None or child.poll() is not None:
        child = subprocess.Popen(sys.argv[2:], stdin=connection, stdout=connection)
    connection.close()
";

/// A running machine; all its processes end with it.
#[derive(Debug)]
pub struct Machine {
    name: &'static str,
    folder: PathBuf,
    /// unshare; it kills the machine's first process when it is killed.
    outer: Child,
    first: u32,
    host_key: Identity,
}

impl Machine {
    /// Makes its files, boots it and waits until it is there.
    pub(super) fn boot(scratch: &Scratch, name: &'static str, strict_codes: bool) -> Self {
        let folder = scratch.folder(name);
        let host_key = Identity::ed25519(scratch, &format!("{name}/host_key"));
        let etc = scratch.folder(format!("{name}/etc"));
        let homes = scratch.folder(format!("{name}/home"));
        write_accounts(&etc);
        write_pam(&etc.join("pam.d"), strict_codes);
        std::fs::write(etc.join("hosts"), HOSTS).expect("write hosts");
        let ready = folder.join("ready");
        let script = format!(
            r#"set -e
            mount --make-rprivate /
            mount --bind {homes} /home
            for file in passwd group shadow hosts pam.d; do mount --bind {etc}/$file /etc/$file; done
            mount -t tmpfs -o mode=755 tmpfs /run
            mkdir -p /run/sshd /run/user /run/lock
            install -d -m 700 /run/codes
            install -d -o {UID} -g {UID} -m 700 {SOCKETS}
            cp {etc}/code /run/codes/{PERSON}; chmod 400 /run/codes/{PERSON}
            echo '*** authorised users only ***' > /run/banner
            hostname {name}
            ip link set lo up
            : > {ready}
            # The first process takes over orphans, and goes on until it is killed.
            while :; do sleep 3600 & wait $!; done"#,
            homes = homes.display(),
            etc = etc.display(),
            ready = ready.display(),
        );
        let mut outer = Command::new(program("unshare"))
            .args(["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc", "--kill-child"])
            .args(["bash", "-c", &script])
            .env("PATH", PATH)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("start unshare");
        while !ready.exists() {
            let ended = outer.try_wait().expect("look after the machine");
            assert!(ended.is_none(), "the machine {name} did not boot: {ended:?}");
            std::thread::yield_now();
        }
        let children = format!("/proc/{0}/task/{0}/children", outer.id());
        let children = std::fs::read_to_string(children).expect("read the machine's first process");
        let first = children.trim().parse().expect("unshare has one child");
        let machine = Self { name, folder, outer, first, host_key };
        machine.root(&format!("install -d -o {UID} -g {UID} -m 700 /home/{PERSON} /home/{PERSON}/.ssh"));
        machine
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The key of its servers.
    #[must_use]
    pub fn host_key(&self) -> &Identity {
        &self.host_key
    }

    /// The person's home there, as the host sees it.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.join("home").join(PERSON)
    }

    /// Writes a file into the person's home, as the person.
    pub fn write(&self, name: &str, contents: &str) {
        let path = self.home().join(name);
        std::fs::write(&path, contents).expect("write into the person's home");
        self.give_home();
    }

    /// Shows a file or folder of the host to everybody in it, wherever it is on the host: the path there.
    #[must_use]
    pub fn share(&self, path: &Path, name: &str) -> String {
        let (place, kind) = (format!("/run/shared/{name}"), if path.is_dir() { "mkdir" } else { "touch" });
        self.root(&format!("mkdir -p /run/shared; {kind} {place}; mount --bind {} {place}", path.display()));
        place
    }

    /// A command of the person's in it, starting in the home.
    #[must_use]
    pub fn person(&self, words: &[&str]) -> Command {
        let mut command = self.enter();
        command.args(["setpriv", "--reuid", UID, "--regid", UID, "--init-groups", "env", "-i"]);
        command.args([
            &format!("HOME=/home/{PERSON}"),
            &format!("USER={PERSON}"),
            &format!("LOGNAME={PERSON}"),
        ]);
        command.arg(format!("HOP_SOCKET_DIR={SOCKETS}"));
        command.args(["SHELL=/bin/bash", "LC_ALL=C", "TERM=dumb", &format!("PATH={PATH}")]);
        command.args(["sh", "-c", "cd && exec \"$@\"", "sh"]).args(words);
        command
    }

    /// Runs a script as root in it, to its good end.
    pub fn root(&self, script: &str) {
        let mut command = self.enter();
        command.args(["sh", "-ec", script]).env("PATH", PATH);
        succeed(command, self.name);
    }

    /// Lays a cable to another machine: `eth0` here, `far_device` there.
    pub(super) fn connect(&self, far: &Self, far_device: &str) {
        let (here, there) = (self.first.to_string(), far.first.to_string());
        let mut command = Command::new(program("nsenter"));
        // In the network of one, among the processes of the host: there the other one has a number.
        command.args(["-t", &here, "-n", "ip", "link", "add", "eth0", "type", "veth", "peer"]);
        command.args(["name", far_device, "netns", &there]).env("PATH", PATH);
        succeed(command, self.name);
    }

    /// Starts an sshd; it listens when this returns.
    pub(super) fn serve(&self, port: u16, service: &str, settings: &str, is_for_one: bool) {
        let config = self.folder.join(format!("sshd-{port}.conf"));
        let text = format!(
            "Port {port}\nHostKey {}\nPidFile none\nLogLevel VERBOSE\nX11Forwarding yes\nPrintMotd no\n\
             AcceptEnv LANG LC_* GIT_PROTOCOL\nSubsystem sftp /usr/lib/openssh/sftp-server\n{settings}",
            self.host_key.private.display()
        );
        std::fs::write(&config, text).expect("write sshd's settings");
        let named = self.folder.join(service);
        if !named.exists() {
            std::os::unix::fs::symlink(program("/usr/sbin/sshd"), &named).expect("name an sshd");
        }
        let log = self.log_of(port);
        let words = format!("{} -f {} -E {}", named.display(), config.display(), log.display());
        if is_for_one {
            let script = self.folder.join("one.py");
            std::fs::write(&script, ONE_AT_A_TIME).expect("write a listener");
            self.root(&format!("python3 -I {} {port} {words} -i", script.display()));
        } else {
            self.root(&words);
        }
    }

    /// Where the sshd at a port logs.
    pub(super) fn log_of(&self, port: u16) -> PathBuf {
        self.folder.join(format!("sshd-{port}.log"))
    }

    /// Makes all in the home the person's.
    pub(super) fn give_home(&self) {
        self.root(&format!("chown -R {UID}:{UID} /home/{PERSON}"));
    }

    fn enter(&self) -> Command {
        let mut command = Command::new(program("nsenter"));
        command.args(["-t", &self.first.to_string(), "-n", "-m", "-u", "-i", "-p", "--"]);
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.outer.kill();
        let _ = self.outer.wait();
    }
}

fn succeed(mut command: Command, machine: &str) {
    let output = command.output().expect("enter the machine");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{machine}: {command:?}: {said}");
}

/// The host's accounts and the person's.
fn write_accounts(etc: &Path) {
    let lines = [
        ("passwd", format!("{PERSON}:x:{UID}:{UID}::/home/{PERSON}:/bin/bash")),
        ("group", format!("{PERSON}:x:{UID}:")),
        ("shadow", format!("{PERSON}:{HASH}:20000:0:99999:7:::")),
    ];
    for (file, line) in lines {
        let mut text =
            std::fs::read_to_string(Path::new("/etc").join(file)).expect("read the host's accounts");
        text.push_str(&line);
        text.push('\n');
        std::fs::write(etc.join(file), text).expect("write accounts");
    }
    std::fs::set_permissions(etc.join("shadow"), std::fs::Permissions::from_mode(0o640))
        .expect("close shadow");
}

/// The host's services, and two that ask for codes.
fn write_pam(folder: &Path, strict_codes: bool) {
    let _ = Run::new("cp").args(["-a", "/etc/pam.d"]).arg(folder).success();
    let code =
        "auth required pam_google_authenticator.so secret=/run/codes/${USER} user=root allowed_perm=0400\n";
    let rest = "account required pam_permit.so\nsession required pam_permit.so\n";
    std::fs::write(folder.join("lab-code"), format!("{code}{rest}")).expect("write a PAM service");
    let both = format!("auth requisite pam_unix.so\n{code}{rest}");
    std::fs::write(folder.join("lab-password-code"), both).expect("write a PAM service");
    let strictness = if strict_codes { "\" RATE_LIMIT 3 30\n\" DISALLOW_REUSE\n" } else { "" };
    let seed = format!("{SEED}\n{strictness}\" WINDOW_SIZE 3\n\" TOTP_AUTH\n");
    let etc = folder.parent().expect("it is in etc");
    std::fs::write(etc.join("code"), seed).expect("write the seed");
}
