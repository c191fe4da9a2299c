//! What holds for every request and every answer.
//!
//! Must stay true: a request for another host is not answered (a name of an attacker's that resolves to 127.0.0.1 would
//! make our pages its own); nothing changes by a form of another page; no page runs what is not ours, and none lies in a
//! cache or a frame. The port of the host is not looked at: a forwarded one is as good.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};
use std::time::Duration;

/// From the headers of a request to those of its answer.
const TIME: Duration = Duration::from_secs(30);

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// On every answer.
static ALWAYS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Stands around all routes.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let mut answer = match judge(request.method(), request.headers()) {
        Ok(()) => match tokio::time::timeout(TIME, next.run(request)).await {
            Ok(answer) => answer,
            Err(_) => plain(StatusCode::REQUEST_TIMEOUT, "This took too long."),
        },
        Err(answer) => answer.into_response(),
    };
    let is_stranger =
        matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
    let headers = answer.headers_mut();
    for (name, value) in &ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_stranger {
        // Connections are few, and this one is nobody's.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// An answer in a sentence.
pub(super) fn plain(status: StatusCode, words: &str) -> Response {
    (status, format!("{words}\n")).into_response()
}

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    OtherHost,
    OtherPage,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::OtherHost => {
                plain(StatusCode::MISDIRECTED_REQUEST, "This answers at 127.0.0.1 and localhost only.")
            }
            Self::OtherPage => {
                plain(StatusCode::FORBIDDEN, "This did not come from a page of ours, so nothing was changed.")
            }
        }
    }
}

fn judge(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = only(headers, &header::HOST).filter(|host| is_loopback(host)).ok_or(Refusal::OtherHost)?;
    let (site, origin) =
        (only(headers, &HeaderName::from_static("sec-fetch-site")), only(headers, &header::ORIGIN));
    let is_own = match (site, origin) {
        // No browser: it needs a key like everybody.
        (None, None) => !headers.contains_key("sec-fetch-site") && !headers.contains_key(header::ORIGIN),
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => origin.strip_prefix("http://") == Some(host),
    };
    if is_own || [Method::GET, Method::HEAD].contains(method) { Ok(()) } else { Err(Refusal::OtherPage) }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

/// A header that is there once.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        (Some(_) | None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_requests_are_let_through() {
        const OK: Result<(), Refusal> = Ok(());
        const HOST: Result<(), Refusal> = Err(Refusal::OtherHost);
        const PAGE: Result<(), Refusal> = Err(Refusal::OtherPage);
        let host = ("host", "127.0.0.1:4000");
        type Headers<'a> = &'a [(&'static str, &'static str)];
        let cases: &[(Method, Headers<'_>, Result<(), Refusal>)] = &[
            (Method::GET, &[host], OK),
            (Method::GET, &[("host", "localhost")], OK),
            (Method::GET, &[("host", "[::1]:80")], OK),
            (Method::GET, &[], HOST),
            (Method::GET, &[("host", "evil.example:4000")], HOST),
            (Method::GET, &[("host", "127.0.0.1.evil.example")], HOST),
            (Method::GET, &[("host", "localhost:evil")], HOST),
            (Method::GET, &[host, ("host", "evil.example")], HOST),
            (Method::POST, &[host], OK),
            (Method::POST, &[host, ("sec-fetch-site", "same-origin")], OK),
            (Method::POST, &[host, ("sec-fetch-site", "same-site")], PAGE),
            (Method::POST, &[host, ("sec-fetch-site", "none")], PAGE),
            (
                Method::POST,
                &[host, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
                PAGE,
            ),
            (Method::POST, &[host, ("origin", "http://127.0.0.1:4000")], OK),
            (Method::POST, &[host, ("origin", "http://127.0.0.1:4001")], PAGE),
            (Method::POST, &[host, ("origin", "http://localhost:4000")], PAGE),
            (Method::POST, &[host, ("origin", "null")], PAGE),
            (Method::POST, &[host, ("origin", "http://127.0.0.1:4000"), ("origin", "null")], PAGE),
            (Method::OPTIONS, &[host, ("origin", "http://evil.example")], PAGE),
        ];
        for (method, given, wanted) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in *given {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(judge(method, &headers), *wanted, "{method} {given:?}");
        }
    }
}
