//! The client's end: resolves, connects (through a proxy if need be), speaks TLS, asks for the WebSocket.
//!
//! What must stay true: the token is sent to the origin that was named; a redirect is followed only where it adds a slash
//! to the very path that was asked for.

use crate::handshake;
use crate::http_proxy::{ProxyUrl, ProxyUrlError, ProxyVariables};
use crate::protocol::Random;
use crate::stream::WebSocket;
use crate::target::Target;
use crate::tls::Trust;
use base64ct::{Base64, Encoding as _};
use hop_model::Secret;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{AlertDescription, Error as RustlsError};

/// How a WebSocket is asked for.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Sent as `Authorization: token …`, which JupyterHub and Jupyter Server take.
    pub token: Option<Secret>,
    /// Needed for `wss`.
    pub trust: Option<Trust>,
    /// The way out.
    pub proxies: ProxyVariables,
    /// For all of it together.
    pub time: Duration,
    /// For masks and the handshake's key.
    pub random: Random,
}

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("the host {host} was not found: {source}")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nobody answers there.
    #[error("cannot connect to {place}: {source}")]
    Connect {
        /// Host and port.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The environment names a proxy that is none.
    #[error(transparent)]
    ProxyUrl(#[from] ProxyUrlError),
    /// The proxy will not.
    #[error("the proxy {proxy} refuses to connect to {place}: status {status}")]
    ProxyRefused {
        /// The proxy.
        proxy: String,
        /// Where to.
        place: String,
        /// Its answer.
        status: u16,
    },
    /// TLS was wanted and nobody to trust was given.
    #[error("there is no list of trusted certificates for {host}")]
    NoTrust {
        /// The host.
        host: String,
    },
    /// TLS failed.
    #[error("no TLS connection to {host}: {source}")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// No HTTP answer.
    #[error("{host} gave no answer that HTTP knows: {source}")]
    Http {
        /// The host.
        host: String,
        /// Why.
        source: hyper::Error,
    },
    /// Another answer than a WebSocket.
    #[error("{0}")]
    Refused(Refusal),
    /// It says that it is a WebSocket and is not.
    #[error("{host} answered with something that is not a WebSocket")]
    NotWebSocket {
        /// The host.
        host: String,
    },
    /// The token cannot stand in a header.
    #[error("the token has characters that no token has")]
    Token,
    /// It is to be public and is not.
    #[error("{host} is at {address}, an address that is not public")]
    NotPublic {
        /// The host.
        host: String,
        /// Its address.
        address: IpAddr,
    },
    /// It took too long.
    #[error("{host} did not answer within {} s", .time.as_secs())]
    Slow {
        /// The host.
        host: String,
        /// The limit.
        time: Duration,
    },
}

/// An HTTP answer in place of a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{target} answered with status {status}{}", .location.as_ref().map(|to| format!(", a redirect to {to}")).unwrap_or_default())]
pub struct Refusal {
    /// What was asked for.
    pub target: String,
    /// The status.
    pub status: u16,
    /// Where a redirect leads, without its query.
    pub location: Option<String>,
    /// Whether the redirect stays with the origin.
    pub is_same_origin: bool,
}

impl ConnectError {
    /// Whether the other end's certificate was the trouble: a private CA, perhaps.
    pub fn is_certificate(&self) -> bool {
        matches!(self.rustls(), Some(RustlsError::InvalidCertificate(_)))
    }

    /// Whether a front end speaks HTTP/2 only.
    pub fn is_http2_only(&self) -> bool {
        matches!(self.rustls(), Some(RustlsError::AlertReceived(AlertDescription::NoApplicationProtocol)))
    }

    fn rustls(&self) -> Option<&RustlsError> {
        match self {
            Self::Tls { source, .. } => source.get_ref()?.downcast_ref(),
            _ => None,
        }
    }
}

/// The stream below a client's WebSocket.
#[derive(Debug)]
#[expect(missing_docs, reason = "the variants say it")]
pub enum ClientStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Opens a WebSocket.
///
/// # Errors
/// What stood in the way, on which part of it.
pub async fn connect(
    target: &Target,
    options: &ClientOptions,
) -> Result<WebSocket<ClientStream>, ConnectError> {
    let slow = || ConnectError::Slow { host: target.host().to_owned(), time: options.time };
    tokio::time::timeout(options.time, follow(target, options)).await.map_err(|_| slow())?
}

/// Asks, and once more where only a slash was missing.
async fn follow(target: &Target, options: &ClientOptions) -> Result<WebSocket<ClientStream>, ConnectError> {
    match ask(target, options).await? {
        Ok(socket) => Ok(socket),
        Err((status, location)) => {
            let there = location.as_deref().and_then(|location| target.join(location));
            match there.filter(|there| status.is_redirection() && target.is_missing_slash_of(there)) {
                Some(there) => ask(&there, options)
                    .await?
                    .map_err(|(status, location)| ConnectError::Refused(refusal(&there, status, location))),
                None => Err(ConnectError::Refused(refusal(target, status, location))),
            }
        }
    }
}

fn refusal(target: &Target, status: StatusCode, location: Option<String>) -> Refusal {
    let there = location.as_deref().and_then(|location| target.join(location));
    let is_same_origin = there.as_ref().is_some_and(|there| target.is_same_origin(there));
    let location = location.map(|location| match location.split(['?', '#']).next() {
        Some(place) => place.escape_debug().take(200).collect(),
        None => String::new(),
    });
    Refusal { target: target.to_string(), status: status.as_u16(), location, is_same_origin }
}

type Answer = Result<WebSocket<ClientStream>, (StatusCode, Option<String>)>;

async fn ask(target: &Target, options: &ClientOptions) -> Result<Answer, ConnectError> {
    let stream = reach(target, options, Reach::Anywhere).await?;
    let mut nonce = [0; 16];
    (options.random)(&mut nonce);
    let key = Base64::encode_string(&nonce);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = target.path().parse().map_err(|_| not_websocket(target))?;
    let headers = request.headers_mut();
    let host = HeaderValue::from_str(&target.host_header()).map_err(|_| not_websocket(target))?;
    headers.insert(header::HOST, host);
    headers.insert(header::USER_AGENT, HeaderValue::from_static("hop"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    let nonce = HeaderValue::from_str(&key).map_err(|_| not_websocket(target))?;
    headers.insert(header::SEC_WEBSOCKET_KEY, nonce);
    if let Some(token) = &options.token {
        headers.insert(header::AUTHORIZATION, authorization("token", token)?);
    }
    let host = || target.host().to_owned();
    let (answer, upgraded) =
        exchange(stream, request).await.map_err(|source| ConnectError::Http { host: host(), source })?;
    let status = answer.status();
    let Some(upgraded) = upgraded else {
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(not_websocket(target));
        }
        let location = answer.headers().get(header::LOCATION);
        let location = location.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
        return Ok(Err((status, location)));
    };
    if !handshake::is_accepted(status, answer.headers(), &key) {
        return Err(not_websocket(target));
    }
    let parts = upgraded.downcast::<TokioIo<ClientStream>>().map_err(|_| not_websocket(target))?;
    Ok(Ok(WebSocket::client(parts.io.into_inner(), &parts.read_buf, options.random)))
}

pub(crate) fn authorization(scheme: &str, secret: &Secret) -> Result<HeaderValue, ConnectError> {
    let text = zeroize::Zeroizing::new(format!("{scheme} {}", secret.expose()));
    let mut value = HeaderValue::from_str(&text).map_err(|_| ConnectError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

fn not_websocket(target: &Target) -> ConnectError {
    ConnectError::NotWebSocket { host: target.host().to_owned() }
}

/// One request with its answer, and the stream if the answer gives it away.
async fn exchange(
    stream: ClientStream,
    request: Request<Empty<Bytes>>,
) -> Result<(Response<Incoming>, Option<Upgraded>), hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = std::pin::pin!(connection.with_upgrades());
    let mut answering = std::pin::pin!(sender.send_request(request));
    let mut answer = tokio::select! {
        biased;
        answer = &mut answering => answer?,
        ended = &mut connection => {
            ended?;
            answering.await?
        }
    };
    let is_given_away = answer.status() == StatusCode::SWITCHING_PROTOCOLS || answer.status().is_success();
    if !is_given_away {
        return Ok((answer, None));
    }
    let upgrading = hyper::upgrade::on(&mut answer);
    let upgraded = tokio::select! {
        biased;
        upgraded = upgrading => upgraded,
        // Without an upgrade it goes on with the body, which nobody wants.
        _ = connection => return Ok((answer, None)),
    };
    Ok((answer, upgraded.ok()))
}

/// Which addresses may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Anywhere,
    PublicAddresses,
}

/// A stream to the target: directly or through a proxy, with TLS if it is to be secure.
pub(crate) async fn reach(
    target: &Target,
    options: &ClientOptions,
    how: Reach,
) -> Result<ClientStream, ConnectError> {
    let stream = match options.proxies.for_target(target)? {
        None => dial(target.host(), target.port(), how).await?,
        Some(proxy) => tunnel(&proxy, target).await?,
    };
    if !target.is_secure() {
        return Ok(ClientStream::Plain(stream));
    }
    let host = || target.host().to_owned();
    let trust = options.trust.as_ref().ok_or_else(|| ConnectError::NoTrust { host: host() })?;
    let name = ServerName::try_from(host())
        .map_err(|error| ConnectError::Tls { host: host(), source: io::Error::other(error) })?;
    let secured = TlsConnector::from(trust.config()).connect(name, stream).await;
    let secured = secured.map_err(|source| ConnectError::Tls { host: host(), source })?;
    Ok(ClientStream::Tls(Box::new(secured)))
}

async fn dial(host: &str, port: u16, how: Reach) -> Result<TcpStream, ConnectError> {
    let addresses = tokio::net::lookup_host((host, port)).await;
    let addresses = addresses.map_err(|source| ConnectError::Resolve { host: host.to_owned(), source })?;
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        if how == Reach::PublicAddresses && !is_public(address.ip()) {
            return Err(ConnectError::NotPublic { host: host.to_owned(), address: address.ip() });
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Without it only small packets are slower.
                let _ = stream.set_nodelay(true);
                let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(128 * 1024);
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(ConnectError::Connect { place: format!("{host}:{port}"), source: failed })
}

/// Whether an address is somebody's on the internet: not of this machine, a private network, a link or a test net
/// (RFC 6890, RFC 4193), and for IPv6 of the range that is given out (2000::/3) without what leads back to IPv4.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_documentation()
                || matches!(
                    (a, b, c),
                    (0 | 224..=255, ..) | (100, 64..=127, _) | (192, 0, 0) | (198, 18 | 19, _)
                ))
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            (0x2000..0x4000).contains(&first)
                && !matches!((first, second), (0x2002, _) | (0x2001, 0 | 0x0db8))
        }
    }
}

