//! Forwardings asked for by OpenSSH's ssh: ports and Unix sockets, both ways, SOCKS and standard input.
//!
//! Wherever ssh would need a port of its own choosing it gets a Unix socket instead: then no port is fixed.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use hop_e2e::run::Background;
use hop_e2e::sshd::Release;
use hop_e2e::{Run, Scratch, Server, payload};

const RELEASE: Release = Release::V9_2;

/// Not a multiple of any packet or window size.
const SIZE: u64 = 5_000_003;

#[test]
fn a_local_forward_reaches_a_port() {
    let server = Server::start();
    let echo = Echo::on_port();
    let local = server.scratch().join("local");
    let _ssh =
        forward(to(&server), "hop", &["-L", &format!("{}:127.0.0.1:{}", local.display(), echo.port())]);
    assert_echo(server.scratch(), UnixStream::connect(&local).unwrap());
}

#[test]
fn a_local_forward_reaches_a_unix_socket() {
    let server = Server::start();
    let far = server.scratch().join("far");
    let _echo = Echo::on_socket(&far);
    server.give(&far);
    let local = server.scratch().join("local");
    let _ssh = forward(to(&server), "hop", &["-L", &format!("{}:{}", local.display(), far.display())]);
    assert_echo(server.scratch(), UnixStream::connect(&local).unwrap());
}

#[test]
fn a_local_forward_to_nobody_ends_that_connection_only() {
    let server = Server::start();
    let echo = Echo::on_port();
    let (dead, live) = (server.scratch().join("dead"), server.scratch().join("live"));
    // Bound and closed again: nobody listens there now.
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let _ssh = forward(
        to(&server),
        "hop",
        &[
            "-L",
            &format!("{}:127.0.0.1:{nobody}", dead.display()),
            "-L",
            &format!("{}:127.0.0.1:{}", live.display(), echo.port()),
        ],
    );
    let mut nothing = Vec::new();
    // ssh resets or ends it, depending on what was sent before the refusal arrived.
    let _ = UnixStream::connect(&dead).unwrap().read_to_end(&mut nothing);
    assert_eq!(nothing, b"");
    assert_echo(server.scratch(), UnixStream::connect(&live).unwrap());
}

#[test]
fn standard_input_and_output_are_forwarded_to_a_port() {
    let server = Server::start();
    let echo = Echo::on_port();
    let (sent, back) = (server.scratch().join("sent"), server.scratch().join("back"));
    payload::write(&sent, SIZE, 3);
    let ssh = server.openssh(RELEASE, "ssh").args(["-W", &format!("127.0.0.1:{}", echo.port()), "hop"]);
    let _ = ssh.stdin_file(&sent).stdout_file(&back).success();
    payload::assert_same(&sent, &back);
}

#[test]
fn socks_reaches_a_port_by_address_and_by_name() {
    let server = Server::start();
    let echo = Echo::on_port();
    // ssh knows no port 0 here. Nobody else is given this one in the moment between.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let _ssh = forward(to(&server), "hop", &["-D", &format!("127.0.0.1:{port}")]);
    let address = [&[1, 127, 0, 0, 1][..], &echo.port().to_be_bytes()].concat();
    let name = [&[3, 9][..], b"localhost", &echo.port().to_be_bytes()].concat();
    for destination in [address, name] {
        assert_echo(server.scratch(), socks(port, &destination));
    }
}

#[test]
fn a_remote_forward_is_given_a_port_and_reaches_back() {
    let server = Server::start();
    let echo = Echo::on_port();
    let ssh = forward(to(&server), "hop", &["-R", &format!("127.0.0.1:0:127.0.0.1:{}", echo.port())]);
    let port: u16 = ssh.wait_for("the allocated port", |text| {
        let rest = text.split_once("Allocated port ")?.1;
        rest.split_once(' ')?.0.parse().ok()
    });
    assert_ne!(port, 0);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    assert_echo(server.scratch(), TcpStream::connect(address).unwrap());
    // No listener outlives its connection.
    drop(ssh);
    until("the listener to go", || TcpStream::connect(address).is_err());
}

