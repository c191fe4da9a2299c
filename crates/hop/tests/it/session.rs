//! A client that stays connected while a test does something else.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running client; killed at the end.
pub(crate) struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    errors: Receiver<(Instant, String)>,
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
        let (lines, errors) = channel();
        let said = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                // Nobody listens any more when the test has ended.
                let _ = lines.send((Instant::now(), line));
            }
        });
        let output = BufReader::new(child.stdout.take().unwrap());
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
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
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

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
