//! Which TCP forwardings a session may ask for: the values of `permitopen` and `permitlisten`.
//!
//! What must stay true: intersecting never allows more than either side alone. A list is therefore kept as a
//! conjunction of lists, because two wildcard patterns have no single pattern as their meet.

use crate::wildcard::wildcard_match;
use serde::{Deserialize, Serialize};

/// A port as a rule names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PortRule {
    /// `*`: every port.
    Any,
    /// Exactly this one.
    Exact(u16),
}

impl PortRule {
    fn admits(self, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == port,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "*" => Some(Self::Any),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port != 0).map(Self::Exact)
            }
            _ => None,
        }
    }
}

/// One `permitopen` value: a literal host (or `*` for all of them) and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenRule {
    host: String,
    port: PortRule,
}

impl OpenRule {
    /// Parses `host:port`, `[address]:port`, with `*` for either part (sshd(8), "permitopen").
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let (host, port) = split_host_port(text)?;
        Ok(Self { host: host.to_owned(), port })
    }

    /// The host is compared byte for byte: no look-up, no pattern, no folding of case, as sshd does.
    fn admits(&self, host: &str, port: u16) -> bool {
        self.port.admits(port) && (self.host == "*" || self.host == host)
    }
}

/// One `permitlisten` value: a host pattern and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenRule {
    /// Lower case, since listen addresses are compared without case.
    pattern: String,
    port: PortRule,
}

impl ListenRule {
    /// Parses `pattern:port`, `[address]:port` or a bare port, which stands for every address (sshd(8),
    /// "permitlisten").
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if !text.contains(':') {
            let port = PortRule::parse(text).ok_or_else(|| RuleError::Port { text: text.to_owned() })?;
            return Ok(Self { pattern: "*".to_owned(), port });
        }
        let (host, port) = split_host_port(text)?;
        Ok(Self { pattern: host.to_ascii_lowercase(), port })
    }

    fn admits(&self, host: &str, port: u16) -> bool {
        self.port.admits(port)
            && wildcard_match(self.pattern.as_bytes(), host.to_ascii_lowercase().as_bytes())
    }
}

/// Where a session may open connections to (`-L`, `-D`, `-W`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PermitOpen {
    /// Everywhere, unix sockets too.
    Any,
    /// Nowhere.
    None,
    /// Where every one of these lists has a rule that admits it.
    Only(Vec<Vec<OpenRule>>),
}

impl PermitOpen {
    /// What one list of rules admits; an empty list admits nothing.
    pub fn only(rules: Vec<OpenRule>) -> Self {
        if rules.is_empty() { Self::None } else { Self::Only(vec![rules]) }
    }

    /// Whether a connection to `host` and `port`, as the client wrote them, is admitted.
    pub fn admits(&self, host: &str, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::None => false,
            Self::Only(lists) => lists.iter().all(|list| list.iter().any(|rule| rule.admits(host, port))),
        }
    }

    /// What both admit.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::Any, rest) | (rest, Self::Any) => rest,
            (Self::Only(mut lists), Self::Only(more)) => {
                lists.extend(more);
                Self::Only(lists)
            }
        }
    }
}

/// Where a session may have the server listen (`-R`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PermitListen {
    /// Everywhere, unix sockets too.
    Any,
    /// Nowhere.
    None,
    /// Where every one of these lists has a rule that admits it.
    Only(Vec<Vec<ListenRule>>),
}

impl PermitListen {
    /// What one list of rules admits; an empty list admits nothing.
    pub fn only(rules: Vec<ListenRule>) -> Self {
        if rules.is_empty() { Self::None } else { Self::Only(vec![rules]) }
    }

    /// Whether listening on `host` and `port`, as the client wrote them, is admitted. Port 0 (the server
    /// chooses) is admitted only by `*`.
    pub fn admits(&self, host: &str, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::None => false,
            Self::Only(lists) => lists.iter().all(|list| list.iter().any(|rule| rule.admits(host, port))),
        }
    }

    /// What both admit.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::Any, rest) | (rest, Self::Any) => rest,
            (Self::Only(mut lists), Self::Only(more)) => {
                lists.extend(more);
                Self::Only(lists)
            }
        }
    }
}

