//! SSH in WebSockets at the site's web address: a way in where nothing but HTTPS gets out.
//!
//! What must stay true: this is a way only. Who comes is asked by SSH, with the same checks and limits as at the SSH port; no
//! cookie counts here, and no page of another site gets through.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use hop_link::{Keepalive, WebSocket};
use hyper::upgrade::Upgraded;
use hyper::{StatusCode, header};
use hyper_util::rt::TokioIo;

use crate::pages::plain;
use crate::portal::Shared;
use crate::web::Client;

/// Proxies on the way cut what is silent for a minute.
const BEAT: Keepalive = Keepalive::Beat { every: Duration::from_secs(25) };

/// The bytes of SSH.
pub type SshStream = WebSocket<TokioIo<Upgraded>>;

/// Somebody who comes by the web address.
#[derive(Debug)]
pub struct SshVisitor {
    /// What SSH is spoken on.
    pub stream: SshStream,
    /// Where they are.
    pub client: IpAddr,
    /// The project that the path names: the only user name that may be given.
    pub project: String,
}

/// Who takes SSH connections.
pub trait SshDoor: Send + Sync {
    /// Takes one. Returns at once.
    fn enter(&self, visitor: SshVisitor);
}

/// `GET /ssh/PROJECT`
pub(crate) async fn enter(
    State(shared): State<Arc<Shared>>,
    Path(project): Path<String>,
    mut request: Request,
) -> Response {
    let client = request.extensions().get::<Client>().copied();
    let (Some(door), Some(Client(client))) = (shared.ssh.clone(), client) else {
        return plain(StatusCode::NOT_FOUND, "There is no such page.");
    };
    // Browsers say from which page they come; a page of another site has no business here.
    let origin = request.headers().get(header::ORIGIN);
    if origin.is_some_and(|origin| origin.as_bytes() != shared.names.origin().as_bytes()) {
        return plain(StatusCode::FORBIDDEN, "This address is for SSH, by hop proxy; not for pages.");
    }
    let answer = match hop_link::answer(request.method(), request.headers()) {
        Ok(answer) => answer,
        Err(other) => {
            let words =
                format!("SSH in a WebSocket is served here: ssh with ProxyCommand hop proxy. {other}.");
            return plain(other.status(), &words);
        }
    };
    let upgrade = hyper::upgrade::on(&mut request);
    // Ends when the answer has left, or with the connection.
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let stream = WebSocket::server(TokioIo::new(upgraded), &[]).keep_alive(BEAT);
                door.enter(SshVisitor { stream, client, project });
            }
            Err(error) => tracing::debug!(%error, "gone before the WebSocket began"),
        }
    });
    answer.map(|()| Body::empty())
}
