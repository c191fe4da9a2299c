//! One ordinary HTTP request: what has to be asked for around a WebSocket, such as a server's start or its keys.

use crate::client::{ClientOptions, ConnectError, Reach, authorization, reach};
use crate::target::Target;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::pin::Pin;

/// The longest answer that is read.
const MOST: usize = 256 * 1024;

/// What is done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants say it")]
pub enum Method {
    Get,
    Post,
    Put,
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
    send(target, request, options, Reach::Anywhere).await
}

/// Gets a public page without the token, as the public keys of an account; an address of this machine or of a private
/// network is refused, so that nobody's word makes a request there. (Where a proxy leads out, the proxy looks the name up.)
///
/// # Errors
/// What stood in the way.
pub async fn fetch_public(target: &Target, options: &ClientOptions) -> Result<Answer, ConnectError> {
    let options = ClientOptions { token: None, ..options.clone() };
    send(target, Request { method: Method::Get, json: None }, &options, Reach::PublicAddresses).await
}

/// Asks for something that is told bit by bit, with the token. Redirects are not followed. The time of `options` is for the
/// answer's beginning; how long to listen is the caller's to decide.
///
/// # Errors
/// What stood in the way.
pub async fn follow(target: &Target, options: &ClientOptions) -> Result<Telling, ConnectError> {
    let asked = Request { method: Method::Get, json: None };
    in_time(target, options, ask(target, asked, options, Reach::Anywhere)).await
}

/// An answer whose body arrives bit by bit.
pub struct Telling {
    /// The status.
    pub status: u16,
    host: String,
    location: Option<String>,
    body: Incoming,
    /// What moves the bytes, until there are no more.
    connection: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Telling {
    /// The next bytes of the body; `None` at its end. May be dropped: nothing is lost.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ConnectError> {
        loop {
            let frame = match &mut self.connection {
                None => self.body.frame().await,
                Some(connection) => tokio::select! {
                    frame = self.body.frame() => frame,
                    () = connection => {
                        self.connection = None;
                        continue;
                    }
                },
            };
            let failed = |source| ConnectError::Http { host: self.host.clone(), source };
            match frame.transpose().map_err(failed)?.map(Frame::into_data) {
                None => return Ok(None),
                Some(Ok(data)) => return Ok(Some(data)),
                // Trailers are not for us.
                Some(Err(_trailers)) => {}
            }
        }
    }

    async fn whole(mut self) -> Answer {
        let mut body = Vec::new();
        loop {
            match self.next().await {
                Ok(Some(bytes)) if body.len() + bytes.len() <= MOST => body.extend_from_slice(&bytes),
                Ok(None) => break,
                Ok(Some(_)) | Err(_) => {
                    body.clear();
                    break;
                }
            }
        }
        Answer { status: self.status, location: self.location, body }
    }
}

impl fmt::Debug for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telling").field("status", &self.status).finish_non_exhaustive()
    }
}

async fn in_time<T>(
    target: &Target,
    options: &ClientOptions,
    what: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let slow = |_| ConnectError::Slow { host: target.host().to_owned(), time: options.time };
    tokio::time::timeout(options.time, what).await.map_err(slow)?
}

async fn send(
    target: &Target,
    asked: Request<'_>,
    options: &ClientOptions,
    how: Reach,
) -> Result<Answer, ConnectError> {
    let answered = async { Ok(ask(target, asked, options, how).await?.whole().await) };
    in_time(target, options, answered).await
}

async fn ask(
    target: &Target,
    asked: Request<'_>,
    options: &ClientOptions,
    how: Reach,
) -> Result<Telling, ConnectError> {
    let wrong = || ConnectError::NotWebSocket { host: target.host().to_owned() };
    let failed = |source| ConnectError::Http { host: target.host().to_owned(), source };
    let body = asked.json.map(Bytes::copy_from_slice).unwrap_or_default();
    let length = HeaderValue::from(body.len());
    let mut request = hyper::Request::new(Full::new(body));
    *request.method_mut() = match asked.method {
        Method::Get => hyper::Method::GET,
        Method::Post => hyper::Method::POST,
        Method::Put => hyper::Method::PUT,
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
    // The connection's end is news only to the answer that it carries.
    let mut connection: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async { drop(connection.await) });
    let mut answering = std::pin::pin!(sender.send_request(request));
    let (answer, connection) = tokio::select! {
        answer = &mut answering => (answer, Some(connection)),
        () = &mut connection => (answering.await, None),
    };
    let answer = answer.map_err(failed)?;
    let status = answer.status().as_u16();
    let location = answer.headers().get(header::LOCATION);
    let location = location.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
    Ok(Telling { status, host: target.host().to_owned(), location, body: answer.into_body(), connection })
}
