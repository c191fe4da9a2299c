//! Where a Hub is, from whatever page of it a person copied the address.

use hop_link::{Target, TargetError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The address of a Hub: scheme, host, port and base path, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HubAddress(String);

/// What an address from a browser says: also whose server was looked at, if it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pasted {
    /// The Hub.
    pub hub: HubAddress,
    /// The person, as it stands in the path: escaped.
    pub user: Option<String>,
}

/// Why a text is no Hub's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no URL.
    #[error("{text:?} is not the address of a Hub\nhint: as the browser shows it: https://hub.example.org")]
    NotUrl {
        /// What was given.
        text: String,
    },
    /// It is one that we do not speak.
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl HubAddress {
    /// Reads the address of any page of a Hub: its own, `…/hub/home`, or `…/user/NAME/lab`.
    pub fn parse(text: &str) -> Result<Pasted, AddressError> {
        let text = text.trim();
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return Err(AddressError::NotUrl { text: text.chars().take(200).collect() });
        }
        let target = Target::parse(text)?;
        let path = target.path().split(['?', '#']).next().unwrap_or_default();
        let (base, user) = match (path.split_once("/user/"), path.split_once("/hub/")) {
            (Some((base, rest)), None) => (base, rest.split('/').find(|part| !part.is_empty())),
            (_, Some((base, _))) => (base, None),
            (None, None) => (path.trim_end_matches('/').trim_end_matches("/hub"), None),
        };
        let base = base.trim_end_matches('/');
        Ok(Pasted { hub: Self(format!("{}{base}", origin(&target))), user: user.map(str::to_owned) })
    }

    /// A place of its API; the words of the path are escaped here.
    pub(crate) fn api(&self, path: &[&str], query: &str) -> Result<Target, TargetError> {
        let path: Vec<String> = path.iter().map(|word| escaped(word)).collect();
        Target::parse(&format!("{}/hub/api/{}{query}", self.0, path.join("/")))
    }

    /// The page where a person makes tokens.
    pub fn token_page(&self) -> String {
        format!("{}/hub/token", self.0)
    }

    /// The page where a person sees and starts servers.
    pub fn home_page(&self) -> String {
        format!("{}/hub/home", self.0)
    }

    /// What the person's secrets are called.
    pub fn label(&self, user: &str) -> String {
        format!("{}/user/{}", self.0, escaped(user))
    }

    /// The place of SSH in a server whose address the Hub gave: a path, or a whole URL where each person has a host name of
    /// their own below the Hub's. `None` when it is neither: the token would go to a stranger, or lose its TLS.
    pub fn ssh_of(&self, server_url: &str) -> Option<Target> {
        let hub = Target::parse(&self.0).ok()?;
        let server = hub.join(server_url)?;
        let is_below =
            server.host().strip_suffix(hub.host()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if !is_below || (hub.is_secure() && !server.is_secure()) {
            return None;
        }
        let path = server.path().split(['?', '#']).next()?.trim_end_matches('/');
        server.join(&format!("{path}/sshd/"))
    }

    /// The host, for a name and for ssh's own eyes.
    pub fn host(&self) -> String {
        Target::parse(&self.0).map(|target| target.host().to_owned()).unwrap_or_default()
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Scheme, host and port as a browser writes them.
fn origin(target: &Target) -> String {
    let scheme = if target.is_secure() { "https" } else { "http" };
    let port = match (target.is_secure(), target.port()) {
        (true, 443) | (false, 80) => String::new(),
        (_, port) => format!(":{port}"),
    };
    let host = match target.host().contains(':') {
        true => format!("[{}]", target.host()),
        false => target.host().to_owned(),
    };
    format!("{scheme}://{host}{port}")
}

/// All but the unreserved characters (RFC 3986 section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A word of a path, reserved characters escaped.
pub fn escaped(word: &str) -> String {
    utf8_percent_encode(word, RESERVED).to_string()
}

/// The word that stands escaped in a path.
pub fn unescaped(word: &str) -> String {
    percent_decode_str(word).decode_utf8_lossy().into_owned()
}

impl fmt::Display for HubAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HubAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text).map(|pasted| pasted.hub)
    }
}

impl From<HubAddress> for String {
    fn from(address: HubAddress) -> Self {
        address.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_page_of_a_hub_leads_to_it() {
        for (text, hub, user) in [
            ("https://hub.example.org", "https://hub.example.org", None),
            ("https://hub.example.org/", "https://hub.example.org", None),
            ("https://hub.example.org/hub", "https://hub.example.org", None),
            ("https://Hub.example.org:8443/base/hub/home?x#y", "https://hub.example.org:8443/base", None),
            ("https://h/hub/user/alice/lab", "https://h", None),
            (" https://h/base/user/a%40b/lab/tree/x ", "https://h/base", Some("a%40b")),
            ("http://[::1]:8000/user/alice", "http://[::1]:8000", Some("alice")),
        ] {
            let pasted = HubAddress::parse(text).unwrap();
            assert_eq!((pasted.hub.as_str(), pasted.user.as_deref()), (hub, user), "{text}");
        }
        for wrong in ["hub.example.org", "ssh://h", "https://", "https://u:p@h/", ""] {
            assert!(HubAddress::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn where_ssh_is() {
        let hub = HubAddress::parse("https://hub.example.org/base").unwrap().hub;
        for (url, ssh) in [
            ("/base/user/a%40b/", "wss://hub.example.org/base/user/a%40b/sshd/"),
            ("/base/user/a/lab/", "wss://hub.example.org/base/user/a/lab/sshd/"),
            ("https://a.hub.example.org/base/user/a/", "wss://a.hub.example.org/base/user/a/sshd/"),
            ("//a.hub.example.org/user/a/", "wss://a.hub.example.org/user/a/sshd/"),
        ] {
            assert_eq!(hub.ssh_of(url).unwrap().to_string(), ssh);
        }
        for stranger in [
            "javascript:x",
            "https://example.org/user/a/",
            "https://evilhub.example.org/",
            "http://hub.example.org/",
        ] {
            assert_eq!(hub.ssh_of(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn names_are_escaped() {
        let hub = HubAddress::parse("https://h").unwrap().hub;
        assert_eq!(hub.label("a@b c/ü"), "https://h/user/a%40b%20c%2F%C3%BC");
        assert_eq!(unescaped("a%40b%20c%2F%C3%BC%zz"), "a@b c/ü%zz");
        let api = hub.api(&["users", "a@b", "servers", "../x"], "?y").unwrap();
        assert_eq!(api.path(), "/hub/api/users/a%40b/servers/..%2Fx?y");
    }

    proptest! {
        #[test]
        fn never_panics(text: String, url: String) {
            let _ = HubAddress::parse(&text);
            if let Ok(pasted) = HubAddress::parse(&format!("https://h/{text}")) {
                let _ = pasted.hub.ssh_of(&url);
                let _ = pasted.hub.api(&[&text], "");
            }
        }
    }
}
