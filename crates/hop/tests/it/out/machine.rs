//! A machine for one test: its own home (ssh goes by the passwd entry's, not by `$HOME`), network, processes and PAM;
//! sshds on fixed ports of that network; everything in it ends with it.

use super::TOTP_SECRET;
use hop_e2e::program::program;
use hop_e2e::{Run, Scratch};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A machine whose user has a key that its servers know. `~/.ssh/config` has the hosts `plain` (key only), `totp` (key
/// and a one-time code), `single` (MaxSessions 1) and `nowhere` (nothing listens).
pub(crate) struct Machine {
    holder: Child,
    inside: u32,
    scratch: Scratch,
}

/// What a user of many hosts has.
const CONFIG: &str = "\
# A configuration that was there before.
Host *
    StrictHostKeyChecking accept-new
    ControlMaster auto
    ControlPath ~/.ssh/own-%C
    ControlPersist 10m
    SendEnv LANG LC_*

Host plain
    HostName 127.0.0.1
    Port 2201
Host totp
    HostName 127.0.0.1
    Port 2202
Host single
    HostName 127.0.0.1
    Port 2203
Host nowhere
    HostName 127.0.0.1
    Port 2209
Host behind
    HostName 127.0.0.2
    Port 2201
    ProxyJump totp
";

/// `wants TEXT` waits for it; `ends STATUS` waits for the program's end. What a program printed last comes with its
/// end, after which nothing more can be wanted: such texts are wanted in one (`wants {one*other}`).
const PROCEDURES: &str = "\
proc wants {text} {
    expect {
        $text {}
        timeout { puts \"\\nNOT SEEN: $text\"; exit 1 }
        eof { puts \"\\nENDED BEFORE: $text\"; exit 1 }
    }
}
proc ends {status} {
    catch { expect { eof {} timeout { puts \"\\nSTILL RUNS\"; exit 1 } } }
    set found [lindex [wait] 3]
    if {$found != $status} { puts \"\\nSTATUS $found\"; exit 1 }
}
";

impl Machine {
    pub(crate) fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes a machine of its own (namespaces, PAM, sshd): run it as root"
        );
        let scratch = Scratch::new();
        let (home, pam) = (scratch.folder("home/.ssh"), scratch.folder("pam"));
        let home = home.parent().unwrap().to_owned();
        let copied =
            Command::new("cp").args(["-r", "/etc/pam.d/.", &pam.display().to_string()]).status().unwrap();
        assert!(copied.success());
        for (name, file) in [("client", home.join(".ssh/id_ed25519")), ("host", scratch.join("host"))] {
            let _ = Run::new(program("ssh-keygen"))
                .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
                .arg(&file)
                .success();
        }
        std::fs::copy(home.join(".ssh/id_ed25519.pub"), home.join(".ssh/authorized_keys")).unwrap();
        std::fs::write(home.join(".ssh/config"), CONFIG).unwrap();
        let secret = scratch.write("totp", format!("{TOTP_SECRET}\n\" WINDOW_SIZE 3\n\" TOTP_AUTH\n"));
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
        // The name of the PAM service is the name that sshd is called by.
        let module =
            format!("pam_google_authenticator.so secret={} user=root allowed_perm=0400", secret.display());
        let service = format!(
            "auth required {module}\naccount required pam_permit.so\nsession required pam_permit.so\n"
        );
        std::fs::write(pam.join("hop-totp"), service).unwrap();
        std::os::unix::fs::symlink(program("/usr/sbin/sshd"), scratch.join("hop-totp")).unwrap();
        let _ = program("google-authenticator");

        let account = Run::new("getent").args(["passwd", "0"]).success().stdout();
        let passwd_home = account.trim().split(':').nth(5).unwrap().to_owned();
        let mut command = Command::new(program("bwrap"));
        command.args(["--dev-bind", "/", "/", "--proc", "/proc", "--tmpfs", "/run", "--dir", "/run/sshd"]);
        command.arg("--bind").arg(&home).arg(&passwd_home).arg("--bind").arg(&pam).arg("/etc/pam.d");
        command.args(["--unshare-pid", "--unshare-net", "--die-with-parent", "--cap-add", "ALL"]);
        command.args(["--info-fd", "1", "--", "/bin/sh", "-c", "echo ready >&2; exec cat >&2"]);
        let mut holder =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(holder.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains('}') {
            assert_ne!(said.read_line(&mut text).unwrap(), 0, "the machine did not start: {text}");
        }
        let info: serde_json::Value = serde_json::from_str(&text).unwrap();
        let inside =
            u32::try_from(info.get("child-pid").and_then(serde_json::Value::as_u64).unwrap()).unwrap();
        // Its shell says so when everything is mounted; what comes before is bwrap's complaint.
        let mut line = String::new();
        BufReader::new(holder.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let machine = Self { holder, inside, scratch };
        machine.sshd(2201, "/usr/sbin/sshd", &["UsePAM=no"]);
        let both = [
            "UsePAM=yes",
            "AuthenticationMethods=publickey,keyboard-interactive:pam",
            "PasswordAuthentication=no",
        ];
        machine.sshd(2202, machine.scratch.join("hop-totp").to_str().unwrap(), &both);
        machine.sshd(2203, "/usr/sbin/sshd", &["UsePAM=no", "MaxSessions=1"]);
        machine
    }

    /// Starts an sshd; it listens when this returns.
    pub(crate) fn sshd(&self, port: u16, name: &str, more: &[&str]) {
        let log = self.log(port);
        let fixed =
            ["PidFile=none", "LogLevel=VERBOSE", "PermitRootLogin=yes", "PrintMotd=no", "StrictModes=no"];
        let subsystem = "Subsystem=sftp /usr/lib/openssh/sftp-server";
        let options = fixed.iter().chain(more).chain([&subsystem]).flat_map(|option| ["-o", option]);
        let _ = self
            .run("")
            .args([name, "-f", "/dev/null", "-p", &port.to_string(), "-E"])
            .arg(log)
            .arg("-h")
            .arg(self.scratch.join("host"))
            .args(options)
            .success();
    }

    /// Adds to its `~/.ssh/config`.
    pub(crate) fn add_host(&self, text: &str) {
        let path = self.home(".ssh/config");
        let config = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, config + text).unwrap();
    }

    fn log(&self, port: u16) -> PathBuf {
        self.scratch.join(format!("sshd-{port}.log"))
    }

    /// How many logins an sshd has accepted.
    pub(crate) fn accepted(&self, port: u16) -> usize {
        let log = std::fs::read_to_string(self.log(port)).unwrap_or_default();
        let first_factor = "Accepted publickey";
        log.lines().filter(|line| line.contains(first_factor) || line.contains("Accepted keyboard")).count()
    }

    /// What an sshd has logged.
    pub(crate) fn log_text(&self, port: u16) -> String {
        std::fs::read_to_string(self.log(port)).unwrap_or_default()
    }

    pub(crate) fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// A file of its home.
    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.scratch.join("home").join(name)
    }

    /// Writes the person's settings of hosts.
    pub(crate) fn decide(&self, text: &str) {
        let path = self.home(".config/hop/config.toml");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// A PAM service, and an sshd on a port that asks by it after the key.
    pub(crate) fn pam(&self, port: u16, name: &str, auth: &str) {
        let service = format!("{auth}\naccount required pam_permit.so\nsession required pam_permit.so\n");
        self.scratch.write(format!("pam/{name}"), service);
        std::os::unix::fs::symlink(program("/usr/sbin/sshd"), self.scratch.join(name)).unwrap();
        let both = [
            "UsePAM=yes",
            "AuthenticationMethods=publickey,keyboard-interactive:pam",
            "PasswordAuthentication=no",
        ];
        self.sshd(port, self.scratch.join(name).to_str().unwrap(), &both);
        let config = std::fs::read_to_string(self.home(".ssh/config")).unwrap();
        let host = format!("Host {name}\n    HostName 127.0.0.1\n    Port {port}\n");
        std::fs::write(self.home(".ssh/config"), config + &host).unwrap();
    }

    /// The one-time codes of its servers, as strict as real ones: none counts twice, three tries in half a minute.
    pub(crate) fn be_strict(&self) {
        let path = self.scratch.join("totp");
        std::fs::remove_file(&path).unwrap();
        let text = "\" RATE_LIMIT 3 30\n\" DISALLOW_REUSE\n\" WINDOW_SIZE 3\n\" TOTP_AUTH\n";
        self.scratch.write("totp", format!("{TOTP_SECRET}\n{text}"));
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
    }

    /// A program of the person's.
    pub(crate) fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.scratch.write(name, text);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    /// A program inside, to which words are added; none yet when `name` is empty.
    pub(crate) fn run(&self, name: &str) -> Run {
        let words = self.words();
        let run = Run::from_words(&words);
        if name.is_empty() { run } else { run.arg(name) }
    }

    /// A program with its network, and the files and environment of the test: for what lies in the tester's own home.
    pub(crate) fn on_its_network(&self) -> Run {
        Run::new(program("nsenter")).args(["-t", &self.inside.to_string(), "-n", "--"])
    }

    fn words(&self) -> Vec<std::ffi::OsString> {
        let hop = Path::new(env!("CARGO_BIN_EXE_hop"));
        let pid = self.inside.to_string();
        let sockets = format!("HOP_SOCKET_DIR={}", self.scratch.join("s").display());
        // The kernel keeps keys of files by their paths, and keeps them for all machines.
        let data = format!("XDG_DATA_HOME={}", self.scratch.join("data").display());
        let path = format!("PATH={}:/usr/local/bin:/usr/bin:/bin", hop.parent().unwrap().display());
        let nsenter = program("nsenter").display().to_string();
        [
            &nsenter,
            "-t",
            &pid,
            "-m",
            "-p",
            "-n",
            "--",
            "/usr/bin/env",
            "-i",
            "HOME=/root",
            "TERM=xterm",
            "LANG=C",
            &path,
            &sockets,
            &data,
        ]
        .map(Into::into)
        .to_vec()
    }

    /// `hop` with these words.
    pub(crate) fn hop(&self, words: &[&str]) -> Run {
        self.run("hop").args(words)
    }

    /// A line for the shell. Without a terminal, whatever the test itself has.
    pub(crate) fn shell(&self, line: &str) -> Run {
        self.run("setsid").args(["--wait", "/bin/bash", "-c", line])
    }

    /// A dialogue with expect(1) in a terminal; its output.
    pub(crate) fn expect(&self, dialogue: &str) -> String {
        let script = self.scratch.write(
            "dialogue",
            format!(
                "set timeout 30\n{PROCEDURES}proc code {{}} {{ exec oathtool --totp -b {TOTP_SECRET} }}\n{dialogue}"
            ),
        );
        let _ = (program("expect"), program("oathtool"));
        self.run("expect").arg(script).limit(std::time::Duration::from_secs(60)).success().stdout()
    }

    /// Logs in to `totp`, as a person does.
    pub(crate) fn log_in_with_code(&self) {
        self.expect("spawn hop login totp\nwants {Verification code:}\nsend \"[code]\\r\"\nwants {totp is up}\nends 0\n");
    }

    /// What `hop status --json` says of a host.
    pub(crate) fn status(&self, host: &str) -> serde_json::Value {
        let text = self.hop(&["status", "--json", host]).success().stdout();
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        all.pointer("/connections/0").cloned().unwrap_or_default()
    }

    /// The process of a host's master, as its machine numbers it.
    pub(crate) fn master(&self, host: &str) -> String {
        let said = self.shell(&format!("ssh -O check {host} 2>&1")).success().stdout();
        said.split("pid=").nth(1).unwrap().split(')').next().unwrap().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its first process ends, and all others with it.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
