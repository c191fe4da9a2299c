//! `cargo xtask bench`: builds both programs as they are shipped, and measures.

use std::process::Command;

use crate::tool::{Error, cargo, root, run};

/// Measures everything and writes `docs/benchmarks.md`, or only what is named, and prints it.
pub(crate) fn run_all(only: &[String], rounds: usize) -> Result<(), Error> {
    run(cargo().args(["build", "--release", "--package", "hop", "--package", "hop-bench"]))?;
    let built = hop_e2e::program::target_folder().join("release");
    let mut command = Command::new(built.join("hop-bench"));
    command.arg("--hop").arg(built.join("hop"));
    command.arg("--page").arg(root().join("docs/benchmarks.md"));
    command.arg("--rounds").arg(rounds.to_string());
    for name in only {
        command.arg("--only").arg(name);
    }
    run(&mut command)
}