/// Why a `permitopen` or `permitlisten` value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// There is no `:` between host and port.
    #[error("\"{text}\" is not HOST:PORT")]
    Form {
        /// The value as written.
        text: String,
    },
    /// The host is missing or has characters that no host has.
    #[error("\"{text}\" names no usable host")]
    Host {
        /// The value as written.
        text: String,
    },
    /// The port is neither `*` nor 1 to 65535.
    #[error("\"{text}\" has no port from 1 to 65535, nor *")]
    Port {
        /// The value as written.
        text: String,
    },
}

/// Splits `host:port` and `[address]:port`; an address with colons must stand in brackets.
fn split_host_port(text: &str) -> Result<(&str, PortRule), RuleError> {
    let form = || RuleError::Form { text: text.to_owned() };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").ok_or_else(form)?,
        None => text.split_once(':').ok_or_else(form)?,
    };
    if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(RuleError::Host { text: text.to_owned() });
    }
    let port = PortRule::parse(port).ok_or_else(|| RuleError::Port { text: text.to_owned() })?;
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permitopen_is_literal() {
        let table: &[(&str, &str, u16, bool)] = &[
            ("localhost:8080", "localhost", 8080, true),
            ("localhost:8080", "localhost", 8081, false),
            ("localhost:8080", "LOCALHOST", 8080, false),
            ("localhost:8080", "127.0.0.1", 8080, false),
            ("localhost:*", "localhost", 1, true),
            ("*:22", "any.example", 22, true),
            ("*:22", "any.example", 23, false),
            ("*.example:22", "a.example", 22, false),
            ("[::1]:80", "::1", 80, true),
            ("[::1]:80", "[::1]", 80, false),
        ];
        for &(rule, host, port, admitted) in table {
            let permit = PermitOpen::only(vec![OpenRule::parse(rule).unwrap()]);
            assert_eq!(permit.admits(host, port), admitted, "{rule} for {host}:{port}");
        }
    }

    #[test]
    fn permitlisten_has_patterns_and_bare_ports() {
        let table: &[(&str, &str, u16, bool)] = &[
            ("8080", "localhost", 8080, true),
            ("8080", "", 8080, true),
            ("8080", "0.0.0.0", 8081, false),
            ("*", "0.0.0.0", 0, true),
            ("8080", "localhost", 0, false),
            ("localhost:8080", "Localhost", 8080, true),
            ("127.0.0.*:80", "127.0.0.7", 80, true),
            ("127.0.0.*:80", "10.0.0.7", 80, false),
            ("[::1]:*", "::1", 5, true),
        ];
        for &(rule, host, port, admitted) in table {
            let permit = PermitListen::only(vec![ListenRule::parse(rule).unwrap()]);
            assert_eq!(permit.admits(host, port), admitted, "{rule} for {host}:{port}");
        }
    }

    #[test]
    fn bad_rules_are_named() {
        for text in ["", "host", ":22", "[::1]", "[::1:22", "a b:22"] {
            assert!(OpenRule::parse(text).is_err(), "{text}");
        }
        for text in ["host:", "host:0", "host:65536", "host:+1", "host:x", "::1:22"] {
            assert!(OpenRule::parse(text).is_err(), "{text}");
        }
        assert_eq!(ListenRule::parse("0"), Err(RuleError::Port { text: "0".to_owned() }));
    }

    #[test]
    fn an_intersection_admits_what_both_admit() {
        let a = PermitOpen::only(vec![OpenRule::parse("*:22").unwrap(), OpenRule::parse("h:80").unwrap()]);
        let b = PermitOpen::only(vec![OpenRule::parse("h:*").unwrap()]);
        let both = a.clone().intersect(b.clone());
        for (host, port) in [("h", 22), ("h", 80), ("h", 81), ("g", 22)] {
            assert_eq!(
                both.admits(host, port),
                a.admits(host, port) && b.admits(host, port),
                "{host}:{port}"
            );
        }
        assert_eq!(a.clone().intersect(PermitOpen::Any), a);
        assert_eq!(a.intersect(PermitOpen::None), PermitOpen::None);
        assert_eq!(PermitOpen::only(Vec::new()), PermitOpen::None);
    }
}
