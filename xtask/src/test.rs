//! All tests of the workspace: set-up, the binary under test, doc tests, then the rest.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool::{Error, cargo, run, works};
use crate::{setup, tool};

/// Sets up and runs the tests; `arguments` go to the runner (and then doc tests are left out: a filter is meant for tests).
pub(crate) fn run_all(arguments: &[String]) -> Result<(), Error> {
    setup::run()?;
    let hop = build_hop()?;
    let relay = build("hop-testkit", "hop-relay")?;
    if arguments.is_empty() {
        run(cargo().args(["test", "--workspace", "--doc"]))?;
    }
    run(runner(&["--workspace"]).args(arguments).env("HOP_BIN", &hop).env("HOP_RELAY_BIN", relay))?;
    if arguments.is_empty() {
        run(&mut behind_a_gateway(&hop))?;
    }
    Ok(())
}

/// Tests of clients, by parts of their names.
const OF_CLIENTS: &[&str] = &[
    "openssh::",
    "openssh_features::",
    "libraries::",
    "file_clients::",
    "putty::",
    "dropbear::",
    "sessions::",
    "forwardings::",
    "traps::",
];

/// What a site has no words for: options of authorized_keys, when keys are replaced, a CA of the test's own. The gateway's own
/// tests (`crates/hop-gateway/tests/it/traps.rs`) have what stands in their place.
const NOT_OF_A_SITE: &[&str] = &[
    "_relay_",
    "client_role::",
    "a_forced_command_and_restrictions_of_a_key",
    "trap_11_endpoint",
    "trap_21_endpoint",
    "trap_24_endpoint",
];

/// What clients do, once more through the gateway of a site.
pub(crate) fn behind_a_gateway(hop: &Path) -> Command {
    let mut command = runner(&["--package", "hop-e2e"]);
    command.arg("--").args(OF_CLIENTS);
    for name in NOT_OF_A_SITE {
        command.args(["--skip", name]);
    }
    command.env("HOP_E2E_SERVER", "gateway").env("HOP_BIN", hop);
    command
}

/// cargo-nextest (every test in a process of its own, time limits) where it is installed, else `cargo test`.
pub(crate) fn runner(selection: &[&str]) -> Command {
    let mut command = cargo();
    if has_nextest() {
        command.args(["nextest", "run"]);
        command.args(selection);
    } else {
        command.arg("test").args(selection).args(["--lib", "--bins", "--tests", "--no-fail-fast"]);
    }
    command
}

/// Whether cargo-nextest is installed.
pub(crate) fn has_nextest() -> bool {
    works(cargo().args(["nextest", "--version"]))
}

/// Builds `hop` as the tests use it and says where it is.
pub(crate) fn build_hop() -> Result<PathBuf, Error> {
    build("hop", "hop")
}

/// Builds a program of one of our packages.
fn build(package: &str, name: &str) -> Result<PathBuf, Error> {
    run(cargo().args(["build", "--package", package, "--bin", name]))?;
    let binary = hop_e2e::program::target_folder().join("debug").join(name);
    if binary.exists() {
        return Ok(binary);
    }
    Err(Error::Missing {
        what: format!("{} was not built", binary.display()),
        hint: format!(
            "set CARGO_TARGET_DIR to the target folder in use (the sources are in {})",
            tool::root().display()
        ),
    })
}
