//! dropbear's dbclient.

use hop_e2e::matrix::{Operation, record};
use hop_e2e::payload;
use hop_e2e::peer::Peer;
use hop_e2e::program::program;
use hop_e2e::{Identity, Run, Server};

use crate::expected::{EXEC, Large, SmallTree, TERMINAL, Terminal, assert_exec, terminal};

#[test]
fn dbclient_logs_in_with_an_allowed_key_only() {
    record(Peer::Dbclient, Operation::Login, || {
        let server = Server::start();
        let _ = dbclient(&server).arg("true").success();
        let refused = client(&server, &server.stranger, Run::new(program("dbclient"))).arg("true").finish();
        assert!(refused.status == Some(1) && refused.stderr().contains("No auth methods"), "{refused}");
    });
}

#[test]
fn dbclient_passes_streams_and_exit_status() {
    record(Peer::Dbclient, Operation::Exec, || {
        let server = Server::start();
        assert_exec(&dbclient(&server).arg(EXEC).finish());
    });
}

#[test]
fn dbclient_uploads_64_mib_intact() {
    record(Peer::Dbclient, Operation::Upload, || {
        let (server, large) = (Server::start(), Large::new());
        let _ = dbclient(&server).arg(large.sink()).stdin_file(&large.original).success();
        large.assert_copied();
    });
}

#[test]
fn dbclient_downloads_64_mib_intact() {
    record(Peer::Dbclient, Operation::Download, || {
        let (server, large) = (Server::start(), Large::new());
        let _ = dbclient(&server).arg(large.source()).stdout_file(&large.copy).success();
        large.assert_copied();
    });
}

#[test]
fn dbclient_gets_a_terminal_and_resizes_it() {
    record(Peer::Dbclient, Operation::Pty, || {
        let server = Server::start();
        let dbclient = terminal().arg(program("dbclient")).arg("-t");
        let finished = client(&server, &server.user_key, dbclient).arg(TERMINAL).status(5);
        Terminal::default().assert_in(&finished.stdout());
    });
}

/// dropbear has no SFTP client of its own: OpenSSH's sftp runs over dbclient's subsystem channel.
#[test]
fn dbclient_carries_sftp() {
    record(Peer::Dbclient, Operation::Sftp, || {
        let (server, tree) = (Server::start(), SmallTree::new());
        let home = prepare(&server);
        let transport = format!(
            "{} -s -i {} -p {} {}@127.0.0.1 sftp",
            program("dbclient").display(),
            server.user_key.dropbear().display(),
            server.port(),
            server.user
        );
        let batch = format!(
            "put {} {folder}/first\nrename {folder}/first {folder}/second\ncd {folder}\nls -1\nget second {}\n",
            tree.local.display(),
            tree.back.display(),
            folder = tree.folder.display(),
        );
        let sftp = Run::new(program("sftp")).args(["-q", "-b", "-", "-D", &transport]).env("HOME", &home);
        let listed = sftp.stdin(batch).success().stdout();
        tree.assert_moved_and_back();
        SmallTree::assert_names(listed.lines().filter(|l| !l.starts_with("sftp>")));
        payload::assert_same(&tree.local, &tree.back);
    });
}

fn dbclient(server: &Server) -> Run {
    client(server, &server.user_key, Run::new(program("dbclient")))
}

/// Adds everything but the command.
fn client(server: &Server, key: &Identity, run: Run) -> Run {
    let home = prepare(server);
    let destination = format!("{}@127.0.0.1", server.user);
    run.env("HOME", &home).arg("-i").arg(key.dropbear()).args([
        "-p",
        &server.port().to_string(),
        &destination,
    ])
}

/// dbclient looks for known hosts below $HOME, by the name given, and does not know ports there.
fn prepare(server: &Server) -> std::path::PathBuf {
    let home = server.scratch().folder("dropbear-home");
    let ssh = server.scratch().folder("dropbear-home/.ssh");
    let line = format!("127.0.0.1 {}\n", server.host_key.public_without_comment());
    std::fs::write(ssh.join("known_hosts"), line).unwrap();
    home
}
