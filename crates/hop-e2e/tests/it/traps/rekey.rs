//! Trap 11: keys are replaced while data flows, whoever begins.

use hop_e2e::sshd::Release;

use crate::expected::Large;
use crate::relay::site::{Choice, Place, Site};

#[test]
fn trap_11_endpoint_replaces_keys_while_data_flows_both_ways() {
    replaces_keys_while_data_flows(Place::Endpoint);
}

#[test]
fn trap_11_relay_replaces_keys_while_data_flows_both_ways() {
    replaces_keys_while_data_flows(Place::Relay);
}

/// 64 MiB there and back at once; the client replaces keys every 5 MB, the server every 3 MB, the relay every 2 MB.
fn replaces_keys_while_data_flows(place: Place) {
    let choice =
        Choice::arguments(&["--rekey-bytes", "3000000"]).relay(|config| config.rekey_bytes = Some(2_000_000));
    let site = Site::with(place, &choice);
    let large = Large::new();
    for release in [Release::V9_2, Release::V10_0] {
        let ssh = site.openssh(release, "ssh").args(["-v", "-o", "RekeyLimit=5M", "hop", "cat"]);
        let finished = ssh.stdin_file(&large.original).stdout_file(&large.copy).success();
        large.assert_copied();
        let rekeys = finished.stderr().matches("SSH2_MSG_NEWKEYS received").count();
        assert!(rekeys > 15, "only {rekeys} key exchanges");
    }
}
