//! Shells, commands and SFTP.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::server::{Server, text};

#[test]
fn a_command_has_output_errors_and_status() {
    let server = Server::start();
    let output = server.ssh(&[], &["printf out; printf err >&2; exit 7"]);
    assert_eq!(
        (text(&output.stdout).as_str(), text(&output.stderr).as_str(), output.status.code()),
        ("out", "err", Some(7))
    );
}

#[test]
fn a_signal_is_an_ending_of_its_own() {
    let server = Server::start();
    let output = server.ssh(&["-v"], &["kill -TERM $$"]);
    assert_eq!(output.status.code(), Some(255));
    let log = text(&output.stderr);
    assert!(log.contains("exit-signal"), "{log}");
}

#[test]
fn input_reaches_the_command_and_its_end_too() {
    let server = Server::start();
    let mut client = server.client("ssh");
    let mut client =
        client.args(["hop", "cat; echo end"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let sent = vec![b'x'; 5_000_000];
    let mut input = client.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || input.write_all(&sent).unwrap());
    let mut received = Vec::new();
    client.stdout.take().unwrap().read_to_end(&mut received).unwrap();
    feeder.join().unwrap();
    assert_eq!(received.len(), 5_000_004);
    assert!(received.ends_with(b"xend\n"));
    assert!(client.wait().unwrap().success());
}

#[test]
fn a_command_that_does_not_read_its_input_ends_at_once() {
    let server = Server::start();
    let output = server
        .client("ssh")
        .args(["hop", "exit 3"])
        .stdin(std::fs::File::open("/dev/zero").unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_login_shell_runs_in_a_terminal_of_the_right_size() {
    let server = Server::start();
    let mut client = server.client("ssh");
    let mut client =
        client.args(["-tt", "hop"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = client.stdin.take().unwrap();
    input.write_all(b"echo $0; tty; test $(tty) = $SSH_TTY && echo same; exit 5\n").unwrap();
    let mut output = String::new();
    client.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert_eq!(client.wait().unwrap().code(), Some(5));
    assert!(output.contains("-sh\r\n/dev/pts/"), "{output}");
    assert!(output.contains("\r\nsame\r\n"), "{output}");
}

#[test]
fn a_terminal_session_does_not_wait_for_its_background() {
    let server = Server::start();
    let output = server.ssh(&["-tt"], &["trap '' HUP; sleep 1000 & echo pid $!"]);
    assert!(output.status.success());
    let said = text(&output.stdout);
    let pid = said.trim().strip_prefix("pid ").unwrap().trim();
    std::process::Command::new("kill").arg(pid).status().unwrap();
}

#[test]
fn the_environment_is_the_accounts_and_the_clients_own_is_filtered() {
    let server = Server::start();
    let output = server.ssh(
        &["-o", "SetEnv=LC_TEST=taken LD_PRELOAD=/x GIT_PROTOCOL=version=2 FOO=bar"],
        &["echo $LC_TEST,$LD_PRELOAD,$GIT_PROTOCOL,$FOO,$HOME; pwd; echo $SSH_CONNECTION"],
    );
    let said = text(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    let home = server.directory.display().to_string();
    assert_eq!(lines[0], format!("taken,,version=2,,{home}"));
    assert_eq!(lines[1], home);
    assert!(
        lines[2].starts_with("127.0.0.1 ")
            && lines[2].ends_with(&format!("127.0.0.1 {}", server.address.port()))
    );
}

#[test]
fn sftp_is_served_and_starts_at_home() {
    let server = Server::start();
    std::fs::write(server.directory.join("there"), vec![7; 300_000]).unwrap();
    let batch = server.directory.join("batch");
    let copy = server.directory.join("copy");
    std::fs::write(&batch, format!("pwd\nget there {}\nput {} back\n", copy.display(), copy.display()))
        .unwrap();
    let output = server.client("sftp").arg("-b").arg(&batch).arg("hop").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&format!("working directory: {}", server.directory.display())));
    assert_eq!(std::fs::read(server.directory.join("back")).unwrap(), vec![7; 300_000]);
}

#[test]
fn an_unknown_subsystem_is_refused() {
    let server = Server::start();
    let output = server.ssh(&["-s"], &["netconf"]);
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("subsystem request failed"));
}

#[test]
fn a_forced_command_stands_before_everything() {
    let server = Server::start_with("command=\"echo forced: $SSH_ORIGINAL_COMMAND\"", |_| {});
    assert_eq!(text(&server.ssh(&[], &["ls -l"]).stdout), "forced: ls -l\n");
    assert_eq!(text(&server.ssh(&["-T"], &[]).stdout), "forced:\n");
    assert_eq!(text(&server.ssh(&["-s"], &["sftp"]).stdout), "forced: internal-sftp\n");
}

#[test]
fn a_forced_internal_sftp_serves_nothing_else() {
    let server = Server::start_with("restrict,command=\"internal-sftp -R\"", |_| {});
    let batch = server.directory.join("batch");
    std::fs::write(&batch, "pwd\nmkdir new\n").unwrap();
    let output = server.client("sftp").arg("-b").arg(&batch).arg("hop").output().unwrap();
    assert!(text(&output.stdout).contains("working directory"));
    assert!(text(&output.stderr).contains("Permission denied"), "{}", text(&output.stderr));
    assert!(!server.directory.join("new").exists());
}

#[test]
fn what_the_key_does_not_permit_is_refused() {
    let server = Server::start_with("no-pty,environment=\"FROM_KEY=yes\"", |_| {});
    assert_eq!(text(&server.ssh(&[], &["echo $FROM_KEY; tty"]).stdout), "yes\nnot a tty\n");
    let output = server.ssh(&["-tt", "-o", "LogLevel=INFO"], &["true"]);
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("PTY allocation request failed"), "{}", text(&output.stderr));
}

#[test]
fn strangers_and_other_users_are_refused_alike() {
    let server = Server::start();
    let refused = |arguments: &[&str]| {
        let output = server.ssh(arguments, &["true"]);
        assert_eq!(output.status.code(), Some(255));
        text(&output.stderr)
    };
    let stranger = server.directory.join("stranger");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&stranger)
        .status();
    assert!(made.unwrap().success());
    let config = std::fs::read_to_string(server.directory.join("ssh_config")).unwrap();
    let own_key = server.directory.join("user_key").display().to_string();
    std::fs::write(server.directory.join("ssh_config"), config.replace(&own_key, stranger.to_str().unwrap()))
        .unwrap();
    let by_key = refused(&[]);
    assert!(by_key.contains("Permission denied (publickey)"), "{by_key}");
    std::fs::write(server.directory.join("ssh_config"), config).unwrap();
    let by_name = refused(&["-l", "nobody-here"]);
    assert!(by_name.contains("Permission denied (publickey)"), "{by_name}");
}

#[test]
fn keys_are_read_anew_for_every_login() {
    let server = Server::start();
    assert!(server.ssh(&[], &["true"]).status.success());
    let keys = server.directory.join("authorized_keys");
    let line = std::fs::read(&keys).unwrap();
    std::fs::write(&keys, b"").unwrap();
    assert_eq!(server.ssh(&[], &["true"]).status.code(), Some(255));
    std::fs::write(&keys, line).unwrap();
    assert!(server.ssh(&[], &["true"]).status.success());
    std::fs::remove_file(&keys).unwrap();
    assert_eq!(server.ssh(&[], &["true"]).status.code(), Some(255));
}

#[test]
fn a_shell_that_does_not_exist_is_told_on_standard_error() {
    let server = Server::start_with("", |config| config.account.shell = "/nonexistent/shell".into());
    let output = server.ssh(&[], &["true"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(text(&output.stderr).contains("/nonexistent/shell"));
    assert!(output.stdout.is_empty());
}
