//! How a command fails: what was tried, why it failed, what to do; and the exit code that says it to scripts.

/// What kind of failure, as sysexits(3) numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ErrorKind {
    /// 69: something is not reachable or cannot be listened on.
    Unavailable = 69,
    /// 70: a defect of ours.
    Internal = 70,
    /// 75: not now; later perhaps.
    Later = 75,
    /// 77: not allowed, or not known.
    Denied = 77,
    /// 78: a file or a setting is wrong.
    Config = 78,
    /// 130: the person gave up (128 and SIGINT, as shells have it).
    Interrupted = 130,
}

/// A failed command.
#[derive(Debug)]
pub(crate) struct CommandError {
    code: u8,
    message: String,
    hints: Vec<String>,
}

impl CommandError {
    /// A failure in words. Lines of the message that start with `hint: ` become hints.
    pub(crate) fn new(kind: ErrorKind, message: impl ToString) -> Self {
        let (mut text, mut hints) = (Vec::new(), Vec::new());
        for line in message.to_string().lines() {
            match line.strip_prefix("hint: ") {
                Some(hint) => hints.push(hint.to_owned()),
                None => text.push(line.to_owned()),
            }
        }
        Self { code: kind as u8, message: text.join("\n"), hints }
    }

    /// What another process of ours failed with.
    pub(crate) fn with_code(code: u8, message: String) -> Self {
        Self { code, message, hints: Vec::new() }
    }

    /// Adds advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What was tried and why it failed.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What to do.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The code for scripts.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

/// Turns a library's error into a failed command.
pub(crate) trait OrFail<T> {
    /// Says which kind of failure it is.
    fn or_fail(self, kind: ErrorKind) -> Result<T, CommandError>;
}

impl<T, E: std::fmt::Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, kind: ErrorKind) -> Result<T, CommandError> {
        self.map_err(|error| CommandError::new(kind, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_taken_out_of_the_message() {
        let error =
            CommandError::new(ErrorKind::Config, "cannot read x: denied\nhint: chmod 600 x").hint("or y");
        assert_eq!(error.message(), "cannot read x: denied");
        assert_eq!(error.hints(), ["chmod 600 x", "or y"]);
    }
}
