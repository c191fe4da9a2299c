//! OpenSSH's ssh, scp, scp -O and sftp, of both releases.

use hop_e2e::matrix::{Operation, record};
use hop_e2e::peer::Peer;
use hop_e2e::sshd::Release;
use hop_e2e::{Run, Server};

use crate::expected::{EXEC, Large, SmallTree, TERMINAL, Terminal, assert_exec, terminal};

/// The tests of one release.
macro_rules! tests_of {
    ($module:ident, $release:expr) => {
        mod $module {
            use super::*;

            const RELEASE: Release = $release;

            #[test]
            fn ssh_logs_in_with_an_allowed_key_only() {
                ssh_login(RELEASE);
            }

            #[test]
            fn ssh_passes_streams_and_exit_status() {
                ssh_exec(RELEASE);
            }

            #[test]
            fn ssh_uploads_64_mib_intact() {
                ssh_upload(RELEASE);
            }

            #[test]
            fn ssh_downloads_64_mib_intact() {
                ssh_download(RELEASE);
            }

            #[test]
            fn ssh_gets_a_terminal_and_resizes_it() {
                ssh_terminal(RELEASE);
            }

            #[test]
            fn scp_logs_in_with_an_allowed_key_only() {
                scp_login(Peer::Scp(RELEASE), RELEASE, &[]);
            }

            #[test]
            fn scp_uploads_64_mib_intact() {
                scp_upload(Peer::Scp(RELEASE), RELEASE, &[]);
            }

            #[test]
            fn scp_downloads_64_mib_intact() {
                scp_download(Peer::Scp(RELEASE), RELEASE, &[]);
            }

            #[test]
            fn scp_with_the_old_protocol_logs_in_with_an_allowed_key_only() {
                scp_login(Peer::ScpLegacy(RELEASE), RELEASE, &["-O"]);
            }

            #[test]
            fn scp_with_the_old_protocol_uploads_64_mib_intact() {
                scp_upload(Peer::ScpLegacy(RELEASE), RELEASE, &["-O"]);
            }

            #[test]
            fn scp_with_the_old_protocol_downloads_64_mib_intact() {
                scp_download(Peer::ScpLegacy(RELEASE), RELEASE, &["-O"]);
            }

            #[test]
            fn sftp_logs_in_with_an_allowed_key_only() {
                sftp_login(RELEASE);
            }

            #[test]
            fn sftp_uploads_64_mib_intact() {
                sftp_upload(RELEASE);
            }

            #[test]
            fn sftp_downloads_64_mib_intact() {
                sftp_download(RELEASE);
            }

            #[test]
            fn sftp_puts_renames_lists_and_gets() {
                sftp_files(RELEASE);
            }
        }
    };
}

tests_of!(v9_2, Release::V9_2);
tests_of!(v10_0, Release::V10_0);

fn ssh_login(release: Release) {
    record(Peer::Ssh(release), Operation::Login, || {
        let server = Server::start();
        let _ = server.ssh(release).arg("true").success();
        let refused = stranger(&server, release, "ssh").args(["hop", "true"]).status(255);
        assert!(refused.stderr().contains("Permission denied (publickey"), "{refused}");
    });
}

fn ssh_exec(release: Release) {
    record(Peer::Ssh(release), Operation::Exec, || {
        let server = Server::start();
        assert_exec(&server.ssh(release).arg(EXEC).finish());
        let _ = server.ssh(release).arg("exit 0").success();
        let _ = server.ssh(release).arg("exit 255").status(255);
        let echoed = server.ssh(release).arg("cat").stdin("what goes in comes out").success();
        assert_eq!(echoed.stdout(), "what goes in comes out");
    });
}

fn ssh_upload(release: Release) {
    record(Peer::Ssh(release), Operation::Upload, || {
        let (server, large) = (Server::start(), Large::new());
        let _ = server.ssh(release).arg(large.sink()).stdin_file(&large.original).success();
        large.assert_copied();
    });
}

