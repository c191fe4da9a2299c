//! The HTTP proxy on the way out, as the usual variables name it, and the tunnel through it (RFC 9110 section 9.3.6).

use crate::target::Target;
use base64ct::{Base64, Encoding as _};
use hop_model::Secret;
use hyper::Uri;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// What the environment says about proxies. The caller reads it: `https_proxy` before `HTTPS_PROXY`, and so on;
/// `HTTP_PROXY` in capitals is not to be used where a web server may have set it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyVariables {
    /// `http_proxy`: for `ws`.
    pub http: Option<String>,
    /// `https_proxy`: for `wss`.
    pub https: Option<String>,
    /// `all_proxy`: where neither says anything.
    pub all: Option<String>,
    /// `no_proxy`: hosts that are reached without.
    pub none: Option<String>,
}

/// A proxy to connect through.
#[derive(Debug, Clone)]
pub struct ProxyUrl {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// For `Proxy-Authorization`.
    pub(crate) basic: Option<Secret>,
}

/// Why a variable names no proxy that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the proxy that the environment names cannot be used: {why}\nhint: http://HOST:PORT is what works, or no_proxy={host}"
)]
pub struct ProxyUrlError {
    /// What is wrong with it. The value itself may hold a password.
    pub why: &'static str,
    /// Where the connection should have led.
    pub host: String,
}

impl ProxyVariables {
    /// The proxy for a target, if there is one. This machine itself is never asked for by a proxy.
    pub fn for_target(&self, target: &Target) -> Result<Option<ProxyUrl>, ProxyUrlError> {
        let own = if target.is_secure() { &self.https } else { &self.http };
        let named = [own, &self.all].into_iter().flatten().find(|value| !value.trim().is_empty());
        let Some(named) = named else { return Ok(None) };
        if target.is_loopback() || self.none.as_ref().is_some_and(|none| excludes(none, target)) {
            return Ok(None);
        }
        let host = || target.host().to_owned();
        ProxyUrl::parse(named.trim()).map(Some).map_err(|why| ProxyUrlError { why, host: host() })
    }
}

/// Whether `no_proxy` has the host: itself, a domain above it, an address or a range of addresses, or `*`.
fn excludes(none: &str, target: &Target) -> bool {
    let host = target.host();
    let address: Option<IpAddr> = host.parse().ok();
    none.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let (entry, port) = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') && !port.is_empty() => (name, port.parse::<u16>().ok()),
            _ => (entry, None),
        };
        if port.is_some_and(|port| port != target.port()) {
            return false;
        }
        if entry == "*" {
            return true;
        }
        match address {
            Some(address) => in_range(address, entry.trim_start_matches('[').trim_end_matches(']')),
            None => {
                let domain = entry.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
                host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
            }
        }
    })
}

/// Whether an address is `entry`, or in it if it is a range such as `10.0.0.0/8`.
fn in_range(address: IpAddr, entry: &str) -> bool {
    let (network, bits) =
        entry.split_once('/').map_or((entry, None), |(network, bits)| (network, Some(bits)));
    let Ok(network) = network.parse::<IpAddr>() else { return false };
    let wide = |address: IpAddr| match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let ((one, size), (other, other_size)) = (wide(address), wide(network));
    let Ok(bits) = bits.map_or(Ok(size), str::parse::<u32>) else { return false };
    size == other_size && bits <= size && (one ^ other).checked_shr(128 - bits).unwrap_or(0) == 0
}

impl ProxyUrl {
    fn parse(text: &str) -> Result<Self, &'static str> {
        // As curl does: a value without a scheme is an HTTP proxy.
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = whole.parse().map_err(|_| "it is not a URL")?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err("TLS to the proxy itself is not spoken here"),
            _ => return Err("it is not an HTTP proxy"),
        }
        let authority = uri.authority().ok_or("it names no host")?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err("it names no host");
        }
        let basic = authority.as_str().rsplit_once('@').map(|(who, _)| {
            let decoded = Zeroizing::new(percent_decode_str(who).collect::<Vec<u8>>());
            Secret::new(Base64::encode_string(&decoded))
        });
        Ok(Self { host, port: authority.port_u16().unwrap_or(80), basic })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variables(http: &str, https: &str, all: &str, none: &str) -> ProxyVariables {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ProxyVariables { http: some(http), https: some(https), all: some(all), none: some(none) }
    }

    #[test]
    fn which_proxy_for_which_target() {
        let cases = [
            (variables("a:1", "b:2", "", ""), "ws://h/", Some("a:1")),
            (variables("a:1", "b:2", "", ""), "wss://h/", Some("b:2")),
            (variables("", "", "http://c:3/", ""), "wss://h/", Some("c:3")),
            (variables("", "http://[2001:db8::1]:3128", "", ""), "wss://h/", Some("[2001:db8::1]:3128")),
            (variables("a:1", "", "", ""), "wss://h/", None),
            (variables("a", "", "", ""), "ws://h/", Some("a:80")),
            (variables("", "b:2", "", ""), "wss://localhost/", None),
            (variables("", "b:2", "", ""), "wss://127.0.0.1/", None),
            (variables("", "b:2", "", "example.org"), "wss://hub.example.org/", None),
            (variables("", "b:2", "", ".example.org"), "wss://hub.example.org/", None),
            (variables("", "b:2", "", "*.example.org"), "wss://hub.example.org/", None),
            (variables("", "b:2", "", "ample.org"), "wss://hub.example.org/", Some("b:2")),
            (variables("", "b:2", "", "x, hub.example.org:443"), "wss://hub.example.org/", None),
            (variables("", "b:2", "", "hub.example.org:444"), "wss://hub.example.org/", Some("b:2")),
            (variables("", "b:2", "", "*"), "wss://h/", None),
            (variables("", "b:2", "", "10.0.0.0/8"), "wss://10.9.9.9/", None),
            (variables("", "b:2", "", "10.0.0.0/8"), "wss://11.9.9.9/", Some("b:2")),
            (variables("", "b:2", "", "2001:db8::/32"), "wss://[2001:db8::7]/", None),
            (variables("", "b:2", "", "0.0.0.0/0"), "wss://[2001:db8::7]/", Some("b:2")),
        ];
        for (variables, target, wanted) in cases {
            let found = variables.for_target(&Target::parse(target).unwrap()).unwrap();
            assert_eq!(found.map(|proxy| proxy.to_string()).as_deref(), wanted, "{variables:?} {target}");
        }
        for bad in ["socks5://a:1", "https://a:1", "http://", "http://:1", "a b"] {
            let target = Target::parse("wss://h/").unwrap();
            assert!(variables("", bad, "", "").for_target(&target).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_sent_as_it_is_meant() {
        let proxy = ProxyUrl::parse("http://us%40er:p%3ass@h:1").unwrap();
        let basic = proxy.basic.unwrap();
        assert_eq!(Base64::decode_vec(basic.expose()).unwrap(), b"us@er:p:ss");
    }

    proptest! {
        #[test]
        fn never_panics(text: String, none: String) {
            let _ = ProxyUrl::parse(&text);
            let _ = excludes(&none, &Target::parse("wss://10.1.2.3/").unwrap());
            let _ = excludes(&none, &Target::parse("wss://hub.example/").unwrap());
        }
    }
}
