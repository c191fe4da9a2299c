//! The server's end: from a fresh stream to a WebSocket, with an ordinary answer to whoever wants something else.

use crate::handshake::{self, NotWebSocket};
use crate::stream::WebSocket;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

/// Headers of one request, in bytes together.
const MOST_HEADERS: usize = 16 * 1_024;

/// Where WebSockets are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Door {
    /// The path; with and without a slash at its end. `None`: any.
    pub path: Option<String>,
}

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// Something else was wanted; it was answered.
    #[error("{0}")]
    Other(NotWebSocket),
    /// Another path.
    #[error("a request for another path")]
    Path,
    /// No request that could be read.
    #[error("the request could not be read: {0}")]
    Request(#[source] hyper::Error),
    /// The connection ended.
    #[error("the connection ended before a request")]
    Ended,
}

/// What became of the last request.
enum Outcome {
    Nothing,
    Refused(AcceptError),
    Upgraded(OnUpgrade),
}

/// Reads requests until one begins a WebSocket. Give it a time limit: a client may be slow for ever.
///
/// # Errors
/// When the connection ends without one; whoever wanted something else has been told.
///
/// # Cancel safety
/// Not cancel safe: the stream is lost.
pub async fn accept<IO>(io: IO, door: &Door) -> Result<WebSocket<IO>, AcceptError>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let outcome = Arc::new(Mutex::new(Outcome::Nothing));
    let service = service_fn(|mut request: Request<Incoming>| {
        let judged = match (is_path(door, request.uri().path()), judge(&request)) {
            (false, _) => Err((StatusCode::NOT_FOUND, AcceptError::Path)),
            (true, Err(other)) => Err((other.status(), AcceptError::Other(other))),
            (true, Ok(answer)) => Ok(answer),
        };
        let (response, new) = match judged {
            Ok(answer) => {
                (answer.map(|()| Full::default()), Outcome::Upgraded(hyper::upgrade::on(&mut request)))
            }
            Err((status, error)) => (plain(status, &error), Outcome::Refused(error)),
        };
        *outcome.lock().unwrap_or_else(PoisonError::into_inner) = new;
        async { Ok::<_, Infallible>(response) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .max_buf_size(MOST_HEADERS)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let served = connection.await;
    let outcome =
        std::mem::replace(&mut *outcome.lock().unwrap_or_else(PoisonError::into_inner), Outcome::Nothing);
    match (served, outcome) {
        (Err(error), _) => Err(AcceptError::Request(error)),
        (Ok(()), Outcome::Nothing) => Err(AcceptError::Ended),
        (Ok(()), Outcome::Refused(error)) => Err(error),
        (Ok(()), Outcome::Upgraded(upgrade)) => {
            let upgraded = upgrade.await.map_err(AcceptError::Request)?;
            // It is what went in.
            let parts = upgraded.downcast::<TokioIo<IO>>().map_err(|_| AcceptError::Ended)?;
            Ok(WebSocket::server(parts.io.into_inner(), &parts.read_buf))
        }
    }
}

/// The same for a request that somebody else has read and found good; `key` is its Sec-WebSocket-Key.
///
/// # Errors
/// When the answer cannot be sent, or the key is none.
///
/// # Cancel safety
/// Not cancel safe: the stream is lost.
pub async fn begin<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO, key: &str) -> io::Result<WebSocket<IO>> {
    if !handshake::is_key(key) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, NotWebSocket::Key));
    }
    let proof = handshake::proof(key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {proof}\r\n\r\n"
    );
    io.write_all(answer.as_bytes()).await?;
    io.flush().await?;
    Ok(WebSocket::server(io, &[]))
}

fn judge(request: &Request<Incoming>) -> Result<Response<()>, NotWebSocket> {
    handshake::answer(request.method(), request.headers())
}

fn is_path(door: &Door, path: &str) -> bool {
    door.path.as_ref().is_none_or(|wanted| wanted.trim_end_matches('/') == path.trim_end_matches('/'))
}

fn plain(status: StatusCode, error: &AcceptError) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{error}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}
