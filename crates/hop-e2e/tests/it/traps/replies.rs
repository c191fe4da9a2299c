//! Traps 5 and 6: replies in the order of their requests, whoever makes them, and an answer to every keepalive.

use hop_e2e::server::{Kind, Options};
use hop_e2e::sshd::Release;
use hop_ssh::message;
use hop_ssh::wire::{Put, Reader};
use hop_testkit::RelayEvent;
use hop_testkit::raw::messages;

use crate::relay::site::{Choice, Place, Site, events};

#[test]
fn trap_05_endpoint_replies_to_channel_requests_in_order() {
    replies_to_channel_requests_in_order(Place::Endpoint);
}

#[test]
fn trap_05_relay_replies_to_channel_requests_in_order() {
    replies_to_channel_requests_in_order(Place::Relay);
}

#[test]
fn trap_05_endpoint_replies_to_global_requests_in_order() {
    replies_to_global_requests_in_order(Place::Endpoint);
}

#[test]
fn trap_05_relay_replies_to_global_requests_in_order() {
    replies_to_global_requests_in_order(Place::Relay);
}

/// What the relay's policy refuses is refused by the far side, in its turn.
#[test]
fn trap_05_relay_refuses_a_request_in_its_turn() {
    let choice = Choice::default().relay(|config| config.refuse = vec!["pty-req".to_owned()]);
    let site = Site::with(Place::Relay, &choice);
    let mut raw = site.raw();
    let granted = raw.open_session(0, 1 << 20, 32 << 10);
    let together = [
        messages::env(granted.remote, "LC_HOP", "sent"),
        messages::request(granted.remote, "pty-req", true, &pty()),
        messages::env(granted.remote, "LC_HOP2", "sent"),
        messages::exec(granted.remote, "echo $LC_HOP $LC_HOP2; test -t 0 || echo no terminal"),
        messages::eof(granted.remote),
    ];
    raw.send_together(&together);
    let heard = raw.until_closed(granted.remote);
    assert_eq!(heard.order[..4], ["success", "failure", "success", "success"], "{:?}", heard.order);
    assert_eq!(heard.text(), "sent sent\nno terminal\n");
}

#[test]
fn trap_06_endpoint_answers_keepalives() {
    answers_keepalives(Place::Endpoint);
}

#[test]
fn trap_06_relay_answers_keepalives() {
    answers_keepalives(Place::Relay);
}

/// Client, relay and server all ask whether the others live, and nobody is given up.
#[test]
fn trap_06_relay_answers_keepalives_of_both_sides_and_asks_itself() {
    let mut choice = Choice::default().relay(|config| config.keepalive_ms = Some(300));
    choice.kind = Kind::Sshd(Release::V9_2);
    choice.server = Options {
        sshd_config: "ClientAliveInterval 1\nClientAliveCountMax 1\n".to_owned(),
        ..Options::default()
    };
    let site = Site::with(Place::Relay, &choice);
    let alive = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1", "hop", "sleep 5; echo alive"];
    let finished = site.openssh(Release::V10_0, "ssh").args(alive).success();
    assert_eq!(finished.stdout(), "alive\n");
}

/// Who does not answer is given up.
#[test]
fn trap_06_relay_gives_up_who_does_not_answer() {
    let choice = Choice::default().relay(|config| config.keepalive_ms = Some(300));
    let site = Site::with(Place::Relay, &choice);
    let raw = site.raw();
    let how = site.relay().wait_for("the end of a silent client", |text| {
        events(text).find_map(|event| match event {
            RelayEvent::Ended { how } => Some(how),
            _ => None,
        })
    });
    assert_eq!(how, "Client: timed out: an answer to a keepalive");
    drop(raw);
}

fn replies_to_channel_requests_in_order(place: Place) {
    let site = Site::at(place);
    let mut raw = site.raw();
    let granted = raw.open_session(0, 1 << 20, 32 << 10);
    let together = [
        messages::env(granted.remote, "LC_HOP", "sent"),
        messages::env(granted.remote, "LD_HOP", "sent"),
        messages::request(granted.remote, "nonsense@test", true, b"data"),
        messages::request(granted.remote, "nonsense@test", false, b"data"),
        messages::request(granted.remote, "pty-req", true, &pty()),
        messages::exec(granted.remote, "test -t 0 && exit 6"),
        // After the program has started nothing of this kind is granted any more.
        messages::env(granted.remote, "LC_HOP2", "late"),
    ];
    raw.send_together(&together);
    let heard = raw.until_closed(granted.remote);
    let replies: Vec<_> =
        heard.order.iter().map(String::as_str).filter(|n| ["success", "failure"].contains(n)).collect();
    assert_eq!(replies, ["success", "failure", "failure", "success", "success", "failure"]);
    assert!(heard.order.contains(&"exit-status 6".to_owned()), "{:?}", heard.order);
}

