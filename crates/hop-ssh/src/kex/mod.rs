//! Key exchange (RFC 4253 section 7): the state machine of one exchange, first or later.
//!
//! Must stay true: each state consumes itself; keys come out only after the host key's signature was
//! made (server) or verified (client); the session identifier is the first exchange hash and never
//! changes (RFC 4253 section 7.2).

pub(crate) mod init;

use crate::algorithms::{Negotiated, negotiate};
use crate::config::Side;
use crate::crypto::agreement::{self, ClientAgreement, SharedSecret};
use crate::crypto::cipher::Keys;
use crate::crypto::hash::Hash;
use crate::error::{Error, InMessage};
use crate::message;
use crate::wire::{Put, Reader};
use hop_keys::Identity;
use init::PeerInit;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What an exchange is computed over besides its own messages.
#[derive(Clone, Debug)]
pub(crate) struct Identifications {
    /// V_C without line end.
    pub(crate) client: Vec<u8>,
    /// V_S without line end.
    pub(crate) server: Vec<u8>,
}

/// Proof that the server holds the key, and, for a client, that the caller accepted it.
#[derive(Clone, Debug)]
pub struct VerifiedHostKey {
    identity: Arc<Identity>,
    signature: Option<Arc<[u8]>>,
}

impl VerifiedHostKey {
    /// The host key or certificate.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its signature over the exchange hash. That of a connection's first exchange is over the session
    /// identifier: what an agent wants to see before it binds a connection to this host
    /// (`session-bind@openssh.com`). `None` on a connection that came from another process.
    pub fn signature(&self) -> Option<&[u8]> {
        self.signature.as_deref()
    }

    pub(crate) fn from_import(identity: Identity) -> Self {
        Self { identity: Arc::new(identity), signature: None }
    }
}

/// Where an exchange stands.
pub(crate) enum Exchange {
    /// Our KEXINIT is sent, the peer's is awaited.
    AwaitInit(AwaitInit),
    /// Algorithms are chosen, the peer's public value is awaited.
    AwaitValue(Box<AwaitValue>),
    /// Our NEWKEYS is sent, the peer's is awaited.
    AwaitNewKeys(Box<Outcome>),
}

/// State: our KEXINIT is sent.
pub(crate) struct AwaitInit {
    our_init: Vec<u8>,
}

/// State: algorithms are chosen.
pub(crate) struct AwaitValue {
    negotiated: Negotiated,
    our_init: Vec<u8>,
    peer_init: Vec<u8>,
    drop_guess: bool,
    part: Part,
}

enum Part {
    Server,
    Client { agreement: ClientAgreement, q_c: Vec<u8> },
}

/// What a finished exchange yields.
pub(crate) struct Outcome {
    pub(crate) negotiated: Negotiated,
    pub(crate) host_key: VerifiedHostKey,
    pub(crate) exchange_hash: Vec<u8>,
    shared: SharedSecret,
}

/// What the transport is to do next.
pub(crate) enum Step {
    /// Send this payload (if any) and go on in the state.
    Continue(Exchange, Option<Vec<u8>>),
    /// Send this payload (if any), then NEWKEYS, and switch the sending keys.
    Derive(Box<Outcome>, Option<Vec<u8>>),
}

impl AwaitInit {
    pub(crate) fn new(our_init: Vec<u8>) -> Self {
        Self { our_init }
    }

    /// Takes the peer's KEXINIT.
    pub(crate) fn on_init(self, side: &Side, payload: &[u8]) -> Result<Step, Error> {
        let theirs = PeerInit::read(payload)?;
        let negotiated =
            negotiate(side.is_server(), side.algorithms(), &side.host_key_algorithms(), &theirs)?;
        let (part, reply) = match side {
            Side::Server(_) => (Part::Server, None),
            Side::Client(_) => {
                let (agreement, q_c) = ClientAgreement::start(negotiated.kex)?;
                let mut reply = vec![message::KEX_ECDH_INIT];
                reply.put_string(&q_c);
                (Part::Client { agreement, q_c }, Some(reply))
            }
        };
        let next = AwaitValue {
            drop_guess: negotiated.drop_guess,
            negotiated,
            our_init: self.our_init,
            peer_init: payload.to_vec(),
            part,
        };
        Ok(Step::Continue(Exchange::AwaitValue(Box::new(next)), reply))
    }
}

