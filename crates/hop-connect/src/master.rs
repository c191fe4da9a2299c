//! One OpenSSH master: started with the user's own configuration, watched until it answers, and until it ends.
//!
//! Must stay true: the options given are only those that make it a master, and a keepalive and a time limit where the
//! user has none; its standard error is read to the end, in bounded pieces, without control characters.

use crate::alias::Alias;
use crate::mux::{MuxClient, MuxError};
use crate::resolve::{Given, MASTER_VARIABLE, Resolved, Route, Ssh};
use crate::watch::Appearance;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc;

/// A dead line is noticed after three of these.
const KEEPALIVE: &str = "ServerAliveInterval=5";
/// An address that does not answer.
const CONNECT_TIMEOUT: &str = "ConnectTimeout=20";
/// The same through a jump host or a command, which may ask a person first; ssh's clock runs meanwhile. Longer than
/// servers wait for a login (LoginGraceTime, 120 s).
const CONNECT_TIMEOUT_BEHIND: &str = "ConnectTimeout=150";
/// Longer lines of standard error are cut into several.
const LONGEST_LINE: usize = 1024;

/// What a master is started with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program and its environment.
    pub ssh: Ssh,
    /// Whom to connect to.
    pub alias: Alias,
    /// What was given besides.
    pub given: Given,
    /// Its configuration.
    pub resolved: Resolved,
    /// Its control socket.
    pub socket: PathBuf,
    /// What it runs to ask something.
    pub askpass: PathBuf,
    /// Each question is asked once: an answer that is not a person's must not be tried three times.
    pub once: bool,
}

/// A master that was started.
#[derive(Debug)]
pub struct Master {
    child: Child,
    socket: PathBuf,
}

/// How waiting for a master ended.
#[derive(Debug)]
pub enum Started {
    /// It answers on its socket.
    Up {
        /// Its process id, in its own words.
        pid: u32,
    },
    /// It ended first.
    Ended(ExitStatus),
}

impl Plan {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.ssh.program);
        let mut option = |setting: &str| {
            command.arg("-o").arg(setting);
        };
        option("ControlMaster=yes");
        option("ControlPersist=no");
        if !self.resolved.has_keepalive {
            option(KEEPALIVE);
        }
        if !self.resolved.has_connect_timeout {
            option(match self.resolved.route {
                Route::Direct => CONNECT_TIMEOUT,
                Route::Jump(_) | Route::Command(_) => CONNECT_TIMEOUT_BEHIND,
            });
        }
        if self.once {
            option("NumberOfPasswordPrompts=1");
        }
        let mut path = std::ffi::OsString::from("ControlPath=");
        path.push(&self.socket);
        command.arg("-o").arg(path);
        command
            .args(["-N", "-T"])
            .args(self.given.words())
            .args(["--", self.alias.as_str()])
            .envs(self.ssh.environment.iter().map(|(name, value)| (name, value)))
            .env(MASTER_VARIABLE, self.alias.as_str())
            .env("SSH_ASKPASS", &self.askpass)
            .env("SSH_ASKPASS_REQUIRE", "force");
        command
    }

    /// Starts it. Its lines on standard error go to `lines`, whose other end must be read.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn start(&self, lines: mpsc::Sender<String>) -> io::Result<Master> {
        // What a dead master left; it would make the new one refuse to be a master.
        match std::fs::remove_file(&self.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Its own group: what it starts (a jump host's ssh) is killed with it.
            .process_group(0)
            .spawn()?;
        if let Some(stderr) = child.stderr.take() {
            // Ends with the last process that holds the pipe.
            tokio::spawn(read_lines(stderr, lines));
        }
        Ok(Master { child, socket: self.socket.clone() })
    }
}

impl Master {
    /// The process id of what was started.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it answers on its socket, or ends. Cancel safe.
    ///
    /// # Errors
    /// When its directory or its process cannot be watched.
    pub async fn started(&mut self) -> io::Result<Started> {
        let socket = self.socket.clone();
        tokio::select! {
            status = self.child.wait() => Ok(Started::Ended(status?)),
            pid = answers(&socket) => Ok(Started::Up { pid: pid? }),
        }
    }

    /// Waits for its end. Cancel safe.
    ///
    /// # Errors
    /// When its process cannot be waited for.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }
}

/// Ends a master's process group.
pub fn kill(pid: u32) {
    let group = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // It may be gone already. Killed, not asked: a stopped process does not hear.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

/// Asks a master whether it lives, off the async threads: its process id.
///
/// # Errors
/// When it is gone or does not answer within a second.
pub async fn alive(socket: &Path) -> Result<u32, MuxError> {
    off_thread(socket, |client| client.alive_check()).await
}

/// Asks a master to end at once.
///
/// # Errors
/// When it is gone or does not answer within a second.
pub async fn terminate(socket: &Path) -> Result<(), MuxError> {
    off_thread(socket, MuxClient::terminate).await
}

/// Asks a master to take no more sessions.
///
/// # Errors
/// When it is gone or does not answer within a second.
pub async fn stop_listening(socket: &Path) -> Result<(), MuxError> {
    off_thread(socket, MuxClient::stop_listening).await
}

async fn off_thread<T: Send + 'static>(
    socket: &Path,
    ask: impl FnOnce(&mut MuxClient) -> Result<T, MuxError> + Send + 'static,
) -> Result<T, MuxError> {
    let socket = socket.to_owned();
    let asked = tokio::task::spawn_blocking(move || ask(&mut MuxClient::connect(&socket)?)).await;
    asked.unwrap_or_else(|error| Err(MuxError::Io(io::Error::other(error))))
}

