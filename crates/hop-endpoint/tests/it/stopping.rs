//! How connections and the server end.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::server::{Server, text};

fn start(server: &Server, script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut client = server.client("ssh");
    client.args(["hop", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = client.spawn().unwrap();
    let mut output = BufReader::new(client.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (client, output)
}

#[test]
fn a_server_that_stops_lets_sessions_end() {
    let mut server = Server::start_with("", |config| config.limits.drain = Duration::from_secs(60));
    let (mut client, mut output) = start(&server, "echo ready; cat; echo done; exit 4");
    let mut input = client.stdin.take().unwrap();
    server.stop.cancel();
    input.write_all(b"still served\n").unwrap();
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "still served\ndone\n");
    assert_eq!(client.wait().unwrap().code(), Some(4));
    server.stop();
}

#[test]
fn what_does_not_end_in_time_is_cut_with_a_reason() {
    let mut server = Server::start_with("", |config| config.limits.drain = Duration::from_millis(50));
    let (mut client, _output) = start(&server, "echo ready; exec sleep 1000");
    server.stop();
    assert_eq!(client.wait().unwrap().code(), Some(255));
    let mut said = String::new();
    client.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("the server is stopping"), "{said}");
}

#[test]
fn a_client_that_vanishes_hangs_up_its_processes() {
    let mut server = Server::start_with("", |config| config.limits.drain = Duration::from_secs(60));
    let mark = server.directory.join("hung-up");
    let script =
        format!("trap 'echo gone > {}; exit' HUP; echo ready; while :; do read line; done", mark.display());
    let (mut client, _output) = start(&server, &script);
    client.kill().unwrap();
    client.wait().unwrap();
    server.stop();
    assert_eq!(std::fs::read_to_string(mark).unwrap(), "gone\n");
}

#[test]
fn an_idle_connection_is_closed_and_keepalives_do_not_count() {
    let server = Server::start_with("", |config| {
        config.limits.idle = Some(Duration::from_millis(400));
        config.limits.keepalive = Some(Duration::from_millis(50));
    });
    let started = Instant::now();
    let output = server.ssh(&["-o", "ServerAliveInterval=1"], &["exec sleep 1000"]);
    assert!(started.elapsed() >= Duration::from_millis(400));
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("idle for too long"), "{}", text(&output.stderr));
}

#[test]
fn an_expired_key_ends_its_open_sessions() {
    // Valid to the end of the present second, or of the next one.
    let ends = std::process::Command::new("date")
        .args(["-u", "-d", "+2 seconds", "+%Y%m%d%H%M%SZ"])
        .output()
        .unwrap();
    let server = Server::start_with(&format!("expiry-time=\"{}\"", text(&ends.stdout).trim()), |_| {});
    let output = server.ssh(&[], &["exec sleep 1000"]);
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("expired"), "{}", text(&output.stderr));
}

#[test]
fn who_does_not_log_in_is_dropped() {
    let server = Server::start_with("", |config| config.limits.login_grace = Duration::from_millis(100));
    let mut stream = std::net::TcpStream::connect(server.address).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    assert!(text(&said).starts_with("SSH-2.0-Grasshopper"), "{}", text(&said));
}

#[test]
fn sessions_have_a_limit_per_connection() {
    let server = Server::start_with("", |config| config.limits.sessions = 2);
    let socket = server.directory.join("master");
    let control = format!("ControlPath={}", socket.display());
    let mut master = server.client("ssh");
    let mut master = master.args(["-o", &control, "-M", "-N", "hop"]).spawn().unwrap();
    while !socket.exists() {
        std::thread::yield_now();
    }
    let share = |script: &str| server.client("ssh").args(["-o", &control, "hop", script]).output().unwrap();
    let (mut one, _) = {
        let mut client = server.client("ssh");
        client.args(["-o", &control, "hop", "echo ready; cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = client.spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(client.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        (client, output)
    };
    assert_eq!(text(&share("echo second").stdout), "second\n");
    drop(one.stdin.take());
    one.wait().unwrap();
    for number in 0..10 {
        assert_eq!(text(&share(&format!("echo {number}")).stdout), format!("{number}\n"));
    }
    let _told = server.client("ssh").args(["-o", &control, "-O", "exit", "hop"]).output().unwrap();
    master.wait().unwrap();
}
