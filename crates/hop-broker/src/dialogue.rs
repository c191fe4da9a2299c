//! A program on a terminal of ours whose questions a person answers: an authentication script, `kinit`.
//!
//! Must stay true: what is typed is not echoed and is in no line that is passed on; a program that is given up is
//! killed with what it started; what it prints is read in bounded pieces, without control characters.

use hop_connect::master::printable;
use hop_model::Secret;
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use zeroize::Zeroize;

/// A line that a program leaves open for this long is its question: nothing else tells that it reads.
const QUIET: Duration = Duration::from_millis(300);
/// Longer lines are cut into several.
const LONGEST_LINE: usize = 4096;
/// A shorter answer is not looked for in what is printed: it would be found everywhere.
const SHORTEST_HIDDEN: usize = 4;

/// A program that runs.
#[derive(Debug)]
pub(crate) struct Dialogue {
    child: Child,
    terminal: AsyncFd<OwnedFd>,
    /// The line that is open.
    open: Vec<u8>,
    lines: VecDeque<String>,
    /// The open line was asked as a question.
    is_asked: bool,
    answers: Vec<Secret>,
}

/// What a program did.
#[derive(Debug)]
pub(crate) enum Step {
    /// It printed a line.
    Line(String),
    /// It printed this, and waits.
    Question(String),
    /// It has ended.
    Ended(ExitStatus),
}

impl Dialogue {
    /// Starts a program. `on_terminal` are the words of one that gives itself its standard input as its controlling
    /// terminal and then becomes the program that follows.
    pub(crate) fn start(
        on_terminal: &[OsString],
        words: &[OsString],
        environment: &[(OsString, OsString)],
    ) -> io::Result<Self> {
        let (ours, theirs) = terminal()?;
        let [first, rest @ ..] = on_terminal else { return Err(io::ErrorKind::NotFound.into()) };
        let child = Command::new(first)
            .args(rest)
            .args(words)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("TERM", "dumb")
            .stdin(Stdio::from(theirs.try_clone()?))
            .stdout(Stdio::from(theirs.try_clone()?))
            .stderr(Stdio::from(theirs))
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self {
            child,
            terminal: hop_connect::watch::register(ours, Interest::READABLE | Interest::WRITABLE)?,
            open: Vec::new(),
            lines: VecDeque::new(),
            is_asked: false,
            answers: Vec::new(),
        })
    }

    /// Its process, which leads a group of its own.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for what it does next. Cancel safe.
    pub(crate) async fn next(&mut self) -> io::Result<Step> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Step::Line(line));
            }
            let waits = !self.open.is_empty() && !self.is_asked;
            tokio::select! {
                biased;
                ready = self.terminal.readable() => {
                    let mut ready = ready?;
                    let mut bytes = [0; 1024];
                    match rustix::io::read(ready.get_inner(), &mut bytes) {
                        Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                        // Linux's word for a terminal that nobody has open any more.
                        Ok(0) | Err(rustix::io::Errno::IO) => {
                            let status = self.child.wait().await?;
                            return Ok(self.end(status));
                        }
                        Err(error) => return Err(error.into()),
                        Ok(count) => self.heard(bytes.get(..count).unwrap_or_default()),
                    }
                    bytes.zeroize();
                }
                // What it left behind may keep the terminal open.
                status = self.child.wait() => {
                    let status = status?;
                    self.drain();
                    return Ok(self.end(status));
                }
                () = tokio::time::sleep(QUIET), if waits => {
                    self.is_asked = true;
                    return Ok(Step::Question(self.shown(&self.open)));
                }
            }
        }
    }

    /// Types an answer and Enter.
    pub(crate) async fn answer(&mut self, text: Secret) -> io::Result<()> {
        (self.is_asked, self.open) = (false, Vec::new());
        let mut line = text.expose().as_bytes().to_vec();
        line.push(b'\n');
        let mut left = line.as_slice();
        let written = loop {
            if left.is_empty() {
                break Ok(());
            }
            let mut ready = self.terminal.writable().await?;
            match rustix::io::write(ready.get_inner(), left) {
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(error) => break Err(error.into()),
                Ok(count) => left = left.get(count..).unwrap_or_default(),
            }
        };
        line.zeroize();
        self.answers.push(text);
        written
    }

    fn heard(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' || self.open.len() >= LONGEST_LINE {
                let line = self.shown(&self.open);
                self.lines.push_back(line);
                (self.is_asked, self.open) = (false, Vec::new());
            }
            if *byte != b'\n' {
                self.open.push(*byte);
                self.is_asked = false;
            }
        }
    }

    /// Reads what is there.
    fn drain(&mut self) {
        let mut bytes = [0; 1024];
        // A bound, since something that was left behind may go on printing.
        for _ in 0..64 {
            match rustix::io::read(self.terminal.get_ref(), &mut bytes) {
                Ok(count) if count > 0 => self.heard(bytes.get(..count).unwrap_or_default()),
                _ => break,
            }
        }
        bytes.zeroize();
    }

    /// Its last words come before its end.
    fn end(&mut self, status: ExitStatus) -> Step {
        if !self.open.is_empty() {
            let line = self.shown(&self.open);
            self.lines.push_back(line);
            self.open.clear();
        }
        match self.lines.pop_front() {
            Some(line) => Step::Line(line),
            None => Step::Ended(status),
        }
    }

    fn shown(&self, line: &[u8]) -> String {
        let mut text = printable(line);
        for answer in self.answers.iter().filter(|answer| answer.expose().len() >= SHORTEST_HIDDEN) {
            text = text.replace(answer.expose(), "…");
        }
        text
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        if let Some(pid) = self.child.id() {
            hop_connect::master::kill(pid);
        }
    }
}

