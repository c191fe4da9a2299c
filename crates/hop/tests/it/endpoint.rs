//! `hop endpoint` and `hop sftp-server` as programs.

use crate::support::{Home, port_of, user_name};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
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

/// What a session runs hears that the endpoint ends, though its client is still there: by a second signal, and when whoever
/// attends it is gone.
#[test]
fn a_cut_hangs_up_what_runs() {
    for by_signals in [true, false] {
        let home = Home::new();
        let attended = home.path().join("attended");
        nix::unistd::mkfifo(&attended, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let attendant = std::fs::File::options().read(true).write(true).open(&attended).unwrap();
        let mut server = home.serve_by(
            &["sh", "-c", "exec \"$0\" \"$@\" < attended"],
            &[
                "endpoint",
                "--listen",
                "127.0.0.1:0",
                "--authorized-keys",
                ".ssh/id_ed25519.pub",
                "--json",
                "--attended",
            ],
        );
        let port = port_of(&server.announced["listen"][0]);
        let to = format!("{}@127.0.0.1", user_name());
        let command = "echo $$; exec sleep 1000";
        let mut ssh = home.ssh_command(&home.path().join(".ssh/id_ed25519"), port, &[&to, command]);
        let mut ssh = ssh.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(ssh.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let running = Pid::from_raw(line.trim().parse().unwrap());
        // The client is no help: it is stopped, and its connection stays.
        let client = Pid::from_raw(ssh.id().cast_signed());
        kill(client, Signal::SIGSTOP).unwrap();
        if by_signals {
            let endpoint = Pid::from_raw(server.child.id().cast_signed());
            kill(endpoint, Signal::SIGTERM).unwrap();
            let said = home.path().join("stderr");
            while !std::fs::read_to_string(&said).unwrap().contains("once more to cut them") {
                std::thread::yield_now();
            }
            kill(endpoint, Signal::SIGTERM).unwrap();
        } else {
            drop(attendant);
        }
        assert_eq!(server.child.wait().unwrap().code(), Some(0));
        let gone = std::process::Command::new("timeout")
            .args(["20", "tail", "--pid", line.trim(), "-f", "/dev/null"])
            .status();
        let is_gone = gone.unwrap().success();
        let _ended = kill(running, Signal::SIGKILL);
        kill(client, Signal::SIGKILL).unwrap();
        ssh.wait().unwrap();
        assert!(is_gone, "by signals: {by_signals}");
    }
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
