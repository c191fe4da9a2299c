//! One ordinary HTTP request to the origin of a WebSocket: what has to be asked for before there is one.

use crate::client::{ClientOptions, ConnectError, authorization, reach};
use crate::target::Target;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;

/// The longest answer that is read.
const MOST: usize = 64 * 1024;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostAnswer {
    /// The status.
    pub status: u16,
    /// The body; empty if it is longer than 64 KiB or breaks off.
    pub body: Vec<u8>,
}

/// Sends an empty POST with the token. Redirects are not followed.
///
/// # Errors
/// What stood in the way.
pub async fn post(target: &Target, options: &ClientOptions) -> Result<PostAnswer, ConnectError> {
    let host = || target.host().to_owned();
    tokio::time::timeout(options.time, send(target, options))
        .await
        .map_err(|_| ConnectError::Slow { host: host(), time: options.time })?
}

async fn send(target: &Target, options: &ClientOptions) -> Result<PostAnswer, ConnectError> {
    let wrong = || ConnectError::NotWebSocket { host: target.host().to_owned() };
    let failed = |source| ConnectError::Http { host: target.host().to_owned(), source };
    let mut request = Request::new(Full::<Bytes>::default());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.path().parse().map_err(|_| wrong())?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_str(&target.host_header()).map_err(|_| wrong())?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static("hop"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    if let Some(token) = &options.token {
        headers.insert(header::AUTHORIZATION, authorization("token", token)?);
    }
    let stream = reach(target, options).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let answering = async {
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), MOST).collect().await;
        Ok(PostAnswer { status, body: body.map(|body| body.to_bytes().to_vec()).unwrap_or_default() })
    };
    let mut answering = std::pin::pin!(answering);
    tokio::select! {
        answer = &mut answering => answer,
        // The connection's end is news only to the answer that it carried.
        _ended = connection => answering.await,
    }
}
