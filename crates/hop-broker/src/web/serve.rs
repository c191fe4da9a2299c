//! Connections: accepted, bounded in number, cut when they are slow; and which address means what.

use super::{Shared, api, assets, guard, page, peer};
use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections at once; more wait in the listener's queue.
const AT_ONCE: usize = 128;
/// For the headers of a request, waiting for the next one included.
const HEADERS: Duration = Duration::from_secs(10);
/// Headers of one request, in bytes together.
const MOST_HEADERS: usize = 16 * 1024;
/// A request, in bytes.
const MOST_BODY: usize = 64 * 1024;

fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/enter/{link}", get(page::enter))
        .route("/p/{path}/", get(page::show))
        .route("/p/{path}/changes", get(page::changes))
        .route("/p/{path}/answer", post(page::answer))
        .route("/assets/{name}", get(assets::serve))
        .route("/v1/status", get(api::status))
        .route("/v1/watch", get(api::watch))
        .route("/v1/requests", post(api::request))
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(axum::middleware::from_fn(guard::guard))
        .with_state(shared)
}

/// Serves until it is dropped, and all connections with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let (places, routes) = (Arc::new(Semaphore::new(AT_ONCE)), routes(shared));
    let mut tasks = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                if stream.local_addr().is_ok_and(|here| peer::is_strange(from, here)) {
                    tracing::warn!("another user of this machine connected to the page's port");
                    continue;
                }
                let routes = routes.clone();
                tasks.spawn(async move {
                    connection(stream, routes).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while tasks.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, routes: Router) {
    // Without it only small packets are slower.
    let _ = stream.set_nodelay(true);
    let routes = TowerToHyperService::new(routes);
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        hyper::service::Service::call(&routes, request.map(Body::new))
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection of the page or the API ended");
    }
}