#[test]
fn a_remote_unix_socket_reaches_back_to_a_port_and_to_a_socket() {
    let server = Server::start();
    let echo = Echo::on_port();
    let near = server.scratch().join("near");
    let _echo = Echo::on_socket(&near);
    let (to_port, to_socket) = (server.scratch().join("to_port"), server.scratch().join("to_socket"));
    let _ssh = forward(
        to(&server),
        "hop",
        &[
            "-R",
            &format!("{}:127.0.0.1:{}", to_port.display(), echo.port()),
            "-R",
            &format!("{}:{}", to_socket.display(), near.display()),
        ],
    );
    for path in [&to_port, &to_socket] {
        assert_echo(server.scratch(), UnixStream::connect(path).unwrap());
    }
}

fn to(server: &Server) -> Run {
    server.openssh(RELEASE, "ssh")
}

/// An ssh that only forwards; returns when its forwardings are in place.
pub(crate) fn forward(ssh: Run, host: &str, words: &[&str]) -> Background {
    // -v tells when it listens itself, and each answer of the server to -R.
    let ssh = ssh.args(["-N", "-v", "-o", "ExitOnForwardFailure=yes"]);
    let ssh = ssh.args(words).arg(host).background();
    ssh.wait_for("its forwardings", |text| text.contains("Entering interactive session").then_some(()));
    let remote = words.iter().filter(|w| **w == "-R").count();
    ssh.wait_for("the server's answers to -R", |text| {
        (text.matches("remote forward success").count() >= remote).then_some(())
    });
    ssh
}

/// A connection through SOCKS on this port; the destination is an address type, an address and a port.
pub(crate) fn socks(port: u16, destination: &[u8]) -> TcpStream {
    let mut socks = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    // RFC 1928: version 5, one method, no authentication; then CONNECT.
    socks.write_all(&[5, 1, 0]).unwrap();
    let mut method = [0; 2];
    socks.read_exact(&mut method).unwrap();
    assert_eq!(method, [5, 0]);
    socks.write_all(&[&[5, 1, 0][..], destination].concat()).unwrap();
    let mut reply = [0; 10];
    socks.read_exact(&mut reply).unwrap();
    assert_eq!(reply[..2], [5, 0], "SOCKS refused: {reply:?}");
    socks
}

/// What is sent comes back, whole and in order, also the end of it.
pub(crate) fn assert_echo(scratch: &Scratch, stream: impl Duplex) {
    let (sent, back) = (scratch.join("echo-sent"), scratch.join("echo-back"));
    payload::write(&sent, SIZE, 4);
    let (mut reader, mut writer) = (stream.twin(), stream);
    let source = sent.clone();
    let sending = std::thread::spawn(move || {
        std::io::copy(&mut std::fs::File::open(source).unwrap(), &mut writer).unwrap();
        writer.finish();
    });
    std::io::copy(&mut reader, &mut std::fs::File::create(&back).unwrap()).unwrap();
    sending.join().unwrap();
    payload::assert_same(&sent, &back);
}

/// A stream whose two directions can be used and ended apart.
pub(crate) trait Duplex: Read + Write + Send + 'static {
    fn twin(&self) -> Self;
    fn finish(&self);
}

impl Duplex for TcpStream {
    fn twin(&self) -> Self {
        self.try_clone().unwrap()
    }

    fn finish(&self) {
        self.shutdown(std::net::Shutdown::Write).unwrap();
    }
}

impl Duplex for UnixStream {
    fn twin(&self) -> Self {
        self.try_clone().unwrap()
    }

    fn finish(&self) {
        self.shutdown(std::net::Shutdown::Write).unwrap();
    }
}

/// A server that sends back what it gets and ends when its client does. Its thread ends with the test's process.
pub(crate) struct Echo {
    port: u16,
}

impl Echo {
    pub(crate) fn on_port() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                std::thread::spawn(move || echo(&stream));
            }
        });
        Self { port }
    }

    fn on_socket(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                std::thread::spawn(move || echo(&stream));
            }
        });
        Self { port: 0 }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

fn echo(stream: &impl Duplex) {
    let (mut reader, mut writer) = (stream.twin(), stream.twin());
    let _ = std::io::copy(&mut reader, &mut writer);
    stream.finish();
}

/// Tries until it is so, at most 10 s: for what another process does when it notices that a connection ended.
fn until(what: &str, so: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !so() {
        assert!(std::time::Instant::now() < deadline, "waited 10 s for {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
