//! The traps that an SSH server and a relay must pass, each with a test named after its number.
//!
//! A test counts for the relay when its name or its file's path has the word `relay`, else for the endpoint.

use std::collections::BTreeSet;
use std::path::Path;

use super::sources::rust_files;
use crate::tool::{Error, root};

/// Where a trap can bite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Endpoint,
    Relay,
}

use Place::{Endpoint, Relay};

/// Number, what it is about, and where it must be tested. Number 22 is about the WebSocket leg: it comes with the crate
/// that has one.
const TRAPS: &[(u8, &str, &[Place])] = &[
    (1, "windows: credit is relayed, not invented", &[Endpoint, Relay]),
    (2, "EOF is not CLOSE", &[Endpoint, Relay]),
    (3, "exit status order", &[Endpoint, Relay]),
    (4, "early data", &[Endpoint, Relay]),
    (5, "want_reply and the order of replies", &[Endpoint, Relay]),
    (6, "keepalive", &[Endpoint, Relay]),
    (7, "no-more-sessions", &[Endpoint, Relay]),
    (8, "hostkeys-00 and its proof", &[Endpoint, Relay]),
    (9, "EXT_INFO per leg", &[Endpoint, Relay]),
    (10, "strict kex", &[Endpoint, Relay]),
    (11, "rekey while data flows", &[Endpoint, Relay]),
    (12, "publickey-hostbound", &[Endpoint, Relay]),
    (13, "session-bind and restricted destinations", &[Endpoint, Relay]),
    (14, "life of the agent socket", &[Endpoint, Relay]),
    (15, "sessions and start-ups of a foreign sshd", &[Endpoint, Relay]),
    (16, "attempts count failed signatures only", &[Endpoint, Relay]),
    (17, "the user name does not change", &[Endpoint, Relay]),
    (18, "environment by allow-list", &[Endpoint, Relay]),
    (19, "no output of ours on a channel", &[Endpoint, Relay]),
    (20, "what is idle", &[Endpoint, Relay]),
    (21, "the source address", &[Endpoint]),
    (23, "unknown channel types, requests and messages", &[Endpoint, Relay]),
    (24, "certificates", &[Endpoint, Relay]),
];

/// Traps without a test.
pub(super) fn problems() -> Result<Vec<String>, Error> {
    let mut found = BTreeSet::new();
    for (path, text) in rust_files()? {
        let path = path.strip_prefix(root()).unwrap_or(&path);
        if path.starts_with("crates") {
            found.extend(tests_in(path, &text));
        }
    }
    let mut problems = Vec::new();
    for (number, about, places) in TRAPS {
        for place in places.iter().filter(|p| !found.contains(&(*number, **p))) {
            problems.push(format!("no test trap_{number:02}_… for the {place:?} ({about})"));
        }
    }
    Ok(problems)
}

fn tests_in(path: &Path, text: &str) -> Vec<(u8, Place)> {
    let in_relay = path.components().any(|c| c.as_os_str().to_string_lossy().contains("relay"));
    let names = text.split("fn trap_").skip(1);
    names
        .filter_map(|rest| {
            let name: &str = rest.split('(').next()?;
            let number = name.get(..2)?.parse().ok()?;
            let place = if in_relay || name.contains("relay") { Relay } else { Endpoint };
            Some((number, place))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_name_and_place() {
        let text = "#[test]\nfn trap_02_eof() {}\nasync fn trap_05_through_the_relay() {}\nfn trap_x() {}";
        assert_eq!(tests_in(Path::new("crates/a/tests/it/b.rs"), text), [(2, Endpoint), (5, Relay)]);
        assert_eq!(tests_in(Path::new("crates/a/tests/it/relay/b.rs"), text), [(2, Relay), (5, Relay)]);
    }
}
