//! Seeds about keys: certificates, authorized_keys, known_hosts, revocation lists, agent messages, the word.

use crate::{Desk, frame, frames, run};
use hop_keys::Certificate;
use hop_model::{OpenRule, Permissions, PermitOpen, Word};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

pub fn capture(desk: &Desk) {
    let ca = desk.path("ca");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/keys/ca"), &ca).expect("the key is there");
    run("chmod", &["600", &ca]);
    fs::write(format!("{ca}.pub"), public_of(&ca)).expect("written");
    let mut lines = Vec::new();
    for (kind, bits) in [("ed25519", ""), ("ecdsa", "256"), ("ecdsa", "521"), ("rsa", "2048")] {
        let name = format!("{kind}{bits}");
        let path = desk.path(&name);
        let bits: &[&str] = if bits.is_empty() { &[] } else { &["-b", bits] };
        run("ssh-keygen", &[&["-q", "-t", kind, "-N", "", "-C", &name, "-f", &path], bits].concat());
        lines.push(fs::read_to_string(format!("{path}.pub")).expect("written").trim().to_owned());
    }
    certificates(desk, &ca);
    text_files(desk, &lines);
    revocations(desk, &ca);
    agent(desk);
    words(desk);
}

fn public_of(path: &str) -> Vec<u8> {
    Command::new("ssh-keygen").args(["-y", "-f", path]).output().expect("ssh-keygen runs").stdout
}

fn certificates(desk: &Desk, ca: &str) {
    let cases: [(&str, &str, &[&str]); 6] = [
        ("user", "ed25519", &["-n", "hopper,other", "-z", "7"]),
        (
            "options",
            "ecdsa256",
            &["-n", "hopper", "-O", "force-command=ls", "-O", "source-address=10.0.0.0/8,::1/128"],
        ),
        ("clear", "ecdsa521", &["-n", "hopper", "-O", "clear", "-O", "permit-pty", "-O", "verify-required"]),
        (
            "extensions",
            "rsa2048",
            &["-n", "hopper", "-O", "extension:x@example.org=y", "-O", "critical:z@example.org=1"],
        ),
        ("host", "ed25519", &["-h", "-n", "host.example.org,*.example.org"]),
        ("everybody", "ed25519", &["-V", "always:forever"]),
    ];
    for (name, key, options) in cases {
        let path = desk.path(key);
        let validity: &[&str] = if options.contains(&"-V") { &[] } else { &["-V", "20250101:20400101"] };
        run(
            "ssh-keygen",
            &[&["-q", "-s", ca, "-I", name], options, validity, &[&format!("{path}.pub")]].concat(),
        );
        let line = fs::read_to_string(format!("{path}-cert.pub")).expect("written");
        let (certificate, _) = Certificate::parse_line(&line).expect("ssh-keygen made it");
        desk.keep("certificate", name, certificate.blob());
    }
    let path = desk.path("ed25519");
    let line = fs::read(format!("{path}-cert.pub")).expect("written");
    desk.keep("certificate", "line", &line);
}

fn text_files(desk: &Desk, lines: &[String]) {
    let user = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/keys/user.pub")).expect("there");
    let ca = fs::read_to_string(format!("{}.pub", desk.path("ca"))).expect("there");
    let (user, ca) = (user.trim(), ca.trim());
    let options = [
        r#"restrict,pty,command="git-shell -c \"$SSH_ORIGINAL_COMMAND\"""#,
        r#"from="10.0.0.0/8,!10.9.*,*.example.org,::1",no-agent-forwarding,no-port-forwarding"#,
        r#"permitopen="localhost:80",permitopen="[::1]:*",permitlisten="8080",permitlisten="localhost:1""#,
        r#"environment="A=b c",expiry-time="20300101Z",no-touch-required"#,
    ];
    for (index, (options, line)) in options.iter().zip(lines.iter().cycle()).enumerate() {
        let file = format!("# a comment\n{options} {user}\n\n{options} {line}\n");
        desk.keep("authorized_keys", &format!("options-{index}"), file.as_bytes());
    }
    let file = format!("cert-authority,principals=\"hopper,other\" {ca}\n");
    desk.keep("authorized_keys", "authority", file.as_bytes());
    desk.keep("authorized_keys", "plain", format!("{}\n", lines.join("\n")).as_bytes());

    let host = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/keys/host.pub")).expect("there");
    let file = format!(
        "host.example.org,127.0.0.1 {host}[127.0.0.1]:2222,!x.example.org,*.example.org {line}\n\
         @cert-authority *.example.org {ca}\n@revoked * {line}\n",
        line = lines[0]
    );
    desk.keep("known_hosts", "plain", file.as_bytes());
    let path = desk.path("known_hosts");
    fs::write(&path, file).expect("written");
    run("ssh-keygen", &["-q", "-H", "-f", &path]);
    desk.keep("known_hosts", "hashed", &fs::read(&path).expect("there"));
}

