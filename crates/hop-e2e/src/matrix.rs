//! The record of what was tested against which peer, and the page made of it.
//!
//! Each test writes one record when `HOP_E2E_RESULTS` names a folder; `cargo xtask matrix` runs them all and makes
//! `docs/peer-matrix.md`. A cell is a result or a reason: the page is refused when a record is missing.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::foreign::Software;
use crate::peer::{Cell, Peer};

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// An allowed key logs in, another is refused.
    Login,
    /// Commands end with their own exit status, output on the right stream.
    Exec,
    /// 64 MiB to the server, compared.
    Upload,
    /// 64 MiB from the server, compared.
    Download,
    /// put, get, rename and readdir over SFTP.
    Sftp,
    /// A terminal of the asked type and size.
    Pty,
    /// Twelve sessions at once over one ControlMaster.
    Multiplex,
    /// A window of a remote X11 client.
    X11,
    /// A forwarded agent with a key that is restricted to its destinations.
    AgentForwarding,
    /// Login with a security key.
    SecurityKey,
    /// A remote file opened, changed and written back.
    Edit,
}

impl Operation {
    /// All of them, in the order of the matrix.
    pub const ALL: [Self; 11] = [
        Self::Login,
        Self::Exec,
        Self::Upload,
        Self::Download,
        Self::Sftp,
        Self::Pty,
        Self::Multiplex,
        Self::X11,
        Self::AgentForwarding,
        Self::SecurityKey,
        Self::Edit,
    ];

    /// Its words in the matrix.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Exec => "exec with exit status",
            Self::Upload => "64 MiB up",
            Self::Download => "64 MiB down",
            Self::Sftp => "sftp put/get/rename/readdir",
            Self::Pty => "pty",
            Self::Multiplex => "12 sessions over one ControlMaster",
            Self::X11 => "X11 forwarding",
            Self::AgentForwarding => "destination-restricted agent key",
            Self::SecurityKey => "sk- key",
            Self::Edit => "edit a remote file",
        }
    }

    /// Whether only OpenSSH's own client can do it.
    #[must_use]
    pub fn needs_openssh(self) -> bool {
        match self {
            Self::Multiplex | Self::X11 | Self::AgentForwarding | Self::SecurityKey => true,
            Self::Login
            | Self::Exec
            | Self::Upload
            | Self::Download
            | Self::Sftp
            | Self::Pty
            | Self::Edit => false,
        }
    }

    /// Operations of one client only are rows for that client alone; the others are rows for every peer.
    fn is_a_row_for(self, cell: Cell) -> bool {
        matches!(cell, Cell::Tested) || !(self.needs_openssh() || self == Self::Edit)
    }
}

/// One tested cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    peer: String,
    version: String,
    operation: Operation,
    passed: bool,
    seconds: f64,
}

/// One test of our client.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ClientRecord {
    server: String,
    test: String,
    passed: bool,
    seconds: f64,
}

/// Runs a test of our client against a server that is not ours, and records how it went.
pub fn record_client(server: Software, test: &'static str, run: impl FnOnce()) {
    let _record = ClientRecorder { server, test, start: Instant::now() };
    run();
}

struct ClientRecorder {
    server: Software,
    test: &'static str,
    start: Instant,
}

impl Drop for ClientRecorder {
    fn drop(&mut self) {
        let seconds = self.start.elapsed().as_secs_f64();
        let Some(folder) = std::env::var_os("HOP_E2E_RESULTS") else { return };
        let record = ClientRecord {
            server: self.server.version(),
            test: self.test.replace('_', " "),
            passed: !std::thread::panicking(),
            seconds,
        };
        let text = serde_json::to_string(&record).expect("a record is plain data");
        let name = format!("{:?}-{}.client", self.server, self.test);
        let name: String = name.chars().filter(|c| c.is_alphanumeric() || "-._".contains(*c)).collect();
        std::fs::write(Path::new(&folder).join(name), text).expect("write a record into HOP_E2E_RESULTS");
    }
}

