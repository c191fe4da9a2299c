use super::*;
use crate::kex::VerifiedHostKey;
use hop_keys::{KeyAlgorithm, PrivateKey};

fn key() -> Identity {
    Identity::Key(PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().public().clone())
}

/// An authentication that has sent its `none` request.
fn started(offers: Vec<Offer>) -> ClientAuth {
    let binding = SessionBinding::from_parts(vec![7; 32], VerifiedHostKey::from_import(key()));
    let (mut auth, _) = ClientAuth::start(binding, "alice", PeerExtensions::default(), offers);
    let mut accept = vec![message::SERVICE_ACCEPT];
    accept.put_string(USERAUTH_SERVICE);
    assert_eq!(method(&auth.on_message(&accept).unwrap()), "none");
    auth
}

fn failure(methods: &str, partial: bool) -> Vec<u8> {
    let mut payload = vec![message::USERAUTH_FAILURE];
    payload.put_string(methods);
    payload.put_boolean(partial);
    payload
}

/// The method of the request that is to be sent.
fn method(step: &ClientStep) -> String {
    let ClientStep::Reply(request) = step else { panic!("no request: {step:?}") };
    method_of(request)
}

fn method_of(request: &[u8]) -> String {
    let mut reader = Reader::new(request);
    assert_eq!(reader.byte().unwrap(), message::USERAUTH_REQUEST);
    let [user, service, method] = [(); 3].map(|()| reader.text().unwrap().to_owned());
    assert_eq!((&*user, &*service), ("alice", "ssh-connection"));
    method
}

#[test]
fn an_offer_that_is_not_taken_yet_waits_for_its_turn() {
    // (offers; k is a key, i are questions; the server's answers; the methods asked for, in order)
    type Case = (&'static str, &'static [(&'static str, bool)], &'static [&'static str]);
    let cases: [Case; 5] = [
        // Questions stand first, but the server wants the key first.
        (
            "ik",
            &[("publickey", false), ("keyboard-interactive", true)],
            &["publickey", "keyboard-interactive"],
        ),
        (
            "ki",
            &[("publickey", false), ("keyboard-interactive", true)],
            &["publickey", "keyboard-interactive"],
        ),
        (
            "ki",
            &[("keyboard-interactive", false), ("publickey", true)],
            &["keyboard-interactive", "publickey"],
        ),
        // Two keys in a row, the second after a partial success.
        ("kik", &[("publickey", false), ("publickey", true)], &["publickey", "publickey"]),
        // Nothing is asked for that the server has not named.
        ("ik", &[("password,hostbased", false)], &[]),
    ];
    for (offers, answers, wanted) in cases {
        let offers = offers.chars().map(|c| match c {
            'k' => Offer::Key(key()),
            _ => Offer::KeyboardInteractive,
        });
        let mut auth = started(offers.collect());
        let mut asked = Vec::new();
        let mut left = String::new();
        for (methods, partial) in answers {
            match auth.on_message(&failure(methods, *partial)) {
                Ok(step) => asked.push(method(&step)),
                Err(Error::AuthenticationRefused { remaining }) => left = remaining,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(asked, wanted);
        if wanted.is_empty() {
            assert_eq!(left, "password,hostbased");
        }
    }
}

#[test]
fn each_offer_is_tried_once() {
    let mut auth = started(vec![Offer::Key(key()), Offer::KeyboardInteractive, Offer::KeyboardInteractive]);
    let both = failure("publickey,keyboard-interactive", false);
    for wanted in ["publickey", "keyboard-interactive", "keyboard-interactive"] {
        assert_eq!(method(&auth.on_message(&both).unwrap()), wanted);
    }
    let refused = auth.on_message(&both).unwrap_err();
    assert!(
        matches!(&refused, Error::AuthenticationRefused { remaining } if remaining.contains("publickey"))
    );
}

#[test]
fn a_signer_that_gives_up_does_not_lead_to_a_method_the_server_refuses() {
    let mut auth = started(vec![Offer::Key(key()), Offer::KeyboardInteractive, Offer::Key(key())]);
    assert_eq!(method(&auth.on_message(&failure("publickey", false)).unwrap()), "publickey");
    let mut ok = vec![message::USERAUTH_PK_OK];
    ok.put_string("ssh-ed25519");
    ok.put_string("");
    assert!(matches!(auth.on_message(&ok).unwrap(), ClientStep::Sign { .. }));
    assert_eq!(method_of(&auth.signature(None).unwrap()), "publickey");
    assert!(auth.signature(None).is_err(), "no signature is asked for");
}
