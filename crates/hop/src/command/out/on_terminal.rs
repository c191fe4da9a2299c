//! Becomes another program, with the standard input as its controlling terminal: /dev/tty is where it asks.

use crate::error::{CommandError, ErrorKind, OrFail};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The name of the command; started by the daemon, never by hand.
pub(crate) const NAME: &str = "on-terminal";

pub(crate) fn run(words: Vec<OsString>) -> Result<(), CommandError> {
    let mut words = words.into_iter();
    let Some(program) = words.next() else {
        return Err(CommandError::new(ErrorKind::Config, "nothing is to be run"));
    };
    rustix::process::setsid().or_fail(ErrorKind::Internal)?;
    rustix::process::ioctl_tiocsctty(std::io::stdin()).or_fail(ErrorKind::Internal)?;
    let error = Command::new(&program).args(words).exec();
    Err(CommandError::new(ErrorKind::Config, format!("cannot run {}: {error}", program.to_string_lossy())))
}
