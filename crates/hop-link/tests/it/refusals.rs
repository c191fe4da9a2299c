//! What is said when there is no WebSocket.

use crate::support::{answer_with, echo, head, listener, options, target};
use hop_link::{ClientOptions, ConnectError, Refusal, Target, connect};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn status(line: &str, headers: &str) -> String {
    format!("HTTP/1.1 {line}\r\n{headers}content-length: 0\r\n\r\n")
}

async fn refusal(answers: Vec<String>, path: &str) -> (Refusal, Vec<String>) {
    let (listener, port) = listener().await;
    let answering = tokio::spawn(answer_with(listener, answers));
    match connect(&target(port, path), &options()).await {
        Err(ConnectError::Refused(refusal)) => (refusal, answering.await.unwrap()),
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn an_answer_is_told_as_it_was() {
    for (line, wanted) in [
        ("403 Forbidden", 403),
        ("404 Not Found", 404),
        ("424 Failed Dependency", 424),
        ("503 Service Unavailable", 503),
        ("200 OK", 200),
    ] {
        let (refusal, heads) = refusal(vec![status(line, "")], "/x/").await;
        assert_eq!((refusal.status, heads.len()), (wanted, 1));
        assert!(refusal.to_string().contains(&wanted.to_string()), "{refusal}");
    }
}

#[tokio::test]
async fn redirects_are_told_and_not_followed() {
    for (location, is_same_origin, shown) in [
        ("/hub/user/a/sshd/?next=secret", true, "/hub/user/a/sshd/"),
        ("https://sso.example/login?state=secret", false, "https://sso.example/login"),
        ("//evil.example/x/", false, "//evil.example/x/"),
    ] {
        let headers = format!("location: {location}\r\n");
        let (refusal, heads) = refusal(vec![status("302 Found", &headers)], "/x").await;
        assert_eq!(
            (refusal.is_same_origin, refusal.location.as_deref(), heads.len()),
            (is_same_origin, Some(shown), 1)
        );
    }
}

#[tokio::test]
async fn a_missing_slash_is_added_once() {
    let slash = |path: &str| status("302 Found", &format!("location: {path}/\r\n"));
    let (refusal, heads) = refusal(vec![slash("/x"), slash("/x/")], "/x").await;
    assert_eq!((refusal.status, heads.len()), (302, 2));
    assert!(heads[1].starts_with("GET /x/ HTTP/1.1\r\n") && heads[1].contains("token abc123"), "{heads:?}");
}

#[tokio::test]
async fn the_token_stays_with_its_origin() {
    let (elsewhere, port) = listener().await;
    let headers = format!("location: http://localhost:{port}/x/\r\n");
    let (refusal, _) = refusal(vec![status("302 Found", &headers)], "/x").await;
    assert!(!refusal.is_same_origin);
    let nobody = tokio::time::timeout(Duration::from_millis(50), elsewhere.accept()).await;
    assert!(nobody.is_err(), "somebody went there");
}

#[tokio::test]
async fn what_only_looks_like_a_websocket() {
    let lie = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
               sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n";
    for (answer, is_http) in [(lie, false), ("SSH-2.0-OpenSSH_9.2\r\n", true), ("", true)] {
        let (listener, port) = listener().await;
        tokio::spawn(answer_with(listener, vec![answer.to_owned()]));
        let error = connect(&target(port, "/"), &options()).await.unwrap_err();
        let told = matches!(error, ConnectError::Http { .. });
        assert!(told == is_http && (told || matches!(error, ConnectError::NotWebSocket { .. })), "{error}");
    }
}

#[tokio::test]
async fn places_that_do_not_answer() {
    let (silent, port) = listener().await;
    let hurried = ClientOptions { time: Duration::from_millis(50), ..options() };
    let error = connect(&target(port, "/"), &hurried).await.unwrap_err();
    assert!(matches!(error, ConnectError::Slow { .. }), "{error}");
    drop(silent);
    let error = connect(&target(port, "/"), &options()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Connect { .. }), "{error}");
    let nowhere = Target::parse("ws://nowhere.invalid/").unwrap();
    let error = connect(&nowhere, &options()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error}");
}

#[tokio::test]
async fn a_token_with_a_line_break_goes_nowhere() {
    let (listener, port) = listener().await;
    tokio::spawn(echo(listener, "/"));
    let token = Some(hop_link::Secret::new("a\r\nX-Evil: 1".to_owned()));
    let error = connect(&target(port, "/"), &ClientOptions { token, ..options() }).await.unwrap_err();
    assert!(matches!(error, ConnectError::Token), "{error}");
}

#[tokio::test]
async fn a_server_answers_what_is_no_websocket() {
    let (listener, port) = listener().await;
    tokio::spawn(echo(listener, "/sshd/"));
    for (request, wanted) in [
        ("GET /sshd/ HTTP/1.1\r\nhost: h\r\n\r\n", "HTTP/1.1 426 "),
        ("GET /else HTTP/1.1\r\nhost: h\r\n\r\n", "HTTP/1.1 404 "),
        (
            "GET /sshd/ HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: x\r\n\r\n",
            "HTTP/1.1 400 ",
        ),
        ("nonsense\r\n\r\n", "HTTP/1.1 400 "),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = head(&mut stream).await;
        assert!(answer.starts_with(wanted), "{request:?}: {answer}");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    }
}