/// A tunnel through an HTTP proxy.
async fn tunnel(proxy: &ProxyUrl, target: &Target) -> Result<TcpStream, ConnectError> {
    let place = target.authority();
    let stream = dial(&proxy.host, proxy.port, Reach::Anywhere).await?;
    let broken = |source| ConnectError::Http { host: format!("the proxy {proxy}"), source };
    let refused = |status: StatusCode| ConnectError::ProxyRefused {
        proxy: proxy.to_string(),
        place: place.clone(),
        status: status.as_u16(),
    };
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = place.parse().map_err(|_| not_websocket(target))?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_str(&place).map_err(|_| not_websocket(target))?);
    if let Some(basic) = &proxy.basic {
        headers.insert(header::PROXY_AUTHORIZATION, authorization("Basic", basic)?);
    }
    let (answer, upgraded) = exchange(ClientStream::Plain(stream), request).await.map_err(broken)?;
    let upgraded =
        upgraded.filter(|_| answer.status().is_success()).ok_or_else(|| refused(answer.status()))?;
    let parts = upgraded.downcast::<TokioIo<ClientStream>>().map_err(|_| refused(answer.status()))?;
    // The far end does not speak before we do.
    match (parts.io.into_inner(), parts.read_buf.is_empty()) {
        (ClientStream::Plain(stream), true) => Ok(stream),
        _ => Err(refused(answer.status())),
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_addresses_are_public() {
        for (address, public) in [
            ("140.82.121.3", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.31.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2a00:1450:4001::1", true),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:140.82.121.3", true),
            ("fe80::1", false),
            ("fd00::1", false),
            ("2002:7f00:1::", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
