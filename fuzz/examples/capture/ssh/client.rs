//! A client that runs one command, for OpenSSH's server.

use super::Record;
use crate::{Desk, run};
use hop_keys::{Identity, PrivateKey};
use hop_ssh::auth::{ClientAuth, ClientStep, Offer, SessionBinding};
use hop_ssh::wire::Put;
use hop_ssh::{ClientConfig, Transport};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub fn sessions(desk: &Desk) -> Vec<(String, Record)> {
    let authorized = desk.path("authorized_keys");
    fs::copy(format!("{}.pub", desk.path("ed25519")), &authorized).expect("copied");
    fs::create_dir_all("/run/sshd").expect("sshd wants it");
    let banner = desk.path("banner");
    fs::write(&banner, "welcome\n").expect("written");
    let host_key = desk.path("ecdsa256");
    run("chmod", &["600", &host_key]);
    let config = desk.path("sshd_config");
    let text = format!(
        "HostKey {}\nHostKey {}\nAuthorizedKeysFile {authorized}\nBanner {banner}\nStrictModes no\n\
         PermitRootLogin yes\nUsePAM no\nSubsystem sftp internal-sftp\n",
        desk.path("rsa2048"),
        desk.path("ed25519")
    );
    fs::write(&config, text).expect("written");
    [("sshd-exec", "echo out; echo err >&2; exit 3", false), ("sshd-pty", "tty; kill -9 $$", true)]
        .map(|(name, command, pty)| (name.to_owned(), session(desk, &config, command, pty)))
        .into_iter()
        .collect()
}

fn session(desk: &Desk, config: &str, command: &str, pty: bool) -> Record {
    let (mut stream, theirs) = UnixStream::pair().expect("a pair");
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("set");
    let end = |stream: &UnixStream| Stdio::from(OwnedFd::from(stream.try_clone().expect("a copy")));
    let mut sshd = Command::new("/usr/sbin/sshd")
        .args(["-i", "-f", config])
        .stdin(end(&theirs))
        .stdout(end(&theirs))
        .stderr(Stdio::null())
        .spawn()
        .expect("sshd starts");
    drop(theirs);
    let key = fs::read_to_string(desk.path("ed25519")).expect("there");
    let key = PrivateKey::from_openssh(&key, None).expect("ssh-keygen made it");
    let now = Instant::now();
    let judge = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
    let mut transport = Transport::client(Arc::new(judge), now).expect("a good configuration");
    let mut record = Record::default();
    let mut auth: Option<ClientAuth> = None;
    let mut done = false;
    'talk: loop {
        while let Ok(Some(payload)) = transport.next(now) {
            let payload = transport.payload(&payload).to_vec();
            if done {
                record.connection.push((true, payload.clone()));
                let replies = answer(&payload, command, pty);
                for reply in replies {
                    record.connection.push((false, reply.clone()));
                    transport.send(&reply, &[]).expect("there is room");
                }
                if payload[0] == 97 {
                    break 'talk;
                }
                continue;
            }
            record.userauth.push(payload.clone());
            let auth = auth.as_mut().expect("keys are exchanged");
            auth.set_extensions(transport.peer_extensions());
            let reply = match auth.on_message(&payload).expect("an honest server") {
                ClientStep::Reply(reply) => reply,
                ClientStep::Sign { algorithm, message, .. } => {
                    let signature = key.sign(algorithm, &message).expect("the key signs");
                    auth.signature(Some(&signature)).expect("it was asked for")
                }
                ClientStep::Done => {
                    done = true;
                    transport.set_authenticated();
                    let mut open = vec![90];
                    open.put_string("session");
                    for number in [0, 1 << 21, 1 << 15] {
                        open.put_uint32(number);
                    }
                    record.connection.push((false, open.clone()));
                    open
                }
                _ => continue,
            };
            transport.send(&reply, &[]).expect("there is room");
        }
        if auth.is_none()
            && let Some(binding) = SessionBinding::of(&transport)
        {
            let offers = [Offer::Key(Identity::Key(key.public().clone()))];
            let extensions = transport.peer_extensions().clone();
            let (made, request) = ClientAuth::start(binding, "root", extensions, offers);
            transport.send(&request, &[]).expect("there is room");
            auth = Some(made);
        }
        stream.write_all(transport.output().pending()).expect("sshd reads");
        let written = transport.output().len();
        transport.output().consume(written);
        let room = transport.input().spare();
        let Ok(count @ 1..) = stream.read(room) else { break };
        let bytes = room[..count].to_vec();
        transport.input().commit(count);
        if transport.session_id().is_none() {
            record.plain.extend_from_slice(&bytes);
        }
    }
    assert!(done && record.connection.len() > 5, "sshd did not let us in: {:?}", record.userauth.len());
    drop(stream);
    sshd.wait().expect("it ended");
    record
}

fn answer(payload: &[u8], command: &str, pty: bool) -> Vec<Vec<u8>> {
    let theirs = |at: usize| payload.get(at..at + 4).unwrap_or_default().to_vec();
    match payload[0] {
        91 => {
            let request = |name: &str| {
                let mut request = [vec![98], theirs(5)].concat();
                request.put_string(name);
                request.put_boolean(true);
                request
            };
            let mut requests = Vec::new();
            if pty {
                let mut request = request("pty-req");
                request.put_string("xterm");
                for size in [80, 24, 0, 0] {
                    request.put_uint32(size);
                }
                request.put_string([0]);
                requests.push(request);
            }
            let mut exec = request("exec");
            exec.put_string(command);
            requests.push(exec);
            requests
        }
        97 => vec![[vec![97], vec![0; 4]].concat()],
        _ => Vec::new(),
    }
}