/// Waits until a master answers on this socket.
async fn answers(socket: &Path) -> io::Result<u32> {
    // ssh binds another name and links it to this one when it listens.
    let mut appearance = Appearance::within(socket.parent().unwrap_or(Path::new("/")))?;
    loop {
        match alive(socket).await {
            Ok(pid) => return Ok(pid),
            Err(_) => appearance.wait().await?,
        }
    }
}

async fn read_lines(stderr: ChildStderr, lines: mpsc::Sender<String>) {
    let mut stderr = BufReader::new(stderr);
    let (mut line, mut bytes) = (Vec::new(), [0; 512]);
    while let Ok(count) = stderr.read(&mut bytes).await {
        for byte in bytes.get(..count).unwrap_or_default() {
            if *byte == b'\n' || line.len() >= LONGEST_LINE {
                // Nobody listens any more: it is read on, so that ssh does not wait.
                let _ = lines.send(printable(&line)).await;
                line.clear();
            }
            if *byte != b'\n' {
                line.push(*byte);
            }
        }
        if count == 0 {
            break;
        }
    }
    if !line.is_empty() {
        let _ = lines.send(printable(&line)).await;
    }
}

/// Text of a server or of ssh as it may be shown on a terminal: no control characters, whatever the encoding.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        // Bidirectional overrides can make a text read as another (CVE-2021-42574).
        .filter(|c| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .collect::<String>()
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::tests::cluster;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    fn plan(program: &Path, socket: PathBuf) -> Plan {
        Plan {
            ssh: Ssh { program: program.into(), environment: vec![] },
            alias: Alias::parse("saga").unwrap(),
            given: Given::default(),
            resolved: cluster(),
            socket,
            askpass: "/bin/false".into(),
            once: false,
        }
    }

    fn script(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("ssh");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_users_own_settings_are_left_alone() {
        let words = |plan: &Plan| -> Vec<String> {
            plan.command().as_std().get_args().map(|word| word.to_string_lossy().into_owned()).collect()
        };
        let mut plan = plan(Path::new("ssh"), "/s/saga".into());
        plan.resolved.route = Route::Direct;
        assert_eq!(
            words(&plan).join(" "),
            "-o ControlMaster=yes -o ControlPersist=no -o ServerAliveInterval=5 -o ConnectTimeout=20 \
             -o ControlPath=/s/saga -N -T -- saga"
        );
        for behind in [Route::Jump("bastion".to_owned()), Route::Command("nc %h %p".to_owned())] {
            plan.resolved.route = behind;
            assert!(words(&plan).join(" ").contains(" -o ConnectTimeout=150 "), "{:?}", words(&plan));
        }
        (plan.resolved.has_keepalive, plan.resolved.has_connect_timeout) = (true, true);
        plan.once = true;
        assert_eq!(
            words(&plan).join(" "),
            "-o ControlMaster=yes -o ControlPersist=no -o NumberOfPasswordPrompts=1 -o ControlPath=/s/saga -N -T -- saga"
        );
    }

    #[tokio::test]
    async fn an_end_before_the_socket_is_told_with_its_words() {
        let scratch = tempfile::tempdir().unwrap();
        let program = script(scratch.path(), "printf 'no \\033[31mroute\\nlast' >&2; exit 255");
        let (sender, mut lines) = mpsc::channel(8);
        let mut master = plan(&program, scratch.path().join("s")).start(sender).unwrap();
        let Started::Ended(status) = master.started().await.unwrap() else { panic!("it is up") };
        assert_eq!(status.code(), Some(255));
        assert_eq!(lines.recv().await.unwrap(), "no [31mroute");
        assert_eq!(lines.recv().await.unwrap(), "last");
        assert_eq!(lines.recv().await, None);
    }

    #[tokio::test]
    async fn a_socket_that_appears_is_tried_at_once() {
        let scratch = tempfile::tempdir().unwrap();
        let (program, socket) = (script(scratch.path(), "exec cat"), scratch.path().join("s"));
        std::fs::write(&socket, "what a dead master left").unwrap();
        let (sender, _lines) = mpsc::channel(8);
        let mut master = plan(&program, socket.clone()).start(sender).unwrap();
        assert!(!socket.exists());
        let listener = UnixListener::bind(scratch.path().join("other")).unwrap();
        std::fs::hard_link(scratch.path().join("other"), &socket).unwrap();
        std::thread::spawn(move || {
            use crate::mux::FromMaster;
            use std::io::{Read, Write};
            for (mut stream, _) in std::iter::from_fn(|| listener.accept().ok()) {
                for answer in [FromMaster::Hello { version: 4 }, FromMaster::Alive { request: 1, pid: 99 }] {
                    let _ = stream.read(&mut [0; 64]);
                    let _ = stream.write_all(&answer.encode());
                }
            }
        });
        // `cat` on no input ends; a master that is up first counts as up.
        let up = tokio::time::timeout(Duration::from_secs(10), answers(&socket)).await.unwrap().unwrap();
        assert_eq!(up, 99);
        master.ended().await.unwrap();
    }

    #[test]
    fn nothing_but_text_reaches_a_terminal() {
        assert_eq!(printable(b"a\x1b]0;x\x07b\tc\xff\r"), "a]0;xb c\u{fffd}");
        assert_eq!(printable("x\u{202e}y".as_bytes()), "xy");
    }
}