/// A terminal that echoes nothing: our end and the program's.
fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::grantpt(&ours)?;
    rustix::pty::unlockpt(&ours)?;
    let name = rustix::pty::ptsname(&ours, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
    let mut modes = tcgetattr(&theirs)?;
    modes.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
    tcsetattr(&theirs, OptionalActions::Now, &modes)?;
    tcsetwinsize(&theirs, Winsize { ws_row: 24, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 })?;
    fcntl_setfl(&ours, fcntl_getfl(&ours)? | OFlags::NONBLOCK)?;
    Ok((ours, theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> Dialogue {
        let on_terminal = ["setsid", "--ctty", "--wait"].map(OsString::from);
        let words = ["/bin/bash", "-c", script].map(OsString::from);
        Dialogue::start(&on_terminal, &words, &[]).unwrap()
    }

    async fn lines_until_the_end(dialogue: &mut Dialogue) -> (Vec<String>, Option<i32>) {
        let mut lines = Vec::new();
        loop {
            match dialogue.next().await.unwrap() {
                Step::Line(line) => lines.push(line),
                Step::Question(text) => panic!("a question: {text}"),
                Step::Ended(status) => return (lines, status.code()),
            }
        }
    }

    #[tokio::test]
    async fn a_program_asks_twice_and_its_answers_are_shown_nowhere() {
        let mut dialogue = start(
            "echo begin; read -p 'Name: ' n; read -s -p 'Code: ' c < /dev/tty; echo; echo \"$n said $c\"; \
             printf last; exit 3",
        );
        assert!(matches!(dialogue.next().await.unwrap(), Step::Line(line) if line == "begin"));
        assert!(matches!(dialogue.next().await.unwrap(), Step::Question(text) if text == "Name:"));
        dialogue.answer(Secret::new("ada".to_owned())).await.unwrap();
        assert!(matches!(dialogue.next().await.unwrap(), Step::Question(text) if text == "Code:"));
        dialogue.answer(Secret::new("123456".to_owned())).await.unwrap();
        let (lines, status) = lines_until_the_end(&mut dialogue).await;
        assert_eq!((lines.join("|").as_str(), status), ("|ada said …|last", Some(3)));
    }

    #[tokio::test]
    async fn an_end_is_seen_although_something_was_left_behind() {
        let mut dialogue = start("sleep 600 & echo left; exit 0");
        let (lines, status) = lines_until_the_end(&mut dialogue).await;
        assert_eq!((lines.join("|").as_str(), status), ("left", Some(0)));
        drop(dialogue);
    }
}
