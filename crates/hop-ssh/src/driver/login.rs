//! From a byte stream to an authenticated connection, either side.

use super::connection::{self, Arrivals, Connection};
use super::pump::Driver;
use super::wire::{Wire, now};
use crate::auth::{
    ClientAuth, ClientStep, InfoRequest, Offer, Question, ServerAuth, ServerStep, SessionBinding, VerifiedKey,
};
use crate::config::{ClientConfig, ServerConfig};
use crate::connection::Limits;
use crate::error::Error;
use crate::message::{self, DisconnectReason};
use crate::transport::Transport;
use hop_keys::{Identity, SignatureAlgorithm};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

const NO_BINDING: Error = Error::Protocol { problem: "authentication before the key exchange" };

/// A client that has exchanged keys with us and is not authenticated yet.
pub struct ServerLogin<IO> {
    wire: Wire<IO>,
    auth: ServerAuth,
}

/// An authenticated client: the proof, and the connection that can now be served or relayed.
pub struct AuthenticatedServer<IO> {
    wire: Wire<IO>,
    key: VerifiedKey,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> ServerLogin<IO> {
    /// Exchanges keys. A client gets `most_failures` failed signatures before it is cut off.
    ///
    /// # Errors
    /// Whatever the client did wrong; it has been told.
    pub async fn accept(io: IO, config: Arc<ServerConfig>, most_failures: u32) -> Result<Self, Error> {
        let mut wire = Wire::new(io, Transport::server(config, now())?);
        match wire.handshake().await {
            Ok(()) => {}
            Err(error) => return Err(wire.fail(error).await),
        }
        let binding = SessionBinding::of(&wire.transport).ok_or(NO_BINDING)?;
        Ok(Self { wire, auth: ServerAuth::new(binding, most_failures) })
    }

    /// The client's identification line.
    pub fn peer_identification(&self) -> &str {
        self.wire.transport.peer_identification().unwrap_or_default()
    }

    /// The user name that the client gave, if it has given one.
    pub fn user(&self) -> Option<&str> {
        self.auth.user()
    }

    /// How many signatures of the client have failed or were refused.
    pub fn failures(&self) -> u32 {
        self.auth.failures()
    }

    /// Waits for the client to go away, while somebody decides about it; what it says meanwhile is kept.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn gone(&mut self) -> Error {
        self.wire.watch().await
    }

    /// What the client asks next; [`answer`](Self::answer) must follow.
    pub async fn next_question(&mut self) -> Result<Question, Error> {
        match self.question().await {
            Ok(question) => Ok(question),
            Err(error) => Err(self.wire.fail(error).await),
        }
    }

    async fn question(&mut self) -> Result<Question, Error> {
        loop {
            let payload = self.wire.next().await?;
            match self.auth.on_message(&payload)? {
                ServerStep::Reply(reply) => self.wire.send(&reply).await?,
                ServerStep::Ask(question) => return Ok(question),
            }
        }
    }

    /// Shows the client a text while it waits.
    pub async fn banner(&mut self, text: &str) -> Result<(), Error> {
        self.wire.send(&crate::auth::banner(text)).await
    }

    /// Refuses the client for good: it is told why, and disconnected.
    pub async fn refuse(mut self, error: Error) -> Error {
        self.wire.fail(error).await
    }

    /// Refuses what was asked last.
    pub async fn reject(&mut self) -> Result<(), Error> {
        match self.auth.answer(false) {
            Ok((reply, _)) => self.wire.send(&reply).await,
            Err(error) => Err(self.wire.fail(error).await),
        }
    }

    /// Says that the key asked about by [`Question::Probe`] would do.
    pub async fn encourage(&mut self) -> Result<(), Error> {
        let (reply, _) = self.auth.answer(true)?;
        self.wire.send(&reply).await
    }