impl AwaitValue {
    /// Takes the peer's SSH_MSG_KEX_ECDH_INIT or _REPLY (or the packet it sent on a wrong guess).
    pub(crate) fn on_value(
        mut self: Box<Self>,
        side: &Side,
        names: &Identifications,
        known: Option<&VerifiedHostKey>,
        payload: &[u8],
    ) -> Result<Step, Error> {
        if std::mem::take(&mut self.drop_guess) {
            return Ok(Step::Continue(Exchange::AwaitValue(self), None));
        }
        match (side, self.part) {
            (Side::Server(config), Part::Server) => {
                let q_c = read_value(payload, message::KEX_ECDH_INIT)?;
                let host_key = config
                    .host_key(self.negotiated.host_key)
                    .ok_or(Error::KeyExchange { problem: "the negotiated host key is not ours" })?;
                let (q_s, shared) = agreement::respond(self.negotiated.kex, q_c)?;
                let blob = host_key.blob_for(self.negotiated.host_key);
                let exchange_hash = hash_exchange(&Transcript {
                    hash: self.negotiated.kex.hash(),
                    names,
                    client_init: &self.peer_init,
                    server_init: &self.our_init,
                    host_key: blob,
                    q_c,
                    q_s: &q_s,
                    shared: &shared,
                });
                let signature = host_key
                    .private()
                    .sign(self.negotiated.host_key.signature, &exchange_hash)
                    .map_err(|error| Error::Signing { problem: error.to_string() })?;
                let mut reply = vec![message::KEX_ECDH_REPLY];
                reply.put_string(blob);
                reply.put_string(&q_s);
                reply.put_string(&signature);
                let host_key = VerifiedHostKey {
                    identity: Arc::new(
                        Identity::from_blob(self.negotiated.host_key, blob)
                            .map_err(|_| Error::KeyExchange { problem: "our own host key does not parse" })?,
                    ),
                    signature: Some(signature.into()),
                };
                let outcome = Outcome { negotiated: self.negotiated, host_key, exchange_hash, shared };
                Ok(Step::Derive(Box::new(outcome), Some(reply)))
            }
            (Side::Client(config), Part::Client { agreement, q_c }) => {
                let Reply { host_key: blob, q_s, signature } = read_reply(payload)?;
                let shared = agreement.finish(q_s)?;
                let exchange_hash = hash_exchange(&Transcript {
                    hash: self.negotiated.kex.hash(),
                    names,
                    client_init: &self.our_init,
                    server_init: &self.peer_init,
                    host_key: blob,
                    q_c: &q_c,
                    q_s,
                    shared: &shared,
                });
                let algorithm = self.negotiated.host_key;
                let offered = Identity::from_blob(algorithm, blob)
                    .map_err(|_| Error::KeyExchange { problem: "the server's host key does not parse" })?;
                offered
                    .key()
                    .verify(algorithm.signature, &exchange_hash, signature)
                    .map_err(|_| Error::KeyExchange { problem: "the host key's signature is wrong" })?;
                // The same key again at a rekey needs no second judgement; another one does.
                let host_key = match known.filter(|known| known.identity.blob() == offered.blob()) {
                    Some(known) => known.clone(),
                    None => {
                        config.verifier.verify(&offered).map_err(|problem| Error::HostKeyRejected {
                            fingerprint: offered.key().fingerprint().to_string(),
                            problem,
                        })?;
                        VerifiedHostKey { identity: Arc::new(offered), signature: Some(signature.into()) }
                    }
                };
                let outcome = Outcome { negotiated: self.negotiated, host_key, exchange_hash, shared };
                Ok(Step::Derive(Box::new(outcome), None))
            }
            (Side::Server(_), Part::Client { .. }) | (Side::Client(_), Part::Server) => {
                Err(Error::KeyExchange { problem: "the exchange changed sides" })
            }
        }
    }
}

impl Outcome {
    /// The keys of both directions (RFC 4253 section 7.2): client to server, server to client.
    pub(crate) fn derive(&self, session_id: &[u8]) -> (Keys, Keys) {
        let hash: Hash = self.negotiated.kex.hash();
        let key =
            |letter, length| hash.derive(&self.shared.0, &self.exchange_hash, letter, session_id, length);
        let keys = |suite: crate::algorithms::Suite, iv: u8, encryption: u8, integrity: u8| {
            let (key_length, iv_length) = suite.cipher.key_and_iv_length();
            Keys {
                cipher: suite.cipher,
                mac: suite.mac,
                key: key(encryption, key_length),
                iv: key(iv, iv_length),
                mac_key: suite
                    .mac
                    .map_or_else(|| Zeroizing::new(Vec::new()), |mac| key(integrity, mac.key_length())),
            }
        };
        (
            keys(self.negotiated.client_to_server, b'A', b'C', b'E'),
            keys(self.negotiated.server_to_client, b'B', b'D', b'F'),
        )
    }
}

struct Transcript<'a> {
    hash: Hash,
    names: &'a Identifications,
    client_init: &'a [u8],
    server_init: &'a [u8],
    host_key: &'a [u8],
    q_c: &'a [u8],
    q_s: &'a [u8],
    shared: &'a SharedSecret,
}

/// The exchange hash H (RFC 5656 section 4, RFC 8731 section 3.1).
fn hash_exchange(transcript: &Transcript<'_>) -> Vec<u8> {
    let mut hashed = Zeroizing::new(Vec::with_capacity(8192));
    for part in [
        transcript.names.client.as_slice(),
        transcript.names.server.as_slice(),
        transcript.client_init,
        transcript.server_init,
        transcript.host_key,
        transcript.q_c,
        transcript.q_s,
    ] {
        hashed.put_string(part);
    }
    hashed.put_raw(&transcript.shared.0);
    transcript.hash.of(&[&hashed])
}

fn read_value(payload: &[u8], number: u8) -> Result<&[u8], Error> {
    let mut reader = Reader::new(payload);
    let mut read = || {
        reader.byte()?;
        let value = reader.string()?;
        reader.clone().finish()?;
        Ok(value)
    };
    read().in_message(number)
}

/// SSH_MSG_KEX_ECDH_REPLY (RFC 5656 section 4).
struct Reply<'a> {
    host_key: &'a [u8],
    q_s: &'a [u8],
    signature: &'a [u8],
}

fn read_reply(payload: &[u8]) -> Result<Reply<'_>, Error> {
    let mut reader = Reader::new(payload);
    let mut read = || {
        reader.byte()?;
        let reply = Reply { host_key: reader.string()?, q_s: reader.string()?, signature: reader.string()? };
        reader.clone().finish()?;
        Ok(reply)
    };
    read().in_message(message::KEX_ECDH_REPLY)
}
