//! `cargo xtask bench`: builds both programs as they are shipped, and measures.

use std::process::Command;

use crate::tool::{Error, cargo, root, run};

/// Measures everything, or the chapters that are named, and writes them into `docs/benchmarks.md`; or only some
/// measurements, and prints them.
pub(crate) fn run_all(chapters: &[String], only: &[String], rounds: usize, quick: bool) -> Result<(), Error> {
    // One after the other: what a program is built with must not depend on what else is built.
    run(cargo().args(["build", "--release", "--package", "hop"]))?;
    run(cargo().args(["build", "--release", "--package", "hop-testkit", "--bin", "hop-relay"]))?;
    run(cargo().args(["build", "--release", "--package", "hop-store", "--example", "key_lookup"]))?;
    run(cargo().args(["build", "--release", "--package", "hop-bench"]))?;
    let built = hop_e2e::program::target_folder().join("release");
    let mut command = Command::new(built.join("hop-bench"));
    command.arg("--hop").arg(built.join("hop"));
    command.arg("--relay").arg(built.join("hop-relay"));
    command.arg("--lookup").arg(built.join("examples/key_lookup"));
    for chapter in chapters {
        command.arg("--chapter").arg(chapter);
    }
    if quick {
        command.arg("--quick");
    }
    command.arg("--page").arg(root().join("docs/benchmarks.md"));
    command.arg("--rounds").arg(rounds.to_string());
    for name in only {
        command.arg("--only").arg(name);
    }
    run(&mut command)
}
