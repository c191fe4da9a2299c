//! The client's side of user authentication: public keys (held by us or by a signer elsewhere) and
//! keyboard-interactive (RFC 4256).
//!
//! Must stay true: what is asked of a person or a signer is asked one at a time; a wrong answer is
//! never repeated by itself.

use super::signed::SessionBinding;
use super::{CONNECTION_SERVICE, PUBLICKEY, PUBLICKEY_HOSTBOUND, USERAUTH_SERVICE};
use crate::error::{Error, InMessage, Malformed};
use crate::message;
use crate::transport::PeerExtensions;
use crate::wire::{Put, Reader};
use hop_keys::{Identity, IdentityAlgorithm, KeyAlgorithm, SignatureAlgorithm};
use std::collections::VecDeque;

const KEYBOARD_INTERACTIVE: &str = "keyboard-interactive";
/// How many prompts one round may have; OpenSSH refuses more than 100 as well.
const MOST_PROMPTS: u32 = 100;
/// How many banners are handed on; a server could send them for ever.
const MOST_BANNERS: u32 = 64;

/// A way to authenticate, to be tried in order. Each is tried once; one whose method the server does not
/// take now waits until it does (a server that wants several methods names the next one after a partial
/// success).
#[derive(Clone, Debug)]
pub enum Offer {
    /// A key or certificate that somebody can sign with. The server is asked first whether it would
    /// do, so that a person is not made to touch a token for nothing.
    Key(Identity),
    /// Questions for a person. Offer it as often as the person may try.
    KeyboardInteractive,
}

/// One authentication, client side.
#[derive(Debug)]
pub struct ClientAuth {
    binding: SessionBinding,
    user: String,
    extensions: PeerExtensions,
    offers: VecDeque<Offer>,
    /// The methods that the server said last that it would take, comma separated.
    methods: String,
    state: State,
    banners: u32,
}

#[derive(Debug)]
enum State {
    AwaitService,
    AwaitNone,
    AwaitProbe { identity: Identity, algorithm: IdentityAlgorithm },
    AwaitSignature { identity: Identity, algorithm: IdentityAlgorithm },
    AwaitVerdict,
    AwaitInfo,
    AwaitAnswers { prompts: usize },
}

/// A round of questions (RFC 4256 section 3.2). All text comes from the server: escape it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfoRequest {
    /// The name of the round; often empty.
    pub name: String,
    /// Instructions; often empty, sometimes a link to open.
    pub instruction: String,
    /// The prompts, each with whether the answer may be shown while it is typed. May be empty: then
    /// zero answers are to be given.
    pub prompts: Vec<(String, bool)>,
}

/// What to do after a message.
#[derive(Debug)]
pub enum ClientStep {
    /// Send this.
    Reply(Vec<u8>),
    /// Nothing to send; read on.
    Wait,
    /// Show this to the person; read on.
    Banner(String),
    /// Sign these bytes with this key and algorithm, then call [`ClientAuth::signature`].
    Sign {
        /// The key or certificate to sign with.
        identity: Identity,
        /// The algorithm to sign with.
        algorithm: SignatureAlgorithm,
        /// What to sign.
        message: Vec<u8>,
    },
    /// Ask the person, then call [`ClientAuth::answers`].
    Ask(InfoRequest),
    /// Authenticated.
    Done,
}

impl ClientAuth {
    /// An authentication as `user` on the connection of `binding`, and the first message to send.
    pub fn start(
        binding: SessionBinding,
        user: &str,
        extensions: PeerExtensions,
        offers: impl IntoIterator<Item = Offer>,
    ) -> (Self, Vec<u8>) {
        let mut request = vec![message::SERVICE_REQUEST];
        request.put_string(USERAUTH_SERVICE);
        let auth = Self {
            binding,
            user: user.to_owned(),
            extensions,
            offers: offers.into_iter().collect(),
            methods: String::new(),
            state: State::AwaitService,
            banners: 0,
        };
        (auth, request)
    }

