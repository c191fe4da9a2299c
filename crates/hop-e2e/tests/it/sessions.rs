//! Fine points of sessions that peers rely on: half-closed input, signals, environment, rekeying, every algorithm.

use hop_e2e::payload;
use hop_e2e::program::{python, scripts_folder};
use hop_e2e::server::Kind;
use hop_e2e::sshd::Release;
use hop_e2e::{Run, Server};

use crate::expected::Large;

const BOTH: [Release; 2] = [Release::V9_2, Release::V10_0];

#[test]
fn the_end_of_input_does_not_end_the_output() {
    let server = Server::start();
    let command = "cat; echo after the end; echo and on stderr >&2";
    let finished = server.ssh(Release::V9_2).arg(command).stdin("input\n").success();
    assert_eq!(finished.stdout(), "input\nafter the end\n");
    assert_eq!(finished.stderr(), "and on stderr\n");
}

#[test]
fn both_streams_arrive_whole_when_both_are_full() {
    let server = Server::start();
    let file = server.scratch().join("file");
    payload::write(&file, 8_000_001, 5);
    let out = server.scratch().join("out");
    let command = format!("cat {0} & cat {0} >&2; wait; exit 3", file.display());
    let finished = server.ssh(Release::V9_2).arg(command).stdout_file(&out).status(3);
    payload::assert_same(&file, &out);
    assert!(
        finished.stderr == std::fs::read(&file).unwrap(),
        "stderr differs ({} bytes)",
        finished.stderr.len()
    );
}

#[test]
fn output_written_just_before_the_exit_is_not_lost() {
    let server = Server::start();
    // More than a pipe, a window's first half and a socket buffer hold together; the command is gone long before.
    let finished = server.ssh(Release::V9_2).arg("head -c 3000000 /dev/zero; exit 9").status(9);
    assert_eq!(finished.stdout.len(), 3_000_000);
}

#[test]
fn a_deadly_signal_is_reported_by_name() {
    let server = Server::start();
    // OpenSSH's client shows a signal as 255; asyncssh tells its name.
    let _ = server.ssh(Release::V9_2).arg("kill -TERM $$").status(255);
    let code = "import asyncio, asyncssh, sys\n\
                async def main():\n\
                \x20   async with asyncssh.connect('127.0.0.1', int(sys.argv[1]), username=sys.argv[2],\n\
                \x20           client_keys=[sys.argv[3]], known_hosts=sys.argv[4], config=None, agent_path=None) as c:\n\
                \x20       for name in ('TERM', 'KILL', 'HUP'):\n\
                \x20           done = await c.run(f'kill -{name} $$')\n\
                \x20           print(done.exit_status, done.exit_signal[0], done.returncode)\n\
                asyncio.run(main())\n";
    let finished = Run::new(python())
        .args(["-c", code, &server.port().to_string(), &server.user])
        .arg(&server.user_key.private)
        .arg(&server.known_hosts)
        .env("PYTHONPATH", scripts_folder())
        .success();
    assert_eq!(finished.stdout(), "-1 TERM -15\n-1 KILL -9\n-1 HUP -1\n");
}

#[test]
fn the_environment_comes_by_allow_list() {
    let server = Server::start();
    let send = "SendEnv=LC_HOP LANG GIT_PROTOCOL LD_HOP HOP_HOP";
    let ssh = server.openssh(Release::V9_2, "ssh").args(["-o", send, "hop"]);
    let ssh = ssh.arg("echo \"$LC_HOP|$LANG|$GIT_PROTOCOL|$LD_HOP|$HOP_HOP\"");
    let ssh = ["LC_HOP", "LANG", "GIT_PROTOCOL", "LD_HOP", "HOP_HOP"]
        .iter()
        .fold(ssh, |ssh, name| ssh.env(name, "sent"));
    assert_eq!(ssh.success().stdout(), "sent|sent|sent||\n");
}

#[test]
fn the_session_knows_where_it_is() {
    let server = Server::start();
    let command = "echo $SSH_CONNECTION; echo $SSH_CLIENT; echo $USER; echo $HOME; echo $SHELL; echo $SSH_TTY; echo $TERM; pwd";
    let text = server.ssh(Release::V9_2).arg(command).success().stdout();
    let lines: Vec<_> = text.lines().collect();
    let connection: Vec<_> = lines[0].split(' ').collect();
    let port = server.port().to_string();
    assert_eq!((connection[0], connection[2], connection[3]), ("127.0.0.1", "127.0.0.1", &*port), "{text}");
    assert!(connection[1].parse::<u16>().is_ok(), "{text}");
    assert_eq!(lines[1], format!("127.0.0.1 {} {port}", connection[1]));
    match Kind::asked() {
        // Inside, everybody is the project.
        Kind::Gateway => assert_eq!(lines[2], "project"),
        Kind::Hop | Kind::Sshd(_) => assert_eq!(lines[2], server.user),
    }
    assert!(lines[3].starts_with('/') && lines[4].starts_with('/'), "{text}");
    assert_eq!(lines[7], lines[3], "a session begins in its home");
    // Without a terminal there is neither a name nor a type of one.
    assert_eq!(lines[5], "");
    let text =
        server.openssh(Release::V9_2, "ssh").args(["-tt", "hop", "echo $SSH_TTY; tty"]).success().stdout();
    let (told, found) = text.trim_end().split_once("\r\n").expect("two lines");
    assert_eq!(told, found.trim_end());
}

