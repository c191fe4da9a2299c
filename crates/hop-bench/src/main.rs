//! Measures `hop endpoint` beside OpenSSH's sshd on one machine, and the engine alone in memory; prints a page.
//!
//! Must stay true: what is compared differs in the server and in nothing else (client, cipher, key exchange, account,
//! shell, files), and the two servers take turns, so that a busy neighbour disturbs both alike.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool that reports its progress")]

mod account;
mod error;
mod figures;
mod lab;
mod line;
mod machine;
mod measure;
mod page;
mod process;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use error::Error;
use lab::Lab;
use measure::Measurement;

/// The least number of rounds whose medians say something.
const LEAST_ROUNDS: usize = 7;

/// What the command line says. It is written by `cargo xtask bench`, which has the help.
struct Arguments {
    hop: PathBuf,
    page: Option<PathBuf>,
    only: Vec<String>,
    rounds: usize,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Error> {
        let mut arguments =
            Self { hop: PathBuf::from("hop"), page: None, only: Vec::new(), rounds: LEAST_ROUNDS };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| Error::Usage(format!("{word} wants a value")))?;
            match word.as_str() {
                "--hop" => arguments.hop = value.into(),
                "--page" => arguments.page = Some(value.into()),
                "--only" => arguments.only.push(value),
                "--rounds" => {
                    arguments.rounds =
                        value.parse().map_err(|_| Error::Usage(format!("{value} is not a number")))?;
                }
                _ => return Err(Error::Usage(format!("{word} is not known"))),
            }
        }
        Ok(arguments)
    }

    fn measurements(&self) -> Result<Vec<Measurement>, Error> {
        let all = measure::all();
        if self.only.is_empty() {
            return Ok(all);
        }
        if let Some(name) = self.only.iter().find(|name| all.iter().all(|m| m.name != **name)) {
            let names: Vec<_> = all.iter().map(|m| m.name).collect();
            return Err(Error::Usage(format!("{name} is not measured; there are {}", names.join(", "))));
        }
        Ok(all.into_iter().filter(|m| self.only.iter().any(|name| m.name == name)).collect())
    }
}

fn run() -> Result<(), Error> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    if arguments.rounds < LEAST_ROUNDS {
        eprintln!("note: fewer than {LEAST_ROUNDS} rounds say little; the page is not written");
    }
    let measurements = arguments.measurements()?;
    process::adopt_orphans()?;
    let lab = Lab::set_up(&arguments.hop)?;
    let machine = machine::Machine::look(&arguments.hop, &lab)?;
    let mut results = Vec::new();
    for measurement in measurements {
        let result = measurement.run(&lab, arguments.rounds)?;
        print!("{}", page::summary(std::slice::from_ref(&result)));
        results.push(result);
    }
    let text = page::page(&machine.finished()?, arguments.rounds, &results);
    if let Some(path) = &arguments.page
        && arguments.only.is_empty()
        && arguments.rounds >= LEAST_ROUNDS
    {
        std::fs::write(path, text).map_err(Error::file(path))?;
        eprintln!("wrote {}", path.display());
    } else {
        println!("{text}");
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, Error> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_command_line_is_read() {
        let arguments = parse("--hop /x/hop --only connect --only idle --rounds 9").unwrap();
        assert_eq!(arguments.hop, PathBuf::from("/x/hop"));
        assert_eq!(arguments.rounds, 9);
        let names: Vec<_> = arguments.measurements().unwrap().iter().map(|m| m.name).collect();
        assert_eq!(names, ["connect", "idle"]);
        for wrong in ["--rounds", "--rounds x", "--what 1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("--only nothing").unwrap().measurements().is_err());
    }
}
