//! What holds for every request and every answer, before and after the pages.
//!
//! What must stay true: a request for another host is not answered; nothing changes by a form of another site; no page
//! runs a script or style that is not ours; no page lies in a cache or a frame.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};

use super::address::{Client, Peer};
use crate::names::PublicNames;
use crate::pages::plain;
use crate::portal::Shared;

/// One request, with its body and its answer.
const TIME: Duration = Duration::from_secs(30);

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// On every answer.
static ALWAYS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=()"),
];

/// Stands around all routes.
pub(crate) async fn guard(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let names = &shared.names;
    let peer = request.extensions().get::<Peer>().copied();
    let client = peer.map(|peer| Client::find(peer, request.headers(), &shared.proxies));
    if let Some(client) = client {
        request.extensions_mut().insert(client);
    }
    // The route, never the path: that may hold the secret of a link.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    let mut answer = match judge(names, &request) {
        Ok(()) => match tokio::time::timeout(TIME, next.run(request)).await {
            Ok(answer) => answer,
            Err(_) => plain(StatusCode::REQUEST_TIMEOUT, "This took too long."),
        },
        Err(refusal) => refusal.answer(names),
    };
    let headers = answer.headers_mut();
    for (name, value) in &ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if names.is_https() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let client = client.map(|client| client.0.to_string()).unwrap_or_default();
    let (route, status) = (route.as_deref().unwrap_or("-"), answer.status().as_u16());
    tracing::info!(%client, %method, route, status, "answered");
    answer
}

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    OtherHost,
    OtherSite,
}

impl Refusal {
    fn answer(self, names: &PublicNames) -> Response {
        match self {
            Self::OtherHost => {
                let words = format!("This site answers at {} only.", names.origin());
                plain(StatusCode::MISDIRECTED_REQUEST, &words)
            }
            Self::OtherSite => plain(
                StatusCode::FORBIDDEN,
                "This did not come from a page of this site, so nothing was changed. Open the page again and retry; \
                 an old browser may need an update.",
            ),
        }
        .into_response()
    }
}

fn judge(names: &PublicNames, request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let host = match (request.uri().authority(), only(headers, &header::HOST)) {
        // A request line with a whole URL in it must name the same host (RFC 9112 section 3.2.2).
        (Some(authority), Some(host)) if authority.as_str() != host => None,
        (_, host) => host,
    };
    if !host.is_some_and(|host| names.is_host(host)) {
        return Err(Refusal::OtherHost);
    }
    if [Method::GET, Method::HEAD].contains(request.method()) || is_own_form(names, headers) {
        Ok(())
    } else {
        Err(Refusal::OtherSite)
    }
}

/// Whether the browser says that a page of ours sent this. Every browser since 2023 says `Sec-Fetch-Site`, others
/// `Origin`; who says neither is no browser with our cookie.
fn is_own_form(names: &PublicNames, headers: &HeaderMap) -> bool {
    match only(headers, &HeaderName::from_static("sec-fetch-site")) {
        Some(site) => site == "same-origin",
        None => only(headers, &header::ORIGIN) == Some(names.origin()),
    }
}

/// A header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        (Some(_) | None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn which_requests_are_let_through() {
        const OK: Result<(), Refusal> = Ok(());
        const HOST: Result<(), Refusal> = Err(Refusal::OtherHost);
        const SITE: Result<(), Refusal> = Err(Refusal::OtherSite);
        let names = PublicNames::parse("https://hop.example", "h", 22, Vec::new()).unwrap();
        let host = ("host", "hop.example");
        type Headers<'a> = &'a [(&'static str, &'static str)];
        let cases: &[(Method, &str, Headers<'_>, Result<(), Refusal>)] = &[
            (Method::GET, "/", &[host], OK),
            (Method::HEAD, "/", &[host], OK),
            (Method::GET, "/", &[("host", "evil.example")], HOST),
            (Method::GET, "/", &[], HOST),
            (Method::GET, "/", &[host, ("host", "evil.example")], HOST),
            (Method::GET, "https://evil.example/", &[host], HOST),
            (Method::GET, "/", &[host, ("sec-fetch-site", "cross-site")], OK),
            (Method::POST, "/", &[host, ("sec-fetch-site", "same-origin")], OK),
            (Method::POST, "/", &[host, ("sec-fetch-site", "same-origin"), ("origin", "null")], OK),
            (Method::POST, "/", &[host, ("sec-fetch-site", "same-site")], SITE),
            (Method::POST, "/", &[host, ("sec-fetch-site", "cross-site")], SITE),
            (Method::POST, "/", &[host, ("sec-fetch-site", "none")], SITE),
            (Method::POST, "/", &[host, ("origin", "https://hop.example")], OK),
            (Method::POST, "/", &[host, ("origin", "http://hop.example")], SITE),
            (Method::POST, "/", &[host, ("origin", "https://hop.example.evil.example")], SITE),
            (Method::POST, "/", &[host, ("origin", "null")], SITE),
            (Method::POST, "/", &[host], SITE),
            (Method::DELETE, "/", &[host], SITE),
            (Method::OPTIONS, "/", &[host], SITE),
            (
                Method::POST,
                "/",
                &[host, ("sec-fetch-site", "cross-site"), ("origin", "https://hop.example")],
                SITE,
            ),
        ];
        for (method, uri, headers, wanted) in cases {
            let mut request = Request::builder().method(method.clone()).uri(*uri);
            for (name, value) in *headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(judge(&names, &request), *wanted, "{method} {uri} {headers:?}");
        }
    }
}
