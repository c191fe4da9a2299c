//! Connections that a load balancer brings, which says in a header of the PROXY protocol whose they are.
//!
//! What must stay true: only peers from the networks that the site names are believed, and from them a header is
//! required: one that could be left out could be left out by whoever gets through the balancer. Nobody else's bytes are
//! looked at before SSH is.

use crate::origin::Origin;
use hop_keys::SourceAddresses;
use hop_model::{ProxyHeader, ProxyHeaderError, ProxyProgress};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How long a balancer has for its header, which it sends at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why nobody knows whose a connection is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoOrigin {
    #[error(transparent)]
    Header(#[from] ProxyHeaderError),
    #[error("no PROXY header within {} s", PATIENCE.as_secs())]
    Late,
    #[error("the connection ended within its PROXY header: {0}")]
    Ended(#[from] std::io::Error),
}

/// Whose connection this is, after the header if its peer must send one.
pub(crate) async fn origin(
    stream: &mut TcpStream,
    proxies: Option<&SourceAddresses>,
    (client, server): (SocketAddr, SocketAddr),
) -> Result<Origin, NoOrigin> {
    let own = Origin::Network { client, server };
    if !proxies.is_some_and(|proxies| proxies.contains(client.ip())) {
        return Ok(own);
    }
    let header = tokio::time::timeout(PATIENCE, header(stream)).await.map_err(|_| NoOrigin::Late)??;
    Ok(match header {
        ProxyHeader::Proxied { client, server } => Origin::Network { client, server },
        ProxyHeader::Own => own,
    })
}

/// Reads a header and nothing behind it.
async fn header(stream: &mut TcpStream) -> Result<ProxyHeader, NoOrigin> {
    let mut bytes = Vec::new();
    loop {
        let missing = match ProxyHeader::read(&bytes)? {
            ProxyProgress::Whole(header) => return Ok(header),
            ProxyProgress::Wants(missing) => missing,
        };
        let come = bytes.len();
        bytes.resize(come + missing, 0);
        stream.read_exact(bytes.get_mut(come..).unwrap_or_default()).await?;
    }
}
