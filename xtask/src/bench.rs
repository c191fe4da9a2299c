//! `cargo xtask bench`: builds both programs as they are shipped, and measures.

use std::process::Command;

use crate::tool::{Error, cargo, root, run};

/// Measures everything, or the chapters that are named, and writes them into `docs/benchmarks.md`; or only some
/// measurements, and prints them.
pub(crate) fn run_all(chapters: &[String], only: &[String], rounds: usize, quick: bool) -> Result<(), Error> {
    let programs = ["--package", "hop", "--package", "hop-bench", "--package", "hop-testkit", "--bins"];
    run(cargo().args(["build", "--release"]).args(programs))?;
    // By itself: an example's development dependencies would change what the programs are built with.
    run(cargo().args(["build", "--release", "--package", "hop-store", "--example", "key_lookup"]))?;
    let built = hop_e2e::program::target_folder().join("release");
    let mut command = Command::new(built.join("hop-bench"));
    // The wheel is the one of the tests; what is measured is in its place.
    command.env("HOP_BIN", built.join("hop"));
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
