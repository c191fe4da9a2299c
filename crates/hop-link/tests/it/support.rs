//! Servers that answer as a test wants, and a client's options.

use hop_link::{ClientOptions, Door, ProxyVariables, Secret, Target, WebSocket};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Chance that is the same every time.
pub(crate) fn chance(bytes: &mut [u8]) {
    bytes.fill(0x2a);
}

/// A client with a token, no proxy and a second's patience.
pub(crate) fn options() -> ClientOptions {
    ClientOptions {
        token: Some(Secret::new("abc123".to_owned())),
        trust: None,
        proxies: ProxyVariables::default(),
        time: Duration::from_secs(5),
        random: chance,
    }
}

pub(crate) async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

pub(crate) fn target(port: u16, path: &str) -> Target {
    Target::parse(&format!("ws://127.0.0.1:{port}{path}")).unwrap()
}

/// Accepts WebSockets and sends back what comes, until the goodbye.
pub(crate) async fn echo(listener: TcpListener, path: &str) {
    let door = Door { path: Some(path.to_owned()) };
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(socket) = hop_link::accept(stream, &door).await {
            tokio::spawn(send_back(socket));
        }
    }
}

async fn send_back(socket: WebSocket<TcpStream>) {
    let (mut reader, mut writer) = tokio::io::split(socket);
    tokio::io::copy(&mut reader, &mut writer).await.unwrap();
    writer.shutdown().await.unwrap();
}

/// The head of the next request on a stream.
pub(crate) async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Answers each connection's first request with the next of these; gives what was asked.
pub(crate) async fn answer_with(listener: TcpListener, answers: Vec<String>) -> Vec<String> {
    let mut heads = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        heads.push(head(&mut stream).await);
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _end = stream.shutdown().await;
    }
    heads
}
