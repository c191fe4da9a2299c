//! Who is signed in: looked up anew for every request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Redirect, Response};
use hop_store::{Account, Through, WebSession};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, header};

use super::address::Client;
use crate::operations::{Browser, Caller};
use crate::pages::plain;
use crate::portal::Shared;

/// Somebody who has signed in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) account: Account,
    pub(crate) session: WebSession,
    pub(crate) caller: Caller,
    pub(crate) browser: Browser,
}

/// Whoever asks, signed in or not.
#[derive(Debug, Clone)]
pub(crate) struct MaybePerson {
    pub(crate) person: Option<Person>,
    pub(crate) caller: Caller,
    pub(crate) browser: Browser,
    pub(crate) client: Option<Client>,
}

impl FromRequestParts<Arc<Shared>> for MaybePerson {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Response> {
        let client = parts.extensions.get::<Client>().copied();
        let address = client.map(|client| client.0);
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let mut browser = Browser { address, user_agent: agent.unwrap_or_default().to_owned(), had: None };
        let visitor = Caller::visitor(Through::Portal, address);
        let found = match shared.cookie.read(&parts.headers) {
            Some(token) => shared.operations.find_session(&token, address).await.map_err(|error| {
                tracing::error!(%error, "a session was not looked up");
                plain(StatusCode::SERVICE_UNAVAILABLE, "The site cannot reach its records now; try again.")
            })?,
            None => None,
        };
        let Some((session, account)) = found else {
            return Ok(Self { person: None, caller: visitor, browser, client });
        };
        let caller = Caller::account(account.id, Through::Portal, address);
        browser.had = Some((account.id, session.id));
        let person = Person { account, session, caller: caller.clone(), browser: browser.clone() };
        Ok(Self { person: Some(person), caller, browser, client })
    }
}

impl FromRequestParts<Arc<Shared>> for Person {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Response> {
        let who = MaybePerson::from_request_parts(parts, shared).await?;
        if let Some(person) = who.person {
            return Ok(person);
        }
        if parts.headers.contains_key("hx-request") {
            // A live part of a page whose session is over: the whole page goes to the sign-in.
            return Err((StatusCode::UNAUTHORIZED, [("hx-redirect", "/sign-in")]).into_response());
        }
        let next = if parts.method == Method::GET { local_path(parts.uri.path()) } else { None };
        Err(match next {
            Some(next) if next != "/" => Redirect::to(&format!("/sign-in?next={next}")),
            Some(_) | None => Redirect::to("/sign-in"),
        }
        .into_response())
    }
}

/// A path of this site that may stand in a link or a `Location`: nothing that a browser could read as another host.
pub(crate) fn local_path(text: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-".contains(&byte);
    let is_local = text.starts_with('/') && !text.contains("//") && text.bytes().all(plain);
    // A sign-in link is not a place to come back to.
    (is_local && text.len() <= 200 && !text.starts_with("/sign-")).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_to_come_back_to() {
        for good in ["/", "/projects", "/projects/017f22e279b07cc398c4dc0c0c07398f/remove"] {
            assert_eq!(local_path(good), Some(good));
        }
        for bad in [
            "",
            "x",
            "//evil.example",
            "/\\evil.example",
            "/a//b",
            "https://evil.example",
            "/a?b",
            "/%2Fevil",
            "/a\nb",
            "/sign-in/0123",
            "/sign-out",
            &format!("/{}", "x".repeat(200)),
        ] {
            assert_eq!(local_path(bad), None, "{bad}");
        }
    }
}
