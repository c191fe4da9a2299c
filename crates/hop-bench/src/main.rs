//! Measures `hop endpoint` beside OpenSSH's sshd on one machine, the engine alone in memory, a gateway beside what it
//! stands between, `hop exec` beside ssh over its own ControlMaster, and SSH into Jupyter beside jupyter-sshd-proxy; writes
//! chapters of a page.
//!
//! Must stay true: what is compared differs in the server and in nothing else (client, cipher, key exchange, account,
//! shell, files), and the two servers take turns, so that a busy neighbour disturbs both alike.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool that reports its progress")]

mod account;
mod error;
mod figures;
mod held;
mod hub;
mod lab;
mod line;
mod machine;
mod measure;
mod page;
mod process;
mod server;
mod site;

use std::path::PathBuf;
use std::process::ExitCode;

use error::Error;
use lab::{Lab, Sizes};
use measure::{Chapter, Measurement};

/// The least number of rounds whose medians say something.
const LEAST_ROUNDS: usize = 7;

/// What the command line says. It is written by `cargo xtask bench`, which has the help.
struct Arguments {
    hop: PathBuf,
    relay: Option<PathBuf>,
    lookup: Option<PathBuf>,
    page: Option<PathBuf>,
    chapters: Vec<Chapter>,
    only: Vec<String>,
    rounds: usize,
    quick: bool,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Error> {
        let mut arguments = Self {
            hop: PathBuf::from("hop"),
            relay: None,
            lookup: None,
            page: None,
            chapters: Vec::new(),
            only: Vec::new(),
            rounds: LEAST_ROUNDS,
            quick: false,
        };
        while let Some(word) = words.next() {
            if word == "--quick" {
                arguments.quick = true;
                continue;
            }
            let value = words.next().ok_or_else(|| Error::Usage(format!("{word} wants a value")))?;
            match word.as_str() {
                "--hop" => arguments.hop = value.into(),
                "--relay" => arguments.relay = Some(value.into()),
                "--lookup" => arguments.lookup = Some(value.into()),
                "--chapter" => {
                    let named = Chapter::ALL.into_iter().find(|chapter| chapter.name() == value);
                    arguments.chapters.push(named.ok_or_else(|| {
                        let names = Chapter::ALL.map(Chapter::name).join(", ");
                        Error::Usage(format!("{value} is no chapter; there are {names}"))
                    })?);
                }
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

    /// What is measured, by chapters.
    fn chapters(&self) -> Result<Vec<(Chapter, Vec<Measurement>)>, Error> {
        let is_asked = |chapter: &Chapter| self.chapters.is_empty() || self.chapters.contains(chapter);
        let all: Vec<Measurement> = measure::all();
        if let Some(name) = self.only.iter().find(|name| all.iter().all(|m| m.name != **name)) {
            let names: Vec<_> = all.iter().map(|m| m.name).collect();
            return Err(Error::Usage(format!("{name} is not measured; there are {}", names.join(", "))));
        }
        let asked = Chapter::ALL.into_iter().filter(is_asked).map(|chapter| {
            let mut measurements = chapter.measurements();
            measurements.retain(|m| self.only.is_empty() || self.only.iter().any(|name| m.name == name));
            (chapter, measurements)
        });
        Ok(asked.filter(|(_, measurements)| !measurements.is_empty()).collect())
    }
}

fn run() -> Result<(), Error> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    if arguments.rounds < LEAST_ROUNDS || arguments.quick {
        eprintln!("note: few rounds of small files say little; the page is not written");
    }
    let chapters = arguments.chapters()?;
    process::adopt_orphans()?;
    let mut lab = Lab::set_up(&arguments.hop, if arguments.quick { Sizes::QUICK } else { Sizes::WHOLE })?;
    lab.relay.clone_from(&arguments.relay);
    lab.lookup.clone_from(&arguments.lookup);
    for (chapter, measurements) in chapters {
        let machine = machine::Machine::look(&arguments.hop, &lab)?;
        let mut results = Vec::new();
        for measurement in measurements {
            let result = measurement.run(&lab, arguments.rounds)?;
            print!("{}", page::summary(chapter, std::slice::from_ref(&result)));
            results.push(result);
        }
        let text = page::chapter(chapter, &machine.finished()?, arguments.rounds, &results);
        let writes = arguments.only.is_empty() && arguments.rounds >= LEAST_ROUNDS && !arguments.quick;
        match &arguments.page {
            // At once: what comes after may fail.
            Some(path) if writes => {
                let old = std::fs::read_to_string(path).map_err(Error::file(path))?;
                std::fs::write(path, page::with_chapter(&old, chapter, &text)).map_err(Error::file(path))?;
                eprintln!("wrote the chapter {} of {}", chapter.name(), path.display());
            }
            Some(_) | None => println!("{text}"),
        }
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
        let arguments = parse("--hop /x/hop --only connect --quick --only idle --rounds 9").unwrap();
        assert_eq!(arguments.hop, PathBuf::from("/x/hop"));
        assert_eq!(arguments.rounds, 9);
        assert!(arguments.quick);
        let names = |arguments: &Arguments| {
            let chapters = arguments.chapters().unwrap();
            chapters.iter().flat_map(|(_, all)| all).map(|m| m.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&arguments), ["connect", "idle"]);
        let gateway = parse("--chapter gateway").unwrap();
        assert!(!names(&gateway).is_empty());
        assert!(names(&gateway).iter().all(|name| name.starts_with("gateway-")));
        assert!(names(&parse("").unwrap()).len() > names(&gateway).len());
        for wrong in ["--rounds", "--rounds x", "--what 1", "--chapter none"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("--only nothing").unwrap().chapters().is_err());
    }
}
