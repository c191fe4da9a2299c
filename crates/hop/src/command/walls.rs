//! `hop walls`: the sandbox around a project's endpoint.

use crate::error::{CommandError, ErrorKind};
use crate::output;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs a program behind walls. Nothing here may start a thread before.
pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    hop_env::walls::run(words).unwrap_or_else(|error| {
        let error = CommandError::new(ErrorKind::Internal, error);
        output::error(&error);
        ExitCode::from(error.code())
    })
}
