//! Traps 16 and 17: what counts as an attempt, what an outsider can learn, and the user name.

use hop_e2e::program::program;
use hop_e2e::sshd::Release;
use hop_e2e::{Identity, Run};
use hop_keys::{PrivateKey, load_private_key};
use hop_ssh::message::{self, DisconnectReason};
use hop_ssh::{Error, wire::Put};
use hop_testkit::RawPeer;
use hop_testkit::raw::userauth::{self, Proof};

use crate::relay::site::{Place, Site};

#[test]
fn trap_16_endpoint_counts_signatures_and_not_probes() {
    counts_signatures_and_not_probes(Place::Endpoint);
}

#[test]
fn trap_16_relay_counts_signatures_and_not_probes() {
    counts_signatures_and_not_probes(Place::Relay);
}

#[test]
fn trap_16_endpoint_answers_unknown_users_as_unknown_keys() {
    answers_unknown_users_as_unknown_keys(Place::Endpoint);
}

#[test]
fn trap_16_relay_answers_unknown_users_as_unknown_keys() {
    answers_unknown_users_as_unknown_keys(Place::Relay);
}

#[test]
fn trap_17_endpoint_holds_the_client_to_its_user_name() {
    holds_the_client_to_its_user_name(Place::Endpoint);
}

#[test]
fn trap_17_relay_holds_the_client_to_its_user_name() {
    holds_the_client_to_its_user_name(Place::Relay);
}

/// A raw client that may authenticate now.
fn ready(site: &Site) -> RawPeer {
    let mut raw = RawPeer::connect(site.address, "Raw_1");
    raw.send(&userauth::service_request());
    raw.expect(message::SERVICE_ACCEPT);
    raw
}

fn stranger(site: &Site) -> PrivateKey {
    load_private_key(&Identity::ed25519(site.scratch(), "stranger").private, None).unwrap()
}

fn proof<'a>(key: &'a PrivateKey, session: &'a [u8]) -> Proof<'a> {
    Proof { algorithm: "ssh-ed25519", blob: key.public().blob(), key, session, host_key: None }
}

fn counts_signatures_and_not_probes(place: Place) {
    let site = Site::at(place);
    // An agent with a dozen keys, the last of which is the one.
    let socket = site.scratch().join("agent");
    let agent = Run::new(program("ssh-agent")).arg("-D").arg("-a").arg(&socket).background();
    agent.wait_for("the name of its socket", |text| text.contains("SSH_AUTH_SOCK").then_some(()));
    let mut keys: Vec<_> =
        (0..12).map(|n| Identity::ed25519(site.scratch(), &format!("key_{n}")).private).collect();
    keys.push(site.key.private.clone());
    let _ = Run::new(program("ssh-add")).arg("-q").args(&keys).env("SSH_AUTH_SOCK", &socket).success();
    let options = ["-o", "IdentitiesOnly=no", "-o", &format!("IdentityAgent={}", socket.display())];
    // The config names the right key, which would then come first.
    let without = site.config_with_key(std::path::Path::new("/nonexistent/none"));
    let ssh = Run::new(program("ssh")).arg("-F").arg(without).args(options).args(["-v", "hop", "echo in"]);
    let finished = ssh.success();
    assert_eq!(finished.stdout(), "in\n");
    let offered = finished.stderr().matches("Offering public key").count();
    assert_eq!(offered, 13, "all keys of the agent are asked about first\n{finished}");

    // Six signatures that do not count for a login are too many, also when each is genuine.
    let mut raw = ready(&site);
    let key = stranger(&site);
    let session = raw.binding().session_id().to_vec();
    for _ in 0..5 {
        raw.send(&userauth::signed(&site.user, &proof(&key, &session)));
        raw.expect(message::USERAUTH_FAILURE);
    }
    raw.send(&userauth::signed(&site.user, &proof(&key, &session)));
    match raw.end() {
        Error::Disconnected { reason, description } => {
            assert_eq!(reason, DisconnectReason::ProtocolError);
            assert!(description.contains("Too many authentication failures"), "{description}");
        }
        other => panic!("the connection ended by {other}"),
    }
    // One bad signature among good ones is a failure as well, and no more than that.
    let mut raw = ready(&site);
    let session = raw.binding().session_id().to_vec();
    let own = site.private_key();
    let mut forged = userauth::signed(&site.user, &proof(&own, &session));
    *forged.last_mut().unwrap() ^= 1;
    raw.send(&forged);
    raw.expect(message::USERAUTH_FAILURE);
    raw.send(&userauth::signed(&site.user, &proof(&own, &session)));
    raw.expect(message::USERAUTH_SUCCESS);
}

/// The same packets for both, by every way of asking.
fn answers_unknown_users_as_unknown_keys(place: Place) {
    let site = Site::at(place);
    let (own, stranger) = (site.private_key(), stranger(&site));
    let answers = |user: &str, key: &PrivateKey| -> Vec<Vec<u8>> {
        let mut raw = ready(&site);
        let session = raw.binding().session_id().to_vec();
        let asked = [
            userauth::request(user, "none"),
            userauth::request(user, "password"),
            userauth::probe(user, "ssh-ed25519", key.public().blob()),
            userauth::signed(user, &proof(key, &session)),
        ];
        asked
            .iter()
            .map(|message| {
                raw.send(message);
                raw.message()
            })
            .collect()
    };
    let expected = answers(&site.user, &stranger);
    for reply in &expected {
        assert_eq!(userauth::failure(reply), Some(("publickey".to_owned(), false)));
    }
    // Also with a key that would do for another name.
    assert_eq!(answers("nobody-here", &stranger), expected);
    assert_eq!(answers("nobody-here", &own), expected);
}

fn holds_the_client_to_its_user_name(place: Place) {
    let site = Site::at(place);
    let own = site.private_key();
    let mut raw = ready(&site);
    let session = raw.binding().session_id().to_vec();
    raw.send(&userauth::request("somebody-else", "none"));
    // No partial success where nothing succeeded: clients would go on with another key.
    assert_eq!(userauth::failure(&raw.message()), Some(("publickey".to_owned(), false)));
    raw.send(&userauth::signed(&site.user, &proof(&own, &session)));
    let end = raw.end();
    assert!(matches!(&end, Error::Disconnected { reason: DisconnectReason::ProtocolError, .. }), "{end}");
    // The name that a signature covers is that of its request.
    let mut raw = ready(&site);
    let session = raw.binding().session_id().to_vec();
    let signed = userauth::signed("somebody-else", &proof(&own, &session));
    let mut moved = Vec::new();
    moved.put_byte(message::USERAUTH_REQUEST);
    moved.put_string(&site.user);
    moved.put_raw(&signed[1 + 4 + "somebody-else".len()..]);
    raw.send(&moved);
    raw.expect(message::USERAUTH_FAILURE);
    // As does whoever keeps to one name.
    raw.send(&userauth::signed(&site.user, &proof(&own, &session)));
    raw.expect(message::USERAUTH_SUCCESS);
    let _ = site.ssh(Release::V9_2).arg("true").success();
}
