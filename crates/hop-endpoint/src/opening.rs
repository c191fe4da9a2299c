//! What comes before SSH on a connection: nothing, a WebSocket that is to be asked for, or one whose request was read
//! elsewhere.

use std::time::Duration;

use hop_link::{AcceptError, Door};

use crate::config::EndpointConfig;
use crate::environment::Addresses;
use crate::handed::{self, Handed, HandedError};
use crate::listener::{BEAT, ByteStream, Incoming, StdioError};

/// What is to be done before SSH.
#[derive(Debug)]
pub(crate) enum Opening {
    Nothing,
    Ask(Door),
    Answer { key: String, beat: Duration },
}

/// A connection that cannot be served at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrivalError {
    #[error(transparent)]
    Register(#[from] StdioError),
    #[error(transparent)]
    Handed(#[from] HandedError),
    #[error("nothing was handed over within {} s", .0.as_secs())]
    Grace(Duration),
}

/// Why a connection never became a WebSocket; for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error("no request for one within {} s", .0.as_secs())]
    Grace(Duration),
    #[error(transparent)]
    Refused(#[from] AcceptError),
    #[error("the answer to its request could not be sent: {0}")]
    Answer(#[from] std::io::Error),
}

/// The stream of an accepted connection, on this thread's runtime, and what is to be done on it first.
pub(crate) async fn arrive(
    incoming: Incoming,
    config: &EndpointConfig,
) -> Result<(ByteStream, Option<Addresses>, Opening), ArrivalError> {
    if let Incoming::HandOver(from) = incoming {
        let grace = config.limits.login_grace;
        let received = tokio::time::timeout(grace, handed::receive(from)).await;
        let Handed { stream, key, beat } = received.map_err(|_| ArrivalError::Grace(grace))??;
        // Its peer is a proxy, which says nothing of the client.
        return Ok((stream, None, Opening::Answer { key, beat }));
    }
    let opening = incoming.door().map_or(Opening::Nothing, Opening::Ask);
    let (stream, addresses) = incoming.register()?;
    Ok((stream, addresses, opening))
}

impl Opening {
    /// Does it; what comes then is SSH.
    pub(crate) async fn pass(
        self,
        stream: ByteStream,
        config: &EndpointConfig,
    ) -> Result<ByteStream, UpgradeError> {
        let grace = config.limits.login_grace;
        let passing = async {
            Ok(match self {
                Self::Nothing => stream,
                Self::Ask(door) => ByteStream::websocket(hop_link::accept(stream, &door).await?, BEAT),
                Self::Answer { key, beat } => {
                    ByteStream::websocket(hop_link::begin(stream, &key).await?, beat)
                }
            })
        };
        tokio::time::timeout(grace, passing).await.unwrap_or(Err(UpgradeError::Grace(grace)))
    }
}
