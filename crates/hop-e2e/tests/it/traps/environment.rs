//! Traps 18 and 21: which variables a client may set, and the address that a session is told of.

use hop_e2e::sshd::Release;
use hop_model::Word;
use hop_testkit::raw::messages;
use hop_testkit::{RawPeer, Target};

use crate::relay::site::{Choice, Place, Site};

#[test]
fn trap_18_endpoint_takes_variables_by_allow_list() {
    takes_variables_by_allow_list(Place::Endpoint);
}

#[test]
fn trap_18_relay_leaves_variables_to_the_server() {
    takes_variables_by_allow_list(Place::Relay);
}

fn takes_variables_by_allow_list(place: Place) {
    let site = Site::at(place);
    let mut raw = site.raw();
    let granted = raw.open_session(0, 1 << 20, 32 << 10);
    let asked = [
        ("LANG", "de_DE", true),
        ("LC_ALL", "fr_FR", true),
        ("GIT_PROTOCOL", "version=2", true),
        ("LD_PRELOAD", "/evil.so", false),
        ("LD_LIBRARY_PATH", "/evil", false),
        ("PATH", "/evil", false),
        ("BASH_ENV", "/evil", false),
        ("ENV", "/evil", false),
        ("IFS", "x", false),
        ("HOME", "/evil", false),
        ("SHELL", "/evil", false),
        ("SSH_AUTH_SOCK", "/evil", false),
        ("TERM", "evil", false),
        ("LC_A=B", "x", false),
        ("", "x", false),
    ];
    let mut together: Vec<_> =
        asked.iter().map(|(name, value, _)| messages::env(granted.remote, name, value)).collect();
    together.push(messages::exec(granted.remote, "env"));
    together.push(messages::eof(granted.remote));
    raw.send_together(&together);
    let heard = raw.until_closed(granted.remote);
    let granted: Vec<_> = heard.order.iter().take(asked.len()).map(|reply| reply == "success").collect();
    let wanted: Vec<_> = asked.iter().map(|(_, _, wanted)| *wanted).collect();
    assert_eq!(granted, wanted);
    let text = heard.text();
    for line in ["LANG=de_DE", "LC_ALL=fr_FR", "GIT_PROTOCOL=version=2"] {
        assert!(text.lines().any(|found| found == line), "{line} is missing: {text}");
    }
    assert!(!text.contains("evil"), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("TERM=")), "a terminal without a terminal: {text}");
    let with = site.openssh(Release::V9_2, "ssh").args(["-tt", "hop", "echo $TERM"]).env("TERM", "vt220");
    assert_eq!(with.success().stdout().trim_end(), "vt220");
}

#[test]
fn trap_21_endpoint_knows_where_the_client_is() {
    let mut choice = Choice::default();
    let keys = hop_e2e::Scratch::new();
    let [near, far] = ["near", "far"].map(|name| hop_e2e::Identity::ed25519(&keys, name));
    choice.server.more_keys =
        format!("from=\"127.0.0.0/8,::1\" {}\nfrom=\"10.0.0.0/8,!127.0.0.1\" {}\n", near.public, far.public);
    let site = Site::with(Place::Endpoint, &choice);
    let mut raw = site.raw();
    let (from, to) = (raw.local_address(), site.address);
    let told = raw.run("echo $SSH_CONNECTION; echo $SSH_CLIENT").text();
    let (client, server) = (from.port(), to.port());
    assert_eq!(
        told,
        format!("127.0.0.1 {client} 127.0.0.1 {server}\n127.0.0.1 {client} {server}\n"),
        "the connection comes from {from}"
    );
    for (key, wanted) in [(&near, Some(0)), (&far, Some(255))] {
        let ssh = hop_e2e::Run::new(hop_e2e::program::program("ssh"));
        let finished = ssh.arg("-F").arg(site.config_with_key(&key.private)).args(["hop", "true"]).finish();
        assert_eq!(finished.status, wanted, "{finished}");
    }
}

/// Behind a relay the word says it.
#[test]
fn trap_21_relay_says_where_the_client_is() {
    let choice = Choice::default().relay(|config| config.target = Target::Bare);
    let site = Site::with(Place::Relay, &choice);
    let mut raw = RawPeer::connect(site.address, "Raw_1");
    raw.log_in(&site.user, &site.private_key());
    let from = raw.local_address();
    let word = Word::decode(&raw.run("word").data).unwrap();
    assert_eq!((word.client, word.server), (from, site.address));
    assert_eq!(word.client_identification, "SSH-2.0-Raw_1");
    assert_eq!(word.key_fingerprint, site.key.fingerprint());
}
