//! Public keys from a URL that a person names, such as `https://github.com/USER.keys`.
//!
//! What must stay true: the URL is a stranger's wish, so the answer must not be something that only this machine can
//! see. Only https; every address of the host is public, and the connection goes to the very address that was looked at
//! (a name may resolve differently a moment later); no redirect is followed; time and size are bounded.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

/// Everything together.
const TIME: Duration = Duration::from_secs(10);
/// The longest answer.
const MOST: usize = 64 * 1_024;
/// Requests at once; others wait inside their time.
const AT_ONCE: usize = 4;

/// How host names become addresses.
pub type Resolve = Arc<dyn Fn(String, u16) -> Resolving + Send + Sync>;
type Resolving = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

/// Reads keys from URLs. Clones share the limit.
#[derive(Clone)]
pub struct KeyUrls {
    tls: Arc<ClientConfig>,
    resolve: Resolve,
    allowed: fn(IpAddr) -> bool,
    at_once: Arc<Semaphore>,
}

/// Why no keys can be read from URLs at all.
#[derive(Debug, thiserror::Error)]
pub enum KeyUrlsError {
    /// The machine trusts nobody.
    #[error("this machine has no trusted certificates; install the package ca-certificates")]
    NoRoots,
    /// The TLS library refuses.
    #[error("TLS cannot be set up")]
    Tls(#[from] tokio_rustls::rustls::Error),
}

/// Why a URL gave no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyUrlError {
    /// Not a URL, or with a user name in it.
    #[error("this is not an address like https://example.org/keys")]
    Url,
    /// Another scheme.
    #[error("keys are read over https only")]
    NotHttps,
    /// The name has no address.
    #[error("the host {host} was not found")]
    NotFound {
        /// The host.
        host: String,
    },
    /// An address that may mean something else to this machine than to everybody.
    #[error("the host {host} has no public address, so keys are not read from it")]
    NotPublic {
        /// The host.
        host: String,
    },
    /// No connection, or one that broke.
    #[error("the host {host} could not be read")]
    Broken {
        /// The host.
        host: String,
    },
    /// Another place is meant.
    #[error(
        "the host {host} answered with a redirect, which is not followed; give the address that it leads to"
    )]
    Redirect {
        /// The host.
        host: String,
    },
    /// Not what was hoped for.
    #[error("the host {host} answered with status {status}")]
    Status {
        /// The host.
        host: String,
        /// The status.
        status: u16,
    },
    /// Too long an answer.
    #[error("the host {host} answered with more than 64 KiB")]
    Large {
        /// The host.
        host: String,
    },
    /// Too slow.
    #[error("there was no whole answer within 10 s")]
    Slow,
    /// Not text.
    #[error("the host {host} did not answer with text")]
    NotText {
        /// The host.
        host: String,
    },
    /// Keys are not read from URLs here.
    #[error("this site does not read keys from URLs; paste the key")]
    Off,
}

impl KeyUrls {
    /// With the machine's trusted certificates and resolver.
    pub fn of_machine() -> Result<Self, KeyUrlsError> {
        let roots = rustls_native_certs::load_native_certs().certs;
        let resolve: Resolve = Arc::new(|host, port| {
            Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
        });
        Self::new(roots.into_iter().map(|root| root.to_vec()).collect(), resolve, is_public)
    }

    /// With these trusted certificates (DER), this resolver, and this judgement of addresses.
    pub fn new(
        roots: Vec<Vec<u8>>,
        resolve: Resolve,
        allowed: fn(IpAddr) -> bool,
    ) -> Result<Self, KeyUrlsError> {
        let mut store = RootCertStore::empty();
        let (usable, _) = store.add_parsable_certificates(roots.into_iter().map(CertificateDer::from));
        if usable == 0 {
            return Err(KeyUrlsError::NoRoots);
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls), resolve, allowed, at_once: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// The text at a URL.
    pub async fn fetch(&self, url: &str) -> Result<String, KeyUrlError> {
        let target = Target::parse(url.trim())?;
        let reading = async {
            let _place = self.at_once.acquire().await.map_err(|_| KeyUrlError::Slow)?;
            self.read(&target).await
        };
        tokio::time::timeout(TIME, reading).await.unwrap_or(Err(KeyUrlError::Slow))
    }

    async fn read(&self, target: &Target) -> Result<String, KeyUrlError> {
        let host = || target.host.clone();
        let resolving = (self.resolve)(host(), target.port);
        let addresses = resolving.await.map_err(|_| KeyUrlError::NotFound { host: host() })?;
        let address = *addresses.first().ok_or_else(|| KeyUrlError::NotFound { host: host() })?;
        // A host with one private address may be meant to lead there.
        if !addresses.iter().all(|address| (self.allowed)(address.ip())) {
            return Err(KeyUrlError::NotPublic { host: host() });
        }
        let broken = || KeyUrlError::Broken { host: host() };
        let name = ServerName::try_from(host()).map_err(|_| KeyUrlError::Url)?;
        let stream = TcpStream::connect(address).await.map_err(|_| broken())?;
        let stream =
            TlsConnector::from(self.tls.clone()).connect(name, stream).await.map_err(|_| broken())?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| broken())?;
        let request = Request::get(&target.path)
            .header(header::HOST, &target.authority)
            .header(header::USER_AGENT, "hop")
            .header(header::ACCEPT, "text/plain")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|_| KeyUrlError::Url)?;
        let answering = async {
            let answer = sender.send_request(request).await.map_err(|_| broken())?;
            let status = answer.status();
            if status.is_redirection() {
                return Err(KeyUrlError::Redirect { host: host() });
            }
            if status != hyper::StatusCode::OK {
                return Err(KeyUrlError::Status { host: host(), status: status.as_u16() });
            }
            let body = Limited::new(answer.into_body(), MOST).collect().await.map_err(|error| {
                match error.is::<http_body_util::LengthLimitError>() {
                    true => KeyUrlError::Large { host: host() },
                    false => broken(),
                }
            })?;
            String::from_utf8(body.to_bytes().to_vec()).map_err(|_| KeyUrlError::NotText { host: host() })
        };
        tokio::pin!(answering);
        tokio::select! {
            text = &mut answering => text,
            // The connection's end is news only to the answer that it carried.
            _ = connection => answering.await,
        }
    }
}

impl std::fmt::Debug for KeyUrls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyUrls")
    }
}

/// A URL that may be read.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self, KeyUrlError> {
        let uri: Uri = url.parse().map_err(|_| KeyUrlError::Url)?;
        let scheme = uri.scheme_str().ok_or(KeyUrlError::Url)?;
        if scheme != "https" {
            return Err(KeyUrlError::NotHttps);
        }
        let authority = uri.authority().ok_or(KeyUrlError::Url)?;
        let host = authority.host();
        if authority.as_str().contains('@') || host.is_empty() {
            return Err(KeyUrlError::Url);
        }
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(443),
            authority: authority.to_string(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }
}

/// Whether an address means the same to everybody (the IANA special-purpose address registries): no loopback, no
/// private network, no link (and so no cloud's metadata service), nothing that carries such an address inside.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(inside) => is_public_v4(inside),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224.., ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Teredo, benchmarking, ORCHID and all else of 2001::/23; documentation; 6to4.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x2002, ..] => false,
        [0x3fff, 0..=0x0fff, ..] => false,
        // Global unicast is 2000::/3; NAT64, unique local, link-local and multicast lie outside.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
#[path = "key_urls/tests.rs"]
mod tests;
