//! Scripts for the transport: raw bytes before there are keys; behind the keys a hostile peer that can seal
//! whatever it likes, exchanges keys whenever it likes, and a socket that takes little.

use super::*;
use crate::config::HostKey;
use crate::export::Exported;
use crate::fuzzing::{Script, host_key};
use hop_keys::Identity;
use std::sync::OnceLock;
use std::time::Duration;

/// Runs a script of raw bytes, in pieces, against a new transport. The first byte chooses our side.
pub fn before_keys(script: &[u8]) {
    let mut script = Script::new(script);
    let now = Instant::now();
    let made = match script.byte() & 1 {
        0 => Transport::server(server_config(), now),
        _ => Transport::client(client_config(), now),
    };
    let mut transport = made.expect("the configuration is good");
    while let Some(piece) = script.step() {
        // Pieces of 255 bytes stand for all that is left.
        let bytes = if piece == 255 { script.remainder() } else { script.bytes() };
        // Long scripts in tiny pieces take long and show nothing that short ones do not.
        let size = usize::from(piece).max(bytes.len() / 32) + 1;
        for piece in bytes.chunks(size) {
            transport.input().preload(piece);
            if !drain(&mut transport, now) {
                return;
            }
        }
    }
}

/// Runs a script against a transport whose peer has the keys.
pub fn after_keys(script: &[u8]) {
    let mut script = Script::new(script);
    let now = Instant::now();
    let (client, server) = established();
    let client = Transport::import_client(client, client_config(), now).expect("our own export");
    let server = Transport::import_server(server, server_config(), now).expect("our own export");
    let options = script.byte();
    let (mut ours, peer) = if options & 1 == 0 { (server, client) } else { (client, server) };
    if options & 2 != 0 {
        ours.opener.longest = crate::packet::LONGEST_UNAUTHENTICATED_PACKET;
    }
    let mut bench = Bench { ours, peer: Some(peer), now };
    while let Some(step) = script.step() {
        if bench.step(step, &mut script).is_err() {
            return;
        }
        bench.check();
    }
}

struct Bench {
    ours: Transport,
    /// `None` once it has failed: it got what it asked for.
    peer: Option<Transport>,
    now: Instant,
}

impl Bench {
    fn step(&mut self, step: u8, script: &mut Script<'_>) -> Result<(), Error> {
        let now = self.now;
        match step % 13 {
            0..=3 => {
                let payload = script.bytes();
                self.as_peer(|peer| if payload.is_empty() { Ok(()) } else { peer.seal(payload, &[]) });
                self.receive(usize::MAX)
            }
            4 => {
                self.ours.input().preload(script.bytes());
                self.receive(0)
            }
            5 => {
                self.as_peer(|peer| peer.start_rekey(now));
                Ok(())
            }
            6 => self.ours.start_rekey(now),
            7 => {
                let bytes = taken(&mut self.ours, script.amount());
                self.as_peer(|peer| {
                    peer.input().preload(&bytes);
                    while peer.next(now)?.is_some() {}
                    Ok(())
                });
                Ok(())
            }
            8 => self.receive(script.amount()),
            9 => self.pass_time(u64::from(script.byte()) << (step >> 4)),
            10 => {
                // The layers above send at most this much at a time, and only while little waits.
                let payload = vec![94; script.amount().clamp(1, 32 * 1024)];
                if self.ours.output.len() < crate::connection::FULL {
                    self.ours.send(&payload, &[])
                } else {
                    Ok(())
                }
            }
            11 => {
                // Many small messages that want an answer.
                let mut ping = vec![message::PING];
                ping.put_string([]);
                for _ in 0..script.amount().min(64) {
                    self.as_peer(|peer| peer.seal(&ping, &[]));
                }
                self.receive(usize::MAX)
            }
            _ => {
                self.relocate();
                Ok(())
            }
        }
    }

    fn as_peer(&mut self, operation: impl FnOnce(&mut Transport) -> Result<(), Error>) {
        if let Some(peer) = &mut self.peer
            && operation(peer).is_err()
        {
            self.peer = None;
        }
    }

    fn receive(&mut self, most: usize) -> Result<(), Error> {
        if let Some(peer) = &mut self.peer {
            let bytes = taken(peer, most);
            self.ours.input().preload(&bytes);
        }
        while let Some(payload) = self.ours.next(self.now)? {
            let number = self.ours.payload(&payload).first().copied().unwrap_or_default();
            assert!(matches!(number, 5 | 6 | 50..=127), "message {number} reaches the layer above");
        }
        Ok(())
    }

