//! Scripts for user authentication: a hostile client against the server's side, a hostile server against the
//! client's. Nobody gets in without a signature over this very session.

use super::*;
use crate::error::Error;
use crate::fuzzing::{Script, host_key, user_key};
use crate::kex::VerifiedHostKey;
use crate::transport::PeerExtensions;
use hop_keys::{Identity, SignatureAlgorithm};
use std::sync::OnceLock;

/// How many failed signatures the server's side takes.
const MOST_FAILURES: u32 = 6;

/// The session that signatures in scripts are made for.
fn binding() -> SessionBinding {
    static BINDING: OnceLock<SessionBinding> = OnceLock::new();
    let make = || {
        let identity = Identity::Key(host_key().public().clone());
        SessionBinding::from_parts(vec![0x11; 32], VerifiedHostKey::from_import(identity))
    };
    BINDING.get_or_init(make).clone()
}

/// The one name that [`user_key`] has signed for.
const USER: &str = "hopper";

/// Messages of an honest client that logs in as [`USER`] on the scripts' session, as a script: what fuzzing
/// starts from, because it cannot guess a signature.
pub fn honest_login(hostbound: bool) -> Vec<u8> {
    let key = user_key();
    let extensions = PeerExtensions { publickey_hostbound: hostbound, ..PeerExtensions::default() };
    let identity = Identity::Key(key.public().clone());
    let (mut client, first) = ClientAuth::start(binding(), USER, extensions, [Offer::Key(identity)]);
    let mut server = ServerAuth::new(binding(), MOST_FAILURES);
    let (mut script, mut next) = (Vec::new(), first);
    loop {
        script.push(0xff);
        script.extend_from_slice(&u16::try_from(next.len()).expect("a short message").to_be_bytes());
        script.extend_from_slice(&next);
        let answer = match server.on_message(&next).expect("an honest client") {
            ServerStep::Reply(reply) => reply,
            ServerStep::Ask(_) => server.answer(true).expect("an honest client").0,
        };
        next = match client.on_message(&answer).expect("an honest server") {
            ClientStep::Reply(reply) => reply,
            ClientStep::Sign { algorithm, message, .. } => {
                let signature = key.sign(algorithm, &message).expect("the key signs");
                client.signature(Some(&signature)).expect("it was asked for")
            }
            _ => return script,
        };
    }
}

/// Runs a script of a client's messages: each after a byte that says how a question is answered.
pub fn server_auth(script: &[u8]) {
    let mut script = Script::new(script);
    let mut auth = ServerAuth::new(binding(), MOST_FAILURES);
    while let Some(choice) = script.step() {
        let step = auth.on_message(script.bytes());
        assert!(auth.failures() <= MOST_FAILURES);
        assert!(auth.user().is_none_or(|user| user.len() <= 256));
        let question = match step {
            Err(_) => return,
            Ok(ServerStep::Reply(reply)) => {
                assert!(matches!(reply.first(), Some(6 | 51)), "{reply:?}");
                continue;
            }
            Ok(ServerStep::Ask(question)) => question,
        };
        let signed = match &question {
            Question::Probe(query) => {
                assert_eq!(auth.user(), Some(query.user.as_str()));
                false
            }
            Question::Login(key) => {
                // All that was ever signed for this session is this key's.
                assert_eq!((key.user(), key.identity().blob()), (USER, user_key().public().blob()), "forged");
                assert_eq!(key.algorithm().signature, SignatureAlgorithm::Ed25519);
                true
            }
        };
        // Nothing else is taken while the question is open.
        if choice & 2 == 0 {
            assert!(auth.on_message(script.bytes()).is_err());
        }
        match auth.answer(choice & 1 != 0) {
            Ok((reply, authenticated)) => {
                assert_eq!(authenticated, signed && choice & 1 != 0);
                assert_eq!(authenticated, reply.first() == Some(&52));
                if authenticated {
                    return;
                }
            }
            Err(error) => return assert!(matches!(error, Error::TooManyAuthenticationFailures { .. })),
        }
    }
}

/// Runs a script of a server's messages: each after a byte that says how the person behind us behaves.
pub fn client_auth(script: &[u8]) {
    let mut script = Script::new(script);
    let options = script.byte();
    let extensions = PeerExtensions {
        server_sig_algs: (options & 1 != 0).then(|| vec![SignatureAlgorithm::Ed25519]),
        publickey_hostbound: options & 2 != 0,
        ping: false,
    };
    let key = user_key();
    let identity = Identity::Key(key.public().clone());
    let offers = [Offer::Key(identity.clone()), Offer::KeyboardInteractive, Offer::Key(identity)];
    let (mut auth, _) = ClientAuth::start(binding(), USER, extensions, offers);
    while let Some(choice) = script.step() {
        let reply = match auth.on_message(script.bytes()) {
            Err(_) | Ok(ClientStep::Done) => return,
            Ok(ClientStep::Wait | ClientStep::Banner(_)) => continue,
            Ok(ClientStep::Reply(reply)) => Ok(reply),
            Ok(ClientStep::Sign { algorithm, message, .. }) => {
                // What we sign is always for this session, whatever the server said.
                assert_eq!(message.get(4..36), Some(&[0x11; 32][..]));
                let signature = key.sign(algorithm, &message).expect("the key signs");
                auth.signature((choice & 1 != 0).then_some(signature.as_slice()))
            }
            Ok(ClientStep::Ask(request)) => {
                assert!(request.prompts.len() <= 100);
                auth.answers(&vec!["answer"; request.prompts.len()])
            }
        };
        match reply {
            Ok(reply) => assert!(matches!(reply.first(), Some(50 | 61)), "{reply:?}"),
            Err(error) => return assert!(matches!(error, Error::AuthenticationRefused { .. })),
        }
    }
}
