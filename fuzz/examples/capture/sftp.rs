//! Seeds of SFTP: both directions of a session of `sftp` with `sftp-server`, and command lines.

use crate::{Desk, frame, frames, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const SERVER: &str = "/usr/lib/openssh/sftp-server";

pub fn capture(desk: &Desk) {
    let (home, requests, responses) = (desk.path("home"), desk.path("requests"), desk.path("responses"));
    fs::create_dir_all(format!("{home}/dir")).expect("made");
    fs::write(format!("{home}/file"), "some text\n".repeat(40)).expect("written");
    let wrapper = desk.path("wrapper");
    fs::write(&wrapper, format!("#!/bin/sh\ncd {home}\ntee {requests} | {SERVER} | tee {responses}\n"))
        .expect("written");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("set");
    let batch = "ls -la\nget file {w}/got\nput {w}/got new\nrename new newer\nln -s file link\nln file hard\n\
        chmod 644 file\ndf\nmkdir sub\nls -l sub\nrmdir sub\n-rm nothing\ncopy file copied\n\
        rm newer\ncd dir\npwd\n-reput {w}/got again\n";
    let batch = batch.replace("{w}", desk.work.to_str().expect("text"));
    fs::write(desk.path("batch"), batch).expect("written");
    run("sftp", &["-q", "-p", "-b", &desk.path("batch"), "-D", &wrapper]);

    let sent: Vec<Vec<u8>> = frames(&fs::read(&requests).expect("recorded"))
        .into_iter()
        .map(|packet| relative(&packet, &home))
        .collect();
    let mut stream: Vec<u8> = Vec::new();
    for (index, part) in sent.chunks(14).enumerate() {
        stream.clear();
        // Each part begins as a session does.
        if index > 0 {
            stream.extend(frame(&sent[0]));
        }
        stream.extend(part.iter().flat_map(|packet| frame(packet)));
        desk.keep("sftp_server", &format!("session-{index}"), &stream);
    }
    one_of_each(desk, "sftp_requests", &sent);
    one_of_each(desk, "sftp_responses", &frames(&fs::read(&responses).expect("recorded")));

    // What a client does, then the server's greeting and answers; no recording has this form.
    for (name, acts, answers) in [
        ("stat", &[0, 1, 9][..], &[0x0e, 6, 100, 3, 2, 0, 2, 0][..]),
        ("list", &[2], &[0x00, 3, 1, 5, 104, 0, 0, 0, 0, 2, 1]),
        ("get", &[5, 4], &[0x0f, 2, 8, 3, 6, 40, 4, 12, 2, 1, 2, 1, 2, 0, 3, 4, 2, 0]),
        ("put", &[7], &[0x06, 3, 2, 0, 2, 0, 2, 0, 2, 0]),
    ] {
        let length = u8::try_from(acts.len()).expect("few");
        desk.keep("sftp_client", name, &[&[length], acts, answers].concat());
    }

    for (name, line) in [
        ("plain", "-e -l INFO -f AUTHPRIV"),
        ("read-only", "-R -P write,rename -u 027 -d /data/%u"),
        ("allow", "-p open,read,close -d %d/%%"),
        ("query", "-Q requests"),
    ] {
        desk.keep("sftp_arguments", name, line.replace(' ', "\0").as_bytes());
    }
}

/// One packet of each type, and of each extension.
fn one_of_each(desk: &Desk, target: &str, packets: &[Vec<u8>]) {
    let mut seen = Vec::new();
    for packet in packets {
        let kind = (packet.first().copied(), (packet.first() == Some(&200)).then(|| packet.get(9..20)));
        if !seen.contains(&kind) && packet.len() < 3000 {
            desk.keep(target, &format!("{}", seen.len()), packet);
            seen.push(kind);
        }
    }
}

/// The client asks for absolute names; the fuzzed server is asked for relative ones.
fn relative(packet: &[u8], home: &str) -> Vec<u8> {
    let mut made = Vec::new();
    let mut rest = packet;
    while let Some((first, later)) = rest.split_first() {
        let field = rest.get(4..).unwrap_or_default();
        if field.starts_with(home.as_bytes()) {
            let length = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
            let name = field[home.len()..length].strip_prefix(b"/").unwrap_or(b".");
            made.extend(frame(name));
            rest = &field[length..];
        } else {
            made.push(*first);
            rest = later;
        }
    }
    made
}