    /// Takes what the server announced since (an EXT_INFO may come right after its NEWKEYS).
    pub fn set_extensions(&mut self, extensions: &PeerExtensions) {
        self.extensions.clone_from(extensions);
    }

    /// Takes a message of the server.
    pub fn on_message(&mut self, payload: &[u8]) -> Result<ClientStep, Error> {
        let number = payload.first().copied().unwrap_or_default();
        match number {
            message::USERAUTH_BANNER => self.on_banner(payload),
            message::SERVICE_ACCEPT if matches!(self.state, State::AwaitService) => {
                self.state = State::AwaitNone;
                let mut request = self.request("none");
                request.shrink_to_fit();
                Ok(ClientStep::Reply(request))
            }
            message::USERAUTH_SUCCESS if !matches!(self.state, State::AwaitService) => Ok(ClientStep::Done),
            message::USERAUTH_FAILURE if !matches!(self.state, State::AwaitService) => {
                self.on_failure(payload)
            }
            // Number 60 means what the method in use says (RFC 4252 section 6).
            message::USERAUTH_PK_OK => match std::mem::replace(&mut self.state, State::AwaitVerdict) {
                State::AwaitProbe { identity, algorithm } => {
                    let message = self.binding.signed_bytes(
                        &self.user,
                        self.extensions.publickey_hostbound,
                        algorithm,
                        identity.blob(),
                    );
                    let step = ClientStep::Sign {
                        identity: identity.clone(),
                        algorithm: algorithm.signature,
                        message,
                    };
                    self.state = State::AwaitSignature { identity, algorithm };
                    Ok(step)
                }
                State::AwaitInfo => self.on_info_request(payload),
                _ => Err(Error::UnexpectedMessage { number, state: "authenticate" }),
            },
            _ => Err(Error::UnexpectedMessage { number, state: "authenticate" }),
        }
    }

    /// Gives the signature that was asked for; `None` gives up on this key. The payload to send.
    pub fn signature(&mut self, signature: Option<&[u8]>) -> Result<Vec<u8>, Error> {
        match (std::mem::replace(&mut self.state, State::AwaitVerdict), signature) {
            (State::AwaitSignature { identity, algorithm }, Some(signature)) => {
                let mut request = self.key_request(true, algorithm, identity.blob());
                request.put_string(signature);
                Ok(request)
            }
            (State::AwaitSignature { .. }, None) => self.next_offer(),
            _ => Err(Error::Protocol { problem: "no signature was asked for" }),
        }
    }

    /// Gives the answers to the last [`InfoRequest`]. The payload to send.
    pub fn answers(&mut self, answers: &[impl AsRef<str>]) -> Result<Vec<u8>, Error> {
        match self.state {
            State::AwaitAnswers { prompts } if prompts == answers.len() => {
                self.state = State::AwaitInfo;
                let mut reply = vec![message::USERAUTH_INFO_RESPONSE];
                reply.put_uint32(u32::try_from(answers.len()).unwrap_or(u32::MAX));
                for answer in answers {
                    reply.put_string(answer.as_ref());
                }
                Ok(reply)
            }
            _ => Err(Error::Protocol { problem: "these are not the answers that were asked for" }),
        }
    }

