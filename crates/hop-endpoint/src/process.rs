//! The process of one session: the account's login shell, or one command given to that shell.
//!
//! It leads its own session and process group. Its pid stays ours (a zombie at worst) as long as [`Child`]
//! lives, so that a signal can never reach a stranger that was given the same number; dropping it leaves no
//! zombie.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::Access;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group,
    pidfd_open, waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::account::Account;
use crate::descriptor::Descriptor;
use crate::environment::Environment;
use crate::pty::{Pty, PtyMaster};
use crate::readiness::register;
use crate::signal::name_of;
use crate::spawn::{Stdio, spawn};
use crate::{open_files, orphans};

/// What a session runs.
#[derive(Debug, Clone, Copy)]
pub enum Program<'a> {
    /// The account's shell as a login shell (`argv[0]` is `-bash`).
    LoginShell,
    /// The account's shell with `-c` and these bytes, as the client sent them.
    Command(&'a [u8]),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It called exit with this status (0 to 255).
    Exited(u32),
    /// A signal ended it.
    Signalled {
        /// Name for exit-signal, without "SIG" (RFC 4254 section 6.10).
        signal: &'static str,
        /// Whether it left a core dump.
        core_dumped: bool,
    },
}

/// A process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// RFC 4254 strings may hold any byte, arguments of a process may not.
    #[error("the command contains a NUL byte")]
    NulInCommand,
    /// No pipe, usually for want of descriptors.
    #[error("cannot make pipes for the process: {0}")]
    Pipes(io::Error),
    /// The system would not run the shell.
    #[error("cannot run the shell {}: {source}", shell.display())]
    Shell {
        /// The account's shell.
        shell: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process runs, but its end cannot be waited for.
    #[error("cannot watch the process {pid}: {source}")]
    Watch {
        /// Its number.
        pid: i32,
        /// What the system said.
        source: io::Error,
    },
}

/// A process on three pipes.
#[derive(Debug)]
pub struct PipedProcess {
    /// The process.
    pub child: Child,
    /// Its standard input; dropping it is the end of file.
    pub stdin: Descriptor,
    /// Its standard output. Ends when *everybody* who holds it has closed it, as with sshd.
    pub stdout: Descriptor,
    /// Its standard error.
    pub stderr: Descriptor,
    /// A line for the user, to be sent as standard error.
    pub notice: Option<String>,
}

/// A process on a pseudo-terminal.
#[derive(Debug)]
pub struct TerminalProcess {
    /// The process.
    pub child: Child,
    /// The terminal. When the child has exited, read what is available and stop: background processes may
    /// hold it open for ever (sshd closes it then, too).
    pub master: PtyMaster,
    /// A line for the user.
    pub notice: Option<String>,
}

/// Starts `program` on pipes.
pub fn start_piped(
    account: &Account,
    program: Program<'_>,
    environment: &Environment,
) -> Result<PipedProcess, StartError> {
    let prepared = Prepared::new(account, program, environment)?;
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| StartError::Pipes(error.into()));
    let (their_input, our_input) = pipe()?;
    let (our_output, their_output) = pipe()?;
    let (our_errors, their_errors) = pipe()?;
    let ours = |end: OwnedFd| Descriptor::pipe(end).map_err(StartError::Pipes);
    let (stdin, stdout, stderr) = (ours(our_input)?, ours(our_output)?, ours(our_errors)?);
    let child = prepared.start(Stdio::Descriptors {
        stdin: their_input.as_fd(),
        stdout: their_output.as_fd(),
        stderr: their_errors.as_fd(),
    })?;
    Ok(PipedProcess { child, stdin, stdout, stderr, notice: prepared.notice })
}

/// Starts `program` with `pty` as its controlling terminal.
pub fn start_on_terminal(
    account: &Account,
    program: Program<'_>,
    environment: &Environment,
    pty: Pty,
) -> Result<TerminalProcess, StartError> {
    let prepared = Prepared::new(account, program, environment)?;
    let child = prepared.start(Stdio::Terminal(pty.master().device_name()))?;
    Ok(TerminalProcess { child, master: pty.into_master(), notice: prepared.notice })
}

/// A process that was started and not yet forgotten.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    watch: Watch,
}

impl Child {
    /// Its number, also that of its process group and session.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Waits until it has ended. May be asked again; cancel-safe.
    pub async fn ended(&mut self) -> io::Result<Ending> {
        self.watch.wait(self.pid).await
    }

    /// Delivers a signal to its process group (with a terminal: the shell's, as sshd does, and not the
    /// foreground job's). A group that is gone is no error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match kill_process_group(self.pid, signal) {
            Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The connection is gone: HUP and CONT to the process group, and KILL to the process itself when it is
    /// still there after `patience`. Who ignores HUP (nohup) was meant to stay and is left alone.
    pub async fn hang_up(mut self, patience: Duration) {
        self.send_hang_up();
        if tokio::time::timeout(patience, self.ended()).await.is_err() && !ignores_hang_up(self.pid) {
            tracing::debug!(pid = self.pid(), "process outlived its hang-up, killing it");
            let _gone = kill_process(self.pid, Signal::KILL);
            let _ended = tokio::time::timeout(patience, self.ended()).await;
        }
        // Dropping forgets it, now or (nohup, uninterruptible sleep) when it ends.
    }