#[test]
fn a_terminal_turns_a_typed_interrupt_into_a_signal() {
    let server = Server::start();
    let command = "trap 'echo caught; exit 4' INT; echo ready; while :; do sleep 0.1; done";
    let expect = "set timeout 60\nspawn -noecho -ignore HUP {*}$argv\nexpect ready\nsend \\003\nexpect caught\n\
                  expect eof\nexit [lindex [wait] 3]\n";
    let script = server.scratch().write("interrupt.exp", expect);
    let ssh = Run::new(hop_e2e::program::program("expect")).arg("-f").arg(script);
    let ssh = ssh.args(Release::V9_2.words("ssh")).arg("-F").arg(&server.ssh_config);
    let _ = ssh.args(["-tt", "hop", command]).status(4);
}

#[test]
fn data_goes_on_through_rekeys_that_the_client_begins() {
    for release in BOTH {
        let (server, large) = (Server::start(), Large::new());
        let limit = ["-o", "RekeyLimit=4M", "-v", "hop"];
        let ssh = || server.openssh(release, "ssh").args(limit);
        let up = ssh().arg(large.sink()).stdin_file(&large.original).success();
        large.assert_copied();
        std::fs::remove_file(&large.copy).unwrap();
        let down = ssh().arg(large.source()).stdout_file(&large.copy).success();
        large.assert_copied();
        for finished in [up, down] {
            let rekeys = finished.stderr().matches("SSH2_MSG_NEWKEYS received").count();
            assert!(rekeys > 10, "{release:?}: only {rekeys} key exchanges in 64 MiB");
        }
    }
}

#[test]
fn every_algorithm_of_the_offer_works() {
    let server = Server::start();
    let mut options: Vec<(&str, &str)> = vec![
        ("Ciphers", "aes256-gcm@openssh.com"),
        ("Ciphers", "aes128-gcm@openssh.com"),
        ("Ciphers", "chacha20-poly1305@openssh.com"),
        ("KexAlgorithms", "curve25519-sha256"),
        ("KexAlgorithms", "curve25519-sha256@libssh.org"),
        ("Compression", "yes"),
    ];
    for cipher in ["aes256-ctr", "aes192-ctr", "aes128-ctr"] {
        options.push(("Ciphers", cipher));
    }
    // Debian 12's OpenSSH does not know it yet.
    if Kind::asked() != Kind::Sshd(Release::V9_2) {
        options.push(("KexAlgorithms", "mlkem768x25519-sha256"));
    }
    for (name, value) in options {
        let ssh = server.openssh(Release::V10_0, "ssh").args(["-o", &format!("{name}={value}")]);
        let finished = ssh.args(["hop", "cat; exit 6"]).stdin("through").finish();
        assert_eq!(
            (finished.status, &*finished.stdout()),
            (Some(6), "through"),
            "{name} {value}: {finished}"
        );
    }
    for mac in ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"] {
        let ssh = server.openssh(Release::V10_0, "ssh").args(["-c", "aes256-ctr", "-m", mac, "hop"]);
        let finished = ssh.arg("cat; exit 6").stdin("through").finish();
        assert_eq!((finished.status, &*finished.stdout()), (Some(6), "through"), "{mac}: {finished}");
    }
}

#[test]
fn fifty_sessions_follow_one_another_on_one_connection() {
    let server = Server::start();
    let control = format!("ControlPath={}", server.scratch().join("control").display());
    let ssh = |words: &[&str]| server.openssh(Release::V9_2, "ssh").args(["-o", &control]).args(words);
    let _ = ssh(&["-M", "-f", "-N", "hop"]).success();
    for n in 0..50 {
        let text = n.to_string();
        let finished = ssh(&["-o", "ProxyCommand=false", "hop", "cat"]).stdin(text.clone()).success();
        assert_eq!(finished.stdout(), text);
    }
    let _ = ssh(&["-O", "exit", "hop"]).success();
}

#[test]
fn a_forced_command_and_restrictions_of_a_key_are_kept() {
    let options = hop_e2e::server::Options {
        key_options: "restrict,command=\"echo forced:$SSH_ORIGINAL_COMMAND\"".to_owned(),
        ..Default::default()
    };
    let server = Server::start_with(&options);
    let finished = server.ssh(Release::V9_2).arg("asked for").success();
    assert_eq!(finished.stdout(), "forced:asked for\n");
    let pty = server.openssh(Release::V9_2, "ssh").args(["-tt", "hop"]).finish();
    assert!(pty.stderr().contains("PTY allocation request failed"), "{pty}");
    let forward = ["-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:0:127.0.0.1:9", "hop"];
    let refused = server.openssh(Release::V9_2, "ssh").args(forward).status(255);
    assert!(refused.stderr().contains("remote port forwarding failed"), "{refused}");
    let stdio = server.openssh(Release::V9_2, "ssh").args(["-v", "-W", "127.0.0.1:9", "hop"]).status(255);
    assert!(stdio.stderr().contains("administratively prohibited"), "{stdio}");
}
