//! Trap 20: what is idle, and what is not.

use hop_e2e::sshd::Release;
use hop_ssh::{Error, message};
use hop_testkit::Heard;
use hop_testkit::raw::messages;

use crate::relay::site::{Choice, Place, Site};

#[test]
fn trap_20_endpoint_ends_who_only_says_to_be_alive() {
    ends_who_only_says_to_be_alive(Place::Endpoint);
}

#[test]
fn trap_20_relay_ends_who_only_says_to_be_alive() {
    ends_who_only_says_to_be_alive(Place::Relay);
}

#[test]
fn trap_20_endpoint_counts_a_slow_transfer_as_activity() {
    counts_a_slow_transfer_as_activity(Place::Endpoint);
}

#[test]
fn trap_20_relay_counts_a_slow_transfer_as_activity() {
    counts_a_slow_transfer_as_activity(Place::Relay);
}

fn limited() -> Choice {
    // The relay's own signs of life are no activity, either.
    Choice::arguments(&["--idle-time", "2s"]).relay(|config| config.keepalive_ms = Some(200))
}

/// Keepalives without a pause, of the connection and of a channel with a command that does nothing.
fn ends_who_only_says_to_be_alive(place: Place) {
    let site = Site::with(place, &limited());
    let mut raw = site.raw();
    let granted = raw.open_session(0, 1 << 20, 32 << 10);
    raw.send(&messages::exec(granted.remote, "sleep 600"));
    raw.expect(message::CHANNEL_SUCCESS);
    let start = std::time::Instant::now();
    let mut replies = 0;
    let end = loop {
        if replies % 2 == 0 {
            raw.send(&messages::global("keepalive@openssh.com", true, &[]));
            raw.send(&messages::request(granted.remote, "keepalive@openssh.com", true, &[]));
        }
        match raw.hear() {
            Heard::End(end) => break end,
            Heard::Message(message) if messages::wants_reply(&message) => {
                raw.send(&[message::REQUEST_FAILURE]);
            }
            Heard::Message(_) => replies += 1,
            Heard::Unimplemented(number) => panic!("it does not know packet {number}"),
        }
        assert!(start.elapsed().as_secs() < 30, "kept alive by keepalives");
    };
    let Error::Disconnected { description, .. } = &end else { panic!("it ended by {end}") };
    assert!(description.contains("idle"), "{description}");
}

fn counts_a_slow_transfer_as_activity(place: Place) {
    let site = Site::with(place, &limited());
    // Twice the limit, with something every quarter of it: first to the client, then from it.
    let down = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.5; done";
    let finished = site.ssh(Release::V9_2).arg(down).success();
    assert_eq!(finished.stdout().lines().count(), 8);
    let up = format!(
        "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.5; done | {} -F {} hop wc -l",
        hop_e2e::program::program("ssh").display(),
        site.ssh_config.display()
    );
    let finished = hop_e2e::Run::new("sh").args(["-c", &up]).success();
    assert_eq!(finished.stdout().trim(), "8");
}
