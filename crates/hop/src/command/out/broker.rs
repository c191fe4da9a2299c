//! Finding this user's broker, and starting it.

use crate::error::{CommandError, ErrorKind, OrFail};
use hop_broker::protocol::{Failure, FailureKind, LOGIN_ENVIRONMENT};
use hop_broker::{Conversation, ConversationError, Reached};
use hop_connect::SocketDirectory;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// For places where /tmp is no place for sockets, and for tests.
pub(crate) const DIRECTORY: &str = "HOP_SOCKET_DIR";
/// What the daemon prints when it can be talked to.
pub(crate) const READY: &str = "ready";

/// Where the sockets are.
pub(crate) fn sockets() -> SocketDirectory {
    match std::env::var_os(DIRECTORY).filter(|path| !path.is_empty()) {
        Some(path) => SocketDirectory::at(path.into()),
        None => SocketDirectory::of_user(rustix::process::getuid().as_raw()),
    }
}

/// The broker that runs; `None` when none does.
pub(crate) fn running() -> Result<Option<Conversation>, CommandError> {
    reached()?.map(Reached::hello).transpose().or_fail(ErrorKind::Unavailable)
}

fn reached() -> Result<Option<Reached>, CommandError> {
    let sockets = sockets();
    if !sockets.exists().or_fail(ErrorKind::Config)? {
        return Ok(None);
    }
    match Reached::connect(&sockets) {
        Ok(reached) => Ok(Some(reached)),
        Err(ConversationError::Absent) => Ok(None),
        Err(error) => Err(CommandError::new(ErrorKind::Unavailable, error)),
    }
}

/// The broker, started if none runs.
pub(crate) fn running_or_started() -> Result<Conversation, CommandError> {
    reached_or_started()?.hello().or_fail(ErrorKind::Unavailable)
}

/// The same before its hello.
pub(crate) fn reached_or_started() -> Result<Reached, CommandError> {
    if let Some(reached) = reached()? {
        return Ok(reached);
    }
    start()?;
    Reached::connect(&sockets()).or_fail(ErrorKind::Unavailable)
}

fn start() -> Result<(), CommandError> {
    let sockets = sockets();
    sockets.prepare().or_fail(ErrorKind::Config)?;
    let cannot = |error: &dyn std::fmt::Display| {
        CommandError::new(ErrorKind::Unavailable, format!("cannot start the daemon: {error}"))
    };
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(sockets.log())
        .map_err(|error| cannot(&error))?;
    let program = std::env::current_exe().map_err(|error| cannot(&error))?;
    hop_env::inherited::keep_to_ourselves().map_err(|error| cannot(&error))?;
    let mut child = Command::new(program)
        .args(["daemon", "run"])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| cannot(&error))?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut said).map_err(|error| cannot(&error))?;
    }
    if said.trim_end() == READY {
        return Ok(());
    }
    let shown = sockets.log();
    Err(cannot(&"it ended at once").hint(format!("{} says why", shown.display())))
}

/// What a login may need of this environment.
pub(crate) fn environment() -> Vec<(String, String)> {
    let mut found: Vec<_> = LOGIN_ENVIRONMENT
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect();
    // A daemon, a cron job, and a shell whose agent went with its session have ours, if there is one.
    let listens = |socket: &std::path::Path| std::os::unix::net::UnixStream::connect(socket).is_ok();
    let has_agent = found.iter().any(|(name, socket)| name == "SSH_AUTH_SOCK" && listens(socket.as_ref()));
    let ours = sockets().agent();
    if !has_agent && listens(&ours) {
        found.retain(|(name, _)| name != "SSH_AUTH_SOCK");
        found.push(("SSH_AUTH_SOCK".to_owned(), ours.display().to_string()));
    }
    found
}

/// A broker's failure as a command's.
pub(crate) fn failed(failure: Failure) -> CommandError {
    let kind = match failure.kind {
        FailureKind::Unreachable => ErrorKind::Unavailable,
        FailureKind::Denied | FailureKind::NeedsPerson => ErrorKind::Denied,
        FailureKind::Later => ErrorKind::Later,
        FailureKind::Config => ErrorKind::Config,
    };
    let error = CommandError::new(kind, failure.reason);
    match failure.hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
