use super::*;
use crate::algorithms::Algorithms;
use crate::config::{ClientConfig, HostKey, ServerConfig};
use crate::transport::Transport;
use hop_keys::{Identity, KeyAlgorithm, PrivateKey};
use std::sync::Arc;
use std::time::Instant;

fn pass(from: &mut Transport, to: &mut Transport, most: usize) -> usize {
    let bytes: Vec<u8> = from.output().pending().iter().copied().take(most).collect();
    from.output().consume(bytes.len());
    to.input().preload(&bytes);
    bytes.len()
}

fn settle(client: &mut Transport, server: &mut Transport, now: Instant) -> Vec<Vec<u8>> {
    let mut got = Vec::new();
    loop {
        let moved = pass(client, server, usize::MAX) + pass(server, client, usize::MAX);
        assert!(client.next(now).unwrap().is_none());
        while let Some(payload) = server.next(now).unwrap() {
            got.push(server.payload(&payload).to_vec());
        }
        if moved == 0 {
            return got;
        }
    }
}

/// Through a real socket, as between two processes.
fn sent(state: Exported) -> Exported {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let sender = std::thread::spawn(move || state.send(&ours));
    let received = Exported::receive(&theirs).unwrap();
    sender.join().unwrap().unwrap();
    received
}

#[test]
fn a_transport_goes_on_after_a_rekey_with_half_a_packet_received_and_output_pending() {
    for cipher in
        ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"]
    {
        for mac in ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512"] {
            let now = Instant::now();
            let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
            let algorithms = Algorithms::compatible().with_ciphers(&[cipher]).with_macs(&[mac]);
            let mut config = ServerConfig::new(vec![HostKey::new(key)]);
            config.algorithms = algorithms.clone();
            let config = Arc::new(config);
            let mut client = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
            client.algorithms = algorithms;
            let mut client = Transport::client(Arc::new(client), now).unwrap();
            let mut server = Transport::server(config.clone(), now).unwrap();
            settle(&mut client, &mut server, now);
            client.set_authenticated();
            server.set_authenticated();
            client.start_rekey(now).unwrap();
            // During the exchange it may not move.
            pass(&mut client, &mut server, usize::MAX);
            server.next(now).unwrap();
            let (back, reason) = server.export().unwrap_err();
            assert_eq!(reason, NotNow::Exchanging);
            server = back;
            settle(&mut client, &mut server, now);

            client.send(&[94], b"before").unwrap();
            client.send(&[94], &[5; 1000]).unwrap();
            let half = client.output().len() / 2;
            pass(&mut client, &mut server, half);
            server.send(&[94], b"pending").unwrap();
            let session = server.session_id().unwrap().to_vec();

            let state = sent(server.export().map_err(|(_, reason)| reason).unwrap());
            // Another version of the program would announce itself otherwise; the line must not change.
            let mut renamed = ServerConfig::new(vec![]);
            renamed.software = "Other_9".to_owned();
            renamed.algorithms = config.algorithms.clone();
            renamed.host_keys = vec![HostKey::new(PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap())];
            let mut server = Transport::import_server(&state, Arc::new(renamed), now).unwrap();
            assert_eq!(server.session_id().unwrap(), session);

            // The client gets what was pending, and the server the rest of what was half received.
            let mut got_client = Vec::new();
            let mut got_server = Vec::new();
            for round in 0..4 {
                pass(&mut client, &mut server, usize::MAX);
                pass(&mut server, &mut client, usize::MAX);
                while let Some(payload) = server.next(now).unwrap() {
                    got_server.push(server.payload(&payload).len());
                }
                while let Some(payload) = client.next(now).unwrap() {
                    got_client.push(client.payload(&payload).to_vec());
                }
                if round == 0 {
                    // And keys can be replaced again, by the new owner.
                    server.start_rekey(now).unwrap();
                }
            }
            assert_eq!(got_client, [b"\x5epending".to_vec()], "{cipher} {mac}");
            assert_eq!(got_server, [7, 1001], "{cipher} {mac}");
            client.send(&[94], b"after").unwrap();
            assert_eq!(settle(&mut client, &mut server, now), [b"\x5eafter"], "{cipher} {mac}");
        }
    }
}

#[test]
fn what_is_not_established_does_not_move() {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let server =
        Transport::server(Arc::new(ServerConfig::new(vec![HostKey::new(key)])), Instant::now()).unwrap();
    assert_eq!(server.export().unwrap_err().1, NotNow::NotEstablished);
}

#[test]
fn state_that_is_damaged_or_of_another_version_is_refused() {
    let config = || Arc::new(ServerConfig::new(vec![]));
    let other = Exported(Zeroizing::new(vec![0, 0, 0, 9]));
    let refused = Transport::import_server(&other, config(), Instant::now()).err().unwrap();
    assert!(matches!(refused, ImportError::Version { version: 9 }));
    for length in [0, 3, 4, 40] {
        let mut bytes = vec![0; length];
        if let Some(last) = bytes.get_mut(3) {
            *last = 1;
        }
        assert!(
            Transport::import_server(&Exported(Zeroizing::new(bytes)), config(), Instant::now()).is_err()
        );
    }
}
