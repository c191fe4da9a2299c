//! Where a WebSocket leads: scheme, host, port and path of a URL.

use hyper::Uri;
use std::fmt;
use std::net::IpAddr;

/// A parsed `ws://` or `wss://` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    is_secure: bool,
    /// As in the URL: an IPv6 address in brackets.
    host: String,
    port: u16,
    /// With the query.
    path: String,
}

/// Why a text is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No URL at all.
    #[error("{text:?} is not a URL like wss://hub.example.org/user/NAME/sshd/")]
    NotUrl {
        /// What was given.
        text: String,
    },
    /// Another scheme.
    #[error("{scheme:?} URLs are not spoken here\nhint: use wss:// (or https://, which means the same here)")]
    Scheme {
        /// What was given.
        scheme: String,
    },
    /// A user name or password in the URL, where other programs' logs would find it.
    #[error(
        "the URL has a user name or password in it\nhint: give a token by --token-file or an environment variable"
    )]
    UserInfo,
}

impl Target {
    /// Reads a URL. `https` and `http` mean `wss` and `ws`.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let not_url = || TargetError::NotUrl { text: text.to_owned() };
        // Uri would read "host:22" as a host with a port.
        if !text.contains("://") {
            return Err(not_url());
        }
        let uri: Uri = text.parse().map_err(|_| not_url())?;
        let is_secure = match uri.scheme_str() {
            Some("wss" | "https") => true,
            Some("ws" | "http") => false,
            other => return Err(TargetError::Scheme { scheme: other.unwrap_or_default().to_owned() }),
        };
        let authority = uri.authority().ok_or_else(not_url)?;
        if authority.as_str().contains('@') {
            return Err(TargetError::UserInfo);
        }
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() {
            return Err(not_url());
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            // "host:" has none; "host:99999" has one that cannot be.
            None if authority.as_str().trim_end_matches(':') == authority.host() => match is_secure {
                true => 443,
                false => 80,
            },
            None => return Err(not_url()),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { is_secure, host, port, path })
    }

    /// Whether TLS protects it.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The host as a name or an address, without brackets.
    pub fn host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        match self.host().parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }

    /// Host and port, as CONNECT wants them.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The Host header: the port only where it is not the scheme's own.
    pub(crate) fn host_header(&self) -> String {
        if self.port == if self.is_secure { 443 } else { 80 } { self.host.clone() } else { self.authority() }
    }

    /// What a redirect's `Location` means from here; `None` when it is no URL that we speak.
    pub fn join(&self, location: &str) -> Option<Self> {
        if location.contains("://") {
            return Self::parse(location).ok();
        }
        if location.starts_with("//") {
            let scheme = if self.is_secure { "wss:" } else { "ws:" };
            return Self::parse(&format!("{scheme}{location}")).ok();
        }
        let path = location.starts_with('/').then(|| location.to_owned())?;
        Some(Self { path, ..self.clone() })
    }

    /// Whether both have the same scheme, host and port: who may see the one's token may see the other's.
    pub fn is_same_origin(&self, other: &Self) -> bool {
        (self.is_secure, &self.host, self.port) == (other.is_secure, &other.host, other.port)
    }

    /// Whether `other` differs by a slash at the end of the path only.
    pub(crate) fn is_missing_slash_of(&self, other: &Self) -> bool {
        let (path, query) =
            self.path.split_once('?').map_or((self.path.as_str(), None), |(a, b)| (a, Some(b)));
        let (theirs, their_query) =
            other.path.split_once('?').map_or((other.path.as_str(), None), |(a, b)| (a, Some(b)));
        self.is_same_origin(other) && theirs.strip_suffix('/') == Some(path) && query == their_query
    }
}

impl fmt::Display for Target {
    /// Without the query: some sites have secrets there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.host_header())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls() {
        for (text, host, port, path, shown) in [
            (
                "wss://hub.example/user/a/sshd/",
                "hub.example",
                443,
                "/user/a/sshd/",
                "wss://hub.example/user/a/sshd/",
            ),
            ("https://Hub.Example", "hub.example", 443, "/", "wss://hub.example/"),
            ("ws://127.0.0.1:8000/x?y=z", "127.0.0.1", 8000, "/x?y=z", "ws://127.0.0.1:8000/x"),
            ("ws://[::1]/x", "::1", 80, "/x", "ws://[::1]/x"),
            ("wss://h/user/a%40b/", "h", 443, "/user/a%40b/", "wss://h/user/a%40b/"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!((target.host(), target.port(), target.path()), (host, port, path));
            assert_eq!(target.to_string(), shown);
        }
        for bad in ["", "hub", "hub:443", "ssh://h/", "wss://", "wss://u:p@h/", "wss://h:99999/", "wss:///x"]
        {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn redirects() {
        let here = Target::parse("wss://h/a/sshd").unwrap();
        for (location, same_origin, missing_slash) in [
            ("/a/sshd/", true, true),
            ("https://h/a/sshd/", true, true),
            ("//h/a/sshd/", true, true),
            ("/hub/login", true, false),
            ("http://h/a/sshd/", false, false),
            ("https://h.evil/a/sshd/", false, false),
            ("https://h:444/a/sshd/", false, false),
            ("//evil/a/sshd/", false, false),
        ] {
            let there = here.join(location).unwrap();
            assert_eq!(here.is_same_origin(&there), same_origin, "{location}");
            assert_eq!(here.is_missing_slash_of(&there), missing_slash, "{location}");
        }
        assert_eq!(here.join("sshd/"), None);
        assert_eq!(here.join("javascript:alert(1)"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text: String, other: String) {
            if let Ok(target) = Target::parse(&text) {
                let _ = target.join(&other).map(|there| target.is_missing_slash_of(&there));
            }
            let _ = Target::parse(&format!("wss://{text}")).map(|target| target.to_string());
        }
    }
}
