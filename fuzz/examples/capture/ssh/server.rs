//! A server that says yes to everything, for OpenSSH's client.

use super::Record;
use crate::Desk;
use hop_keys::{KeyAlgorithm, PrivateKey};
use hop_ssh::auth::{ServerAuth, ServerStep, SessionBinding};
use hop_ssh::wire::{Put, Reader};
use hop_ssh::{Algorithms, HostKey, ServerConfig, Transport};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub fn sessions(desk: &Desk) -> Vec<(String, Record)> {
    let key = desk.path("ed25519");
    let cases: [(&str, &[&str]); 7] = [
        ("exec", &["-o", "SetEnv=A=b", "HOST", "true"]),
        ("rsa-key", &["-i", "RSA", "HOST", "true"]),
        ("shell", &["-tt", "HOST"]),
        ("listen", &["-N", "-R", "0:localhost:9", "-R", "/tmp/hop-capture-socket:localhost:9", "HOST"]),
        ("connect", &["-W", "localhost:80", "HOST"]),
        ("sftp", &["-s", "HOST", "sftp"]),
        (
            "chacha",
            &[
                "-c",
                "chacha20-poly1305@openssh.com",
                "-o",
                "KexAlgorithms=ecdh-sha2-nistp256",
                "HOST",
                "true",
            ],
        ),
    ];
    let mut records = Vec::new();
    for (name, arguments) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port().to_string();
        let rsa = desk.path("rsa2048");
        let arguments = arguments.iter().map(|word| match *word {
            "HOST" => "127.0.0.1",
            "RSA" => &rsa,
            other => other,
        });
        let options = ["-F", "none", "-p", &port, "-i", &key, "-l", "hopper", "-o", "IdentitiesOnly=yes"];
        let quiet =
            ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"];
        let mut line: Vec<&str> = vec!["ssh"];
        line.extend(options.iter().chain(&quiet).copied().chain(arguments));
        let mut client = if name == "shell" {
            // With a terminal of its own it tells all its modes.
            let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
            start("script", &["-q", "-c", &words.join(" "), "/dev/null"])
        } else {
            start(line[0], &line[1..])
        };
        let (stream, _) = listener.accept().expect("the client connects");
        records.push((name.to_owned(), serve(stream)));
        let _ = client.kill();
        client.wait().expect("it ended");
    }
    records
}

fn start(program: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the client starts")
}

/// Serves until the client has been quiet for a moment, or is gone.
fn serve(mut stream: TcpStream) -> Record {
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("set");
    let keys = [KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa, KeyAlgorithm::EcdsaNistp256];
    let keys = keys.map(|kind| HostKey::new(PrivateKey::generate(kind).expect("made"))).into_iter().collect();
    let mut config = ServerConfig::new(keys);
    config.algorithms = Algorithms::compatible();
    // Its client asks for proofs only of a server that it knows.
    config.software = "OpenSSH_9.2".to_owned();
    let now = Instant::now();
    let mut transport = Transport::server(Arc::new(config), now).expect("a good configuration");
    let mut record = Record::default();
    let mut auth = None;
    let mut service = Service::default();
    loop {
        while let Ok(Some(payload)) = transport.next(now) {
            let payload = transport.payload(&payload).to_vec();
            let replies = if service.begun {
                record.connection.push((true, payload.clone()));
                let replies = service.answer(&payload);
                record.connection.extend(replies.iter().map(|reply| (false, reply.clone())));
                replies
            } else {
                record.userauth.push(payload.clone());
                let binding = || SessionBinding::of(&transport).expect("keys are exchanged");
                let auth = auth.get_or_insert_with(|| ServerAuth::new(binding(), 6));
                let (reply, done) = match auth.on_message(&payload).expect("an honest client") {
                    ServerStep::Reply(reply) => (reply, false),
                    ServerStep::Ask(_) => auth.answer(true).expect("an honest client"),
                };
                service.begun = done;
                vec![reply]
            };
            for reply in replies {
                transport.send(&reply, &[]).expect("there is room");
            }
            if service.begun {
                transport.set_authenticated();
            }
        }
        if stream.write_all(transport.output().pending()).is_err() {
            return record;
        }
        let written = transport.output().len();
        transport.output().consume(written);
        let room = transport.input().spare();
        let Ok(count @ 1..) = stream.read(room) else { return record };
        let bytes = room[..count].to_vec();
        transport.input().commit(count);
        if transport.session_id().is_none() {
            record.plain.extend_from_slice(&bytes);
        }
    }
}

/// Just enough of the connection protocol.
#[derive(Default)]
struct Service {
    begun: bool,
    /// The client's number for each channel of ours.
    remote: HashMap<u32, u32>,
    next: u32,
}

impl Service {
    fn answer(&mut self, payload: &[u8]) -> Vec<Vec<u8>> {
        let mut reader = Reader::new(&payload[1..]);
        match payload[0] {
            80 => {
                let name = reader.text().expect("a name").to_owned();
                if !reader.boolean().expect("a flag") {
                    return Vec::new();
                }
                if name != "tcpip-forward" {
                    return vec![vec![81]];
                }
                let mut reply = vec![81];
                reply.put_uint32(4000);
                let mut open = vec![90];
                open.put_string("forwarded-tcpip");
                for number in [self.number(), 1 << 21, 1 << 15] {
                    open.put_uint32(number);
                }
                open.put_string(reader.string().expect("an address"));
                open.put_uint32(4000);
                open.put_string("127.0.0.1");
                open.put_uint32(5000);
                vec![reply, open]
            }
            90 => {
                reader.string().expect("a type");
                let (theirs, ours) = (reader.uint32().expect("a number"), self.number());
                self.remote.insert(ours, theirs);
                let mut reply = vec![91];
                for number in [theirs, ours, 1 << 21, 1 << 15] {
                    reply.put_uint32(number);
                }
                vec![reply]
            }
            98 => {
                let ours = reader.uint32().expect("a number");
                let name = reader.text().expect("a name").to_owned();
                let mut replies = Vec::new();
                if reader.boolean().expect("a flag") {
                    replies.push(self.message(99, ours));
                }
                if matches!(name.as_str(), "exec" | "shell" | "subsystem") {
                    let mut data = self.message(94, ours);
                    data.put_string("hello\r\n");
                    let mut status = self.message(98, ours);
                    status.put_string("exit-status");
                    status.put_boolean(false);
                    status.put_uint32(0);
                    replies.extend([data, self.message(96, ours), status, self.message(97, ours)]);
                }
                replies
            }
            // What it sends into a forward comes to nothing.
            96 => vec![self.message(97, reader.uint32().expect("a number"))],
            _ => Vec::new(),
        }
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    fn message(&self, number: u8, ours: u32) -> Vec<u8> {
        let mut message = vec![number];
        message.put_uint32(self.remote.get(&ours).copied().unwrap_or_default());
        message
    }
}