fn revocations(desk: &Desk, ca: &str) {
    let (list, what) = (desk.path("krl"), desk.path("krl.txt"));
    let ed25519 = format!("{}.pub", desk.path("ed25519"));
    let cases = [
        (
            "serials",
            "serial: 42\nserial: 50-90\nserial: 1000\nserial: 1003\nserial: 1009\nid: hopper@example.org\n"
                .to_owned(),
        ),
        ("keys", format!("key: {}", fs::read_to_string(&ed25519).expect("there"))),
        ("hashes", format!("sha1: {0}sha256: {0}", fs::read_to_string(&ed25519).expect("there"))),
    ];
    for (name, text) in cases {
        fs::write(&what, text).expect("written");
        run("ssh-keygen", &["-q", "-k", "-f", &list, "-s", &format!("{ca}.pub"), "-z", "3", &what]);
        desk.keep("krl", name, &fs::read(&list).expect("there"));
    }
    run("ssh-keygen", &["-q", "-k", "-f", &list, &format!("{}-cert.pub", desk.path("ed25519"))]);
    desk.keep("krl", "certificate", &fs::read(&list).expect("there"));
}

/// An agent with a listener in between.
fn agent(desk: &Desk) {
    let (real, tapped) = (desk.path("agent"), desk.path("tapped"));
    let mut agent =
        Command::new("ssh-agent").args(["-D", "-a", &real]).stdout(Stdio::null()).spawn().expect("starts");
    while UnixStream::connect(&real).is_err() {
        std::thread::yield_now();
    }
    let said: Arc<Mutex<[Vec<u8>; 2]>> = Arc::default();
    let listener = UnixListener::bind(&tapped).expect("a listener");
    let record = Arc::clone(&said);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let agent = UnixStream::connect(&real).expect("the agent is there");
            for (side, (mut from, mut to)) in
                [(client.try_clone(), agent.try_clone()), (Ok(agent), Ok(client))]
                    .into_iter()
                    .enumerate()
                    .map(|(side, (from, to))| (side, (from.expect("a socket"), to.expect("a socket"))))
            {
                let record = Arc::clone(&record);
                std::thread::spawn(move || {
                    let mut room = [0; 65536];
                    while let Ok(count @ 1..) = from.read(&mut room) {
                        record.lock().expect("no panic")[side].extend_from_slice(&room[..count]);
                        to.write_all(&room[..count]).expect("the other end is there");
                    }
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    let with = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let status = command.args(arguments).env("SSH_AUTH_SOCK", &tapped).stdout(Stdio::null()).status();
        assert!(status.expect("it starts").success(), "{program} {arguments:?}");
    };
    let (ed25519, rsa) = (desk.path("ed25519"), desk.path("rsa2048"));
    with("ssh-add", &["-q", &ed25519, &rsa]);
    with("ssh-add", &["-l"]);
    let message = desk.path("message");
    fs::write(&message, "message").expect("written");
    for key in [&ed25519, &rsa] {
        // Without the private key's file it is the agent that signs.
        fs::rename(key, format!("{key}.away")).expect("moved");
        with("ssh-keygen", &["-q", "-Y", "sign", "-n", "file", "-f", &format!("{key}.pub"), &message]);
        fs::rename(format!("{key}.away"), key).expect("moved back");
        fs::remove_file(format!("{message}.sig")).expect("signed");
    }
    with("ssh-add", &["-q", "-D"]);
    agent.kill().expect("it runs");
    agent.wait().expect("it ended");
    let said = said.lock().expect("no panic");
    for (side, name) in ["request", "response"].into_iter().enumerate() {
        let mut seen = Vec::new();
        for message in frames(&said[side]) {
            // One of each size and kind; private keys are nothing to keep.
            let kind = (message.first().copied(), message.len());
            if !seen.contains(&kind) && !matches!(kind.0, Some(17 | 25)) {
                desk.keep("agent", &format!("{name}-{}", seen.len()), &frame(&message));
                seen.push(kind);
            }
        }
    }
}

fn words(desk: &Desk) {
    let (client, server) = ("192.0.2.1:5000".parse().expect("one"), "[2001:db8::1]:22".parse().expect("one"));
    let permissions = Permissions {
        open: PermitOpen::only(vec![OpenRule::parse("[::1]:80").expect("a rule")]),
        force_command: Some("echo \"x\"".to_owned()),
        ..Permissions::all()
    };
    let mut word = Word::new("session", "project", client, server, permissions);
    desk.keep("word", "restricted", &word.encode().expect("short"));
    word.permissions = Permissions::all();
    word.environment = vec![("A".to_owned(), "b".to_owned())];
    word.not_after = Some(2_000_000_000);
    desk.keep("word", "open", &word.encode().expect("short"));
    desk.keep("terminal_modes", "dropbear", &[3, 0, 0, 0, 0x7f, 0]);
}
