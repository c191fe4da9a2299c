//! One ordinary HTTP request: what has to be asked for around a WebSocket, such as a server's start or its keys.

use crate::client::{ClientOptions, ConnectError, Reach, authorization, reach};
use crate::target::Target;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper_util::rt::TokioIo;

/// The longest answer that is read.
const MOST: usize = 256 * 1024;

/// What is done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants say it")]
pub enum Method {
    Get,
    Post,
    Delete,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What is done.
    pub method: Method,
    /// JSON to send.
    pub json: Option<&'a [u8]>,
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Where a redirect leads. It was not followed.
    pub location: Option<String>,
    /// The body; empty if it is longer than 256 KiB or breaks off.
    pub body: Vec<u8>,
}

/// Sends a request with the token. Redirects are not followed: the token is for the origin that was named.
///
/// # Errors
/// What stood in the way.
pub async fn request(
    target: &Target,
    request: Request<'_>,
    options: &ClientOptions,
) -> Result<Answer, ConnectError> {
    in_time(target, request, options, Reach::Anywhere).await
}

/// Gets a public page without the token, as the public keys of an account; an address of this machine or of a private
/// network is refused, so that nobody's word makes a request there. (Where a proxy leads out, the proxy looks the name up.)
///
/// # Errors
/// What stood in the way.
pub async fn fetch_public(target: &Target, options: &ClientOptions) -> Result<Answer, ConnectError> {
    let options = ClientOptions { token: None, ..options.clone() };
    in_time(target, Request { method: Method::Get, json: None }, &options, Reach::PublicAddresses).await
}

async fn in_time(
    target: &Target,
    request: Request<'_>,
    options: &ClientOptions,
    how: Reach,
) -> Result<Answer, ConnectError> {
    let slow = |_| ConnectError::Slow { host: target.host().to_owned(), time: options.time };
    tokio::time::timeout(options.time, send(target, request, options, how)).await.map_err(slow)?
}

async fn send(
    target: &Target,
    asked: Request<'_>,
    options: &ClientOptions,
    how: Reach,
) -> Result<Answer, ConnectError> {
    let wrong = || ConnectError::NotWebSocket { host: target.host().to_owned() };
    let failed = |source| ConnectError::Http { host: target.host().to_owned(), source };
    let body = asked.json.map(Bytes::copy_from_slice).unwrap_or_default();
    let length = HeaderValue::from(body.len());
    let mut request = hyper::Request::new(Full::new(body));
    *request.method_mut() = match asked.method {
        Method::Get => hyper::Method::GET,
        Method::Post => hyper::Method::POST,
        Method::Delete => hyper::Method::DELETE,
    };
    *request.uri_mut() = target.path().parse().map_err(|_| wrong())?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_str(&target.host_header()).map_err(|_| wrong())?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static("hop"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if asked.method != Method::Get {
        headers.insert(header::CONTENT_LENGTH, length);
    }
    if asked.json.is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(token) = &options.token {
        headers.insert(header::AUTHORIZATION, authorization("token", token)?);
    }
    let stream = reach(target, options, how).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let answering = async {
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status().as_u16();
        let location = answer.headers().get(header::LOCATION);
        let location = location.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
        let body = Limited::new(answer.into_body(), MOST).collect().await;
        let body = body.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
        Ok(Answer { status, location, body })
    };
    let mut answering = std::pin::pin!(answering);
    tokio::select! {
        answer = &mut answering => answer,
        // The connection's end is news only to the answer that it carried.
        _ended = connection => answering.await,
    }
}
