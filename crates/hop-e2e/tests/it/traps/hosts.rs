//! Traps 8 and 10: the host's further keys, and the strict key exchange.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use hop_e2e::server::{Kind, Options};
use hop_e2e::sshd::Release;
use hop_e2e::{Identity, Scratch};
use hop_ssh::message;
use hop_testkit::raw::messages;
use hop_testkit::raw::plain::{PlainPeer, key_exchange_init, key_exchange_value};
use hop_testkit::{RawPeer, RelayConfig, Target};

use crate::relay::site::{Choice, Place, Site, start_relay};

const CLIENT_MARK: &str = "kex-strict-c-v00@openssh.com";
const SERVER_MARK: &str = "kex-strict-s-v00@openssh.com";

#[test]
fn trap_08_endpoint_announces_and_proves_its_host_keys() {
    announces_and_proves_its_host_keys(Place::Endpoint);
}

#[test]
fn trap_08_relay_announces_and_proves_its_host_keys_only() {
    announces_and_proves_its_host_keys(Place::Relay);
}

#[test]
fn trap_10_endpoint_is_strict_with_clients_that_are() {
    is_strict_with_clients_that_are(Place::Endpoint);
}

#[test]
fn trap_10_relay_is_strict_with_clients_that_are() {
    is_strict_with_clients_that_are(Place::Relay);
}

/// A client that knows one key of the server learns the other, because the server proves that it holds it.
fn announces_and_proves_its_host_keys(place: Place) {
    let keys = Scratch::new();
    let second = Identity::generate(&keys, "second", "rsa", &["-b", "3072"]);
    let behind = Identity::generate(&keys, "behind", "ecdsa", &[]);
    let mut choice = Choice::default();
    match place {
        // A site makes its keys itself.
        Place::Endpoint if Kind::asked() == Kind::Gateway => {}
        Place::Endpoint => {
            let path = second.private.display().to_string();
            choice.server.hop_arguments = vec!["--host-key".to_owned(), path];
        }
        Place::Relay => {
            // An sshd, which announces its keys to whoever says OpenSSH, as the relay does on behalf of its client.
            choice.kind = Kind::Sshd(Release::V9_2);
            choice.server = Options {
                sshd_config: format!("HostKey {}\n", behind.private.display()),
                ..Options::default()
            };
            let path = second.private.clone();
            choice = choice.relay(move |config| config.host_keys.push(path.clone()));
        }
    }
    let mut site = Site::with(place, &choice);
    let learnt = match (place, Kind::asked()) {
        (Place::Endpoint, Kind::Gateway) => {
            let rsa = site.server().host_keys().into_iter().find(|key| key.starts_with("ssh-rsa "));
            rsa.expect("an RSA host key")
        }
        _ => second.public_without_comment(),
    };
    for release in [Release::V9_2, Release::V10_0] {
        let known = site
            .scratch()
            .write("known_hosts.learning", format!("hop {}\n", site.host_key.public_without_comment()));
        let file = format!("UserKnownHostsFile={}", known.display());
        // The session lasts until the client has learned, or for so long that it never will.
        let options = ["-v", "-o", "UpdateHostKeys=yes", "-o", &file, "hop", "sleep 60"];
        let client = site.openssh(release, "ssh").args(options).background();
        let until = Instant::now() + Duration::from_secs(20);
        let mut text = String::new();
        while !text.contains(&learnt) {
            assert!(Instant::now() < until, "{text}\n{}", client.output());
            // Nothing tells of a file that a program rewrites.
            std::thread::sleep(Duration::from_millis(20));
            text = std::fs::read_to_string(&known).unwrap();
        }
        if place == Place::Relay {
            for foreign in [&behind, &site.server().host_key] {
                assert!(
                    !text.contains(&foreign.public_without_comment()),
                    "the server's key came across: {text}"
                );
            }
        }
    }
    // Nothing of the kind to clients that are not OpenSSH: the first message after login is what it asked for.
    let mut raw = site.raw_as("Other_1");
    raw.send(&messages::global("marker@test", true, &[]));
    assert_eq!(raw.message(), [message::REQUEST_FAILURE]);
}