    fn on_banner(&mut self, payload: &[u8]) -> Result<ClientStep, Error> {
        self.banners += 1;
        if self.banners > MOST_BANNERS {
            return Err(Error::Limit { limit: "the number of banners" });
        }
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            reader.string()
        };
        let text = read().in_message(message::USERAUTH_BANNER)?;
        Ok(ClientStep::Banner(String::from_utf8_lossy(text).into_owned()))
    }

    fn on_failure(&mut self, payload: &[u8]) -> Result<ClientStep, Error> {
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            let methods = reader.text()?;
            reader.boolean()?;
            reader.clone().finish()?;
            Ok::<_, Malformed>(methods)
        };
        // Whether the success was partial changes nothing for us: what can continue is in the list.
        self.methods = read().in_message(message::USERAUTH_FAILURE)?.to_owned();
        self.next_offer().map(ClientStep::Reply)
    }

    /// The request of the first offer that the server takes now (RFC 4252 section 5.1). Those before it
    /// stay for later.
    fn next_offer(&mut self) -> Result<Vec<u8>, Error> {
        while let Some(at) = self.offers.iter().position(|offer| self.takes(offer)) {
            match self.offers.remove(at) {
                Some(Offer::Key(identity)) => {
                    let Some(algorithm) = self.algorithm_for(&identity) else { continue };
                    let request = self.key_request(false, algorithm, identity.blob());
                    self.state = State::AwaitProbe { identity, algorithm };
                    return Ok(request);
                }
                Some(Offer::KeyboardInteractive) => {
                    self.state = State::AwaitInfo;
                    let mut request = self.request(KEYBOARD_INTERACTIVE);
                    request.put_string("");
                    request.put_string("");
                    return Ok(request);
                }
                None => break,
            }
        }
        Err(Error::AuthenticationRefused { remaining: self.methods.chars().take(256).collect() })
    }

    fn takes(&self, offer: &Offer) -> bool {
        let wanted = match offer {
            Offer::Key(_) => PUBLICKEY,
            Offer::KeyboardInteractive => KEYBOARD_INTERACTIVE,
        };
        self.methods.split(',').any(|name| name == wanted)
    }

    fn on_info_request(&mut self, payload: &[u8]) -> Result<ClientStep, Error> {
        let request = read_info_request(payload).in_message(message::USERAUTH_INFO_REQUEST)?;
        self.state = State::AwaitAnswers { prompts: request.prompts.len() };
        Ok(ClientStep::Ask(request))
    }

    fn request(&self, method: &str) -> Vec<u8> {
        let mut request = vec![message::USERAUTH_REQUEST];
        request.put_string(&self.user);
        request.put_string(CONNECTION_SERVICE);
        request.put_string(method);
        request
    }

    fn key_request(&self, signed: bool, algorithm: IdentityAlgorithm, blob: &[u8]) -> Vec<u8> {
        let hostbound = self.extensions.publickey_hostbound;
        let mut request = self.request(if hostbound { PUBLICKEY_HOSTBOUND } else { PUBLICKEY });
        request.put_boolean(signed);
        request.put_string(algorithm.name());
        request.put_string(blob);
        if hostbound {
            request.put_string(self.binding.host_key_blob());
        }
        request
    }

    /// The best algorithm that both the key and the server know. RSA without `server-sig-algs` is
    /// tried with SHA-256, which servers that do not announce anything still take.
    fn algorithm_for(&self, identity: &Identity) -> Option<IdentityAlgorithm> {
        let certificate = identity.as_certificate().is_some();
        let key = identity.key().algorithm();
        let candidates: &[SignatureAlgorithm] = match key {
            KeyAlgorithm::Rsa if self.extensions.server_sig_algs.is_none() => {
                &[SignatureAlgorithm::RsaSha256]
            }
            _ => crate::algorithms::USER_SIGNATURES,
        };
        candidates
            .iter()
            .copied()
            .filter(|candidate| candidate.key_algorithm() == key)
            .find(|candidate| {
                self.extensions.server_sig_algs.as_ref().is_none_or(|known| known.contains(candidate))
            })
            .map(|signature| IdentityAlgorithm { signature, certificate })
    }
}

fn read_info_request(payload: &[u8]) -> Result<InfoRequest, Malformed> {
    let mut reader = Reader::new(payload);
    reader.byte()?;
    // PAM modules speak in whatever encoding they were written in.
    let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let name = lossy(reader.string()?);
    let instruction = lossy(reader.string()?);
    reader.string()?;
    let count = reader.uint32()?;
    if count > MOST_PROMPTS {
        return Err(Malformed::Truncated);
    }
    let mut prompts = Vec::new();
    for _ in 0..count {
        prompts.push((lossy(reader.string()?), reader.boolean()?));
    }
    reader.finish()?;
    Ok(InfoRequest { name, instruction, prompts })
}

#[cfg(test)]
mod tests;
