//! The HTTP part of a WebSocket (RFC 6455 section 4), both sides.

use base64ct::{Base64, Encoding as _};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use sha1::{Digest as _, Sha1};

/// Section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why a request does not ask for a WebSocket. What to answer is in [`NotWebSocket::status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotWebSocket {
    /// An ordinary request.
    #[error("this address takes WebSocket connections only")]
    Ordinary,
    /// Another version of the protocol.
    #[error("only version 13 of the WebSocket protocol is spoken here")]
    Version,
    /// A broken key.
    #[error("the request has no usable Sec-WebSocket-Key")]
    Key,
}

impl NotWebSocket {
    /// The status that says so.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Ordinary | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key => StatusCode::BAD_REQUEST,
        }
    }
}

/// Judges a request and gives the answer that accepts it.
///
/// # Errors
/// When it asks for something else.
pub fn answer(method: &Method, headers: &HeaderMap) -> Result<Response<()>, NotWebSocket> {
    let has = |name: HeaderName, wanted: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    if method != Method::GET || !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(NotWebSocket::Ordinary);
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(NotWebSocket::Version);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let key = key.filter(|key| is_key(key)).ok_or(NotWebSocket::Key)?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let proof = HeaderValue::from_str(&proof(key)).map_err(|_| NotWebSocket::Key)?;
    answer.insert(header::SEC_WEBSOCKET_ACCEPT, proof);
    Ok(response)
}

/// Whether this is a Sec-WebSocket-Key: 16 bytes.
pub(crate) fn is_key(key: &str) -> bool {
    let mut room = [0; 24];
    Base64::decode(key, &mut room).is_ok_and(|key| key.len() == 16)
}

/// What a server answers to a key: that it has read it.
pub(crate) fn proof(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    Base64::encode_string(&hash.finalize())
}

/// Whether a server's answer to `key` begins a WebSocket.
pub(crate) fn is_accepted(status: StatusCode, headers: &HeaderMap, key: &str) -> bool {
    let is = |name: HeaderName, wanted: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    };
    status == StatusCode::SWITCHING_PROTOCOLS
        && is(header::UPGRADE, "websocket")
        && headers.get(header::SEC_WEBSOCKET_ACCEPT).is_some_and(|found| found == proof(key).as_str())
        // None was asked for: an answer with one means a stream that is not ours.
        && !headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS)
        && !headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers<'a> = &'a [(&'static str, &'static str)];

    fn headers(from: Headers<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in from {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    /// The example of section 1.3.
    #[test]
    fn the_example_of_the_standard() {
        let answer = answer(&Method::GET, &headers(&GOOD)).unwrap();
        assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(is_accepted(answer.status(), answer.headers(), "dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(!is_accepted(answer.status(), answer.headers(), "dGhlIHNhbXBsZSBub25jZR=="));
        assert!(!is_accepted(StatusCode::OK, answer.headers(), "dGhlIHNhbXBsZSBub25jZQ=="));
        let mut compressed = answer.headers().clone();
        compressed.insert("sec-websocket-extensions", HeaderValue::from_static("permessage-deflate"));
        assert!(!is_accepted(answer.status(), &compressed, "dGhlIHNhbXBsZSBub25jZQ=="));
    }

    #[test]
    fn what_asks_for_no_websocket() {
        let without = |name: &str| headers(&GOOD.into_iter().filter(|(n, _)| *n != name).collect::<Vec<_>>());
        assert_eq!(answer(&Method::POST, &headers(&GOOD)).unwrap_err(), NotWebSocket::Ordinary);
        assert_eq!(answer(&Method::GET, &without("connection")).unwrap_err(), NotWebSocket::Ordinary);
        assert_eq!(answer(&Method::GET, &without("upgrade")).unwrap_err(), NotWebSocket::Ordinary);
        assert_eq!(
            answer(&Method::GET, &without("sec-websocket-version")).unwrap_err(),
            NotWebSocket::Version
        );
        assert_eq!(answer(&Method::GET, &without("sec-websocket-key")).unwrap_err(), NotWebSocket::Key);
        for bad in ["", "x", "dGhlIHNhbXBsZQ==", "dGhlIHNhbXBsZSBub25jZSB0aGF0IGlzIHRvbyBsb25n"] {
            let mut wrong = without("sec-websocket-key");
            wrong.insert("sec-websocket-key", HeaderValue::from_static(bad));
            assert_eq!(answer(&Method::GET, &wrong).unwrap_err(), NotWebSocket::Key, "{bad}");
        }
    }
}
