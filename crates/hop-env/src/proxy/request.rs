//! The head of a proxy request (RFC 9112 section 3.2): where it goes, and what goes there.

/// The longest head, in bytes.
pub(super) const LONGEST_HEAD: usize = 16 * 1024;

/// Where a request goes, and the head that the other side gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Empty for a tunnel: then only what follows goes there.
    pub(super) forwarded: Vec<u8>,
}

/// Something else than a proxy request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeadError {
    #[error("the request's head is longer than {LONGEST_HEAD} bytes")]
    TooLong,
    #[error("the request ended in its head")]
    CutOff,
    #[error("not a request to a proxy: CONNECT host:port, or a method with http://host/")]
    NotForAProxy,
}

/// Headers that are between a client and its proxy only (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 6] =
    ["connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "upgrade"];

/// Where the head ends, if all of it is there.
pub(super) fn end_of_head(read: &[u8]) -> Option<usize> {
    read.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

impl Head {
    /// Reads a head with the empty line at its end.
    pub(super) fn parse(head: &[u8]) -> Result<Self, HeadError> {
        let head = std::str::from_utf8(head).map_err(|_| HeadError::NotForAProxy)?;
        // A line feed or zero byte of its own would be read differently further on.
        if head.replace("\r\n", "").contains(['\r', '\n', '\0']) {
            return Err(HeadError::NotForAProxy);
        }
        let (line, headers) = head.split_once("\r\n").ok_or(HeadError::NotForAProxy)?;
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(HeadError::NotForAProxy);
        };
        if !matches!(version, "HTTP/1.0" | "HTTP/1.1")
            || method.is_empty()
            || !method.bytes().all(|byte| byte.is_ascii_uppercase())
        {
            return Err(HeadError::NotForAProxy);
        }
        if method == "CONNECT" {
            let (host, port) = authority(target, None)?;
            return Ok(Self { host, port, forwarded: Vec::new() });
        }
        let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
        let rest = scheme.and_then(|scheme| target.get(scheme.len()..)).ok_or(HeadError::NotForAProxy)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (place, path) = rest.split_at_checked(end).ok_or(HeadError::NotForAProxy)?;
        let (host, port) = authority(place, Some(80))?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        // One request for each connection: the next may be for somebody else.
        let mut forwarded = format!("{method} {slash}{path} {version}\r\nConnection: close\r\n");
        for header in headers.split("\r\n").filter(|header| !header.is_empty()) {
            let name = header.split(':').next().unwrap_or_default().trim();
            if !HOP_BY_HOP.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                forwarded.push_str(header);
                forwarded.push_str("\r\n");
            }
        }
        forwarded.push_str("\r\n");
        Ok(Self { host, port, forwarded: forwarded.into_bytes() })
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.forwarded.is_empty()
    }
}

/// `host:port`, `[address]:port`, or without a port where there is a usual one.
fn authority(text: &str, usual: Option<u16>) -> Result<(String, u16), HeadError> {
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').or(port.is_empty().then_some(""))),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, Some("")),
        },
    };
    let port = match (port, usual) {
        (Some(""), Some(usual)) => Some(usual),
        (Some(digits), _) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    };
    // User names in front of it are never for the proxy; a zone would choose an interface of ours.
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    match port {
        Some(port) if port > 0 && (1..=253).contains(&host.len()) && host.bytes().all(is_name) => {
            Ok((host.to_owned(), port))
        }
        Some(_) | None => Err(HeadError::NotForAProxy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<(String, u16, String), HeadError> {
        let head = Head::parse(text.as_bytes())?;
        Ok((head.host, head.port, String::from_utf8(head.forwarded).unwrap()))
    }

    #[test]
    fn tunnels_and_plain_requests_are_read() {
        for (text, host, port, forwarded) in [
            ("CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n", "example.org", 443, ""),
            ("CONNECT [2001:db8::1]:22 HTTP/1.0\r\n\r\n", "2001:db8::1", 22, ""),
            (
                "GET http://example.org/a?b HTTP/1.1\r\nHost: example.org\r\nProxy-Connection: keep-alive\r\n\r\n",
                "example.org",
                80,
                "GET /a?b HTTP/1.1\r\nConnection: close\r\nHost: example.org\r\n\r\n",
            ),
            (
                "POST HTTP://[::1]:8080?q HTTP/1.1\r\ncontent-length: 1\r\n\r\n",
                "::1",
                8080,
                "POST /?q HTTP/1.1\r\nConnection: close\r\ncontent-length: 1\r\n\r\n",
            ),
            (
                "GET http://example.org HTTP/1.1\r\n\r\n",
                "example.org",
                80,
                "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
            ),
        ] {
            assert_eq!(parse(text).unwrap(), (host.to_owned(), port, forwarded.to_owned()), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET https://example.org/ HTTP/1.1\r\n\r\n",
            "GET http:// HTTP/1.1\r\n\r\n",
            "CONNECT example.org HTTP/1.1\r\n\r\n",
            "CONNECT example.org:0 HTTP/1.1\r\n\r\n",
            "CONNECT example.org:+22 HTTP/1.1\r\n\r\n",
            "CONNECT example.org:65536 HTTP/1.1\r\n\r\n",
            "CONNECT user@example.org:22 HTTP/1.1\r\n\r\n",
            "CONNECT [fe80::1%eth0]:22 HTTP/1.1\r\n\r\n",
            "CONNECT [::1:22 HTTP/1.1\r\n\r\n",
            "CONNECT a:1 HTTP/2\r\n\r\n",
            "CONNECT  a:1 HTTP/1.1\r\n\r\n",
            "connect a:1 HTTP/1.1\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nX: a\nHost: b\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(parse(text), Err(HeadError::NotForAProxy), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_head_panics(head in prop::collection::vec(any::<u8>(), 0..200), line in "[A-Z]{0,7} [!-~]{0,30} HTTP/1.1\r\n\r\n") {
            let _ = Head::parse(&head);
            if let Ok(head) = Head::parse(line.as_bytes()) {
                prop_assert!(head.port > 0 && !head.host.is_empty());
            }
        }
    }
}