    /// Lets the holder of `key` in: the client hears SUCCESS.
    pub async fn admit(mut self, key: VerifiedKey) -> Result<AuthenticatedServer<IO>, Error> {
        let (reply, authenticated) = self.auth.answer(true)?;
        if !authenticated {
            let error = Error::Protocol { problem: "a client was admitted without a signature" };
            return Err(self.wire.fail(error).await);
        }
        self.wire.send(&reply).await?;
        self.wire.transport.set_authenticated();
        Ok(AuthenticatedServer { wire: self.wire, key })
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AuthenticatedServer<IO> {
    /// The key that the client proved to hold, and the user name it gave.
    pub fn key(&self) -> &VerifiedKey {
        &self.key
    }

    /// Serves channels on the connection.
    pub fn serve(self, limits: Limits) -> (Connection, Arrivals, Driver<IO>) {
        connection::start(self.wire.io, self.wire.transport.into(), limits, now())
    }

    /// Takes the parts, to relay packets instead.
    pub fn into_parts(self) -> (IO, Transport, VerifiedKey) {
        (self.wire.io, self.wire.transport, self.key)
    }
}

/// Whoever answers for the user of a client: signs with keys and answers questions. A server that does not
/// wait for an answer ends the connection; the future that works on it is dropped then.
#[expect(async_fn_in_trait, reason = "callers are generic over it and stay on one task")]
pub trait Answers {
    /// Signs `message`; `None` when the key is not at hand or the person refuses.
    async fn sign(
        &mut self,
        identity: &Identity,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Option<Vec<u8>>;
    /// Answers a round of questions, one answer for each prompt; `None` gives up.
    async fn answer(&mut self, request: &InfoRequest) -> Option<Vec<String>>;
    /// Shows a text of the server. Escape it first.
    async fn banner(&mut self, text: &str);
}

/// A server that we have exchanged keys with and are not authenticated to yet.
pub struct ClientLogin<IO> {
    wire: Wire<IO>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> ClientLogin<IO> {
    /// Exchanges keys; the host key is judged by the configuration's verifier.
    pub async fn connect(io: IO, config: Arc<ClientConfig>) -> Result<Self, Error> {
        let mut wire = Wire::new(io, Transport::client(config, now())?);
        match wire.handshake().await {
            Ok(()) => Ok(Self { wire }),
            Err(error) => Err(wire.fail(error).await),
        }
    }

    /// The transport, for what it knows of the peer.
    pub fn transport(&self) -> &Transport {
        &self.wire.transport
    }

    /// Authenticates as `user` by the first of `offers` that the server takes.
    pub async fn authenticate(
        mut self,
        user: &str,
        offers: impl IntoIterator<Item = Offer>,
        answers: &mut impl Answers,
    ) -> Result<(IO, Transport), Error> {
        match self.run(user, offers, answers).await {
            Ok(()) => {
                self.wire.transport.set_authenticated();
                Ok((self.wire.io, self.wire.transport))
            }
            Err(error) => Err(self.wire.fail(error).await),
        }
    }

    /// Authenticates, then serves channels on the connection.
    pub async fn log_in(
        self,
        user: &str,
        offers: impl IntoIterator<Item = Offer>,
        answers: &mut impl Answers,
        limits: Limits,
    ) -> Result<(Connection, Arrivals, Driver<IO>), Error> {
        let (io, transport) = self.authenticate(user, offers, answers).await?;
        Ok(connection::start(io, transport.into(), limits, now()))
    }

    async fn run(
        &mut self,
        user: &str,
        offers: impl IntoIterator<Item = Offer>,
        answers: &mut impl Answers,
    ) -> Result<(), Error> {
        let binding = SessionBinding::of(&self.wire.transport).ok_or(NO_BINDING)?;
        let extensions = self.wire.transport.peer_extensions().clone();
        let (mut auth, request) = ClientAuth::start(binding, user, extensions, offers);
        self.wire.send(&request).await?;
        loop {
            let payload = self.wire.next().await?;
            // EXT_INFO comes after the server's NEWKEYS, which may be later than our first request.
            auth.set_extensions(self.wire.transport.peer_extensions());
            let reply = match auth.on_message(&payload)? {
                ClientStep::Done => return Ok(()),
                ClientStep::Wait => continue,
                ClientStep::Banner(text) => {
                    answers.banner(&text).await;
                    continue;
                }
                ClientStep::Reply(reply) => reply,
                ClientStep::Sign { identity, algorithm, message } => {
                    let signing = answers.sign(&identity, algorithm, &message);
                    let Some(signature) = while_awaited(&mut self.wire, signing).await? else { continue };
                    auth.signature(signature.as_deref())?
                }
                ClientStep::Ask(request) => {
                    let answering = answers.answer(&request);
                    match while_awaited(&mut self.wire, answering).await? {
                        None => continue,
                        Some(Some(given)) => auth.answers(&given)?,
                        Some(None) => {
                            return Err(Error::Disconnecting {
                                reason: DisconnectReason::AuthCancelledByUser,
                                description: "nobody answered the server's questions".to_owned(),
                            });
                        }
                    }
                }
            };
            self.wire.send(&reply).await?;
        }
    }
}

/// What somebody takes time for; `None` when the server has gone on meanwhile, so that it would be taken for
/// an answer to something else. Given up when the server ends the connection.
async fn while_awaited<IO: AsyncRead + AsyncWrite + Unpin, T>(
    wire: &mut Wire<IO>,
    given: impl Future<Output = T>,
) -> Result<Option<T>, Error> {
    let given = tokio::select! {
        biased;
        given = given => given,
        error = wire.watch() => return Err(error),
    };
    let is_banner = |payload: &[u8]| payload.first() == Some(&message::USERAUTH_BANNER);
    Ok(wire.early().all(is_banner).then_some(given))
}

#[cfg(test)]
mod tests;
