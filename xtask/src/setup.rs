//! What the tests need beside Rust, in the order it is installed. Every step first looks whether there is anything to do.

mod debian;
mod registry;
mod trixie;

use std::path::Path;

use crate::tool::Error;

/// Brings everything that is missing.
pub(crate) fn run() -> Result<(), Error> {
    debian::install()?;
    registry::python()?;
    registry::npm()?;
    registry::hub()?;
    registry::aiida()?;
    trixie::unpack()
}

/// Removes a folder of ours with all that is in it, if it is there.
pub(crate) fn remove_folder(folder: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(folder)(error)),
        _ => Ok(()),
    }
}
