//! Starting other programs, and the errors of every task.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a task ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A program could not be started.
    #[error("starting `{line}`: {source}")]
    Start { line: String, source: std::io::Error },
    /// A program ended with a failure.
    #[error("`{line}` failed ({status})")]
    Failed { line: String, status: std::process::ExitStatus },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// A program printed something else than what it prints.
    #[error("reading the output of `{line}`: {source}")]
    Output { line: String, source: serde_json::Error },
    /// A step of the set-up needs root.
    #[error("these need root: {what}\nhint: run as root: {command}")]
    NeedsRoot { what: String, command: String },
    /// Something that the set-up cannot install itself.
    #[error("{what}\nhint: {hint}")]
    Missing { what: String, hint: String },
    /// Checks found something.
    #[error("{count} problem(s):\n{list}")]
    Problems { count: usize, list: String },
}

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }

    /// `Ok` when nothing was found.
    pub(crate) fn from_problems(problems: &[String]) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        let list = problems.iter().map(|p| format!("  {p}\n")).collect();
        Err(Self::Problems { count: problems.len(), list })
    }
}

/// The root of the source tree.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The cargo that started us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Says what it runs, and runs it to the end, output shown.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    eprintln!("$ {}", describe(command));
    run_quietly(command)
}

/// Runs to the end, output shown.
pub(crate) fn run_quietly(command: &mut Command) -> Result<(), Error> {
    let line = describe(command);
    let status = command.status().map_err(|source| Error::Start { line: line.clone(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Failed { line, status }) }
}

/// Runs to the end and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    let line = describe(command);
    let out = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Start { line: line.clone(), source })?;
    if !out.status.success() {
        return Err(Error::Failed { line, status: out.status });
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Whether a program can be started and ends well; its output is dropped.
pub(crate) fn works(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Whether we may install packages.
pub(crate) fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
