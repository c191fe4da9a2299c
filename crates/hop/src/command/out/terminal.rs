//! The person's terminal: shows a question and reads its answer, while something else may end the question.
//!
//! Must stay true: the terminal's modes come back however asking ends; what was typed before a question was shown is
//! no answer to it.

use super::line_editor::{Key, LineEditor};
use hop_broker::Secret;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{self, LocalModes, OptionalActions, QueueSelector, Termios};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// A terminal that a person sits at.
#[derive(Debug)]
pub(crate) struct Terminal(File);

/// How asking ended.
#[derive(Debug)]
pub(crate) enum Asked {
    /// With an answer.
    Answer(Secret),
    /// The other descriptor has something to say.
    Interrupted,
    /// The person gave up, or is gone.
    Abort,
}

impl Terminal {
    /// The terminal of this process, if a person can type there now: also when its streams lead elsewhere.
    pub(crate) fn of_process() -> Option<Self> {
        let file = File::options().read(true).write(true).open("/dev/tty").ok()?;
        // A background process that reads is stopped by the kernel.
        let is_foreground = termios::tcgetpgrp(&file).is_ok_and(|group| group == rustix::process::getpgrp());
        is_foreground.then_some(Self(file))
    }

    /// Shows a line.
    pub(crate) fn show(&mut self, text: &str) {
        // Who cannot be shown anything cannot be asked either, and that is said.
        let _ = writeln!(self.0, "{text}");
    }

    /// Asks, until there is an answer or something comes on `other`.
    pub(crate) fn ask(&mut self, prompt: &str, echo: bool, other: BorrowedFd<'_>) -> io::Result<Asked> {
        let before = termios::tcgetattr(&self.0)?;
        let mut raw = before.clone();
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN);
        termios::tcsetattr(&self.0, OptionalActions::Flush, &raw)?;
        let restored = Restored { terminal: &mut self.0, before };
        let asked = read_answer(restored.terminal, prompt, echo, other);
        let _ = restored.terminal.write_all(b"\n");
        asked
    }

    /// Asks until there is an answer.
    pub(crate) fn ask_alone(&mut self, prompt: &str, echo: bool) -> io::Result<Asked> {
        // Nothing ever comes from there, as long as its other end is held.
        let (never, _held) = io::pipe()?;
        self.ask(prompt, echo, never.as_fd())
    }

    /// Waits for Enter, or for something on `other`.
    pub(crate) fn flush(&self) {
        let _ = termios::tcflush(&self.0, QueueSelector::IFlush);
    }
}

/// Gives the terminal its modes back.
struct Restored<'t> {
    terminal: &'t mut File,
    before: Termios,
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(&*self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn read_answer(terminal: &mut File, prompt: &str, echo: bool, other: BorrowedFd<'_>) -> io::Result<Asked> {
    terminal.write_all(prompt.as_bytes())?;
    let last_line = prompt.rsplit('\n').next().unwrap_or_default().to_owned();
    let mut editor = LineEditor::default();
    loop {
        let mut descriptors =
            [PollFd::new(&*terminal, PollFlags::IN), PollFd::from_borrowed_fd(other, PollFlags::IN)];
        match poll(&mut descriptors, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let [typed, said] = descriptors.map(|descriptor| !descriptor.revents().is_empty());
        if said {
            return Ok(Asked::Interrupted);
        }
        if !typed {
            continue;
        }
        let mut byte = [0];
        if terminal.read(&mut byte)? == 0 {
            return Ok(Asked::Abort);
        }
        match editor.key(byte[0]) {
            Key::Enter => return Ok(Asked::Answer(Secret::new(editor.text()))),
            Key::Abort => return Ok(Asked::Abort),
            Key::Typed if echo => terminal.write_all(&byte)?,
            Key::Echo(shown) if echo => {
                terminal.write_all(shown)?;
                if shown.first() == Some(&b'\r') {
                    terminal.write_all(last_line.as_bytes())?;
                }
            }
            Key::Typed | Key::Echo(_) => {}
        }
    }
}
