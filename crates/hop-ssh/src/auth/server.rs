//! The server's side of user authentication: public keys only.
//!
//! Must stay true: the caller is asked about a key only with its proof or for a probe, never "set
//! after the fact"; the user name cannot change once given (RFC 4252 section 5 lets a server insist);
//! only failed signatures and refused signed keys count as attempts, probes do not; nothing that a
//! client sends before it is authenticated grows memory.

use super::signed::SessionBinding;
use super::{CONNECTION_SERVICE, PUBLICKEY, PUBLICKEY_HOSTBOUND, USERAUTH_SERVICE};
use crate::error::{Error, InMessage, Malformed};
use crate::message;
use crate::wire::{Put, Reader};
use hop_keys::{Identity, IdentityAlgorithm, VerifiedSignature};

/// The longest user name, in bytes: room for a project id with hyphens and a suffix.
const LONGEST_USER: usize = 256;
/// How many requests one connection may make before it is authenticated, probes included. An agent
/// with this many keys has another problem.
const MOST_REQUESTS: u32 = 128;

/// One authentication, server side.
#[derive(Debug)]
pub struct ServerAuth {
    binding: SessionBinding,
    user: Option<String>,
    service_accepted: bool,
    requests: u32,
    failures: u32,
    most_failures: u32,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    algorithm: IdentityAlgorithm,
    blob: Vec<u8>,
    signed: bool,
}

/// A key that a client asks about without proving that it holds it (RFC 4252 section 7).
#[derive(Debug)]
pub struct KeyQuery {
    /// The name it wants to log in as.
    pub user: String,
    /// The key or certificate.
    pub identity: Identity,
}

/// A key that a client has proved to hold: the signature over this very connection was checked.
#[derive(Debug)]
pub struct VerifiedKey {
    user: String,
    identity: Identity,
    algorithm: IdentityAlgorithm,
    signature: VerifiedSignature,
}

impl VerifiedKey {
    /// The name it wants to log in as.
    pub fn user(&self) -> &str {
        &self.user
    }
    /// The key or certificate.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
    /// The algorithm of the signature.
    pub fn algorithm(&self) -> IdentityAlgorithm {
        self.algorithm
    }
    /// The signature's flags: touch and user verification of FIDO keys.
    pub fn signature(&self) -> &VerifiedSignature {
        &self.signature
    }
}

/// What the caller must answer, by [`ServerAuth::answer`].
#[derive(Debug)]
pub enum Question {
    /// Would this key be accepted? Nothing may be started or written for a mere probe.
    Probe(KeyQuery),
    /// Is this proven key accepted?
    Login(VerifiedKey),
}

/// What to do after a message.
#[derive(Debug)]
pub enum ServerStep {
    /// Send this.
    Reply(Vec<u8>),
    /// Decide, then call [`ServerAuth::answer`].
    Ask(Question),
}

impl ServerAuth {
    /// An authentication on the connection of `binding`, ended after `most_failures` failed signatures.
    pub fn new(binding: SessionBinding, most_failures: u32) -> Self {
        Self {
            binding,
            user: None,
            service_accepted: false,
            requests: 0,
            failures: 0,
            most_failures,
            pending: None,
        }
    }

    /// The user name given so far.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// How many attempts failed so far.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Takes a message of the client.
    pub fn on_message(&mut self, payload: &[u8]) -> Result<ServerStep, Error> {
        if self.pending.is_some() {
            // RFC 4252 section 5.1 lets a client send ahead, but no client does; the transport simply
            // is not read while a decision is awaited, so this is a caller's mistake.
            return Err(Error::Protocol { problem: "a request came before the last was answered" });
        }
        match payload.first().copied().unwrap_or_default() {
            message::SERVICE_REQUEST => self.on_service_request(payload),
            message::USERAUTH_REQUEST if self.service_accepted => self.on_request(payload),
            number => Err(Error::UnexpectedMessage { number, state: "authenticate the user" }),
        }
    }

    /// Answers the last question: the payload to send, and whether the client is now authenticated.
    pub fn answer(&mut self, accepted: bool) -> Result<(Vec<u8>, bool), Error> {
        let Some(pending) = self.pending.take() else { return Ok((self.failure(), false)) };
        match (accepted, pending.signed) {
            (true, true) => Ok((vec![message::USERAUTH_SUCCESS], true)),
            (true, false) => {
                let mut reply = vec![message::USERAUTH_PK_OK];
                reply.put_string(pending.algorithm.name());
                reply.put_string(&pending.blob);
                Ok((reply, false))
            }
            (false, true) => Ok((self.count_failure()?, false)),
            (false, false) => Ok((self.failure(), false)),
        }
    }

