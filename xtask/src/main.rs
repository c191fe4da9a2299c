//! `cargo xtask`: set-up, tests, checks and generated files of this workspace.
//!
//! It only starts programs and reads files; what is tested and how is said in the crates.
#![expect(clippy::print_stderr, reason = "a command line tool reports its progress on standard error")]

mod bench;
mod check;
mod docs;
mod fuzz;
mod matrix;
mod setup;
mod test;
mod tool;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set-up, tests, checks and generated files of this workspace")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs the Debian, PyPI and npm peers that the tests need; quick when all is there
    Setup,
    /// Sets up, then runs all tests; arguments go to the test runner
    Test {
        /// For example a part of a test's name
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Format, lints, layers, licences, file sizes and the list of traps
    Check,
    /// Layers and fences of the crates only
    CheckLayout,
    /// Writes the command line reference, manual pages and completions below docs/
    Docs {
        /// Only say which of them are out of date
        #[arg(long)]
        check: bool,
    },
    /// Measures `hop endpoint` beside sshd, the engine alone, the gateway, the way out, and SSH into Jupyter; writes docs/benchmarks.md
    Bench {
        /// Only these chapters, `endpoint`, `gateway`, `out` or `jupyter`; the others stay on the page as they are
        #[arg(value_name = "CHAPTER")]
        chapters: Vec<String>,
        /// Only this measurement, and only printed; may be given several times
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        /// Rounds of each; the page wants at least seven
        #[arg(long, default_value_t = 7)]
        rounds: usize,
        /// Two rounds of small files, only printed: to see whether it works
        #[arg(long)]
        quick: bool,
    },
    /// Builds the fuzz targets and runs each for some seconds; fails on a crash, a hang or too much memory
    Fuzz {
        /// Only this target
        target: Option<String>,
        /// How long each target runs
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
    /// Runs every peer against the server and writes docs/peer-matrix.md and docs/ssh-audit-*.txt
    Matrix {
        /// The server: hop, sshd-9.2 or sshd-10.0 (the pages are written for hop only)
        #[arg(long, default_value = "hop")]
        server: String,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Setup => setup::run(),
        Task::Test { arguments } => test::run_all(&arguments),
        Task::Bench { chapters, only, rounds, quick } => {
            bench::run_all(&chapters, &only, if quick { 2 } else { rounds }, quick)
        }
        Task::Check => check::run_all(),
        Task::CheckLayout => check::layout::run_alone(),
        Task::Docs { check } => docs::run(check),
        Task::Fuzz { target, seconds } => fuzz::run_all(target.as_deref(), seconds),
        Task::Matrix { server } => matrix::run_server(&server),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
