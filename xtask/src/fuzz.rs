//! Fuzzing: builds the targets of fuzz/ with the pinned toolchain and runs each for a while.
//!
//! Coverage comes from the compiler's own pass and the engine from libfuzzer-sys, so nothing but a C++ compiler has
//! to be installed. A crash, a hang or too much memory fails the task and leaves the input in fuzz/artifacts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::tool::{Error, cargo, output, root, run, works};

/// Each target with the longest input worth trying, in bytes.
const TARGETS: [(&str, usize); 28] = [
    ("transport_before_keys", 8192),
    ("transport_after_keys", 4096),
    ("userauth_server", 4096),
    ("userauth_client", 4096),
    ("channels", 4096),
    ("relay", 4096),
    ("bare", 2048),
    ("state", 8192),
    ("word", 4096),
    ("certificate", 4096),
    ("authorized_keys", 4096),
    ("known_hosts", 4096),
    ("krl", 4096),
    ("agent", 4096),
    ("mux_master", 4096),
    ("forwards", 256),
    ("terminal", 4096),
    ("broker_requests", 4096),
    ("sftp_requests", 2048),
    ("sftp_server", 4096),
    ("sftp_responses", 4096),
    ("sftp_client", 2048),
    ("sftp_arguments", 512),
    ("terminal_modes", 512),
    ("inner_lines", 4096),
    ("pasted_keys", 4096),
    ("proxy_header", 512),
    ("websocket", 2048),
];

/// What cargo-fuzz also asks the compiler for: a counter on each edge, and comparisons told to the engine.
const COVERAGE: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Seconds after which one input counts as a hang.
const HANG: u32 = 10;
/// The most memory of a whole process, in MiB. What one input may take is far less; each target says how much.
const PROCESS_MEMORY: u32 = 1024;
/// The largest single allocation, in MiB.
const ALLOCATION: u32 = 64;

/// Builds and runs the named target, or all; `seconds` each.
pub(crate) fn run_all(wanted: Option<&str>, seconds: u32) -> Result<(), Error> {
    check_list()?;
    let chosen: Vec<_> =
        TARGETS.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name)).collect();
    if chosen.is_empty() {
        return Err(Error::Missing {
            what: format!("there is no fuzz target {}", wanted.unwrap_or_default()),
            hint: format!("the targets are {}", TARGETS.map(|(name, _)| name).join(", ")),
        });
    }
    let binaries = build(wanted)?;
    eprintln!(
        "{:<24}{:>9}{:>12}{:>10}{:>9}{:>10}{:>8}",
        "target", "seconds", "runs", "runs/s", "edges", "features", "MiB"
    );
    let mut problems = Vec::new();
    for (name, longest) in chosen {
        if let Err(problem) = run_target(&binaries, name, *longest, seconds)? {
            eprintln!("{name:<24}{problem}");
            problems.push(format!("{name}: {problem}"));
        }
    }
    Error::from_problems(&problems)
}

/// The list above and the files of fuzz/targets must name the same.
fn check_list() -> Result<(), Error> {
    let folder = root().join("fuzz/targets");
    let mut problems = Vec::new();
    for entry in fs::read_dir(&folder).map_err(Error::file(&folder))? {
        let path = entry.map_err(Error::file(&folder))?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if !TARGETS.iter().any(|(known, _)| *known == name) {
            problems.push(format!("{} is not in the list of xtask/src/fuzz.rs", path.display()));
        }
    }
    Error::from_problems(&problems)
}

