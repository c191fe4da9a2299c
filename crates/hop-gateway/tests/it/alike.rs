//! Whoever may not enter hears the same, packet for packet, whatever the reason is.

use crate::site::{FIRST, Options, Person, Site};
use hop_gateway::{Limits, PenaltyLimits};
use hop_keys::PrivateKey;
use hop_ssh::message;
use hop_testkit::raw::userauth::{Proof, probe, request, service_request, signed};
use hop_testkit::raw::{Heard, RawPeer};
use std::net::SocketAddr;

/// All that the gateway says to somebody who asks for the methods, asks about a key, and proves it until cut off.
fn conversation(address: SocketAddr, user: &str, key: &PrivateKey) -> Vec<Vec<u8>> {
    let mut peer = RawPeer::connect(address, "test");
    peer.send(&service_request());
    let mut heard = vec![peer.expect(message::SERVICE_ACCEPT)];
    let blob = key.public().blob().to_vec();
    let session = peer.binding();
    peer.send(&request(user, "none"));
    heard.push(peer.message());
    peer.send(&probe(user, "ssh-ed25519", &blob));
    heard.push(peer.message());
    let host_key = session.host_key_blob().to_vec();
    for bound in [false, true, false, true, false, true, false] {
        let proof = Proof {
            algorithm: "ssh-ed25519",
            blob: &blob,
            key,
            session: session.session_id(),
            host_key: bound.then_some(&host_key[..]),
        };
        peer.send(&signed(user, &proof));
        match peer.hear() {
            Heard::Message(answer) => heard.push(answer),
            Heard::Unimplemented(number) => panic!("message {number} is not known"),
            Heard::End(error) => {
                heard.push(error.to_string().replace(user, "USER").into_bytes());
                return heard;
            }
        }
    }
    panic!("it was never cut off");
}

#[tokio::test]
async fn the_same_packets_for_everybody_who_may_not_enter() {
    // Without the delays that so many failures earn.
    let penalties = PenaltyLimits { room: 1000, project_room: 1000, ..PenaltyLimits::default() };
    let limits = Limits { penalties, ..Limits::default() };
    let site = Site::start_with(Options { limits, ..Options::default() }).await;
    let mut change = site.change().await;
    // Bob is a member of the first, and suspended.
    change.accounts().suspend(site.bob.account).await.unwrap();
    change.commit().await.unwrap();
    let key = |person: &Person| {
        let text = std::fs::read_to_string(&person.private).unwrap();
        PrivateKey::from_openssh(&text, None).unwrap()
    };
    let unknown = || PrivateKey::generate(hop_keys::KeyAlgorithm::Ed25519).unwrap();
    let first = site.first.to_string();
    let cases = [
        ("unknown project", "no-such-name".to_owned(), key(&site.ada)),
        ("unknown project id", "00112233445566778899aabbccddeeff".to_owned(), key(&site.ada)),
        ("impossible name", "../../x".to_owned(), key(&site.ada)),
        ("unknown key", first.clone(), unknown()),
        ("unknown key, by alias", FIRST.to_owned(), unknown()),
        ("unknown key at the door", "jump".to_owned(), unknown()),
        ("no member", first.clone(), key(&site.eve)),
        ("suspended account", first, key(&site.bob)),
    ];
    let address = site.address;
    let mut heard = Vec::new();
    for (what, user, key) in cases {
        let said = tokio::task::spawn_blocking(move || conversation(address, &user, &key)).await.unwrap();
        heard.push((what, said));
    }
    let (_, expected) = heard.first().unwrap();
    // The list of methods, a refused probe, five refused signatures, and the end.
    assert_eq!(expected.len(), 1 + 1 + 1 + 5 + 1, "{expected:?}");
    assert_eq!(expected.get(2).unwrap().first(), Some(&message::USERAUTH_FAILURE));
    for (what, said) in &heard {
        assert_eq!(said, expected, "{what}");
    }
    assert!(!site.is_running(site.first).await, "a stranger started an environment");
}
