//! A peer before keys are exchanged: packets without protection, for what may not be said then.
#![expect(clippy::panic, reason = "a peer that cannot do its part ends the test, as an assertion does")]

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hop_ssh::message;
use hop_ssh::wire::Put;

/// One end of a connection that has no keys yet.
#[derive(Debug)]
pub struct PlainPeer {
    stream: TcpStream,
}

/// SSH_MSG_KEXINIT (RFC 4253 section 7.1) that offers one algorithm of each kind, all of which ours know;
/// `marks` are put behind the key exchange methods.
pub fn key_exchange_init(marks: &[&str]) -> Vec<u8> {
    let mut init = vec![message::KEXINIT];
    init.put_raw(&[7; 16]);
    init.put_names(["curve25519-sha256"].into_iter().chain(marks.iter().copied()));
    init.put_names(["ssh-ed25519"]);
    for _ in 0..2 {
        init.put_names(["aes256-gcm@openssh.com"]);
    }
    for _ in 0..2 {
        init.put_names(["hmac-sha2-256-etm@openssh.com"]);
    }
    for _ in 0..2 {
        init.put_names(["none"]);
    }
    init.put_string("");
    init.put_string("");
    init.put_boolean(false);
    init.put_uint32(0);
    init
}

/// SSH_MSG_KEX_ECDH_INIT (RFC 8731) with a point that is on the curve.
pub fn key_exchange_value() -> Vec<u8> {
    let mut value = vec![message::KEX_ECDH_INIT];
    let mut point = [0; 32];
    point[0] = 9;
    value.put_string(point);
    value
}

impl PlainPeer {
    /// Exchanges identifications.
    pub fn start(mut stream: TcpStream, software: &str) -> Self {
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).unwrap_or_else(|e| panic!("setting up a socket: {e}"));
        let line = format!("SSH-2.0-{software}\r\n");
        stream.write_all(line.as_bytes()).unwrap_or_else(|e| panic!("sending an identification: {e}"));
        let mut byte = [0];
        while byte != *b"\n" {
            stream.read_exact(&mut byte).unwrap_or_else(|e| panic!("awaiting an identification: {e}"));
        }
        Self { stream }
    }

    /// Sends one packet.
    pub fn send(&mut self, payload: &[u8]) {
        // Eight bytes to a block, at least four of padding (RFC 4253 section 6).
        let padding = 4 + (8 - (5 + payload.len() + 4) % 8) % 8;
        let mut packet = Vec::new();
        packet.put_uint32(u32::try_from(1 + payload.len() + padding).unwrap_or(u32::MAX));
        packet.put_byte(u8::try_from(padding).unwrap_or(u8::MAX));
        packet.put_raw(payload);
        packet.resize(packet.len() + padding, 0);
        match self.stream.write_all(&packet) {
            Ok(()) => {}
            Err(error) if super::is_gone(&error) => {}
            Err(error) => panic!("sending a packet: {error}"),
        }
    }

    /// The next packet's payload; `None` at the end of the connection.
    pub fn hear(&mut self) -> Option<Vec<u8>> {
        let mut head = [0; 5];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof || super::is_gone(&error) => {
                return None;
            }
            Err(error) => panic!("awaiting a packet: {error}"),
        }
        let [a, b, c, d, padding] = head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        assert!((6..=35_000).contains(&length), "a packet of {length} bytes");
        let mut rest = vec![0; length - 1];
        self.stream.read_exact(&mut rest).unwrap_or_else(|e| panic!("awaiting the rest of a packet: {e}"));
        rest.truncate(rest.len().saturating_sub(usize::from(padding)));
        Some(rest)
    }
}
