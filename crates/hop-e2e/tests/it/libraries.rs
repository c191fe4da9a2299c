//! SSH libraries, each driven by a small script of its own in `peers/`.

use std::collections::BTreeMap;
use std::path::Path;

use hop_e2e::matrix::{Operation, record};
use hop_e2e::peer::Peer;
use hop_e2e::program::{node_folder, python, scripts_folder};
use hop_e2e::{Run, Server};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::expected::{EXEC, Large, SMALL, SmallTree, TERMINAL, Terminal};

/// The tests of one library.
macro_rules! tests_of {
    ($module:ident, $peer:expr) => {
        mod $module {
            use super::*;

            #[test]
            fn logs_in_with_an_allowed_key_only() {
                record($peer, Operation::Login, || login($peer));
            }

            #[test]
            fn passes_streams_and_exit_status() {
                record($peer, Operation::Exec, || exec($peer));
            }

            #[test]
            fn uploads_64_mib_intact() {
                record($peer, Operation::Upload, || upload($peer));
            }

            #[test]
            fn downloads_64_mib_intact() {
                record($peer, Operation::Download, || download($peer));
            }

            #[test]
            fn puts_renames_lists_and_gets() {
                record($peer, Operation::Sftp, || sftp($peer));
            }

            #[test]
            fn gets_a_terminal() {
                record($peer, Operation::Pty, || pty($peer));
            }
        }
    };
}

tests_of!(paramiko, Peer::Paramiko);
tests_of!(asyncssh, Peer::Asyncssh);
tests_of!(libssh, Peer::Libssh);
tests_of!(libssh2, Peer::Libssh2);
tests_of!(node_ssh2, Peer::NodeSsh2);

/// What a script reports; each operation fills its part.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Report {
    outcome: String,
    status: Option<i32>,
    stdout: String,
    stderr: String,
    output: String,
    names: BTreeMap<String, u64>,
}

fn login(peer: Peer) {
    let server = Server::start();
    assert_eq!(ask(peer, &server, "login", json!({})).outcome, "in");
    let stranger = json!({ "key": server.stranger.private });
    assert_eq!(ask(peer, &server, "login", stranger).outcome, "refused");
}

fn exec(peer: Peer) {
    let server = Server::start();
    let report = ask(peer, &server, "exec", json!({ "command": EXEC }));
    assert_eq!((report.status, &*report.stdout, &*report.stderr), (Some(7), "to stdout", "to stderr"));
}

fn upload(peer: Peer) {
    let (server, large) = (Server::start(), Large::new());
    let report = ask(peer, &server, "upload", json!({ "local": large.original, "command": large.sink() }));
    assert_eq!(report.status, Some(0));
    large.assert_copied();
}

fn download(peer: Peer) {
    let (server, large) = (Server::start(), Large::new());
    let report = ask(peer, &server, "download", json!({ "local": large.copy, "command": large.source() }));
    assert_eq!(report.status, Some(0));
    large.assert_copied();
}

fn sftp(peer: Peer) {
    let (server, tree) = (Server::start(), SmallTree::new());
    let report =
        ask(peer, &server, "sftp", json!({ "local": tree.local, "folder": tree.folder, "back": tree.back }));
    tree.assert_moved_and_back();
    SmallTree::assert_names(report.names.keys().map(String::as_str));
    assert_eq!((report.names["second"], report.names["resident"]), (SMALL, 5));
}

fn pty(peer: Peer) {
    let server = Server::start();
    let report = ask(peer, &server, "pty", json!({ "command": TERMINAL }));
    assert_eq!(report.status, Some(5));
    let wanted = match peer {
        // Its Python binding can neither choose nor change the size.
        Peer::Libssh2 => Terminal { before: "24 80", after: "24 80", ..Terminal::default() },
        _ => Terminal::default(),
    };
    wanted.assert_in(&report.output);
}

/// Runs the peer's script; `more` adds to what every operation gets, or replaces it.
fn ask(peer: Peer, server: &Server, operation: &str, more: Value) -> Report {
    let mut request = json!({
        "operation": operation,
        "host": "127.0.0.1",
        "port": server.port(),
        "user": server.user,
        "key": server.user_key.private,
        "known_hosts": server.known_hosts,
    });
    for (name, value) in more.as_object().expect("an object") {
        request[name.as_str()] = value.clone();
    }
    let (run, script) = interpreter(peer);
    let home = server.scratch().folder("library-home");
    let run = run.arg(scripts_folder().join(script)).arg(request.to_string()).env("HOME", home);
    let finished = run.success();
    serde_json::from_str(&finished.stdout()).unwrap_or_else(|e| panic!("{e}\n{finished}"))
}

fn interpreter(peer: Peer) -> (Run, &'static Path) {
    let script = match peer {
        Peer::Paramiko => "paramiko_peer.py",
        Peer::Asyncssh => "asyncssh_peer.py",
        Peer::Libssh => "libssh_peer.py",
        Peer::Libssh2 => "libssh2_peer.py",
        Peer::NodeSsh2 => {
            let modules = node_folder().join("node_modules");
            return (Run::new("node").env("NODE_PATH", modules), Path::new("ssh2_peer.js"));
        }
        other => panic!("{other:?} is no library"),
    };
    (Run::new(python()).env("PYTHONDONTWRITEBYTECODE", "1"), Path::new(script))
}
