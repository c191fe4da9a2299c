//! Where a person's files of ours are, by the XDG Base Directory Specification.

use std::path::PathBuf;

/// Settings, which a person writes.
pub(crate) fn config() -> PathBuf {
    folder("XDG_CONFIG_HOME", ".config")
}

/// What is to be remembered.
pub(crate) fn state() -> PathBuf {
    folder("XDG_STATE_HOME", ".local/state")
}

fn folder(variable: &str, usual: &str) -> PathBuf {
    // A relative one is to be ignored, says the specification.
    let given = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    given.unwrap_or_else(|| super::ssh_config::home().join(usual)).join("hop")
}
