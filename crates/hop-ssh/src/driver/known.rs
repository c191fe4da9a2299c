//! From a byte stream whose other end is known to a connection.

use super::connection::{self, Arrivals, Connection};
use super::pump::Driver;
use super::wire::{Wire, now};
use crate::auth::{KnownClient, KnownStep};
use crate::config::ServerConfig;
use crate::connection::Limits;
use crate::error::Error;
use crate::transport::Transport;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Serves a client that needs no authentication because of where it comes from: a pipe that its own user made. Never
/// for what others can connect to.
///
/// # Errors
/// Whatever the client did wrong; it has been told.
pub async fn serve_known<IO: AsyncRead + AsyncWrite + Unpin>(
    io: IO,
    config: Arc<ServerConfig>,
    limits: Limits,
) -> Result<(Connection, Arrivals, Driver<IO>), Error> {
    let mut wire = Wire::new(io, Transport::server(config, now())?);
    if let Err(error) = admit(&mut wire).await {
        return Err(wire.fail(error).await);
    }
    wire.transport.set_authenticated();
    Ok(connection::start(wire.io, wire.transport.into(), limits, now()))
}

async fn admit<IO: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<IO>) -> Result<(), Error> {
    wire.handshake().await?;
    let mut client = KnownClient::default();
    loop {
        let payload = wire.next().await?;
        match client.on_message(&payload)? {
            KnownStep::Reply(reply) => wire.send(&reply).await?,
            KnownStep::Admitted(reply) => return wire.send(&reply).await,
        }
    }
}
