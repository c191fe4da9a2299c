//! Trap 2 where a forwarded connection is half closed, one way and the other.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

use hop_ssh::message;
use hop_testkit::raw::messages;

use crate::relay::site::{Place, Site};

/// More than pipes and sockets hold.
const MUCH: usize = 8 << 20;

#[test]
fn trap_02_endpoint_passes_half_closed_connections() {
    passes_half_closed_connections(Place::Endpoint);
}

#[test]
fn trap_02_relay_passes_half_closed_connections() {
    passes_half_closed_connections(Place::Relay);
}

fn passes_half_closed_connections(place: Place) {
    let site = Site::at(place);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();

    // The far end has said all it has to say, and goes on reading.
    let listening = listener.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let (mut stream, _) = listening.accept().unwrap();
        stream.write_all(b"bye").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        heard.len()
    });
    let mut raw = site.raw();
    let granted = raw.open(&messages::open_port(0, 1 << 20, port));
    let data = raw.expect(message::CHANNEL_DATA);
    assert_eq!(messages::data_in(&data), Some(&b"bye"[..]));
    raw.expect(message::CHANNEL_EOF);
    let (mut sent, mut credit) = (0, granted.window as usize);
    let block = vec![3; 32_000];
    while sent < MUCH {
        while credit < block.len() {
            let adjust = raw.message();
            assert_eq!(adjust.first(), Some(&message::CHANNEL_WINDOW_ADJUST), "{}", messages::Shown(&adjust));
            credit += messages::number_in(&adjust).unwrap() as usize;
        }
        raw.send(&messages::data(granted.remote, &block));
        sent += block.len();
        credit -= block.len();
    }
    raw.send(&messages::eof(granted.remote));
    raw.expect(message::CHANNEL_CLOSE);
    raw.send(&messages::close(granted.remote));
    assert_eq!(reader.join().unwrap(), sent);

    // The client has said all, and goes on reading.
    let writer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, b"hello");
        stream.write_all(&vec![5; MUCH]).unwrap();
    });
    let granted = raw.open(&messages::open_port(0, 1 << 30, port));
    raw.send_together(&[messages::data(granted.remote, b"hello"), messages::eof(granted.remote)]);
    let heard = raw.until_closed(granted.remote);
    assert_eq!(heard.data.len(), MUCH);
    writer.join().unwrap();
}