fn ssh_download(release: Release) {
    record(Peer::Ssh(release), Operation::Download, || {
        let (server, large) = (Server::start(), Large::new());
        let _ = server.ssh(release).arg(large.source()).stdout_file(&large.copy).success();
        large.assert_copied();
    });
}

fn ssh_terminal(release: Release) {
    record(Peer::Ssh(release), Operation::Pty, || {
        let server = Server::start();
        let client = terminal().args(release.words("ssh")).arg("-F").arg(&server.ssh_config);
        let finished = client.args(["-tt", "hop", TERMINAL]).status(5);
        Terminal::default().assert_in(&finished.stdout());
    });
}

fn scp_login(peer: Peer, release: Release, options: &[&str]) {
    record(peer, Operation::Login, || {
        let server = Server::start();
        let scratch = server.scratch();
        let _ = scratch.write("hello", "hello");
        let (from, to) = (format!("hop:{}", scratch.join("hello").display()), scratch.join("copied"));
        let _ = server.openssh(release, "scp").args(options).arg(&from).arg(&to).success();
        assert_eq!(std::fs::read(&to).unwrap(), b"hello");
        let refused = stranger(&server, release, "scp").args(options).arg(&from).arg(&to);
        let refused = refused.finish();
        assert!(refused.status != Some(0) && refused.stderr().contains("Permission denied"), "{refused}");
    });
}

fn scp_upload(peer: Peer, release: Release, options: &[&str]) {
    record(peer, Operation::Upload, || {
        let (server, large) = (Server::start(), Large::new());
        let scp = server.openssh(release, "scp").args(options);
        let _ = scp.arg(&large.original).arg(large.remote_copy()).success();
        large.assert_copied();
    });
}

fn scp_download(peer: Peer, release: Release, options: &[&str]) {
    record(peer, Operation::Download, || {
        let (server, large) = (Server::start(), Large::new());
        let scp = server.openssh(release, "scp").args(options);
        let _ = scp.arg(large.remote_original()).arg(&large.copy).success();
        large.assert_copied();
    });
}

fn sftp_login(release: Release) {
    record(Peer::SftpClient(release), Operation::Login, || {
        let server = Server::start();
        let _ = sftp(&server, release, "pwd\n").success();
        let client = stranger(&server, release, "sftp");
        let refused = client.args(["-b", "-", "hop"]).stdin("pwd\n").status(255);
        assert!(refused.stderr().contains("Permission denied"), "{refused}");
    });
}

fn sftp_upload(release: Release) {
    record(Peer::SftpClient(release), Operation::Upload, || {
        let (server, large) = (Server::start(), Large::new());
        let batch = format!("put {} {}\n", large.original.display(), large.copy.display());
        let _ = sftp(&server, release, &batch).success();
        large.assert_copied();
    });
}

fn sftp_download(release: Release) {
    record(Peer::SftpClient(release), Operation::Download, || {
        let (server, large) = (Server::start(), Large::new());
        let batch = format!("get {} {}\n", large.original.display(), large.copy.display());
        let _ = sftp(&server, release, &batch).success();
        large.assert_copied();
    });
}

fn sftp_files(release: Release) {
    record(Peer::SftpClient(release), Operation::Sftp, || {
        let (server, tree) = (Server::start(), SmallTree::new());
        let batch = format!(
            "put {} {folder}/first\nrename {folder}/first {folder}/second\ncd {folder}\nls -1\nget second {}\n",
            tree.local.display(),
            tree.back.display(),
            folder = tree.folder.display(),
        );
        let listed = sftp(&server, release, &batch).success().stdout();
        tree.assert_moved_and_back();
        // In batch mode each command is echoed after its prompt; progress is off.
        SmallTree::assert_names(listed.lines().filter(|l| !l.starts_with("sftp>")));
    });
}

fn sftp(server: &Server, release: Release, batch: &str) -> Run {
    server.openssh(release, "sftp").args(["-q", "-b", "-", "hop"]).stdin(batch)
}

/// One of OpenSSH's clients with the key that may not log in.
fn stranger(server: &Server, release: Release, command: &str) -> Run {
    Run::from_words(&release.words(command)).arg("-F").arg(server.stranger_config())
}
