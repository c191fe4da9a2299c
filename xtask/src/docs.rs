//! `cargo xtask docs`: the command line's reference, manual pages and completions, all told by `hop` itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool::{Error, output, root, run_quietly};
use crate::{setup, test};

/// Generated files by their path below `docs/`.
type Files = BTreeMap<PathBuf, String>;

/// The shells with the names that they look for.
const COMPLETIONS: &[(&str, &str)] = &[("bash", "hop.bash"), ("zsh", "_hop"), ("fish", "hop.fish")];

/// Folders of `docs/` in which every file is generated.
const OWNED: &[&str] = &["man", "completions"];

/// Writes the files, or only says which of them are not as they would be written.
pub(crate) fn run(check: bool) -> Result<(), Error> {
    let hop = test::build_hop()?;
    let docs = root().join("docs");
    let wanted = generate(&hop)?;
    let found = read(&docs, &wanted)?;
    if check {
        let differing = wanted.keys().chain(found.keys()).filter(|p| wanted.get(*p) != found.get(*p));
        let mut problems: Vec<_> =
            differing.map(|p| format!("docs/{} is out of date", p.display())).collect();
        problems.sort();
        problems.dedup();
        if !problems.is_empty() {
            problems.push("`cargo xtask docs` writes them anew".to_owned());
        }
        return Error::from_problems(&problems);
    }
    for path in found.keys().filter(|p| !wanted.contains_key(*p)) {
        let path = docs.join(path);
        std::fs::remove_file(&path).map_err(Error::file(&path))?;
    }
    for (path, text) in &wanted {
        write(&docs.join(path), text)?;
    }
    eprintln!("{} files in docs/ are up to date", wanted.len());
    Ok(())
}

fn generate(hop: &Path) -> Result<Files, Error> {
    let mut files = Files::new();
    files.insert("cli.md".into(), reference(hop)?);
    for (shell, name) in COMPLETIONS {
        files.insert(
            Path::new("completions").join(name),
            output(Command::new(hop).args(["completions", shell]))?,
        );
    }
    let pages = hop_e2e::program::target_folder().join("docs-man");
    setup::remove_folder(&pages)?;
    run_quietly(Command::new(hop).arg("man").arg(&pages))?;
    for (name, text) in read_folder(&pages)? {
        files.insert(Path::new("man").join(name), text);
    }
    Ok(files)
}

/// Every command's help, as a person would read it, in one page.
fn reference(hop: &Path) -> Result<String, Error> {
    let overview = help(hop, &[])?;
    let mut text = format!(
        "# Command line reference\n\nMade by `cargo xtask docs` from the program's own help; do not edit.\n\n\
         ## hop\n\n```text\n{}\n```\n",
        overview.trim_end()
    );
    for command in commands(&overview) {
        let help = help(hop, &[command])?;
        text += &format!("\n## hop {command}\n\n```text\n{}\n```\n", help.trim_end());
    }
    Ok(text)
}

fn help(hop: &Path, command: &[&str]) -> Result<String, Error> {
    let text = output(Command::new(hop).arg("help").args(command))?;
    // Wrapped lines leave spaces at their ends.
    Ok(text.lines().flat_map(|l| [l.trim_end(), "\n"]).collect())
}

/// The names below `Commands:`; clap's own `help` says nothing about us.
fn commands(overview: &str) -> Vec<&str> {
    let list = overview.lines().skip_while(|l| *l != "Commands:").skip(1);
    let names = list.take_while(|l| l.starts_with("  ")).filter(|l| !l.starts_with("   "));
    names.filter_map(|l| l.split_whitespace().next()).filter(|n| *n != "help").collect()
}

/// What is there now: the generated files and everything in the folders that hold nothing else.
fn read(docs: &Path, wanted: &Files) -> Result<Files, Error> {
    let mut found = Files::new();
    for path in wanted.keys().filter(|p| !OWNED.iter().any(|owned| p.starts_with(owned))) {
        if let Ok(text) = std::fs::read_to_string(docs.join(path)) {
            found.insert(path.clone(), text);
        }
    }
    for owned in OWNED {
        if docs.join(owned).exists() {
            for (name, text) in read_folder(&docs.join(owned))? {
                found.insert(Path::new(owned).join(name), text);
            }
        }
    }
    Ok(found)
}

fn read_folder(folder: &Path) -> Result<Files, Error> {
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder).map_err(Error::file(folder))? {
        let entry = entry.map_err(Error::file(folder))?;
        let text = std::fs::read_to_string(entry.path()).map_err(Error::file(&entry.path()))?;
        files.insert(entry.file_name().into(), text);
    }
    Ok(files)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    std::fs::write(path, text).map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_the_overview() {
        let overview = "What it is\n\nUsage: hop <COMMAND>\n\nCommands:\n  up        Start\n  endpoint  Serve\n            \
                        more about it\n  help      Print\n\nOptions:\n  -h  Print\n";
        assert_eq!(commands(overview), ["up", "endpoint"]);
    }
}
