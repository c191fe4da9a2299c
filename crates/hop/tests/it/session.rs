//! A client that stays connected while a test does something else.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was said, and when.
type Line = (Instant, String);

/// A running client; killed at the end.
pub(crate) struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<Line>,
    errors: Receiver<Line>,
}

/// How a client ended.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) code: Option<i32>,
    /// What it said on standard error.
    pub(crate) said: String,
    /// When it said the last of it: why it was disconnected.
    pub(crate) at: Instant,
}

impl Session {
    /// Starts a client.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (output, errors) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { input: child.stdin.take(), child, output, errors }
    }

    /// Starts one that runs `cat`, and waits until it answers.
    pub(crate) fn echoing(mut command: Command) -> Self {
        command.arg("cat");
        let mut session = Self::start(command);
        session.echo("there");
        session
    }

    /// Sends a line through it and waits for it to come back; how long that took.
    pub(crate) fn echo(&mut self, text: &str) -> Duration {
        let start = Instant::now();
        self.say(text);
        assert_eq!(self.line(), text, "{:?}", self.errors.try_iter().collect::<Vec<_>>());
        start.elapsed()
    }

    /// Writes a line.
    pub(crate) fn say(&mut self, text: &str) {
        // What comes back, or does not, says whether it arrived.
        let _ = writeln!(self.input.as_mut().unwrap(), "{text}");
    }

    /// Reads a line.
    pub(crate) fn line(&mut self) -> String {
        match self.output.recv_timeout(PATIENCE) {
            Ok((_, line)) => line.trim_end().to_owned(),
            Err(error) => panic!("no line ({error}): {:?}", self.errors.try_iter().collect::<Vec<_>>()),
        }
    }

    /// Waits for a line on standard error with these words.
    pub(crate) fn hears(&mut self, words: &str) -> Instant {
        let mut said = String::new();
        loop {
            match self.errors.recv_timeout(PATIENCE) {
                Ok((at, line)) if line.contains(words) => return at,
                Ok((_, line)) => said.push_str(&line),
                Err(error) => panic!("never said {words:?} ({error}): {said}"),
            }
        }
    }

    pub(crate) fn is_open(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn process(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Waits for the client's own end.
    pub(crate) fn over(mut self) -> Over {
        let (mut said, mut at) = (String::new(), Instant::now());
        loop {
            match self.errors.recv_timeout(PATIENCE) {
                Ok((when, line)) => {
                    at = when;
                    said.push_str(&line);
                    said.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it goes on: {said}"),
            }
        }
        let code = self.child.wait().unwrap().code();
        Over { code, said, at }
    }
}

/// Reads lines as they come; at most a few wait, so that who floods is held up.
fn lines(from: impl Read + Send + 'static) -> Receiver<Line> {
    let (sender, lines) = sync_channel(64);
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.by_ref().take(1 << 16).read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            // The test has ended.
            if sender.send((Instant::now(), text)).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
