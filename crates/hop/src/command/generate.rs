//! `hop completions` and `hop man`: made from the command line's own definition, so they cannot drift.

use crate::cli::{Cli, Completions, Man};
use crate::error::{CommandError, ErrorKind, OrFail};
use clap::CommandFactory;

/// Prints completions.
pub(crate) fn completions(arguments: &Completions) -> Result<(), CommandError> {
    clap_complete::generate(arguments.shell, &mut Cli::command(), "hop", &mut std::io::stdout());
    Ok(())
}

/// Writes manual pages.
pub(crate) fn man(arguments: &Man) -> Result<(), CommandError> {
    std::fs::create_dir_all(&arguments.directory).or_fail(ErrorKind::Config)?;
    clap_mangen::generate_to(Cli::command(), &arguments.directory).or_fail(ErrorKind::Config)
}
