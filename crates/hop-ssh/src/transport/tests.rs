use super::*;
use crate::algorithms::Algorithms;
use crate::config::{HostKey, RekeyLimits};
use hop_keys::{Identity, KeyAlgorithm, PrivateKey};
use std::time::Duration;

type Payloads = Vec<Vec<u8>>;

/// Moves bytes both ways until nothing is left; the payloads that each side received.
struct Pair {
    client: Transport,
    server: Transport,
    now: Instant,
}

fn pass(from: &mut Transport, to: &mut Transport, chunk: usize) -> bool {
    let bytes: Vec<u8> = from.output().pending().iter().copied().take(chunk).collect();
    from.output().consume(bytes.len());
    to.input().preload(&bytes);
    !bytes.is_empty()
}

impl Pair {
    fn new(algorithms: Algorithms, rekey: RekeyLimits) -> Self {
        let host_key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let mut server = ServerConfig::new(vec![HostKey::new(host_key)]);
        server.algorithms = algorithms.clone();
        server.rekey = rekey;
        let mut client = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
        client.algorithms = algorithms;
        client.rekey = rekey;
        let now = Instant::now();
        Self {
            client: Transport::client(Arc::new(client), now).unwrap(),
            server: Transport::server(Arc::new(server), now).unwrap(),
            now,
        }
    }

    /// Runs until both sides are quiet, `chunk` bytes at a time.
    fn settle(&mut self, chunk: usize) -> Result<(Payloads, Payloads), Error> {
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        loop {
            let moved = pass(&mut self.client, &mut self.server, chunk)
                | pass(&mut self.server, &mut self.client, chunk);
            while let Some(payload) = self.server.next(self.now)? {
                to_server.push(self.server.payload(&payload).to_vec());
            }
            while let Some(payload) = self.client.next(self.now)? {
                to_client.push(self.client.payload(&payload).to_vec());
            }
            if !moved {
                return Ok((to_client, to_server));
            }
        }
    }
}

#[test]
fn every_method_and_cipher_gives_both_sides_the_same_session() {
    for kex in ["mlkem768x25519-sha256", "curve25519-sha256", "ecdh-sha2-nistp256", "ecdh-sha2-nistp521"] {
        for cipher in ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"] {
            let algorithms = Algorithms::compatible().with_kex(&[kex]).with_ciphers(&[cipher]);
            let mut pair = Pair::new(algorithms, RekeyLimits::default());
            pair.client.send(b"\x5esent before the keys are there", b"").unwrap();
            let (_, to_server) = pair.settle(11).unwrap();
            assert_eq!(to_server, [b"\x5esent before the keys are there"], "{kex} {cipher}");
            assert!(pair.client.session_id().is_some());
            assert_eq!(pair.client.session_id(), pair.server.session_id());
            assert!(pair.client.peer_extensions().publickey_hostbound);
            assert!(pair.client.peer.strict && pair.server.peer.strict);
        }
    }
}

#[test]
fn keys_are_replaced_while_payloads_flow_from_both_initiators() {
    let mut pair =
        Pair::new(Algorithms::default(), RekeyLimits { bytes: Some(40_000), ..Default::default() });
    pair.settle(usize::MAX).unwrap();
    pair.client.set_authenticated();
    pair.server.set_authenticated();
    let session = pair.client.session_id().map(<[u8]>::to_vec);
    let (mut sent, mut to_client, mut to_server) = (0u32, Vec::new(), Vec::new());
    let mut rekeys = 0;
    for round in 0..200u32 {
        for side in [&mut pair.client, &mut pair.server] {
            if side.rekey_due(pair.now) || round % 13 == 0 {
                side.start_rekey(pair.now).unwrap();
                rekeys += 1;
            }
            side.send(&[94], &sent.to_be_bytes()).unwrap();
            side.send(&[95], &[0; 3000]).unwrap();
        }
        sent += 1;
        let (client, server) = pair.settle(997).unwrap();
        to_client.extend(client);
        to_server.extend(server);
    }
    assert!(rekeys > 20);
    assert_eq!(pair.client.session_id().map(<[u8]>::to_vec), session);
    for seen in [to_client, to_server] {
        let numbers: Vec<u32> = seen
            .iter()
            .filter(|payload| payload[0] == 94)
            .map(|payload| u32::from_be_bytes(payload[1..].try_into().unwrap()))
            .collect();
        assert_eq!(numbers, (0..sent).collect::<Vec<_>>());
    }
}

