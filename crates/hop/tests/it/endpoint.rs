//! `hop endpoint` and `hop sftp-server` as programs.

use crate::support::{Home, port_of, user_name};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;

#[test]
fn it_says_where_it_listens_and_serves_there() {
    let home = Home::new();
    let server = home.serve(&[
        "endpoint",
        "--listen",
        "127.0.0.1:0",
        "--authorized-keys",
        ".ssh/id_ed25519.pub",
        "--json",
    ]);
    let port = port_of(&server.announced["listen"][0]);
    let fingerprint = server.announced["host_keys"][0]["fingerprint"].as_str().unwrap().to_owned();
    assert!(fingerprint.starts_with("SHA256:"));
    let key = home.path().join(".ssh/id_ed25519");
    let ended = home.ssh(&key, port, &user_name(), "echo $((6*7)); exit 5");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(5), "42\n"), "{}", ended.stderr);

    // The same host keys after another start.
    drop(server);
    let again =
        home.serve(&["endpoint", "--unix", "sock", "--authorized-keys", ".ssh/id_ed25519.pub", "--json"]);
    assert_eq!(again.announced["host_keys"][0]["fingerprint"].as_str().unwrap(), fingerprint);
    assert_eq!(again.announced["listen"][0], "unix:sock");
}

#[test]
fn sigterm_ends_it_and_its_socket() {
    let home = Home::new();
    let mut server =
        home.serve(&["endpoint", "--unix", "sock", "--authorized-keys", ".ssh/id_ed25519.pub", "--json"]);
    assert!(home.path().join("sock").exists());
    kill(Pid::from_raw(i32::try_from(server.child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let status = server.child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(!home.path().join("sock").exists());
}

#[test]
fn one_connection_on_standard_input_and_output() {
    let home = Home::new();
    let proxy = format!(
        "{} endpoint --stdio --host-key-dir keys --authorized-keys .ssh/id_ed25519.pub",
        env!("CARGO_BIN_EXE_hop")
    );
    let ended = std::process::Command::new("ssh")
        .args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
        .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "LogLevel=ERROR"])
        .args(["-o", &format!("ProxyCommand={proxy}"), "-o", "UserKnownHostsFile=known_hosts"])
        .args(["-i", ".ssh/id_ed25519", &format!("{}@anything", user_name()), "echo through"])
        .current_dir(home.path())
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&ended.stdout),
        "through\n",
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

#[test]
fn called_sftp_server_it_takes_its_options() {
    let home = Home::new();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hop"), home.path().join("sftp-server")).unwrap();
    let listed = std::process::Command::new(home.path().join("sftp-server"))
        .args(["-Q", "requests"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.lines().any(|line| line == "posix-rename"), "{listed}");
    assert_eq!(home.run(&["sftp-server", "-Q", "requests"]).stdout, listed);
    let wrong = home.run(&["sftp-server", "-Z"]);
    assert_eq!(wrong.code, Some(78));
    assert!(wrong.stderr.contains("unknown option -Z") && wrong.stderr.contains("usage: sftp-server"));
}
