//! The session cookie.
//!
//! What must stay true: over https its name begins with `__Host-`, so that no other host of the same domain can set it;
//! scripts cannot read it, and other sites' forms do not bring it.

use std::time::Duration;

use hop_store::Token;
use hyper::{HeaderMap, header};

/// How this site calls its cookie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionCookie {
    is_https: bool,
}

impl SessionCookie {
    pub(crate) const fn new(is_https: bool) -> Self {
        Self { is_https }
    }

    const fn name(self) -> &'static str {
        if self.is_https { "__Host-hop" } else { "hop" }
    }

    /// The token that a request brings. Two cookies of the name are none: one of them is somebody else's.
    pub(crate) fn read(self, headers: &HeaderMap) -> Option<Token> {
        let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut ours = values
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.name())
            .map(|(_, value)| value);
        let found = ours.next()?;
        if ours.next().is_some() { None } else { Token::parse(found) }
    }

    /// The header that gives a browser its token.
    pub(crate) fn set(self, token: &Token, life: Duration) -> String {
        self.line(&token.expose_secret(), life)
    }

    /// The header that takes it away.
    pub(crate) fn clear(self) -> String {
        self.line("", Duration::ZERO)
    }

    fn line(self, value: &str, life: Duration) -> String {
        let secure = if self.is_https { "; Secure" } else { "" };
        let (name, life) = (self.name(), life.as_secs());
        format!("{name}={value}; Path=/; Max-Age={life}; HttpOnly; SameSite=Lax{secure}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_https_it_is_bound_to_the_host() {
        let token = Token::from_bytes([7; 32]);
        let line = SessionCookie::new(true).set(&token, Duration::from_secs(60));
        let value = token.expose_secret();
        let wanted = format!("__Host-hop={value}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(line, wanted);
        assert!(!SessionCookie::new(false).set(&token, Duration::ZERO).contains("Secure"));
    }

    #[test]
    fn only_one_cookie_of_the_right_name_counts() {
        let token = Token::from_bytes([7; 32]);
        let other = Token::from_bytes([8; 32]).expose_secret();
        let value = token.expose_secret();
        let cookie = SessionCookie::new(true);
        for (line, wanted) in [
            (format!("__Host-hop={value}"), Some(&token)),
            (format!("a=b; __Host-hop={value}; c"), Some(&token)),
            (format!("hop={value}"), None),
            (format!("__Host-hop={value}; __Host-hop={other}"), None),
            ("__Host-hop=short".to_owned(), None),
            (String::new(), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, line.parse().unwrap());
            assert_eq!(cookie.read(&headers).as_ref(), wanted, "{line}");
        }
    }
}
