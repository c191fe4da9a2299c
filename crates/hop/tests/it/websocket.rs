//! A site's projects by SSH in a WebSocket at its web address: the same keys, checks and records as at its SSH port.

use crate::certificate_files;
use crate::site::up;
use crate::support::{Ended, Home, port_of};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// ssh by `hop proxy` through the pages' port, at the path of `project`, logging in as `user`.
fn ssh(home: &Home, key: &Path, http: u16, project: &str, user: &str) -> Command {
    ssh_by(home, key, &format!("ws://127.0.0.1:{http}/ssh/{project}"), user)
}

/// The same with all of `hop proxy`'s words.
fn ssh_by(home: &Home, key: &Path, words: &str, user: &str) -> Command {
    let mut command = Command::new("ssh");
    command
        .args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"])
        .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "HostKeyAlias=site"])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", home.path().join("known_hosts").display()))
        .arg("-o")
        .arg(format!("ProxyCommand={} proxy {words}", env!("CARGO_BIN_EXE_hop")))
        .arg("-i")
        .arg(key)
        .arg(format!("{user}@site"))
        .stdin(Stdio::null());
    command
}

/// The status line that a request for a WebSocket gets, with one more header.
fn status(http: u16, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", http)).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{http}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{header}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    String::from_utf8(start.to_vec()).unwrap()
}

#[test]
fn a_project_is_reached_by_its_web_address_with_the_same_checks() {
    let home = Home::new();
    let server = up(&home);
    let http = port_of(&server.announced["url"]);
    let key = home.path().join(".ssh/id_ed25519");
    let project = server.announced["project"]["id"].as_str().unwrap();
    let run = |key: &Path, path: &str, user: &str| {
        let mut command = ssh(&home, key, http, path, user);
        Ended::from(
            command.arg("echo $HOP_ACCOUNT; head -c 3000000 /dev/zero | wc -c; exit 3").output().unwrap(),
        )
    };
    for name in ["first", project, "first/"] {
        let ended = run(&key, name, name.trim_end_matches('/'));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), "admin\n3000000\n"), "{}", ended.stderr);
    }
    // A door that leads to one project opens no other name, with the answer that a stranger gets.
    let stranger = home.make_key("stranger");
    for (key, path, user) in
        [(&key, "other", "first"), (&stranger, "first", "first"), (&key, "first", "other")]
    {
        let ended = run(key, path, user);
        assert!(
            ended.code == Some(255) && ended.stderr.contains("Permission denied (publickey)"),
            "{}",
            ended.stderr
        );
    }
    // No page of another site opens it; what asks for no WebSocket hears what this is.
    assert_eq!(status(http, "/ssh/first", ""), "HTTP/1.1 101");
    assert_eq!(status(http, "/ssh/first", "Origin: https://evil.example\r\n"), "HTTP/1.1 403");
    assert_eq!(status(http, "/ssh/first", "Upgrade: h2c\r\nOrigin: null\r\n"), "HTTP/1.1 403");
}

#[test]
fn a_key_that_is_removed_ends_its_session_there_too() {
    let home = Home::new();
    let server = up(&home);
    let http = port_of(&server.announced["url"]);
    let key = home.path().join(".ssh/id_ed25519");
    let mut session = ssh(&home, &key, http, "first", "first")
        .arg("echo here; sleep 1000")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut here = [0; 5];
    session.stdout.as_mut().unwrap().read_exact(&mut here).unwrap();
    let open = home.run(&["admin", "session", "list", "--json"]);
    assert!(open.stdout.contains("127.0.0.1"), "{} {}", open.stdout, open.stderr);
    let listed = home.run(&["admin", "key", "list", "--account", "admin", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(listed.stdout.lines().next().unwrap()).unwrap();
    let removed = home.run(&["admin", "key", "remove", listed["id"].as_str().unwrap()]);
    assert_eq!(removed.code, Some(0), "{}", removed.stderr);
    let ended = Ended::from(session.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(255));
    assert!(ended.stderr.contains("key"), "the reason is told: {}", ended.stderr);
}

#[test]
fn behind_tls_of_a_private_authority_a_project_is_reached_when_the_authority_is_named() {
    let home = Home::new();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    certificate_files::make(&home, "site");
    home.write(
        "site.toml",
        "data = 'data'\nssh = '127.0.0.1:0'\nhttp = '127.0.0.1:0'\n\
         [tls]\ncertificate = 'site.pem'\nkey = 'site.key'\n",
    );
    let server = home.serve(&["serve", "--config", "site.toml", "--json"]);
    let port = port_of(&server.announced["url"]);
    let key = home.path().join(".ssh/id_ed25519");
    let public = home.path().join(".ssh/id_ed25519.pub");
    let added = home.run(&[
        "admin",
        "key",
        "add",
        "--config",
        "site.toml",
        "--account",
        "admin",
        "--title",
        "laptop",
        "--file",
        public.to_str().unwrap(),
    ]);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let run =
        |words: &str| Ended::from(ssh_by(&home, &key, words, "first").arg("echo inside").output().unwrap());
    let url = format!("wss://127.0.0.1:{port}/ssh/first");
    let known = run(&format!("--ca-file {} {url}", home.path().join("site.pem").display()));
    assert_eq!((known.code, known.stdout.as_str()), (Some(0), "inside\n"), "{}", known.stderr);
    let unknown = run(&url);
    assert_eq!(unknown.code, Some(255));
    assert!(unknown.stderr.contains("TLS") && unknown.stderr.contains("--ca-file"), "{}", unknown.stderr);
}
