//! From a Unix socket between two processes of one site to a connection: the gateway gives its word, the
//! endpoint takes it.

use super::connection::{self, Arrivals, Connection};
use super::pump::Driver;
use super::wire::{now, poll_read, poll_write};
use crate::bare::{BareTransport, SiteSocket};
use crate::connection::Limits;
use crate::error::Error;
use crate::message::{self, DisconnectReason};
use hop_model::Word;
use std::future::poll_fn;
use std::pin::Pin;
use tokio::net::UnixStream;

/// Gives an endpoint our word; the leg is up once it has been taken.
///
/// # Errors
/// Whatever the endpoint said or did instead.
pub async fn give_word(stream: UnixStream, word: &Word) -> Result<(UnixStream, BareTransport), Error> {
    let mut bare = Bare::new(stream);
    let encoded = word.encode().map_err(|_| Error::Limit { limit: "the length of a word" })?;
    bare.transport.send(&[message::WORD], &encoded)?;
    match bare.next().await?.as_slice() {
        [message::WORD_TAKEN] => Ok((bare.stream, bare.transport)),
        other => Err(Error::UnexpectedMessage {
            number: other.first().copied().unwrap_or_default(),
            state: "await that our word is taken",
        }),
    }
}

/// An endpoint's end of a bare connection, with the word it was given.
pub struct BareServer {
    bare: Bare,
    word: Word,
}

impl BareServer {
    /// Waits for the gateway's word.
    pub async fn accept(stream: UnixStream) -> Result<Self, Error> {
        Self::take(Bare::new(stream)).await
    }

    /// The same when the gateway's greeting ([`BARE_GREETING`](crate::BARE_GREETING)) was read off the stream
    /// already, to see what kind of connection it is.
    pub async fn accept_greeted(stream: UnixStream) -> Result<Self, Error> {
        let transport = BareTransport::greeted(SiteSocket::new(&stream));
        Self::take(Bare { stream, transport }).await
    }

    async fn take(mut bare: Bare) -> Result<Self, Error> {
        let payload = bare.next().await?;
        let Some((&message::WORD, encoded)) = payload.split_first() else {
            let number = payload.first().copied().unwrap_or_default();
            return Err(Error::UnexpectedMessage { number, state: "await the gateway's word" });
        };
        match Word::decode(encoded) {
            Ok(word) => Ok(Self { bare, word }),
            Err(error) => Err(bare.refuse(&error.to_string()).await),
        }
    }

    /// The word.
    pub fn word(&self) -> &Word {
        &self.word
    }

    /// Does not take the word; the gateway hears why.
    pub async fn refuse(mut self, why: &str) -> Error {
        self.bare.refuse(why).await
    }

    /// Takes the word and serves channels.
    pub async fn serve(
        mut self,
        limits: Limits,
    ) -> Result<(Word, Connection, Arrivals, Driver<UnixStream>), Error> {
        self.bare.transport.send(&[message::WORD_TAKEN], &[])?;
        self.bare.flush().await?;
        let Bare { stream, transport } = self.bare;
        let (connection, arrivals, driver) = connection::start(stream, transport.into(), limits, now());
        Ok((self.word, connection, arrivals, driver.lending()))
    }
}

struct Bare {
    stream: UnixStream,
    transport: BareTransport,
}

impl Bare {
    fn new(stream: UnixStream) -> Self {
        let transport = BareTransport::new(SiteSocket::new(&stream));
        Self { stream, transport }
    }

    async fn next(&mut self) -> Result<Vec<u8>, Error> {
        loop {
            if let Some(payload) = self.transport.next()? {
                return Ok(self.transport.payload(&payload).to_vec());
            }
            self.flush().await?;
            let Self { stream, transport } = self;
            if poll_fn(|cx| poll_read(Pin::new(&mut *stream), cx, transport.input())).await? == 0 {
                return Err(Error::Closed);
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let Self { stream, transport } = self;
        while !transport.output().is_empty() {
            poll_fn(|cx| poll_write(Pin::new(&mut *stream), cx, transport.output())).await?;
        }
        Ok(())
    }

    async fn refuse(&mut self, why: &str) -> Error {
        let error =
            Error::Disconnecting { reason: DisconnectReason::ByApplication, description: why.to_owned() };
        if self.transport.send_disconnect(DisconnectReason::ByApplication, why).is_ok() {
            // A gateway that is gone does not need to hear it.
            let _ = self.flush().await;
        }
        error
    }
}
