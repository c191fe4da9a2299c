//! The two streams: data on standard output, everything else on standard error.
#![expect(clippy::print_stderr, reason = "the only file that prints")]

use crate::error::{CommandError, ErrorKind};
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Prints one line of data.
pub(crate) fn line(text: &str) {
    let mut stdout = std::io::stdout();
    // A reader at the other end of a pipe waits for it.
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    if written.is_err_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
        // `hop … | head` has what it wanted.
        std::process::exit(0);
    }
}

/// Prints one JSON document on a line.
pub(crate) fn json(document: &impl Serialize) -> Result<(), CommandError> {
    let text =
        serde_json::to_string(document).map_err(|error| CommandError::new(ErrorKind::Internal, error))?;
    line(&text);
    Ok(())
}

/// Prints one JSON document on a line for a program that may be gone; whether it is there.
pub(crate) fn is_heard(document: &impl Serialize) -> bool {
    let mut stdout = std::io::stdout();
    let text = serde_json::to_string(document);
    text.is_ok_and(|text| writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_ok())
}

/// Says something to the person.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// Advises the person.
pub(crate) fn hint(text: &str) {
    eprintln!("{} {text}", label("hint:", "36"));
}

/// Asks the person; the answer is read from standard input.
pub(crate) fn ask(text: &str) {
    eprint!("{text}");
    let _ = std::io::stderr().flush();
}

/// Warns the person.
pub(crate) fn warning(text: &str) {
    eprintln!("{} {text}", label("warning:", "33"));
}

/// Says why a command failed and what to do.
pub(crate) fn error(error: &CommandError) {
    eprintln!("{} {}", label("error:", "31"), error.message());
    for hint in error.hints() {
        eprintln!("{} {hint}", label("hint:", "36"));
    }
}

/// Coloured on a terminal, unless the person set NO_COLOR.
fn label(text: &str, colour: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain || !std::io::stderr().is_terminal() {
        return text.to_owned();
    }
    format!("\x1b[1;{colour}m{text}\x1b[0m")
}
