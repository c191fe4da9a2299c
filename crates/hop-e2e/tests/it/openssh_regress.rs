//! OpenSSH's own regression tests for SFTP (Debian package openssh-tests), with our `sftp-server` in place of theirs.
//!
//! Each test gets its own copy of the tree, which writes keys, configurations and results into itself.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hop_e2e::program::program;
use hop_e2e::server::{Kind, hop_binary};
use hop_e2e::{Run, Scratch};

/// Where the package puts them.
const TREE: &str = "/usr/lib/openssh/regress";

#[test]
fn sftp_moves_files_with_every_buffer_size_and_depth() {
    run("sftp", |_| {});
}

#[test]
fn sftp_batch_files_work() {
    run("sftp-batch", |_| {});
}

#[test]
fn sftp_glob_patterns_work() {
    run("sftp-glob", |_| {});
}

#[test]
fn sftp_permissions_are_kept_to() {
    run("sftp-perm", |_| {});
}

#[test]
fn sftp_commands_do_what_they_say() {
    run("sftp-cmds", |_| {});
}

#[test]
fn sftp_bad_commands_do_no_harm() {
    run("sftp-badcmds", |_| {});
}

#[test]
fn sftp_addresses_as_uris_work() {
    // This one logs in to an sshd that forces its built-in server; it is told to force the server under test.
    run("sftp-uri", |tree| {
        let script = tree.join("sftp-uri.sh");
        let text = std::fs::read_to_string(&script).unwrap();
        assert!(
            text.contains("internal-sftp -d /"),
            "the script is not the one that this test was written for"
        );
        std::fs::write(&script, text.replace("internal-sftp", "${SFTPSERVER}")).unwrap();
    });
}

/// Runs one of the tests; `adjust` may change its copy of the tree first.
fn run(test: &str, adjust: impl FnOnce(&Path)) {
    let _ = program(hop_e2e::identity::SK_DUMMY);
    let scratch = Scratch::new();
    let _ = Run::new("cp").args(["-r", TREE]).arg(scratch.path()).success();
    let tree = scratch.join("regress");
    adjust(&tree);
    let here = tree.to_string_lossy();
    let server = sftp_server(&scratch);
    let finished = Run::new(program("make"))
        .arg("-s")
        .args(["OBJ", ".OBJDIR", ".CURDIR", "BUILDDIR"].map(|name| format!("{name}={here}")))
        .args(["TEST_SHELL=sh", "TEST_SSH_SSH=ssh", "TEST_SSH_UNSAFE_PERMISSIONS=1"])
        .arg(format!("TEST_SSH_SFTPSERVER={}", server.display()))
        .arg(format!("TEST_SSH_PORT={}", unused_port()))
        .arg(format!("LTESTS={test}"))
        .arg("t-exec")
        .current_dir(&tree)
        .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap()))
        .limit(Duration::from_secs(300))
        .success();
    let last = finished.stdout().lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("ok "), "{finished}");
}

/// A link named `sftp-server`: by that name our binary is one.
fn sftp_server(scratch: &Scratch) -> PathBuf {
    match Kind::asked() {
        Kind::Sshd(_) => program("/usr/lib/openssh/sftp-server"),
        Kind::Hop | Kind::Gateway => {
            let link = scratch.join("sftp-server");
            std::os::unix::fs::symlink(hop_binary(), &link).unwrap();
            link
        }
    }
}

/// The suite cannot take port 0 for the one sshd it starts. Nobody else is given this one in the moment between.
fn unused_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("bind to loopback").port()
}
