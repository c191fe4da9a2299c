//! Traps 2, 3, 4, 7, 15 and 19: what a session's end looks like, early data, no output of ours, many sessions.

use hop_e2e::sshd::Release;
use hop_ssh::message;
use hop_ssh::wire::{Put, Reader};
use hop_testkit::raw::messages;

use crate::relay::site::{Place, Site};

#[test]
fn trap_02_endpoint_goes_on_sending_after_the_clients_eof() {
    goes_on_sending_after_eof(Place::Endpoint);
}

#[test]
fn trap_02_relay_goes_on_sending_after_the_clients_eof() {
    goes_on_sending_after_eof(Place::Relay);
}

#[test]
fn trap_03_endpoint_sends_the_exit_status_after_data_and_before_close() {
    sends_the_exit_status_in_order(Place::Endpoint);
}

#[test]
fn trap_03_relay_sends_the_exit_status_after_data_and_before_close() {
    sends_the_exit_status_in_order(Place::Relay);
}

#[test]
fn trap_03_endpoint_says_eow_to_openssh_only() {
    says_eow_to_openssh_only(Place::Endpoint);
}

#[test]
fn trap_03_relay_says_eow_to_openssh_only() {
    says_eow_to_openssh_only(Place::Relay);
}

#[test]
fn trap_04_endpoint_keeps_data_that_comes_before_the_reply() {
    keeps_early_data(Place::Endpoint);
}

#[test]
fn trap_04_relay_keeps_data_that_comes_before_the_reply() {
    keeps_early_data(Place::Relay);
}

#[test]
fn trap_07_endpoint_grants_no_session_after_no_more_sessions() {
    grants_no_session_after_no_more_sessions(Place::Endpoint);
}

#[test]
fn trap_07_relay_grants_no_session_after_no_more_sessions() {
    grants_no_session_after_no_more_sessions(Place::Relay);
}

#[test]
fn trap_15_endpoint_takes_many_sessions_logins_and_silent_connections() {
    takes_many_at_once(Place::Endpoint);
}

#[test]
fn trap_15_relay_takes_many_sessions_logins_and_silent_connections() {
    takes_many_at_once(Place::Relay);
}

#[test]
fn trap_19_endpoint_adds_nothing_to_the_output() {
    adds_nothing_to_the_output(Place::Endpoint);
}

#[test]
fn trap_19_relay_adds_nothing_to_the_output() {
    adds_nothing_to_the_output(Place::Relay);
}

fn goes_on_sending_after_eof(place: Place) {
    let site = Site::at(place);
    let mut raw = site.raw();
    let granted = raw.open_session(0, 1 << 20, 32 << 10);
    raw.send(&messages::exec(granted.remote, "cat; head -c 200000 /dev/zero; echo after"));
    let last = [messages::data(granted.remote, b"last words\n"), messages::eof(granted.remote)];
    raw.send_together(&last);
    let heard = raw.until_closed(granted.remote);
    let text = heard.text();
    assert!(text.starts_with("last words\n") && text.ends_with("\0after\n"), "{} bytes", text.len());
    assert_eq!(text.len(), 11 + 200_000 + 6);
    assert!(heard.order.contains(&"exit-status 0".to_owned()), "{:?}", heard.order);
}

fn sends_the_exit_status_in_order(place: Place) {
    let site = Site::at(place);
    let cases = [
        ("echo out; exit 7", 4, "exit-status 7"),
        // The command is long gone when the last of it leaves.
        ("head -c 700000 /dev/zero; exit 9", 700_000, "exit-status 9"),
        ("echo out; kill -TERM $$", 4, "exit-signal TERM"),
        ("echo out; exec 1>&- 2>&-; exit 3", 4, "exit-status 3"),
    ];
    for (command, length, ending) in cases {
        // The next command takes the same channel number again.
        let heard = site.raw().run(command);
        let at = |wanted: &str| heard.order.iter().position(|note| note == wanted);
        let places = ["success", "data", ending, "close"].map(at);
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{command}: {:?}", heard.order);
        assert!(at("data") < at("eof") && at("eof") < at("close"), "{command}: {:?}", heard.order);
        assert_eq!(heard.data.len(), length, "{command}");
    }
}

/// The command closes its input while the client still sends.
fn says_eow_to_openssh_only(place: Place) {
    let site = Site::at(place);
    let command = |go: &str| {
        let go = site.scratch().join(go);
        (format!("exec <&-; echo closed; until test -e {}; do sleep 0.05; done", go.display()), go)
    };
    for (software, wanted) in [("OpenSSH_9.2p1 Debian-2", true), ("Raw_1", false)] {
        let mut raw = site.raw_as(software);
        let granted = raw.open_session(0, 1 << 20, 32 << 10);
        let (command, go) = command(software.split('_').next().unwrap());
        raw.send(&messages::exec(granted.remote, &command));
        raw.expect(message::CHANNEL_SUCCESS);
        raw.expect(message::CHANNEL_DATA);
        // The first bytes fail to be written, which is how the server finds out; the rest is thrown away.
        let block = vec![1; 30_000];
        let mut heard = hop_testkit::raw::Conversation::default();
        let (mut sent, mut credit) = (0, u64::from(granted.window));
        while sent < 3 * u64::from(granted.window) {
            while credit - sent >= block.len() as u64 {
                raw.send(&messages::data(granted.remote, &block));
                sent += block.len() as u64;
            }
            let message = raw.message();
            if message.first() == Some(&message::CHANNEL_WINDOW_ADJUST) {
                credit += u64::from(messages::number_in(&message).unwrap());
            }
            assert!(heard.take(&message), "{}", messages::Shown(&message));
        }
        std::fs::write(go, "").unwrap();
        let rest = raw.until_closed(granted.remote);
        let said = [heard.order, rest.order].concat().contains(&"eow@openssh.com".to_owned());
        assert_eq!(said, wanted, "to {software}");
    }
}

