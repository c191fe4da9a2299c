//! Runs a peer program to its end: with a time limit, its output kept, its process group killed when it hangs.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long one program may take. Generous: two loaded cores move 64 MiB through a debug build.
const LIMIT: Duration = Duration::from_secs(120);

/// Where standard input comes from.
#[derive(Debug)]
enum Input {
    Nothing,
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// One program about to be run.
#[derive(Debug)]
pub struct Run {
    command: Command,
    input: Input,
    output: Option<PathBuf>,
    limit: Duration,
}

/// How a program ended.
#[derive(Debug)]
pub struct Finished {
    /// The command line, for messages.
    pub line: String,
    /// The exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Standard output; empty when it went to a file.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Run {
    /// A program by path or by name in PATH. Its locale is C, so that its messages can be compared.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command
            .env("LC_ALL", "C")
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("SSH_ASKPASS")
            .env_remove("DISPLAY");
        Self { command, input: Input::Nothing, output: None, limit: LIMIT }
    }

    /// Takes over a prepared command.
    #[must_use]
    pub fn from_words(words: &[OsString]) -> Self {
        let (program, args) = words.split_first().expect("a command has at least its program");
        Self::new(program).args(args)
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives these bytes as standard input, then its end.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// Gives a file as standard input.
    #[must_use]
    pub fn stdin_file(mut self, path: &Path) -> Self {
        self.input = Input::File(path.to_owned());
        self
    }

    /// Sends standard output to a file.
    #[must_use]
    pub fn stdout_file(mut self, path: &Path) -> Self {
        self.output = Some(path.to_owned());
        self
    }

    /// Another time limit than the usual two minutes.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to the end and panics when it takes longer than its limit.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let line = describe(&self.command);
        self.command.stderr(Stdio::piped()).process_group(0);
        match &self.input {
            Input::Nothing => self.command.stdin(Stdio::null()),
            Input::Bytes(_) => self.command.stdin(Stdio::piped()),
            Input::File(path) => self.command.stdin(File::open(path).expect("open the input file")),
        };
        match &self.output {
            None => self.command.stdout(Stdio::piped()),
            Some(path) => self.command.stdout(File::create(path).expect("create the output file")),
        };
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("starting `{line}`: {e}"));
        let writer = child.stdin.take().zip(match self.input {
            Input::Bytes(bytes) => Some(bytes),
            _ => None,
        });
        let id = child.id();
        let (done, ended) = channel();
        std::thread::spawn(move || {
            if let Some((mut pipe, bytes)) = writer {
                // In a thread of its own, so that neither side waits for the other; a closed pipe shows in the output.
                std::thread::spawn(move || std::io::Write::write_all(&mut pipe, &bytes));
            }
            let _ = done.send(child.wait_with_output());
        });
        let output = match ended.recv_timeout(self.limit) {
            Ok(output) => output.unwrap_or_else(|e| panic!("waiting for `{line}`: {e}")),
            Err(RecvTimeoutError::Timeout) => {
                kill_group(id);
                let rest = ended.recv_timeout(Duration::from_secs(5)).ok().and_then(Result::ok);
                let text = rest.map(|o| [o.stdout, o.stderr].concat()).unwrap_or_default();
                panic!("`{line}` ran longer than {:?}:\n{}", self.limit, tail(&text));
            }
            Err(RecvTimeoutError::Disconnected) => panic!("the thread that waits for `{line}` is gone"),
        };
        Finished { line, status: output.status.code(), stdout: output.stdout, stderr: output.stderr }
    }

    /// Runs it and panics, with its output, unless it exits with status 0.
    #[must_use]
    pub fn success(self) -> Finished {
        self.status(0)
    }

    /// Runs it and panics, with its output, unless it exits with this status.
    #[must_use]
    pub fn status(self, wanted: i32) -> Finished {
        let finished = self.finish();
        assert!(finished.status == Some(wanted), "wanted exit status {wanted}\n{finished}");
        finished
    }

    /// Starts it and leaves it running until the value is dropped; its output is collected.
    #[must_use]
    pub fn background(mut self) -> Background {
        let line = describe(&self.command);
        let stdin = match &self.input {
            Input::File(path) => File::open(path).expect("open the input file").into(),
            _ => Stdio::null(),
        };
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("starting `{line}`: {e}"));
        let output = Arc::new(Collected::default());
        Collected::gather(&output, child.stdout.take().expect("stdout is piped"));
        Collected::gather(&output, child.stderr.take().expect("stderr is piped"));
        Background { child, output, line }
    }
}

