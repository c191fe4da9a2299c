//! `hop-relay CONFIG.json` runs a test's relay and prints one line of JSON for each thing that happens, first where it
//! listens. `hop-relay take-over` is how it starts its own successor.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use hop_testkit::relay::{RelayConfig, RelayError, RelayEvent, TAKE_OVER, serve, take_over};

fn main() -> ExitCode {
    let Some(argument) = std::env::args_os().nth(1) else {
        say("usage: hop-relay CONFIG.json");
        return ExitCode::from(2);
    };
    match run(argument) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("hop-relay: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(argument: OsString) -> Result<(), RelayError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if argument == TAKE_OVER {
        return runtime.block_on(take_over(report));
    }
    let path = PathBuf::from(argument);
    let text = std::fs::read(&path)?;
    let config: RelayConfig =
        serde_json::from_slice(&text).map_err(|source| RelayError::Config { path, source })?;
    runtime.block_on(serve(config, report))
}

fn report(event: RelayEvent) {
    if let Ok(line) = serde_json::to_string(&event) {
        say(&line);
    }
}

fn say(line: &str) {
    // The test that reads it may have ended.
    let _ = writeln!(std::io::stdout(), "{line}");
}
