//! Why a measurement could not be made.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Anything that ends the run: a number that was not measured as described is worse than none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("starting {program}: {source}")]
    Start { program: String, source: std::io::Error },
    #[error("`{line}` ended with {status}:\n{output}")]
    Failed { line: String, status: ExitStatus, output: String },
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{program} ended before it served:\n{output}")]
    NotServing { program: String, output: String },
    #[error("{what}: {source}")]
    System { what: &'static str, source: std::io::Error },
    #[error("{what}: wanted {wanted} bytes, got {got}")]
    Short { what: &'static str, wanted: u64, got: u64 },
    #[error("no {program} was found; install the Debian package {package}")]
    Missing { program: &'static str, package: &'static str },
    #[error("{what}: {source}")]
    Ssh { what: &'static str, source: hop_ssh::Error },
    #[error("the relay: {0}")]
    Relay(hop_ssh::Error),
    #[error("ssh's master: {0}")]
    Master(hop_connect::mux::MuxError),
    #[error("a session of ours: {0}")]
    Client(String),
    #[error("{0}")]
    Unexpected(&'static str),
}

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }

    pub(crate) fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    pub(crate) fn ssh(what: &'static str) -> impl FnOnce(hop_ssh::Error) -> Self {
        move |source| Self::Ssh { what, source }
    }
}