/// Some are answered by a relay, some by the server behind it: the client cannot tell.
fn replies_to_global_requests_in_order(place: Place) {
    let site = Site::at(place);
    let mut raw = site.raw();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = u32::from(listener.local_addr().unwrap().port());
    let mut foreign_key = Vec::new();
    foreign_key.put_string("not one of its host keys");
    let together = [
        messages::tcpip_forward("127.0.0.1", 0),
        messages::global("keepalive@openssh.com", true, &[]),
        messages::global("nonsense@test", true, b"data"),
        messages::global("nonsense@test", false, b"data"),
        messages::tcpip_forward("127.0.0.1", 0),
        messages::global("hostkeys-prove-00@openssh.com", true, &foreign_key),
        messages::tcpip_forward("127.0.0.1", taken),
        messages::global("keepalive@openssh.com", true, &[]),
        messages::tcpip_forward("127.0.0.1", 0),
    ];
    raw.send_together(&together);
    let replies: Vec<_> = (0..8).map(|_| raw.message()).collect();
    let ports: Vec<Option<u32>> = replies
        .iter()
        .map(|reply| match reply.split_first() {
            Some((&message::REQUEST_SUCCESS, port)) => Some(Reader::new(port).uint32().unwrap()),
            Some((&message::REQUEST_FAILURE, [])) => None,
            _ => panic!("unexpected {}", messages::Shown(reply)),
        })
        .collect();
    let granted: Vec<_> = ports.iter().map(Option::is_some).collect();
    assert_eq!(granted, [true, false, false, true, false, false, false, true], "{ports:?}");
    for port in ports.into_iter().flatten() {
        // Each port listens: it is a real answer to a real request.
        std::net::TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
        let open = raw.expect(message::CHANNEL_OPEN);
        let mut asked = Reader::new(&open[1..]);
        assert_eq!(asked.string().unwrap(), b"forwarded-tcpip");
        let _ours = [asked.uint32().unwrap(), asked.uint32().unwrap(), asked.uint32().unwrap()];
        assert_eq!((asked.string().unwrap(), asked.uint32().unwrap()), (&b"127.0.0.1"[..], port));
    }
}

fn answers_keepalives(place: Place) {
    let site = Site::at(place);
    let mut raw = site.raw();
    let granted = raw.open_session(0, 1 << 20, 32 << 10);
    for _ in 0..3 {
        raw.send(&messages::global("keepalive@openssh.com", true, &[]));
        assert_eq!(raw.expect(message::REQUEST_FAILURE), [message::REQUEST_FAILURE]);
        raw.send(&messages::request(granted.remote, "keepalive@openssh.com", true, &[]));
        raw.expect(message::CHANNEL_FAILURE);
        // Who wants no answer gets none: the next reply is that of the next request.
        raw.send(&messages::global("keepalive@openssh.com", false, &[]));
        raw.send(&messages::request(granted.remote, "keepalive@openssh.com", false, &[]));
    }
    raw.send(&messages::exec(granted.remote, "exit 4"));
    let heard = raw.until_closed(granted.remote);
    assert_eq!(heard.order.first().map(String::as_str), Some("success"), "{:?}", heard.order);
    // OpenSSH's client ends a connection whose server does not answer; this one is silent for longer than it waits.
    let alive = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1", "hop", "sleep 4; echo alive"];
    let finished = site.openssh(Release::V9_2, "ssh").args(alive).success();
    assert_eq!(finished.stdout(), "alive\n");
}

/// What `pty-req` carries (RFC 4254 section 6.2).
fn pty() -> Vec<u8> {
    let mut data = Vec::new();
    data.put_string("vt220");
    for number in [80, 24, 0, 0] {
        data.put_uint32(number);
    }
    data.put_string([0]);
    data
}
