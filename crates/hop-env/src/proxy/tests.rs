//! Bytes through the proxy; the places that it may reach are on this machine here, so the policy is another one.

use super::*;
use crate::socket::{self, SocketAccess};
use std::path::PathBuf;
use tempfile::TempDir;

struct Running {
    folder: TempDir,
    stop: CancellationToken,
}

impl Running {
    fn new(policy: Policy) -> Self {
        let folder = TempDir::new().unwrap();
        let listener = socket::bind(&folder.path().join("proxy"), SocketAccess::PRIVATE).unwrap();
        listener.set_nonblocking(true).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve_with(UnixListener::from_std(listener).unwrap(), stop.clone(), policy));
        Self { folder, stop }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("proxy")
    }

    /// What comes back when this is said, up to the end.
    async fn say(&self, words: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, stream.read_to_end(&mut said)).await.unwrap().unwrap();
        String::from_utf8(said).unwrap()
    }
}

/// Answers one connection with what it said, in upper case.
async fn shouter() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; 4096];
        let length = stream.read(&mut heard).await.unwrap();
        let heard = String::from_utf8_lossy(&heard[..length]).to_uppercase();
        stream.write_all(heard.as_bytes()).await.unwrap();
    });
    address
}

#[tokio::test]
async fn tunnels_and_plain_requests_go_through() {
    let proxy = Running::new(|_| true);
    let address = shouter().await;
    let said = proxy.say(&format!("CONNECT {address} HTTP/1.1\r\nHost: x\r\n\r\nhello")).await;
    assert_eq!(said, "HTTP/1.1 200 Connection established\r\n\r\nHELLO");
    let address = shouter().await;
    let said = proxy.say(&format!("GET http://{address}/path HTTP/1.1\r\nHost: h\r\n\r\n")).await;
    assert_eq!(said, "GET /PATH HTTP/1.1\r\nCONNECTION: CLOSE\r\nHOST: H\r\n\r\n");
}

#[tokio::test]
async fn this_machine_and_its_neighbours_are_refused_by_whatever_name() {
    let proxy = Running::new(address::is_public);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in [
        "127.0.0.1",
        "localhost",
        // The resolver reads these as addresses too.
        "2130706433",
        "0x7f000001",
        "127.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
    ] {
        for request in [format!("CONNECT {host}:{port}"), format!("GET http://{host}:{port}/")] {
            let said = proxy.say(&format!("{request} HTTP/1.1\r\n\r\n")).await;
            assert!(
                said.starts_with("HTTP/1.1 403 ") && said.contains("not a public address"),
                "{request}: {said}"
            );
        }
    }
    let nobody_came = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(nobody_came.is_err());
    assert!(proxy.say("GET / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    let endless = format!("GET http://a/ HTTP/1.1\r\nX: {}", "x".repeat(LONGEST));
    assert!(proxy.say(&endless).await.contains("longer than"));
}

/// Exactly as much as is read, so that the end is no reset.
const LONGEST: usize = request::LONGEST_HEAD - "GET http://a/ HTTP/1.1\r\nX: ".len();

#[tokio::test]
async fn one_user_has_so_many_connections() {
    let proxy = Running::new(|_| true);
    let mut held = Vec::new();
    for _ in 0..MOST_BY_USER {
        held.push(UnixStream::connect(proxy.socket()).await.unwrap());
    }
    // This one is hung up on without a word, and there is room again when one goes.
    let mut more = UnixStream::connect(proxy.socket()).await.unwrap();
    assert_eq!(more.read(&mut [0; 1]).await.unwrap_or(0), 0);
    drop(held);
    while proxy.say("nothing\r\n\r\n").await.is_empty() {}
}

#[tokio::test]
async fn connections_end_with_it() {
    let proxy = Running::new(|_| true);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = UnixStream::connect(proxy.socket()).await.unwrap();
    let words = format!("CONNECT {} HTTP/1.1\r\n\r\n", listener.local_addr().unwrap());
    stream.write_all(words.as_bytes()).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    proxy.stop.cancel();
    assert_eq!(far.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn the_port_inside_leads_to_the_socket() {
    let proxy = Running::new(|_| true);
    let address = shouter().await;
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(inside.local_addr().unwrap()).await.unwrap();
    let socket = proxy.socket();
    tokio::spawn(async move { port(inside, &socket).await });
    stream.write_all(format!("CONNECT {address} HTTP/1.1\r\n\r\nhello").as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.ends_with("\r\n\r\nHELLO"), "{said}");
}
