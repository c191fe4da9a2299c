//! A site's gateway at the door. Either it has authenticated its client and gives its word for them, or it brings the
//! bytes of a client that authenticates here, and is asked what the client may do.
//!
//! What must stay true: only a connection to the listener that the site passed down comes here; a word that is
//! not understood, or is over, is refused; what the word says the session may do is all that it may do.

mod inner;

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use hop_model::Word;
use hop_model::inner::PIPE_GREETING;
use hop_ssh::BARE_GREETING;
use hop_ssh::driver::BareServer;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::config::EndpointConfig;
use crate::connection::{Entered, Guest, engine_limits};
use crate::environment::Addresses;

/// A client that the gateway brought, and what ends its session besides itself.
pub(crate) struct Brought {
    pub(crate) entered: Entered<UnixStream>,
    asking: Option<inner::Asking>,
}

impl Brought {
    /// The client, and the gateway's words when it ends the session.
    pub(crate) fn into_parts(self) -> (Entered<UnixStream>, impl Future<Output = String>) {
        let asking = self.asking;
        let ended = async move {
            match asking {
                Some(asking) => asking.ended().await,
                // It ends the connection itself.
                None => std::future::pending().await,
            }
        };
        (self.entered, ended)
    }
}

/// Waits for what the gateway brings; `None` when it is nothing, or nothing to be taken.
pub(crate) async fn receive(stream: StdUnixStream, config: &EndpointConfig) -> Option<Brought> {
    let stream = UnixStream::from_std(stream)
        .inspect_err(|error| tracing::warn!(%error, "gateway's connection lost before it began"))
        .ok()?;
    let receiving = async {
        match greeting(&stream).await {
            Ok(Some(Greeting::Bare)) => await_word(stream, config).await,
            Ok(Some(Greeting::Pipe(client))) => await_inner(client, stream, config).await,
            // The site looks whether we are there.
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "the gateway's connection is of no known kind");
                None
            }
        }
    };
    let received = tokio::time::timeout(config.limits.login_grace, receiving).await;
    received.inspect_err(|_| tracing::warn!("the gateway connected, and nothing came of it")).ok()?
}

enum Greeting {
    Bare,
    Pipe(OwnedFd),
}

/// Reads the first bytes, which say what kind of connection it is; a descriptor may come with them. `None` when it
/// ends before.
async fn greeting(stream: &UnixStream) -> std::io::Result<Option<Greeting>> {
    let mut bytes = [0; BARE_GREETING.len()];
    let (mut filled, mut passed) = (0, None);
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        let mut receive = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received = recvmsg(stream, &mut [IoSliceMut::new(room)], &mut ancillary, flags)?;
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
                    passed = descriptors.next();
                }
            }
            Ok(received.bytes)
        };
        match stream.async_io(Interest::READABLE, &mut receive).await? {
            0 => return Ok(None),
            count => filled += count,
        }
    }
    match (&bytes, passed) {
        (BARE_GREETING, None) => Ok(Some(Greeting::Bare)),
        (PIPE_GREETING, Some(client)) => Ok(Some(Greeting::Pipe(client))),
        _ => Err(std::io::ErrorKind::InvalidData.into()),
    }
}

async fn await_word(stream: UnixStream, config: &EndpointConfig) -> Option<Brought> {
    let server = BareServer::accept_greeted(stream)
        .await
        .inspect_err(|error| tracing::warn!(%error, "no word from the gateway"))
        .ok()?;
    if is_over(server.word(), config) {
        let error = server.refuse("the login is no longer valid").await;
        tracing::warn!(%error, "gateway's word refused");
        return None;
    }
    match server.serve(engine_limits(config)).await {
        Ok((word, connection, arrivals, driver)) => {
            let entered = Entered { guest: guest(word), connection, arrivals, driver };
            Some(Brought { entered, asking: None })
        }
        Err(error) => {
            tracing::warn!(%error, "gateway left before its word was taken");
            None
        }
    }
}

async fn await_inner(client: OwnedFd, asking: UnixStream, config: &EndpointConfig) -> Option<Brought> {
    let client = StdUnixStream::from(client);
    let client = client.set_nonblocking(true).and_then(|()| UnixStream::from_std(client));
    let client =
        client.inspect_err(|error| tracing::warn!(%error, "a client's bytes cannot be read")).ok()?;
    match inner::log_in(client, asking, config).await {
        Ok(inner::LoggedIn { word, .. }) if is_over(&word, config) => {
            tracing::warn!("gateway's word refused: it is over");
            None
        }
        Ok(inner::LoggedIn { server, word, asking }) => {
            let (connection, arrivals, driver) = server.serve(engine_limits(config));
            let entered = Entered { guest: guest(word), connection, arrivals, driver };
            Some(Brought { entered, asking: Some(asking) })
        }
        Err(error) => {
            tracing::info!(%error, "no login by way of the gateway");
            None
        }
    }
}

fn is_over(word: &Word, config: &EndpointConfig) -> bool {
    let now = config.clock.read().now;
    word.not_after.is_some_and(|end| end < now)
}

/// Whoever a word is about.
pub(crate) fn guest(word: Word) -> Guest {
    let facts =
        [("HOP_SESSION", &word.session), ("HOP_PROJECT", &word.project), ("HOP_ACCOUNT", &word.account_name)];
    let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value.clone().into_bytes()));
    let more = word.environment.into_iter().map(|(name, value)| (name, value.into_bytes()));
    Guest {
        user: word.project.clone(),
        addresses: Some(Addresses { client: word.client, server: word.server }),
        injected: more.chain(facts).collect(),
        permissions: word.permissions,
        software: word.client_identification,
        not_after: word.not_after,
        reason: format!("gateway, account {:?}, key {}", word.account_name, word.key_fingerprint),
    }
}