/// The part of the page about our client; empty when it was not tested in this run.
///
/// # Errors
/// When the folder or a record cannot be read.
pub fn client_page(folder: &Path) -> std::io::Result<String> {
    let mut records: Vec<ClientRecord> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "client") {
            records.push(serde_json::from_str(&std::fs::read_to_string(path)?)?);
        }
    }
    if records.is_empty() {
        return Ok(String::new());
    }
    records.sort_by(|a, b| (&a.server, &a.test).cmp(&(&b.server, &b.test)));
    let mut text =
        "\n## Our client against servers that are not ours\n\n| server | what | result | seconds |\n\
                    | --- | --- | --- | ---: |\n"
            .to_owned();
    for ClientRecord { server, test, passed, seconds } in records {
        let result = if passed { "pass" } else { "**fail**" };
        let _ = writeln!(text, "| {server} | {test} | {result} | {seconds:.1} |");
    }
    Ok(text)
}

/// Runs one cell's test and records how it went.
pub fn record(peer: Peer, operation: Operation, test: impl FnOnce()) {
    assert_eq!(peer.cell(operation), Cell::Tested, "the matrix has no such cell");
    let _record = Recorder { peer, operation, start: Instant::now() };
    test();
}

struct Recorder {
    peer: Peer,
    operation: Operation,
    start: Instant,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let seconds = self.start.elapsed().as_secs_f64();
        let Some(folder) = std::env::var_os("HOP_E2E_RESULTS") else { return };
        let record = Record {
            peer: self.peer.name().to_owned(),
            version: self.peer.version(),
            operation: self.operation,
            passed: !std::thread::panicking(),
            seconds,
        };
        let text = serde_json::to_string(&record).expect("a record is plain data");
        let name = format!("{:?}-{:?}.json", self.peer, self.operation);
        let name: String = name.chars().filter(|c| c.is_alphanumeric() || "-._".contains(*c)).collect();
        std::fs::write(Path::new(&folder).join(name), text).expect("write a record into HOP_E2E_RESULTS");
    }
}

/// Reads all records of a folder.
///
/// # Errors
/// When the folder or a record cannot be read.
pub fn read_records(folder: &Path) -> std::io::Result<Vec<Record>> {
    let mut records = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json") {
            records.push(serde_json::from_str(&std::fs::read_to_string(path)?)?);
        }
    }
    Ok(records)
}

/// The page, and the cells for which no record was found (the page has them as "not run").
#[must_use]
pub fn page(records: &[Record], server: &str) -> (String, Vec<String>) {
    let mut missing = Vec::new();
    let mut text = format!(
        "# Peer matrix\n\nMade by `cargo xtask matrix`; do not edit. Server: {server}. Each row with a time is one test in \
         `crates/hop-e2e`; the time includes starting the server and making keys.\n\n\
         | peer | version | operation | result | seconds |\n| --- | --- | --- | --- | ---: |\n"
    );
    for peer in Peer::ALL {
        let version = peer.version();
        for operation in Operation::ALL {
            let cell = peer.cell(operation);
            if !operation.is_a_row_for(cell) {
                continue;
            }
            let found = records
                .iter()
                .find(|r| r.peer == peer.name() && r.operation == operation && r.version == version);
            let (result, seconds) = match (cell, found) {
                (Cell::NotApplicable(why), _) => (format!("n/a: {why}"), "–".to_owned()),
                (Cell::Tested, Some(record)) => {
                    let result = if record.passed { "pass" } else { "**fail**" };
                    (result.to_owned(), format!("{:.1}", record.seconds))
                }
                (Cell::Tested, None) => {
                    missing.push(format!("{} {version}: {}", peer.name(), operation.title()));
                    ("**not run**".to_owned(), "–".to_owned())
                }
            };
            let (peer, operation) = (peer.name(), operation.title());
            let _ = writeln!(text, "| {peer} | {version} | {operation} | {result} | {seconds} |");
        }
    }
    (text, missing)
}