fn keeps_early_data(place: Place) {
    let site = Site::at(place);
    // A command with two thirds of the window behind it in the same write.
    let mut raw = site.raw();
    let granted = raw.open_session(0, 1 << 30, 32 << 10);
    let block = vec![b'e'; 30_000];
    let mut burst = vec![messages::exec(granted.remote, "cat")];
    burst.extend((0..40).map(|_| messages::data(granted.remote, &block)));
    burst.push(messages::eof(granted.remote));
    raw.send_together(&burst);
    let heard = raw.until_closed(granted.remote);
    assert_eq!(heard.data.len(), 40 * 30_000);
    assert_eq!(heard.order.first().map(String::as_str), Some("success"), "{:?}", heard.order);

    // A subsystem as the only request ever, with its first packet right behind it.
    let mut raw = site.raw();
    let granted = raw.open_session(0, 1 << 20, 32 << 10);
    let mut init = Vec::new();
    init.put_uint32(5);
    init.put_byte(1);
    init.put_uint32(3);
    let together = [
        messages::request_text(granted.remote, "subsystem", "sftp"),
        messages::data(granted.remote, &init),
        messages::eof(granted.remote),
    ];
    raw.send_together(&together);
    let heard = raw.until_closed(granted.remote);
    let mut answer = Reader::new(&heard.data);
    let (_length, kind, version) =
        (answer.uint32().unwrap(), answer.byte().unwrap(), answer.uint32().unwrap());
    assert_eq!((kind, version), (2, 3), "SSH_FXP_VERSION");
    assert!(heard.order.contains(&"exit-status 0".to_owned()), "{:?}", heard.order);
}

fn grants_no_session_after_no_more_sessions(place: Place) {
    let site = Site::at(place);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut raw = site.raw();
    let first = raw.open_session(0, 1 << 20, 32 << 10);
    raw.send(&messages::global("no-more-sessions@openssh.com", false, &[]));
    raw.send(&messages::open("session", 1, 1 << 20, 32 << 10, &[]));
    let refused = raw.expect(message::CHANNEL_OPEN_FAILURE);
    assert_eq!(messages::number_in(&refused), Some(1), "administratively prohibited");
    // Sessions only: a forwarding is still granted, and the first session goes on.
    raw.open(&messages::open_port(2, 1 << 20, port));
    raw.send(&messages::exec(first.remote, "echo still here"));
    raw.expect(message::CHANNEL_SUCCESS);
    let data = raw.expect(message::CHANNEL_DATA);
    assert_eq!(messages::data_in(&data), Some(&b"still here\n"[..]));
}

/// What an sshd with its defaults refuses: 20 sessions of one connection, 20 logins at once, and logins after 30
/// connections that said nothing.
fn takes_many_at_once(place: Place) {
    let site = Site::at(place);
    let mut raw = site.raw();
    let channels: Vec<_> = (0..20).map(|local| raw.open_session(local, 1 << 20, 32 << 10)).collect();
    for channel in channels {
        raw.send(&messages::exec(channel.remote, "true"));
    }
    let mut ended = 0;
    while ended < 20 {
        let message = raw.message();
        if message.first() == Some(&message::CHANNEL_REQUEST) {
            assert_eq!(messages::request_in(&message), "exit-status 0");
            ended += 1;
        }
    }
    let silent: Vec<_> = (0..30).map(|_| std::net::TcpStream::connect(site.address).unwrap()).collect();
    std::thread::scope(|scope| {
        let logins: Vec<_> =
            (0..20).map(|_| scope.spawn(|| site.ssh(Release::V9_2).arg("echo in").finish())).collect();
        for login in logins {
            let finished = login.join().unwrap();
            assert_eq!(finished.stdout(), "in\n", "{finished}");
        }
    });
    drop(silent);
    // No penalty afterwards, either.
    let _ = site.ssh(Release::V9_2).arg("true").success();
}

fn adds_nothing_to_the_output(place: Place) {
    let site = Site::at(place);
    let heard = site.raw().run("true");
    let found: Vec<_> = heard.order.iter().map(String::as_str).filter(|note| *note != "eof").collect();
    assert_eq!(found, ["success", "exit-status 0", "close"]);
    let heard = site.raw().run("printf binary'\\000'");
    assert_eq!((&*heard.data, &*heard.errors), (&b"binary\0"[..], &b""[..]));
    // To a client with its usual verbosity, as rsync and scp use it.
    let quiet = site.openssh(Release::V9_2, "ssh").args(["-o", "LogLevel=INFO", "hop", "true"]).success();
    assert_eq!((&*quiet.stdout(), &*quiet.stderr()), ("", ""));
    // A shell without a terminal: input is a script, output is its output.
    let shell = site.openssh(Release::V9_2, "ssh").args(["-T", "hop"]).stdin("echo out\n").success();
    assert_eq!((&*shell.stdout(), &*shell.stderr()), ("out\n", ""));
}
