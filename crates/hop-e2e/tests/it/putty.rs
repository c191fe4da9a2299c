//! PuTTY's plink and psftp.

use hop_e2e::matrix::{Operation, record};
use hop_e2e::peer::Peer;
use hop_e2e::program::program;
use hop_e2e::{Identity, Run, Server};

use crate::expected::{EXEC, Large, SmallTree, TERMINAL, Terminal, assert_exec, terminal};

#[test]
fn plink_logs_in_with_an_allowed_key_only() {
    record(Peer::Plink, Operation::Login, || {
        let server = Server::start();
        let _ = plink(&server, &server.user_key).arg("true").success();
        let refused = plink(&server, &server.stranger).arg("true").status(1);
        assert!(refused.stderr().contains("No supported authentication methods"), "{refused}");
    });
}

#[test]
fn plink_passes_streams_and_exit_status() {
    record(Peer::Plink, Operation::Exec, || {
        let server = Server::start();
        assert_exec(&plink(&server, &server.user_key).arg(EXEC).finish());
    });
}

#[test]
fn plink_uploads_64_mib_intact() {
    record(Peer::Plink, Operation::Upload, || {
        let (server, large) = (Server::start(), Large::new());
        let _ = plink(&server, &server.user_key).arg(large.sink()).stdin_file(&large.original).success();
        large.assert_copied();
    });
}

#[test]
fn plink_downloads_64_mib_intact() {
    record(Peer::Plink, Operation::Download, || {
        let (server, large) = (Server::start(), Large::new());
        let _ = plink(&server, &server.user_key).arg(large.source()).stdout_file(&large.copy).success();
        large.assert_copied();
    });
}

#[test]
fn plink_gets_a_terminal_and_resizes_it() {
    record(Peer::Plink, Operation::Pty, || {
        let server = Server::start();
        let plink = terminal().arg(program("plink")).arg("-t");
        let finished = options(&server, &server.user_key, plink).arg(TERMINAL).status(5);
        // plink names its own terminal type, not that of the terminal it is in.
        Terminal { kind: "xterm", ..Terminal::default() }.assert_in(&finished.stdout());
    });
}

#[test]
fn psftp_logs_in_with_an_allowed_key_only() {
    record(Peer::Psftp, Operation::Login, || {
        let server = Server::start();
        let _ = psftp(&server, &server.user_key, "pwd\n").success();
        let refused = psftp(&server, &server.stranger, "pwd\n").status(1);
        assert!(refused.stderr().contains("No supported authentication methods"), "{refused}");
    });
}

#[test]
fn psftp_uploads_64_mib_intact() {
    record(Peer::Psftp, Operation::Upload, || {
        let (server, large) = (Server::start(), Large::new());
        let script = format!("put {} {}\n", large.original.display(), large.copy.display());
        let _ = psftp(&server, &server.user_key, &script).success();
        large.assert_copied();
    });
}

#[test]
fn psftp_downloads_64_mib_intact() {
    record(Peer::Psftp, Operation::Download, || {
        let (server, large) = (Server::start(), Large::new());
        let script = format!("get {} {}\n", large.original.display(), large.copy.display());
        let _ = psftp(&server, &server.user_key, &script).success();
        large.assert_copied();
    });
}

#[test]
fn psftp_puts_renames_lists_and_gets() {
    record(Peer::Psftp, Operation::Sftp, || {
        let (server, tree) = (Server::start(), SmallTree::new());
        let folder = tree.folder.display();
        let script = format!(
            "put {} {folder}/first\nmv {folder}/first {folder}/second\nls {folder}\nget {folder}/second {}\n",
            tree.local.display(),
            tree.back.display(),
        );
        let listed = psftp(&server, &server.user_key, &script).success().stdout();
        tree.assert_moved_and_back();
        // The long form, as the server words it: mode first, name last.
        let entries = listed.lines().filter(|l| l.starts_with('-') || l.starts_with('d'));
        SmallTree::assert_names(entries.filter_map(|l| l.split_whitespace().last()));
    });
}

fn plink(server: &Server, key: &Identity) -> Run {
    options(server, key, Run::new(program("plink")).arg("-T"))
}

/// psftp takes its commands from a script file, and leaves at the first that fails.
fn psftp(server: &Server, key: &Identity, script: &str) -> Run {
    let script = server.scratch().write("psftp.script", script);
    options(server, key, Run::new(program("psftp")).arg("-b").arg(script))
}

fn options(server: &Server, key: &Identity, run: Run) -> Run {
    let destination = format!("{}@127.0.0.1", server.user);
    let home = server.scratch().folder("putty-home");
    run.env("HOME", home)
        .args(["-batch", "-noagent", "-hostkey", &server.host_key.fingerprint(), "-i"])
        .arg(key.putty())
        .args(["-P", &server.port().to_string(), &destination])
}
