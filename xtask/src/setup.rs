//! What the tests need beside Rust, in the order it is installed. Every step first looks whether there is anything to do.

mod debian;
mod registry;
mod trixie;

use crate::tool::Error;

/// Brings everything that is missing.
pub(crate) fn run() -> Result<(), Error> {
    debian::install()?;
    registry::python()?;
    registry::npm()?;
    trixie::unpack()
}
