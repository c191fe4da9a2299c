//! The Rust files themselves: none too long to be read, each saying at its top what it owns.

use std::path::{Path, PathBuf};

use crate::tool::{Error, root};

/// A longer file has more than one noun in it.
const MOST_LINES: usize = 800;

/// Files that break the rules.
pub(super) fn problems() -> Result<Vec<String>, Error> {
    let mut problems = Vec::new();
    for (path, text) in rust_files()? {
        let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        let lines = text.lines().count();
        if lines > MOST_LINES {
            problems.push(format!("{shown}: {lines} lines, more than {MOST_LINES}"));
        }
        // The tests of one file are introduced by the file they lie beside.
        if !text.starts_with("//!") && path.file_name().is_none_or(|n| n != "tests.rs") {
            problems.push(format!("{shown}: does not begin with a //! header"));
        }
    }
    Ok(problems)
}

/// All Rust files of the workspace with their text.
pub(super) fn rust_files() -> Result<Vec<(PathBuf, String)>, Error> {
    let mut files = Vec::new();
    for folder in ["crates", "xtask", "fuzz"] {
        let folder = root().join(folder);
        if folder.exists() {
            collect(&folder, &mut files)?;
        }
    }
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, String)>) -> Result<(), Error> {
    for entry in std::fs::read_dir(folder).map_err(Error::file(folder))? {
        let entry = entry.map_err(Error::file(folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(Error::file(&path))?;
        if kind.is_dir() && entry.file_name() != "target" {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
            files.push((path, text));
        }
    }
    Ok(())
}