/// Builds the targets; where their binaries are.
fn build(wanted: Option<&str>) -> Result<PathBuf, Error> {
    if !works(Command::new("c++").arg("--version")) {
        return Err(Error::Missing {
            what: "no C++ compiler (the fuzzing engine is C++)".to_owned(),
            hint: "apt-get install g++".to_owned(),
        });
    }
    let version = output(Command::new("rustc").current_dir(root()).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let folder = root().join("fuzz/target");
    let mut command = cargo();
    // With a target named, build scripts and macros are left without the coverage pass, which they cannot link.
    command.args(["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target", host]);
    command.arg("--target-dir").arg(&folder);
    match wanted {
        Some(name) => command.args(["--bin", name]),
        None => command.arg("--bins"),
    };
    run(command.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", COVERAGE))?;
    Ok(folder.join(host).join("release"))
}

/// Runs one target; what went wrong with it, if anything did.
fn run_target(
    binaries: &Path,
    name: &str,
    longest: usize,
    seconds: u32,
) -> Result<Result<(), String>, Error> {
    let fuzz = root().join("fuzz");
    let (corpus, seeds) = (fuzz.join("corpus").join(name), fuzz.join("seeds").join(name));
    let artifacts = fuzz.join("artifacts").join(name);
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    if !seeds.is_dir() {
        return Ok(Err(format!("no seeds in {}", seeds.display())));
    }
    let log = artifacts.join("log");
    let file = File::create(&log).map_err(Error::file(&log))?;
    let mut command = Command::new("nice");
    command.arg(binaries.join(name)).arg(&corpus).arg(&seeds);
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={longest}"),
        format!("-timeout={HANG}"),
        format!("-rss_limit_mb={PROCESS_MEMORY}"),
        format!("-malloc_limit_mb={ALLOCATION}"),
        format!("-artifact_prefix={}/", artifacts.display()),
        "-print_final_stats=1".to_owned(),
    ]);
    let line = format!("{} {}", binaries.join(name).display(), corpus.display());
    let started = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        .status()
        .map_err(|source| Error::Start { line, source })?;
    let text = String::from_utf8_lossy(&fs::read(&log).map_err(Error::file(&log))?).into_owned();
    if !status.success() {
        return Ok(Err(format!("{} (see {})", failure(&text), log.display())));
    }
    let figures = Figures::read(&text);
    eprintln!(
        "{name:<24}{:>9.0}{:>12}{:>10}{:>9}{:>10}{:>8}",
        started.elapsed().as_secs_f64(),
        figures.runs,
        figures.rate,
        figures.edges,
        figures.features,
        figures.memory
    );
    Ok(Ok(()))
}

/// What a failed run says: where it panicked and the words on the next line, or the engine's own finding.
fn failure(log: &str) -> String {
    let mut lines =
        log.lines().skip_while(|line| !line.contains("panicked at") && !line.contains("ERROR: libFuzzer"));
    match (lines.next(), lines.next()) {
        (Some(panic), Some(words)) if panic.contains("panicked at") => format!("{panic} {words}"),
        (Some(finding), _) => finding.to_owned(),
        (None, _) => "ended early".to_owned(),
    }
}

/// What the engine says of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    runs: String,
    rate: String,
    memory: String,
    edges: String,
    features: String,
}

impl Figures {
    fn read(log: &str) -> Self {
        let figure = |name: &str| {
            let line = log.lines().rev().find_map(|line| line.strip_prefix(name));
            line.map(|rest| rest.trim().to_owned()).unwrap_or_default()
        };
        // "#123	DONE   cov: 45 ft: 67 corp: 8/9b ..."
        let last = log.lines().rev().find(|line| line.contains(" cov: ")).unwrap_or_default();
        let word = |name: &str| {
            let mut words = last.split_whitespace().skip_while(|word| *word != name);
            words.nth(1).unwrap_or_default().to_owned()
        };
        Self {
            runs: figure("stat::number_of_executed_units:"),
            rate: figure("stat::average_exec_per_sec:"),
            memory: figure("stat::peak_rss_mb:"),
            edges: word("cov:"),
            features: word("ft:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_say_what_and_where() {
        let log = "INFO: x\nthread 'y' (1) panicked at a.rs:1:2:\nit is wrong\n==1== ERROR: libFuzzer: deadly signal\n";
        assert_eq!(failure(log), "thread 'y' (1) panicked at a.rs:1:2: it is wrong");
        assert_eq!(failure("==1== ERROR: libFuzzer: timeout\n"), "==1== ERROR: libFuzzer: timeout");
    }

    #[test]
    fn figures_are_read_from_the_last_lines() {
        let log = "#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 40Mb\n\
            #99\tDONE   cov: 45 ft: 67 corp: 8/9b lim: 100 exec/s: 33 rss: 41Mb\n\
            stat::number_of_executed_units: 99\n\
            stat::average_exec_per_sec:     33\n\
            stat::peak_rss_mb:              41\n";
        let [runs, rate, memory, edges, features] = ["99", "33", "41", "45", "67"].map(str::to_owned);
        assert_eq!(Figures::read(log), Figures { runs, rate, memory, edges, features });
    }
}
