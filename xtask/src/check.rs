//! `cargo xtask check`: what must hold before a change is handed on.

pub(crate) mod layout;
mod licences;
mod sources;
mod traps;

use crate::docs;
use crate::tool::{Error, cargo, root, run, works};
use std::process::Stdio;

/// All checks; the quick ones first.
pub(crate) fn run_all() -> Result<(), Error> {
    let metadata = layout::Metadata::load()?;
    let mut problems = layout::problems(&metadata);
    problems.extend(licences::problems(&metadata));
    problems.extend(sources::problems()?);
    problems.extend(traps::problems()?);
    Error::from_problems(&problems)?;
    // The fuzz targets are built with their lock as it is; a new dependency of a crate leaves it behind.
    let lock = ["metadata", "--locked", "--format-version", "1", "--manifest-path", "fuzz/Cargo.toml"];
    run(cargo().args(lock).current_dir(root()).stdout(Stdio::null()))?;
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))?;
    docs::run(true)?;
    if works(cargo().args(["deny", "--version"])) {
        run(cargo().args(["deny", "--all-features", "check", "bans", "licenses", "sources"]))?;
    }
    Ok(())
}