#[test]
fn keys_unused_for_an_hour_are_kept_and_used_ones_are_not() {
    let mut pair = Pair::new(Algorithms::default(), RekeyLimits::default());
    pair.settle(usize::MAX).unwrap();
    pair.client.set_authenticated();
    let deadline = pair.client.deadline().unwrap();
    assert!(!pair.client.rekey_due(deadline - Duration::from_secs(1)));
    // EXT_INFO was received under these keys.
    assert!(pair.client.rekey_due(deadline));
}

#[test]
fn a_ping_is_answered_with_its_data() {
    let mut pair = Pair::new(Algorithms::default(), RekeyLimits::default());
    pair.settle(usize::MAX).unwrap();
    let before = pair.client.opener.used.packets;
    let mut ping = vec![message::PING];
    ping.put_string(b"echo me");
    pair.client.send(&ping, b"").unwrap();
    pair.settle(usize::MAX).unwrap();
    assert_eq!(pair.client.opener.used.packets, before + 1);
}

#[test]
fn messages_before_the_first_keys_are_fatal_when_strict() {
    for injected in [message::IGNORE, message::DEBUG, message::UNIMPLEMENTED, message::EXT_INFO, 80, 5] {
        let mut pair = Pair::new(Algorithms::default(), RekeyLimits::default());
        // Let the server read KEXINIT, then inject a packet into the exchange.
        while pair.server.peer.identification.is_none() || !pair.server.peer.strict {
            pass(&mut pair.client, &mut pair.server, 64);
            pass(&mut pair.server, &mut pair.client, 64);
            pair.server.next(pair.now).unwrap();
        }
        let mut sealer = PacketSealer::new();
        let mut out = OutBuf::default();
        sealer.seal(&mut out, &[injected, 0, 0, 0, 0], &[]).unwrap();
        pair.server.input().preload(out.pending());
        let refused = pair.server.next(pair.now);
        assert!(matches!(refused, Err(Error::UnexpectedMessage { .. })), "{injected}: {refused:?}");
    }
}

#[test]
fn a_peer_that_reads_nothing_is_cut_off() {
    let mut pair = Pair::new(Algorithms::default(), RekeyLimits::default());
    pair.settle(usize::MAX).unwrap();
    let mut ping = vec![message::PING];
    ping.put_string([0u8; 30_000]);
    let mut held = 0;
    let refused = loop {
        pair.client.send(&ping, b"").unwrap();
        pass(&mut pair.client, &mut pair.server, usize::MAX);
        match pair.server.next(pair.now) {
            Ok(_) => held = pair.server.output.len(),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Limit { .. }));
    assert!(held <= LONGEST_BACKLOG + 64 * 1024, "{held}");
}

#[test]
fn the_client_says_which_host_key_it_refuses() {
    let mut pair = Pair::new(Algorithms::default(), RekeyLimits::default());
    let verifier = ClientConfig::new(Arc::new(|_: &Identity| Err("not in known_hosts".to_owned())));
    pair.client = Transport::client(Arc::new(verifier), pair.now).unwrap();
    let refused = pair.settle(usize::MAX).unwrap_err();
    assert!(matches!(&refused, Error::HostKeyRejected { problem, .. } if problem == "not in known_hosts"));
    assert_eq!(refused.disconnect().unwrap().0, DisconnectReason::HostKeyNotVerifiable);
}

/// What waits for the end of a key exchange is bounded by what it costs, not by what it says.
#[test]
fn small_answers_held_during_a_key_exchange_cost_no_more_than_large_ones() {
    let mut pair = Pair::new(Algorithms::default(), RekeyLimits::default());
    pair.settle(usize::MAX).unwrap();
    pair.server.start_rekey(pair.now).unwrap();
    let refused = (0..).find_map(|_| pair.server.send(&[99, 0, 0, 0, 0], &[]).err()).unwrap();
    assert!(matches!(refused, Error::Limit { .. }));
    let count = pair.server.held.payloads.len();
    assert!(count * (size_of::<Vec<u8>>() + 32) <= LONGEST_BACKLOG, "{count} payloads");
}

#[test]
fn never_is_a_time_limit() {
    let mut pair = Pair::new(Algorithms::default(), RekeyLimits { bytes: None, time: Duration::MAX });
    pair.settle(usize::MAX).unwrap();
    pair.client.set_authenticated();
    assert_eq!(pair.client.deadline(), None);
    assert!(!pair.client.rekey_due(pair.now + Duration::from_secs(1 << 40)));
}
