//! Forwardings of all kinds.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Stdio};

use crate::server::{Server, text};

/// A client that is killed at the end.
struct Client(Child);

impl Client {
    /// Starts ssh with forwardings and a command that says when they are there and then waits.
    fn forward(server: &Server, arguments: &[&str]) -> Self {
        let mut command = server.client("ssh");
        command.args(["-o", "ExitOnForwardFailure=yes"]).args(arguments).args(["hop", "echo ready; cat"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Answers each connection with what it sent, once it has ended its side.
fn echo(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).unwrap();
            stream.write_all(&heard).unwrap();
        }
    });
}

fn ask(mut stream: impl Read + Write, end: impl FnOnce(), sent: &[u8]) -> Vec<u8> {
    stream.write_all(sent).unwrap();
    end();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    heard
}

fn ask_tcp(port: u16, sent: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let half = stream.try_clone().unwrap();
    ask(stream, || half.shutdown(std::net::Shutdown::Write).unwrap(), sent)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn local_forwarding_half_closes() {
    let server = Server::start();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let (local, remote) = (free_port(), target.local_addr().unwrap().port());
    echo(target);
    let _client = Client::forward(&server, &["-L", &format!("{local}:127.0.0.1:{remote}")]);
    let sent = vec![b'y'; 3_000_000];
    assert!(ask_tcp(local, &sent) == sent);
    assert_eq!(ask_tcp(local, b"again"), b"again");
}

#[test]
fn a_target_that_refuses_is_told() {
    let server = Server::start();
    let output = server.ssh(&["-v", "-W", &format!("127.0.0.1:{}", free_port())], &[]);
    assert_eq!(output.status.code(), Some(255));
    let said = text(&output.stderr);
    assert!(said.contains("connect failed") && said.contains("Connection refused"), "{said}");
}

#[test]
fn remote_forwarding_goes_to_the_client_and_ends_with_it() {
    let server = Server::start();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let (remote, local) = (free_port(), target.local_addr().unwrap().port());
    echo(target);
    let client = Client::forward(&server, &["-R", &format!("{remote}:127.0.0.1:{local}")]);
    assert_eq!(ask_tcp(remote, b"through"), b"through");
    drop(client);
    // The listener is gone when the server has noticed; connecting is the event to wait for.
    while TcpStream::connect(("127.0.0.1", remote)).is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn a_port_of_the_servers_choice_is_told() {
    let server = Server::start();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let forwarding = format!("0:127.0.0.1:{}", target.local_addr().unwrap().port());
    echo(target);
    let mut client = server.client("ssh");
    client.args(["-N", "-o", "LogLevel=INFO", "-R", &forwarding, "hop"]).stderr(Stdio::piped());
    let mut client = Client(client.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(client.0.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    let port = line.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert_eq!(ask_tcp(port, b"chosen"), b"chosen");
}

#[test]
fn unix_sockets_are_forwarded_both_ways() {
    let server = Server::start();
    let at = |name: &str| server.directory.join(name).display().to_string();
    let target = UnixListener::bind(at("target")).unwrap();
    std::thread::spawn(move || {
        for stream in target.incoming() {
            let mut stream = stream.unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).unwrap();
            stream.write_all(&heard).unwrap();
        }
    });
    let to_server = format!("{}:{}", at("local"), at("target"));
    let to_client = format!("{}:{}", at("remote"), at("target"));
    let client = Client::forward(&server, &["-L", &to_server, "-R", &to_client]);
    for name in ["local", "remote"] {
        let stream = UnixStream::connect(at(name)).unwrap();
        let half = stream.try_clone().unwrap();
        let heard = ask(stream, || half.shutdown(std::net::Shutdown::Write).unwrap(), b"by path");
        assert_eq!(heard, b"by path", "{name}");
    }
    drop(client);
    while server.directory.join("remote").exists() {
        std::thread::yield_now();
    }
}

#[test]
fn what_the_key_does_not_permit_is_not_forwarded() {
    let allowed = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = allowed.local_addr().unwrap().port();
    let options = format!(
        "permitopen=\"127.0.0.1:{port}\",permitlisten=\"4711\",no-agent-forwarding,no-X11-forwarding"
    );
    let server = Server::start_with(&options, |_| {});
    let greet = std::thread::spawn(move || allowed.accept().unwrap().0.write_all(b"hello").unwrap());
    assert_eq!(text(&server.ssh(&["-W", &format!("127.0.0.1:{port}")], &[]).stdout), "hello");
    greet.join().unwrap();
    let output = server.ssh(&["-v", "-W", &format!("localhost:{port}")], &[]);
    assert!(text(&output.stderr).contains("administratively prohibited"), "{}", text(&output.stderr));
    let output = server.ssh(&["-o", "ExitOnForwardFailure=yes", "-R", "4712:localhost:1"], &["true"]);
    assert_eq!(output.status.code(), Some(255));
    let output = server.ssh(&["-o", "ExitOnForwardFailure=yes", "-R", "/tmp/x:localhost:1"], &["true"]);
    assert_eq!(output.status.code(), Some(255));
}

#[test]
fn an_agent_is_reached_from_a_session() {
    let server = Server::start();
    let socket = server.directory.join("agent");
    let mut agent = std::process::Command::new("ssh-agent");
    let agent = Client(agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap());
    while UnixStream::connect(&socket).is_err() {
        std::thread::yield_now();
    }
    let mut client = server.client("ssh");
    client.env("SSH_AUTH_SOCK", &socket).args(["-A", "-o", "IdentityAgent=SSH_AUTH_SOCK"]);
    let output = client.args(["hop", "ssh-add -l; ls -ld $SSH_AUTH_SOCK"]).output().unwrap();
    let said = text(&output.stdout);
    assert!(said.starts_with("The agent has no identities.\nsrw-------"), "{said} {}", text(&output.stderr));
    drop(agent);
}

#[test]
fn a_display_is_forwarded_with_its_cookie() {
    let server = Server::start();
    // A display of the client's side that is no X server, but shows that the connection arrives.
    let display =
        (50..).find_map(|number| Some((number, TcpListener::bind(("127.0.0.1", 6000 + number)).ok()?)));
    let (number, listener) = display.unwrap();
    let greeted = std::thread::spawn(move || {
        let mut hello = [0; 12];
        listener.accept().unwrap().0.read_exact(&mut hello).unwrap();
        hello
    });
    let mut client = server.client("ssh");
    client.env("DISPLAY", format!("127.0.0.1:{number}")).arg("-Y");
    // An X client's greeting: byte order, version 11.0, no authentication; the far ssh checks the cookie.
    let script = "xauth list $DISPLAY; echo $DISPLAY; ls -l $XAUTHORITY";
    let output = client.args(["hop", script]).output().unwrap();
    let said = text(&output.stdout);
    assert!(said.contains("MIT-MAGIC-COOKIE-1") && said.contains("localhost:1"), "{said}");
    assert!(said.contains("-rw-------"), "{said}");
    drop(TcpStream::connect(("127.0.0.1", 6000 + number)).map(|mut stream| stream.write_all(&[0; 12])));
    greeted.join().unwrap();
}
