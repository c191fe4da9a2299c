//! Trap 1: credit is relayed, not invented; the peer's packet size is kept; a blocked channel blocks nobody else.

use hop_e2e::Run;
use hop_e2e::program::program;
use hop_e2e::sshd::Release;
use hop_ssh::message;
use hop_testkit::RawPeer;
use hop_testkit::raw::messages;

use crate::relay::site::{Place, Site};

#[test]
fn trap_01_endpoint_keeps_to_the_clients_window_and_packet_size() {
    keeps_to_window_and_packet_size(Place::Endpoint);
}

#[test]
fn trap_01_relay_keeps_to_the_clients_window_and_packet_size() {
    keeps_to_window_and_packet_size(Place::Relay);
}

#[test]
fn trap_01_endpoint_invents_no_credit_for_what_nobody_reads() {
    invents_no_credit(Place::Endpoint);
}

#[test]
fn trap_01_relay_invents_no_credit_for_what_nobody_reads() {
    invents_no_credit(Place::Relay);
}

#[test]
fn trap_01_relay_passes_window_and_packet_size_on() {
    let mut site = Site::at(Place::Relay);
    let through = site.raw().open_session(0, 1, 1);
    let mut direct = RawPeer::connect(site.server().address, "Raw_1");
    let key = hop_keys::load_private_key(&site.server().user_key.private, None).unwrap();
    direct.log_in(&site.user, &key);
    let direct = direct.open_session(0, 1, 1);
    assert_eq!(through, direct);
    // A window that holds what a path of 20 ms and 100 MB/s has under way.
    assert!(direct.window >= 2 << 20, "{direct:?}");
    assert!(direct.largest >= 32 << 10, "{direct:?}");
}

#[test]
fn trap_01_endpoint_goes_on_beside_a_blocked_channel() {
    goes_on_beside_a_blocked_channel(Place::Endpoint);
}

#[test]
fn trap_01_relay_goes_on_beside_a_blocked_channel() {
    goes_on_beside_a_blocked_channel(Place::Relay);
}

/// A small window and small packets, neither a power of two.
fn keeps_to_window_and_packet_size(place: Place) {
    let site = Site::at(place);
    let mut raw = site.raw();
    let granted = raw.open_session(0, 100_003, 999);
    raw.send(&messages::exec(granted.remote, "head -c 300000 /dev/zero"));
    raw.expect(message::CHANNEL_SUCCESS);
    let mut window = 100_003;
    let mut got = 0;
    for credit in [50_001, 0] {
        while got < window {
            let data = raw.expect(message::CHANNEL_DATA);
            let length = messages::data_in(&data).unwrap().len();
            assert!(length <= 999, "a data message of {length} bytes");
            got += length;
        }
        assert_eq!(got, window, "more than the window allows");
        // If it went on, data would come before one of these answers at the latest.
        for _ in 0..3 {
            raw.send(&messages::global("marker@test", true, &[]));
            raw.expect(message::REQUEST_FAILURE);
        }
        raw.send(&messages::adjust(granted.remote, credit));
        window += credit as usize;
    }
    raw.send(&messages::adjust(granted.remote, 1 << 20));
    let rest = raw.until_closed(granted.remote);
    assert_eq!(got + rest.data.len(), 300_000);
}

/// Fills the window of a command that does not read yet, and counts what is given back.
fn invents_no_credit(place: Place) {
    let site = Site::at(place);
    let go = site.scratch().join("go");
    let mut raw = site.raw();
    let granted = raw.open_session(0, 1 << 20, 32 << 10);
    let command = format!("until test -e {}; do sleep 0.05; done; wc -c", go.display());
    raw.send(&messages::exec(granted.remote, &command));
    raw.expect(message::CHANNEL_SUCCESS);
    let block = vec![7; 32_000];
    let (mut sent, mut credit) = (0, u64::from(granted.window));
    while credit - sent >= block.len() as u64 && sent < u64::from(granted.window) {
        raw.send(&messages::data(granted.remote, &block));
        sent += block.len() as u64;
    }
    // Two round trips: what would be credited on receipt would be there by now.
    for _ in 0..2 {
        raw.send(&messages::global("marker@test", true, &[]));
        loop {
            let message = raw.message();
            match message.first() {
                Some(&message::CHANNEL_WINDOW_ADJUST) => {
                    credit += u64::from(messages::number_in(&message).unwrap());
                }
                Some(&message::REQUEST_FAILURE) => break,
                _ => panic!("unexpected {}", messages::Shown(&message)),
            }
        }
    }
    let invented = credit - u64::from(granted.window);
    // What lies in the pipe to the command, and on the way to it, may count as taken.
    assert!(
        invented <= u64::from(granted.window) / 2,
        "{invented} bytes of credit for bytes that nobody read"
    );
    site.scratch().write("go", "");
    raw.send(&messages::eof(granted.remote));
    let told = raw.until_closed(granted.remote);
    assert_eq!(told.text().trim(), sent.to_string());
}

/// Two sessions of one ssh connection, one of whose outputs nobody reads for a while.
fn goes_on_beside_a_blocked_channel(place: Place) {
    let site = Site::at(place);
    let control = site.scratch().join("control");
    let options = ["-o".to_owned(), format!("ControlPath={}", control.display())];
    let ssh = || site.openssh(Release::V9_2, "ssh").args(&options);
    let _ = ssh().args(["-M", "-f", "-N", "hop"]).success();
    let go = site.scratch().join("go");
    // 64 MiB: more than pipes, sockets and windows together hold.
    let blocked = format!(
        "{} -F {} {} hop 'echo there >&2; head -c 67108864 /dev/zero' | \
         {{ until test -e {}; do sleep 0.05; done; wc -c; }}",
        program("ssh").display(),
        site.ssh_config.display(),
        options.join(" "),
        go.display(),
    );
    let mut blocked = Run::new("sh").args(["-c", &blocked]).background();
    blocked.wait_for("the start of the flood", |text| text.contains("there").then_some(()));
    for round in 0..10 {
        let sent = format!("{round} {}", "x".repeat(300_000));
        let echoed = ssh().args(["hop", "cat"]).stdin(sent.clone()).success();
        assert!(echoed.stdout() == sent, "round {round}");
    }
    site.scratch().write("go", "");
    assert_eq!(blocked.wait(), Some(0), "{}", blocked.output());
    assert!(blocked.output().contains("67108864"), "{}", blocked.output());
    let _ = ssh().args(["-O", "exit", "hop"]).success();
}
