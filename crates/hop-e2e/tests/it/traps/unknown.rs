//! Trap 23: what is not known is answered as RFC 4254 and RFC 4253 section 11.4 say, and never ends a connection.

use hop_e2e::server::Kind;
use hop_ssh::message;
use hop_testkit::Heard;
use hop_testkit::raw::messages;

use crate::relay::site::{Place, RawPair, Site};

/// Numbers that no layer knows after authentication: below, between and above those of RFC 4250 section 4.1.2.
const NOBODYS: [u8; 14] = [9, 19, 51, 59, 60, 79, 83, 89, 101, 127, 128, 150, 194, 255];

#[test]
fn trap_23_endpoint_answers_what_it_does_not_know() {
    answers_what_it_does_not_know(Place::Endpoint);
}

#[test]
fn trap_23_relay_answers_what_it_does_not_know() {
    answers_what_it_does_not_know(Place::Relay);
}

fn answers_what_it_does_not_know(place: Place) {
    let site = Site::at(place);
    let mut raw = site.raw();
    let granted = raw.open_session(0, 1 << 20, 32 << 10);
    raw.send(&messages::open("nonsense@test", 1, 1 << 20, 32 << 10, b"data"));
    let refused = raw.expect(message::CHANNEL_OPEN_FAILURE);
    assert_eq!(messages::number_in(&refused), Some(3), "unknown channel type");
    raw.send(&messages::request(granted.remote, "nonsense@test", true, b"data"));
    raw.expect(message::CHANNEL_FAILURE);
    raw.send(&messages::global("nonsense@test", true, b"data"));
    raw.expect(message::REQUEST_FAILURE);
    for number in NOBODYS {
        let sequence = raw.next_sequence();
        raw.send(&[&[number][..], b"what may this be"].concat());
        let relayed = place == Place::Relay || Kind::asked() == Kind::Gateway;
        if matches!(number, 80..=127) && relayed {
            // It crosses, since it may mean something to the far side. What that says of it is about the far leg's
            // packets and does not come back; the connection goes on.
            raw.send(&messages::global("marker@test", true, &[]));
            raw.expect(message::REQUEST_FAILURE);
            continue;
        }
        let heard = raw.hear();
        assert!(matches!(heard, Heard::Unimplemented(found) if found == sequence), "{number}: {heard:?}");
    }
    // RFC 4252 section 5.1: a late request to authenticate is passed over in silence.
    raw.send(&[&[message::USERAUTH_REQUEST][..], b"too late"].concat());
    raw.send(&messages::exec(granted.remote, "echo alive"));
    let heard = raw.until_closed(granted.remote);
    assert_eq!(heard.text(), "alive\n");
}

/// The server says things that nobody knows: the relay answers on that leg, and the client hears nothing of it.
#[test]
fn trap_23_relay_keeps_a_servers_unknown_messages_from_the_client() {
    let pair = RawPair::new(|_| {});
    let (mut client, mut server) = (pair.client, pair.server);
    assert_eq!(server.transport().peer_identification(), Some("SSH-2.0-Raw_1"));

    for number in [9, 60, 128, 194, 255] {
        let sequence = server.next_sequence();
        server.send(&[number, 1, 2, 3]);
        let heard = server.hear();
        assert!(matches!(heard, Heard::Unimplemented(found) if found == sequence), "{number}: {heard:?}");
    }
    // The far side's own "I do not know that" is about its leg's packets: it stays there.
    server.send(&[message::UNIMPLEMENTED, 0, 0, 0, 1]);
    // An unknown global request does reach the client, which has the say; its refusal comes back.
    server.send(&messages::global("nonsense@test", true, b"data"));
    let asked = client.message();
    assert_eq!(asked, messages::global("nonsense@test", true, b"data"));
    client.send(&[message::REQUEST_FAILURE]);
    server.expect(message::REQUEST_FAILURE);
}