    fn on_service_request(&mut self, payload: &[u8]) -> Result<ServerStep, Error> {
        let mut reader = Reader::new(payload);
        let mut read = || {
            reader.byte()?;
            reader.string()
        };
        let service = read().in_message(message::SERVICE_REQUEST)?;
        if service != USERAUTH_SERVICE {
            return Err(Error::Disconnecting {
                reason: message::DisconnectReason::ServiceNotAvailable,
                description: "only ssh-userauth can be requested before authentication".to_owned(),
            });
        }
        self.service_accepted = true;
        let mut reply = vec![message::SERVICE_ACCEPT];
        reply.put_string(service);
        Ok(ServerStep::Reply(reply))
    }

    fn on_request(&mut self, payload: &[u8]) -> Result<ServerStep, Error> {
        self.requests += 1;
        if self.requests > MOST_REQUESTS {
            return self.too_many();
        }
        let request = Request::read(payload).in_message(message::USERAUTH_REQUEST)?;
        if request.user.len() > LONGEST_USER {
            return Err(Error::Limit { limit: "the length of a user name" });
        }
        match &self.user {
            None => self.user = Some(request.user.to_owned()),
            Some(known) if known == request.user => {}
            Some(_) => {
                return Err(Error::Protocol { problem: "the user name changed during authentication" });
            }
        }
        if request.service != CONNECTION_SERVICE {
            return Err(Error::Disconnecting {
                reason: message::DisconnectReason::ServiceNotAvailable,
                description: "only ssh-connection is served".to_owned(),
            });
        }
        let hostbound = match request.method {
            PUBLICKEY => false,
            PUBLICKEY_HOSTBOUND => true,
            // "none" asks for the list; other methods we do not offer. Neither is an attempt.
            _ => return Ok(ServerStep::Reply(self.failure())),
        };
        let key = KeyRequest::read(request.rest, hostbound).in_message(message::USERAUTH_REQUEST)?;
        self.on_key(request.user, &key, hostbound)
    }

    fn on_key(&mut self, user: &str, key: &KeyRequest<'_>, hostbound: bool) -> Result<ServerStep, Error> {
        if key.host_key.is_some_and(|bound| bound != self.binding.host_key_blob()) {
            // The client signed for another server: somebody passes its signatures on.
            return self.refuse(key.signature.is_some());
        }
        let Some(algorithm) = IdentityAlgorithm::parse(key.algorithm) else {
            return self.refuse(false);
        };
        let Ok(identity) = Identity::from_blob(algorithm, key.blob) else {
            return self.refuse(key.signature.is_some());
        };
        let question = match key.signature {
            None => Question::Probe(KeyQuery { user: user.to_owned(), identity }),
            Some(signature) => {
                let signed = self.binding.signed_bytes(user, hostbound, algorithm, key.blob);
                let Ok(signature) = identity.key().verify(algorithm.signature, &signed, signature) else {
                    return self.refuse(true);
                };
                Question::Login(VerifiedKey { user: user.to_owned(), identity, algorithm, signature })
            }
        };
        let signed = key.signature.is_some();
        self.pending = Some(Pending { algorithm, blob: key.blob.to_vec(), signed });
        Ok(ServerStep::Ask(question))
    }

    fn refuse(&mut self, counts: bool) -> Result<ServerStep, Error> {
        Ok(ServerStep::Reply(if counts { self.count_failure()? } else { self.failure() }))
    }

    fn count_failure(&mut self) -> Result<Vec<u8>, Error> {
        self.failures += 1;
        if self.failures >= self.most_failures { self.too_many() } else { Ok(self.failure()) }
    }

    fn too_many<T>(&self) -> Result<T, Error> {
        Err(Error::TooManyAuthenticationFailures { user: self.user.clone().unwrap_or_default() })
    }

    fn failure(&self) -> Vec<u8> {
        let mut reply = vec![message::USERAUTH_FAILURE];
        reply.put_names([PUBLICKEY]);
        reply.put_boolean(false);
        reply
    }
}

/// SSH_MSG_USERAUTH_BANNER (RFC 4252 section 5.4).
pub(crate) fn banner(text: &str) -> Vec<u8> {
    let mut payload = vec![message::USERAUTH_BANNER];
    payload.put_string(text);
    payload.put_string("");
    payload
}

struct Request<'a> {
    user: &'a str,
    service: &'a [u8],
    method: &'a str,
    rest: &'a [u8],
}

impl<'a> Request<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        reader.byte()?;
        Ok(Self {
            user: reader.text()?,
            service: reader.string()?,
            method: reader.text()?,
            rest: reader.rest(),
        })
    }
}

struct KeyRequest<'a> {
    algorithm: &'a [u8],
    blob: &'a [u8],
    host_key: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
}

impl<'a> KeyRequest<'a> {
    fn read(rest: &'a [u8], hostbound: bool) -> Result<Self, Malformed> {
        let mut reader = Reader::new(rest);
        let signed = reader.boolean()?;
        let algorithm = reader.string()?;
        let blob = reader.string()?;
        let host_key = if hostbound { Some(reader.string()?) } else { None };
        let signature = if signed { Some(reader.string()?) } else { None };
        reader.finish()?;
        Ok(Self { algorithm, blob, host_key, signature })
    }
}