/// Terrapin needs a packet that is not part of the exchange before the keys are there.
fn is_strict_with_clients_that_are(place: Place) {
    let site = Site::at(place);
    for (marks, tolerated) in [(&[][..], true), (&[CLIENT_MARK][..], false)] {
        let mut plain = PlainPeer::start(TcpStream::connect(site.address).unwrap(), "Plain_1");
        plain.send(&key_exchange_init(marks));
        let init = plain.hear().unwrap();
        assert!(init.windows(SERVER_MARK.len()).any(|part| part == SERVER_MARK.as_bytes()), "no mark");
        plain.send(&[message::IGNORE, 0, 0, 0, 0]);
        plain.send(&key_exchange_value());
        let answer = plain.hear().map(|payload| payload[0]);
        match tolerated {
            true => assert_eq!(answer, Some(message::KEX_ECDH_REPLY)),
            false => assert!(matches!(answer, None | Some(message::DISCONNECT)), "{answer:?}"),
        }
    }
    // Something before KEXINIT is as bad.
    let mut plain = PlainPeer::start(TcpStream::connect(site.address).unwrap(), "Plain_1");
    plain.send(&[message::IGNORE, 0, 0, 0, 0]);
    plain.send(&key_exchange_init(&[CLIENT_MARK]));
    let answers: Vec<_> = std::iter::from_fn(|| plain.hear()).map(|payload| payload[0]).collect();
    assert!(!answers.contains(&message::KEX_ECDH_REPLY), "{answers:?}");

    // A real client counts anew with new keys, also later, and the two go on understanding each other.
    let options = ["-vvv", "-o", "RekeyLimit=1M", "hop", "head -c 5000000 /dev/zero | tail -c 3"];
    let finished = site.openssh(Release::V10_0, "ssh").args(options).success();
    assert!(finished.stderr().contains("will use strict KEX ordering"), "{finished}");
    assert!(finished.stderr().contains("resetting send seqnr"), "{finished}");
    let mut raw = site.raw();
    for _ in 0..3 {
        assert_eq!(raw.run("echo x").text(), "x\n");
        raw.rekey();
    }
    assert_eq!(raw.run("echo x").text(), "x\n");
}

/// The relay's second leg: a server that says too much before the keys are there.
#[test]
fn trap_10_relay_is_strict_with_servers_that_are() {
    for (marks, tolerated) in [(&[][..], true), (&[SERVER_MARK][..], false)] {
        let scratch = Scratch::new();
        let key = Identity::ed25519(&scratch, "key");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::Ssh {
            address: listener.local_addr().unwrap(),
            user: "someone".to_owned(),
            key: key.private.clone(),
            host_key: key.public.clone(),
        };
        let authorized = scratch.write("authorized_keys", format!("{}\n", key.public));
        let config = RelayConfig::new(key.private.clone(), "user", authorized, target);
        let (_relay, address) = start_relay(&scratch, &config);
        let private = hop_keys::load_private_key(&key.private, None).unwrap();
        std::thread::scope(|scope| {
            // It does not get in: its second leg never comes up.
            let _client = scope.spawn(|| {
                std::panic::catch_unwind(|| RawPeer::connect(address, "Raw_1").log_in("user", &private))
                    .unwrap_err()
            });
            let (stream, _) = listener.accept().unwrap();
            let mut plain = PlainPeer::start(stream, "Plain_1");
            plain.send(&key_exchange_init(marks));
            plain.send(&[message::IGNORE, 0, 0, 0, 0]);
            // Not the answer that the relay waits for; it looks at it only if it got past the packet before.
            plain.send(&[message::KEX_ECDH_REPLY, 1, 2, 3]);
            let last = std::iter::from_fn(|| plain.hear()).last().unwrap();
            assert_eq!(last[0], message::DISCONNECT);
            let words = String::from_utf8_lossy(&last).into_owned();
            assert_eq!(words.contains("strictly"), !tolerated, "{words}");
        });
    }
}