    fn pass_time(&mut self, seconds: u64) -> Result<(), Error> {
        self.now += Duration::from_secs(seconds);
        let now = self.now;
        for _ in 0..10 {
            if self.ours.deadline().is_none_or(|deadline| deadline > now) {
                return Ok(());
            }
            self.ours.on_time(now)?;
            if self.ours.rekey_due(now) {
                self.ours.start_rekey(now)?;
            }
        }
        unreachable!("the timer never stops");
    }

    /// To another process, where it stands.
    fn relocate(&mut self) {
        // A large state takes long to overwrite, and shows nothing that a small one does not.
        if self.ours.output.len() > 16 * 1024 {
            return;
        }
        let is_server = self.ours.is_server();
        let placeholder = Transport::server(server_config(), self.now).expect("the configuration is good");
        match std::mem::replace(&mut self.ours, placeholder).export() {
            Ok(state) if is_server => {
                self.ours =
                    Transport::import_server(&state, server_config(), self.now).expect("our own export");
            }
            Ok(state) => {
                self.ours =
                    Transport::import_client(&state, client_config(), self.now).expect("our own export");
            }
            Err((ours, _)) => {
                assert!(ours.is_exchanging(), "only a key exchange keeps it");
                self.ours = ours;
            }
        }
    }

    fn check(&self) {
        let output = self.ours.output.len();
        assert!(output <= LONGEST_BACKLOG + LONGEST_PACKET as usize + 64, "{output} bytes of output");
        let held = &self.ours.held.payloads;
        let costs = held.iter().map(|payload| payload.capacity() + size_of::<Vec<u8>>()).sum::<usize>();
        assert!(costs <= LONGEST_BACKLOG + LONGEST_PACKET as usize, "{costs} bytes held in {}", held.len());
    }
}

fn taken(from: &mut Transport, most: usize) -> Vec<u8> {
    let output = from.output();
    let count = output.len().min(most);
    let bytes = output.pending().get(..count).unwrap_or_default().to_vec();
    output.consume(bytes.len());
    bytes
}

/// Reads what there is and throws away what is said; false when it has failed.
fn drain(transport: &mut Transport, now: Instant) -> bool {
    loop {
        match transport.next(now) {
            Ok(Some(payload)) => {
                assert!(transport.session_id().is_some(), "a payload before there are keys");
                assert!(!transport.payload(&payload).is_empty());
            }
            Ok(None) => break,
            Err(error) => {
                // What the peer is told must always be possible to say.
                if let Some((reason, description)) = error.disconnect() {
                    transport.send_disconnect(reason, &description).expect("there is room for a goodbye");
                }
                return false;
            }
        }
    }
    let length = transport.output().len();
    transport.output().consume(length);
    true
}

pub(crate) fn server_config() -> Arc<ServerConfig> {
    static CONFIG: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    let make = || {
        let mut config = ServerConfig::new(vec![HostKey::new(host_key())]);
        config.algorithms = crate::Algorithms::compatible();
        Arc::new(config)
    };
    CONFIG.get_or_init(make).clone()
}

pub(crate) fn client_config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let make = || {
        let mut config = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
        config.algorithms = crate::Algorithms::compatible();
        Arc::new(config)
    };
    CONFIG.get_or_init(make).clone()
}

/// Both ends after one honest key exchange, which is the costly part.
pub(crate) fn established() -> &'static (Exported, Exported) {
    static STATE: OnceLock<(Exported, Exported)> = OnceLock::new();
    STATE.get_or_init(|| {
        let now = Instant::now();
        let mut client = Transport::client(client_config(), now).expect("the configuration is good");
        let mut server = Transport::server(server_config(), now).expect("the configuration is good");
        loop {
            let (up, down) = (taken(&mut client, usize::MAX), taken(&mut server, usize::MAX));
            if up.is_empty() && down.is_empty() {
                break;
            }
            server.input().preload(&up);
            client.input().preload(&down);
            assert!(client.next(now).is_ok_and(|payload| payload.is_none()));
            assert!(server.next(now).is_ok_and(|payload| payload.is_none()));
        }
        let export =
            |transport: Transport| transport.export().map_err(|(_, reason)| reason).expect("established");
        (export(client), export(server))
    })
}