    fn send_hang_up(&self) {
        // CONT, because a stopped process would keep the HUP pending for ever.
        let _sent = self.signal(Signal::HUP).and_then(|()| self.signal(Signal::CONT));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        match reap(self.pid) {
            Ok(None) => {
                self.send_hang_up();
                forget_when_ended(self.pid);
            }
            Ok(Some(_)) | Err(_) => orphans::forget(self.pid),
        }
    }
}

/// Collects the process if it has ended.
fn reap(pid: Pid) -> rustix::io::Result<Option<WaitIdStatus>> {
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
}

/// Collects a process that its session no longer waits for. A thread and not a task: it must outlive the
/// runtime of the connection; it is rare (nohup) and holds nothing but a number.
fn forget_when_ended(pid: Pid) {
    let wait = move || {
        let _collected = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED));
        orphans::forget(pid);
    };
    let started = std::thread::Builder::new().name("hop-reap".into()).stack_size(64 * 1024).spawn(wait);
    if let Err(error) = started {
        tracing::warn!(pid = pid.as_raw_nonzero().get(), %error, "an ended process will stay a zombie");
    }
}

/// Whether the process has SIGHUP set to ignored. Unknown counts as no.
fn ignores_hang_up(pid: Pid) -> bool {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let Ok(status) = std::fs::read_to_string(path) else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Bit 0 is signal 1, SIGHUP.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// How the end of a process is noticed.
#[derive(Debug)]
enum Watch {
    /// A pidfd becomes readable.
    Descriptor(AsyncFd<OwnedFd>),
    /// Where pidfds are forbidden (old kernels, strict seccomp filters): a thread that blocks.
    Thread(watch::Receiver<Option<Ending>>),
}

impl Watch {
    fn new(pid: Pid) -> io::Result<Self> {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self::Descriptor(register(pidfd, Interest::READABLE)?)),
            Err(_) => Self::with_thread(pid),
        }
    }

    fn with_thread(pid: Pid) -> io::Result<Self> {
        let (sender, receiver) = watch::channel(None);
        let wait = move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let status = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), options));
            if let Ok(Some(status)) = status {
                sender.send_replace(Some(ending(&status)));
            }
        };
        std::thread::Builder::new().name("hop-wait".into()).stack_size(64 * 1024).spawn(wait)?;
        Ok(Self::Thread(receiver))
    }

    async fn wait(&mut self, pid: Pid) -> io::Result<Ending> {
        match self {
            Self::Descriptor(pidfd) => loop {
                let mut ready = pidfd.readable().await?;
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
                match waitid(WaitId::Pid(pid), options)? {
                    Some(status) => return Ok(ending(&status)),
                    None => ready.clear_ready(),
                }
            },
            Self::Thread(receiver) => {
                let told = receiver.wait_for(Option::is_some).await;
                told.ok().and_then(|ending| *ending).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
            }
        }
    }
}

fn ending(status: &WaitIdStatus) -> Ending {
    match status.terminating_signal() {
        Some(number) => Ending::Signalled { signal: name_of(number), core_dumped: status.dumped() },
        None => Ending::Exited(status.exit_status().and_then(|code| u32::try_from(code).ok()).unwrap_or(255)),
    }
}

/// Everything exec needs, in the form it needs.
struct Prepared<'a> {
    account: &'a Account,
    shell: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    directory: CString,
    notice: Option<String>,
}

impl<'a> Prepared<'a> {
    fn new(
        account: &'a Account,
        program: Program<'_>,
        environment: &Environment,
    ) -> Result<Self, StartError> {
        let string = |bytes: &[u8]| CString::new(bytes).map_err(|_| StartError::NulInCommand);
        let name = account.shell_name().as_bytes();
        let arguments = match program {
            Program::LoginShell => vec![string(&[b"-", name].concat())?],
            Program::Command(command) => vec![string(name)?, string(b"-c")?, string(command)?],
        };
        let (directory, notice) = working_directory(account);
        Ok(Self {
            account,
            shell: string(account.shell.as_os_str().as_bytes())?,
            arguments,
            environment: environment.to_strings(),
            directory: string(directory.as_bytes())?,
            notice,
        })
    }

    fn start(&self, stdio: Stdio<'_>) -> Result<Child, StartError> {
        let start = || spawn(&self.shell, &self.arguments, &self.environment, &self.directory, stdio);
        let pid = orphans::start_awaited(start)
            .map_err(|source| StartError::Shell { shell: self.account.shell.clone(), source })?;
        open_files::restore(pid);
        match Watch::new(pid) {
            Ok(watch) => Ok(Child { pid, watch }),
            Err(source) => {
                let _gone = kill_process_group(pid, Signal::KILL);
                forget_when_ended(pid);
                Err(StartError::Watch { pid: pid.as_raw_nonzero().get(), source })
            }
        }
    }
}

/// The home directory, or `/` and a line that says why.
fn working_directory(account: &Account) -> (&OsStr, Option<String>) {
    let home = &account.home;
    let usable = std::fs::metadata(home).and_then(|metadata| match metadata.is_dir() {
        true => Ok(rustix::fs::access(home, Access::EXEC_OK)?),
        false => Err(io::Error::from(io::ErrorKind::NotADirectory)),
    });
    match usable {
        Ok(()) => (home.as_os_str(), None),
        Err(error) => {
            let notice =
                format!("cannot enter the home directory {}: {error}; starting in /\n", home.display());
            (OsStr::new("/"), Some(notice))
        }
    }
}

#[cfg(test)]
mod tests;