impl Finished {
    /// Standard output as text.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = self.status.map_or("ended by a signal".to_owned(), |s| format!("exit status {s}"));
        write!(f, "`{}`: {status}\nstdout: {}\nstderr: {}", self.line, tail(&self.stdout), tail(&self.stderr))
    }
}

/// A program that runs until it is dropped (its whole process group is killed then).
#[derive(Debug)]
pub struct Background {
    child: Child,
    output: Arc<Collected>,
    line: String,
}

impl Background {
    /// What it printed so far, on both streams.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().0).into_owned()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` finds what it wants in the output; panics when the program ends before, or after 30 s.
    pub fn wait_for<T>(&self, what: &str, ready: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut state = self.output.lock();
        loop {
            let text = String::from_utf8_lossy(&state.0);
            if let Some(value) = ready(&text) {
                return value;
            }
            assert!(state.1 < STREAMS, "`{}` closed its output before {what}:\n{text}", self.line);
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "`{}`: no {what} after 30 s:\n{text}", self.line);
            state = self.output.wait(state, left);
        }
    }

    /// Sends a signal by its name without SIG.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let _ = Run::new("kill").args(["-s", name, &id]).success();
    }

    /// Waits for its end, at most 30 s.
    #[must_use]
    pub fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut state = self.output.lock();
        while state.1 < STREAMS {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "`{}` still runs after 30 s", self.line);
            state = self.output.wait(state, left);
        }
        drop(state);
        self.child.wait().expect("wait for our own child").code()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        kill_group(self.child.id());
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("output of `{}`:\n{}", self.line, tail(self.output().as_bytes()));
        }
    }
}

/// Standard output and standard error.
const STREAMS: usize = 2;

/// Both streams of a running program: the bytes, and how many streams have ended.
#[derive(Debug, Default)]
struct Collected {
    state: Mutex<(Vec<u8>, usize)>,
    changed: Condvar,
}

impl Collected {
    /// Also after a test's thread panicked with the lock in hand: the output is wanted most then.
    fn lock(&self) -> MutexGuard<'_, (Vec<u8>, usize)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is more, or this long.
    fn wait<'a>(
        &self,
        state: MutexGuard<'a, (Vec<u8>, usize)>,
        left: Duration,
    ) -> MutexGuard<'a, (Vec<u8>, usize)> {
        self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }

    fn gather(shared: &Arc<Self>, mut stream: impl Read + Send + 'static) {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            loop {
                let n = stream.read(&mut part).unwrap_or(0);
                let mut state = shared.lock();
                if n == 0 {
                    state.1 += 1;
                } else {
                    state.0.extend_from_slice(&part[..n]);
                }
                shared.changed.notify_all();
                if n == 0 {
                    return;
                }
            }
        });
    }
}

/// Kills a process group that one of our fixtures made.
pub(crate) fn kill_group(leader: u32) {
    // Through kill(1): std has no call for a whole group.
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{leader}")]).stderr(Stdio::null()).status();
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The end of an output, short enough for a failure message.
fn tail(bytes: &[u8]) -> String {
    const KEPT: usize = 4000;
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().rev().nth(KEPT) {
        Some((at, _)) => format!("…{}", &text[at..]),
        None => text.into_owned(),
    }
}
