//! Connections: accepted, bounded in number and time, ended with a drain and a cut.
//!
//! What must stay true: pages cross a network only in TLS, ours or a proxy's; a client that is slow with its handshake
//! or its headers is cut off; no single address holds all places.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::{Cidr, Peer};
use crate::portal::Shared;

/// For the first byte to the last of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// For the headers of a request, waiting for the next one included.
const HEADERS: Duration = Duration::from_secs(15);
/// Headers of one request, in bytes together.
const MOST_HEADERS: usize = 16 * 1_024;
/// How old a connection gets: then its requests end and the browser makes another. So none is held for ever by who does
/// not read its answer.
const LIFE: Duration = Duration::from_secs(15 * 60);
/// How long requests may go on when the portal stops, or their connection has become old.
const DRAIN: Duration = Duration::from_secs(5);

/// Pages would cross a network in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("pages would be served without TLS on {address}, where others can reach them")]
pub struct ExposedError {
    /// The address of the listener.
    pub address: SocketAddr,
}

impl ExposedError {
    /// What the person can do about it.
    pub const fn hint(&self) -> &'static str {
        "listen on 127.0.0.1, give a certificate and its key, or name the proxy that does TLS with --behind-proxy CIDR"
    }
}

/// Whether pages may be served on an address.
pub(crate) fn check_exposure(
    address: SocketAddr,
    has_tls: bool,
    proxies: &[Cidr],
) -> Result<(), ExposedError> {
    if address.ip().to_canonical().is_loopback() || has_tls || !proxies.is_empty() {
        Ok(())
    } else {
        Err(ExposedError { address })
    }
}

/// Accepts until `stop` is cancelled, then lets requests end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    let places = Places::new(shared.limits.connections, shared.limits.connections_per_address);
    let tasks = TaskTracker::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = places.all.clone().acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accepting failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let address = peer.ip().to_canonical();
        let from_proxy = shared.proxies.iter().any(|range| range.contains(address));
        // Who comes past the proxy that does TLS would speak in the clear.
        if shared.tls.is_none() && !from_proxy && !address.is_loopback() {
            continue;
        }
        let Some(place) = places.take(address, place, from_proxy) else { continue };
        let (router, acceptor) = (router.clone(), shared.tls.as_ref().map(crate::Tls::acceptor));
        let stop = stop.clone();
        tasks.spawn(async move {
            let _place = place;
            connection(stream, Peer(address), router, acceptor, stop).await;
        });
    }
    tasks.close();
    // Who does not end in time is cut with the runtime.
    let _in_time = tokio::time::timeout(DRAIN, tasks.wait()).await;
}

async fn connection(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    // Without it only small packets are slower.
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => requests(stream, peer, router, stop).await,
        Some(acceptor) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                requests(stream, peer, router, stop).await;
            }
        }
    }
}

async fn requests<S>(stream: S, peer: Peer, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        routes.call(request.map(Body::new))
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        // For SSH in a WebSocket: such a connection leaves here, and is another's to bound.
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    // Who does not end in time is cut.
    let _ = tokio::time::timeout(DRAIN, connection).await;
}

/// Places for connections, all together and by address.
struct Places {
    all: Arc<Semaphore>,
    most_of_one: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place of one address, free again when dropped.
struct Place {
    _of_all: OwnedSemaphorePermit,
    address: Option<IpAddr>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Places {
    fn new(all: usize, most_of_one: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), most_of_one, taken: Arc::default() }
    }

    /// A place, unless the address has its share. A proxy stands for many.
    fn take(&self, address: IpAddr, of_all: OwnedSemaphorePermit, is_proxy: bool) -> Option<Place> {
        let taken = self.taken.clone();
        if is_proxy {
            return Some(Place { _of_all: of_all, address: None, taken });
        }
        let mut known = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = known.entry(address).or_insert(0);
        if *count >= self.most_of_one {
            return None;
        }
        *count += 1;
        Some(Place { _of_all: of_all, address: Some(address), taken })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut known = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = known.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                known.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_loopback_only_with_tls() {
        let proxies = [Cidr::parse("10.0.0.0/8").unwrap()];
        for (address, has_tls, proxies, wanted) in [
            ("127.0.0.1:80", false, [].as_slice(), true),
            ("[::1]:80", false, &[], true),
            ("0.0.0.0:80", false, &[], false),
            ("[::]:80", false, &[], false),
            ("192.0.2.1:80", false, &[], false),
            ("192.0.2.1:80", true, &[], true),
            ("192.0.2.1:80", false, &proxies, true),
        ] {
            let judged = check_exposure(address.parse().unwrap(), has_tls, proxies);
            assert_eq!(judged.is_ok(), wanted, "{address} {has_tls}");
        }
    }

    #[test]
    fn one_address_has_its_share() {
        let places = Places::new(10, 2);
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let permit = || places.all.clone().try_acquire_owned().unwrap();
        let first = places.take(one, permit(), false);
        let _second = places.take(one, permit(), false).unwrap();
        assert!(first.is_some() && places.take(one, permit(), false).is_none());
        assert!(places.take(other, permit(), false).is_some() && places.take(one, permit(), true).is_some());
        drop(first);
        assert!(places.take(one, permit(), false).is_some());
    }
}
