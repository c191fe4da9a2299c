use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::test_tools::ssh_keygen;
use crate::{KeyAlgorithm, PrivateKey, PublicKey};

#[test]
fn messages_have_their_layout() {
    assert_eq!(AgentRequest::Identities.to_frame(), b"\0\0\0\x01\x0b");
    let sign = AgentRequest::Sign { identity: b"k".to_vec(), message: b"m".to_vec(), flags: 4 };
    assert_eq!(sign.to_frame(), b"\0\0\0\x0f\x0d\0\0\0\x01k\0\0\0\x01m\0\0\0\x04");
    let bind = AgentRequest::session_bind(b"h", b"i", b"s", true);
    let expected = [
        b"\0\0\0\x2d\x1b\0\0\0\x18session-bind@openssh.com".as_slice(),
        b"\0\0\0\x01h\0\0\0\x01i\0\0\0\x01s\x01",
    ];
    assert_eq!(bind.to_frame(), expected.concat());
}

#[test]
fn messages_round_trip() {
    let identity = AgentIdentity { blob: b"b".to_vec(), comment: "c".to_owned() };
    for response in [
        AgentResponse::Success,
        AgentResponse::Failure,
        AgentResponse::ExtensionFailure,
        AgentResponse::Identities(vec![identity.clone(), identity]),
        AgentResponse::Identities(Vec::new()),
        AgentResponse::Signature(b"s".to_vec()),
    ] {
        let frame = response.to_frame();
        let (payload, taken) = split_frame(&frame).unwrap().unwrap();
        assert_eq!(taken, frame.len());
        assert_eq!(AgentResponse::parse(payload), Ok(response));
        for length in 0..frame.len() {
            assert_eq!(split_frame(&frame[..length]), Ok(None));
        }
    }
}

#[test]
fn frames_are_bounded() {
    let announced = |length: u32| split_frame(&length.to_be_bytes()).map(|frame| frame.is_some());
    assert_eq!(announced(0), Err(AgentError::FrameLength { length: 0 }));
    assert_eq!(announced(256 * 1024), Ok(false));
    assert_eq!(announced(256 * 1024 + 1), Err(AgentError::FrameLength { length: 256 * 1024 + 1 }));
    // Four thousand million keys announced, none there.
    let liar = [IDENTITIES_ANSWER, 0xff, 0xff, 0xff, 0xff];
    assert!(matches!(AgentResponse::parse(&liar), Err(AgentError::Wire(WireError::Truncated { .. }))));
    assert_eq!(AgentResponse::parse(&[99]), Err(AgentError::Message { kind: 99 }));
    assert!(AgentResponse::parse(&[SUCCESS, 0]).is_err());
}

/// The real ssh-agent, ended when dropped.
struct Agent {
    child: Child,
    socket: String,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(stream: &mut UnixStream, request: &AgentRequest) -> AgentResponse {
    stream.write_all(&request.to_frame()).unwrap();
    let mut received = Vec::new();
    loop {
        if let Some((payload, taken)) = split_frame(&received).unwrap() {
            assert_eq!(taken, received.len());
            return AgentResponse::parse(payload).unwrap();
        }
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "the agent hung up");
        received.extend_from_slice(&buffer[..count]);
    }
}

#[test]
fn the_real_ssh_agent_signs() {
    let keygen = ssh_keygen();
    let socket = keygen.path("agent");
    let mut child = Command::new("ssh-agent")
        .args(["-D", "-a", &socket])
        .stdout(Stdio::piped())
        .spawn()
        .expect("ssh-agent is missing: install the Debian package openssh-client");
    // It prints where it listens once it does.
    let mut first = [0; 1];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let agent = Agent { child, socket };
    let keys = [KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa, KeyAlgorithm::EcdsaNistp256]
        .map(|algorithm| PrivateKey::generate(algorithm).unwrap());
    for (number, key) in keys.iter().enumerate() {
        let file = keygen.write_secret(&format!("key{number}"), &key.to_openssh(&format!("key {number}")));
        let added = Command::new("ssh-add").arg("-q").arg(&file).env("SSH_AUTH_SOCK", &agent.socket).status();
        assert!(added.expect("ssh-add is missing: install the Debian package openssh-client").success());
    }
    let mut stream = UnixStream::connect(&agent.socket).unwrap();
    let AgentResponse::Identities(listed) = ask(&mut stream, &AgentRequest::Identities) else { panic!() };
    assert_eq!(listed.len(), keys.len());
    for (identity, key) in listed.iter().zip(&keys) {
        assert_eq!(identity.blob, key.public().blob());
        let public = PublicKey::from_blob(&identity.blob).unwrap();
        for algorithm in key.signature_algorithms() {
            let request = AgentRequest::Sign {
                identity: identity.blob.clone(),
                message: b"message".to_vec(),
                flags: sign_flags(*algorithm),
            };
            let AgentResponse::Signature(blob) = ask(&mut stream, &request) else { panic!("{algorithm}") };
            assert!(public.verify(*algorithm, b"message", &blob).is_ok(), "{algorithm}");
        }
    }
    assert_eq!(listed[1].comment, "key 1");
    let unknown = AgentRequest::Sign { identity: b"nobody".to_vec(), message: Vec::new(), flags: 0 };
    assert_eq!(ask(&mut stream, &unknown), AgentResponse::Failure);
    let host = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let session_id = [9; 32];
    let signature = host.sign(SignatureAlgorithm::Ed25519, &session_id).unwrap();
    let bind = AgentRequest::session_bind(host.public().blob(), &session_id, &signature, false);
    assert_eq!(ask(&mut stream, &bind), AgentResponse::Success);
    let forged = AgentRequest::session_bind(host.public().blob(), &[8; 32], &signature, false);
    assert_ne!(ask(&mut stream, &forged), AgentResponse::Success);
}
