//! Properties of everything that takes bytes from a peer: nothing it sends, in whatever order, makes us panic,
//! grow without bound, spin, or sleep with work to do. The scripts in `fuzzing` check all of that; here they are
//! made of messages that make sense one by one.

use crate::fuzzing;
use crate::message;
use crate::wire::Put;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Channel numbers and the like: mostly ones that exist.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..4u32, 1 => 4..20u32, 1 => any::<u32>()]
}

/// Windows and packet sizes.
fn size() -> impl Strategy<Value = u32> {
    prop_oneof![
        1 => Just(0),
        3 => 1..100u32,
        4 => select(vec![4096, 32_768, 65_536, 1 << 21]),
        1 => Just(u32::MAX),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let names = [
        "session",
        "direct-tcpip",
        "forwarded-tcpip",
        "auth-agent@openssh.com",
        "x11",
        "pty-req",
        "shell",
        "exec",
        "env",
        "exit-status",
        "auth-agent-req@openssh.com",
        "x11-req",
        "tcpip-forward",
        "cancel-tcpip-forward",
        "streamlocal-forward@openssh.com",
        "hostkeys-prove-00@openssh.com",
        "hostkeys-00@openssh.com",
        "keepalive@openssh.com",
        "no-more-sessions@openssh.com",
        "localhost",
    ];
    prop_oneof![
        6 => select(names.map(str::as_bytes).map(<[u8]>::to_vec).to_vec()),
        1 => vec(any::<u8>(), 0..20),
        1 => (0..5000usize).prop_map(|length| vec![b'a'; length]),
    ]
}

/// What follows the fixed fields of a request or an open.
fn rest() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        text().prop_map(|text| {
            let mut out = Vec::new();
            out.put_string(text);
            out
        }),
        number().prop_map(|number| number.to_be_bytes().to_vec()),
    ];
    vec(field, 0..5).prop_map(|fields| fields.concat())
}

/// A message of the connection protocol, as a peer with anything in mind could send it.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let channel = |kind: u8| {
        number().prop_map(move |number| {
            let mut out = vec![kind];
            out.put_uint32(number);
            out
        })
    };
    let good = prop_oneof![
        4 => (text(), number(), size(), size(), rest()).prop_map(|(name, number, window, largest, rest)| {
            let mut out = vec![message::CHANNEL_OPEN];
            out.put_string(name);
            for field in [number, window, largest] {
                out.put_uint32(field);
            }
            out.put_raw(&rest);
            out
        }),
        3 => (number(), number(), size(), size()).prop_map(|(to, from, window, largest)| {
            let mut out = vec![message::CHANNEL_OPEN_CONFIRMATION];
            for field in [to, from, window, largest] {
                out.put_uint32(field);
            }
            out
        }),
        1 => (number(), text()).prop_map(|(to, text)| {
            let mut out = vec![message::CHANNEL_OPEN_FAILURE];
            out.put_uint32(to);
            out.put_uint32(1);
            out.put_string(text);
            out.put_string("");
            out
        }),
        3 => (number(), size()).prop_map(|(to, window)| {
            let mut out = vec![message::CHANNEL_WINDOW_ADJUST];
            out.put_uint32(to);
            out.put_uint32(window);
            out
        }),
        4 => (number(), text()).prop_map(|(to, data)| {
            let mut out = vec![message::CHANNEL_DATA];
            out.put_uint32(to);
            out.put_string(data);
            out
        }),
        1 => (number(), 0..3u32, text()).prop_map(|(to, kind, data)| {
            let mut out = vec![message::CHANNEL_EXTENDED_DATA];
            out.put_uint32(to);
            out.put_uint32(kind);
            out.put_string(data);
            out
        }),
        1 => channel(message::CHANNEL_EOF),
        2 => channel(message::CHANNEL_CLOSE),
        1 => channel(message::CHANNEL_SUCCESS),
        1 => channel(message::CHANNEL_FAILURE),
        4 => (number(), text(), any::<bool>(), rest()).prop_map(|(to, name, reply, rest)| {
            let mut out = vec![message::CHANNEL_REQUEST];
            out.put_uint32(to);
            out.put_string(name);
            out.put_boolean(reply);
            out.put_raw(&rest);
            out
        }),
        4 => (text(), any::<bool>(), rest()).prop_map(|(name, reply, rest)| {
            let mut out = vec![message::GLOBAL_REQUEST];
            out.put_string(name);
            out.put_boolean(reply);
            out.put_raw(&rest);
            out
        }),
        1 => Just(vec![message::REQUEST_SUCCESS, 0, 0, 0x1f, 0x90]),
        1 => Just(vec![message::REQUEST_FAILURE]),
    ];
    let spoiled = (message_bytes(), any::<Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes
    });
    prop_oneof![20 => good, 1 => spoiled]
}

fn message_bytes() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), vec(any::<u8>(), 0..60)).prop_map(|(number, rest)| [vec![number], rest].concat())
}

/// A script: `said` are the numbers of steps that carry a message of the peer.
fn script(said: std::ops::RangeInclusive<u8>, steps: std::ops::Range<u8>) -> impl Strategy<Value = Vec<u8>> {
    let says = (said, any::<bool>(), message()).prop_map(|(step, side, message)| {
        // The top bit chooses the side, where there are two.
        let step = step | u8::from(side) << 7;
        let length = u16::try_from(message.len()).unwrap().to_be_bytes();
        [&[step], &length[..], &message].concat()
    });
    let does = (steps, 0..16u8, 0..4u8, any::<[u8; 2]>())
        .prop_map(|(step, variant, number, amount)| vec![step | variant << 4, number, amount[0], amount[1]]);
    vec(prop_oneof![says, does], 0..60).prop_map(|steps| steps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_peer_breaks_the_connection_protocol(script in script(0..=5, 6..16)) {
        fuzzing::connection(&script);
    }

    #[test]
    fn no_two_peers_break_the_relay(script in script(0..=3, 4..8)) {
        fuzzing::relay(&script);
    }

    #[test]
    fn no_bytes_break_any_state_machine(script in vec(any::<u8>(), 0..400)) {
        fuzzing::connection(&script);
        fuzzing::relay(&script);
        fuzzing::server_auth(&script);
        fuzzing::client_auth(&script);
        fuzzing::import(&script);
        fuzzing::bare(&script);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_peer_breaks_the_transport_after_the_keys(script in script(0..=3, 4..13)) {
        fuzzing::after_keys(&script);
    }

    #[test]
    fn no_bytes_break_the_transport_before_the_keys(
        server in any::<bool>(), line in any::<bool>(), bytes in vec(any::<u8>(), 0..400),
    ) {
        let line = if line { &b"SSH-2.0-x\r\n\0\0\x01\x0c\x08\x14"[..] } else { b"" };
        fuzzing::before_keys(&[&[u8::from(server), 255], line, &bytes].concat());
    }

    /// An honest login, spoilt in one place.
    #[test]
    fn nobody_logs_in_by_changing_what_was_signed(
        hostbound in any::<bool>(), at in any::<Index>(), byte in any::<u8>(),
    ) {
        let mut login = fuzzing::honest_login(hostbound);
        let at = at.index(login.len());
        login[at] = byte;
        fuzzing::server_auth(&login);
    }
}

#[test]
fn an_honest_login_gets_in() {
    for hostbound in [false, true] {
        let login = fuzzing::honest_login(hostbound);
        assert!(login.len() > 300, "the login stopped early: {} bytes", login.len());
        fuzzing::server_auth(&login);
    }
}
