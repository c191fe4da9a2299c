//! A forwarding that a master is asked for: where it listens, and where connections go (PROTOCOL.mux sections 6 and 7).
//!
//! Must stay true: what was opened is closed by the very same value; a specification reads as ssh(1)'s -L, -R and -D do.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The port that says that the host is a socket's path.
const IS_PATH: u32 = u32::MAX - 1;

/// Where a forwarding listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Here (`-L`).
    Local,
    /// On the host (`-R`).
    Remote,
    /// Here, as a SOCKS proxy (`-D`).
    Dynamic,
}

/// One end of a forwarding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// A name or address, and a port. Listening on an empty host is listening on loopback, on port 0 on any free one.
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Its path.
        path: String,
    },
}

/// A forwarding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Which way.
    pub direction: Direction,
    /// Where it listens.
    pub listen: End,
    /// Where connections go; for a SOCKS proxy, its clients say that.
    pub connect: Option<End>,
}

/// What is no forwarding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no forwarding: {reason}")]
pub struct ForwardError {
    text: String,
    reason: &'static str,
}

impl Direction {
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Local => 1,
            Self::Remote => 2,
            Self::Dynamic => 3,
        }
    }

    /// The keyword of ssh_config(5), in lower case.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Local => "localforward",
            Self::Remote => "remoteforward",
            Self::Dynamic => "dynamicforward",
        }
    }

    /// The option of ssh(1).
    #[must_use]
    pub fn option(self) -> char {
        match self {
            Self::Local => 'L',
            Self::Remote => 'R',
            Self::Dynamic => 'D',
        }
    }
}

impl End {
    pub(super) fn on_wire(&self) -> (&str, u32) {
        match self {
            Self::Tcp { host, port } => (host, u32::from(*port)),
            Self::Unix { path } => (path, IS_PATH),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.is_empty() => write!(f, "{port}"),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path } => f.write_str(path),
        }
    }
}

/// As it would be typed: `-L 8080:localhost:80`.
impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-{} {}", self.direction.option(), self.listen)?;
        self.connect.as_ref().map_or(Ok(()), |connect| write!(f, ":{connect}"))
    }
}

impl Forward {
    /// The host chooses the port.
    #[must_use]
    pub fn is_anywhere(&self) -> bool {
        matches!(self.listen, End::Tcp { port: 0, .. })
    }

    /// Reads what ssh(1) takes after -L, -R or -D: `[bind_address:]port[:host:hostport]`, with a path in place of
    /// either end (not of a proxy's), addresses of IPv6 in brackets.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(direction: Direction, text: &str) -> Result<Self, ForwardError> {
        let failed = |reason| ForwardError { text: text.to_owned(), reason };
        let parts = parts(text).ok_or_else(|| failed("a bracket is not closed"))?;
        let is_odd = |c: char| c.is_control() || "[]".contains(c);
        let tcp = |host: &str, port: &str, least: u16| match port.parse::<u16>() {
            _ if host.chars().any(|c| is_odd(c) || c.is_whitespace() || c == '/') => {
                Err(failed("a host has no such character"))
            }
            Ok(port) if port >= least => Ok(End::Tcp { host: host.to_owned(), port }),
            _ => Err(failed("a port is a number up to 65535")),
        };
        // Typed, an empty address is all of them; to the master, it is none.
        let bind = |host: &str, port: &str, least| tcp(if host.is_empty() { "*" } else { host }, port, least);
        let to = |host: &str, port: &str| match host {
            "" => Err(failed("a destination has a host")),
            host => tcp(host, port, 1),
        };
        // A colon would not be told from the one between the ends.
        let unix = |path: &str| match path.chars().any(|c| is_odd(c) || c == ':') {
            true => Err(failed("a path here has no colons, brackets and control characters")),
            false => Ok(End::Unix { path: path.to_owned() }),
        };
        let is_path = |part: &str| part.starts_with('/');
        // Only the host can say which port is free there.
        let least = u16::from(direction != Direction::Remote);
        let words: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (listen, connect) = match (direction, words.as_slice()) {
            (Direction::Dynamic, [port]) => (tcp("", port, 1)?, None),
            (Direction::Dynamic, [host, port]) => (bind(host, port, 1)?, None),
            (Direction::Dynamic, _) => return Err(failed("a proxy is [address:]port")),
            // Without a destination, it is a SOCKS proxy at the host.
            (Direction::Remote, [port]) => (tcp("", port, 0)?, None),
            (Direction::Remote, [host, port]) if !is_path(host) && !is_path(port) => {
                (bind(host, port, 0)?, None)
            }
            (_, [from, to]) if is_path(from) && is_path(to) => (unix(from)?, Some(unix(to)?)),
            (_, [port, to]) if is_path(to) => (tcp("", port, least)?, Some(unix(to)?)),
            (_, [host, port, to]) if is_path(to) => (bind(host, port, least)?, Some(unix(to)?)),
            (_, [from, host, port]) if is_path(from) => (unix(from)?, Some(to(host, port)?)),
            (_, [from, host, port]) => (tcp("", from, least)?, Some(to(host, port)?)),
            (_, [address, from, host, port]) => (bind(address, from, least)?, Some(to(host, port)?)),
            _ => return Err(failed("it is [address:]port:host:port, with a path in place of either end")),
        };
        Ok(Self { direction, listen, connect })
    }
}

/// Cuts at colons outside of brackets, which are taken off.
fn parts(text: &str) -> Option<Vec<String>> {
    let (mut parts, mut part, mut inside) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '[' if part.is_empty() && !inside => inside = true,
            ']' if inside => inside = false,
            ':' if !inside => parts.push(std::mem::take(&mut part)),
            other => part.push(other),
        }
    }
    parts.push(part);
    (!inside).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_ssh_reads_them() {
        use Direction::{Dynamic, Local, Remote};
        for (direction, typed, shown) in [
            (Local, "8080:localhost:80", "-L 8080:localhost:80"),
            (Local, "127.0.0.1:8080:localhost:80", "-L 127.0.0.1:8080:localhost:80"),
            (Local, "[::1]:8080:[fe80::1]:80", "-L [::1]:8080:[fe80::1]:80"),
            (Local, "8080:/run/x.sock", "-L 8080:/run/x.sock"),
            (Local, "*:8080:/run/x.sock", "-L *:8080:/run/x.sock"),
            (Local, ":8080:a:80", "-L *:8080:a:80"),
            (Local, "/tmp/a:/run/x.sock", "-L /tmp/a:/run/x.sock"),
            (Local, "/tmp/a:host:80", "-L /tmp/a:host:80"),
            (Remote, "0:localhost:80", "-R 0:localhost:80"),
            (Remote, "/tmp/a:localhost:80", "-R /tmp/a:localhost:80"),
            (Remote, "1080", "-R 1080"),
            (Remote, "[::1]:0", "-R [::1]:0"),
            (Dynamic, "1080", "-D 1080"),
            (Dynamic, "localhost:1080", "-D localhost:1080"),
        ] {
            assert_eq!(Forward::parse(direction, typed).unwrap().to_string(), shown);
        }
        for (direction, typed) in [
            (Local, ""),
            (Local, "8080"),
            (Local, "8080:80"),
            (Local, "0:localhost:80"),
            (Local, "8080:localhost:0"),
            (Local, "8080::80"),
            (Local, "/::88"),
            (Local, "8080:a b:80"),
            (Local, "8080:[a]b]:80"),
            (Local, "8080:[/a:b]"),
            (Local, "70000:localhost:80"),
            (Local, "[::1:8080:localhost:80"),
            (Local, "a:b:c:d:e"),
            (Remote, "/tmp/x"),
            (Remote, "localhost:x"),
            (Dynamic, "/tmp/x"),
            (Dynamic, "a:b:1"),
        ] {
            assert!(Forward::parse(direction, typed).is_err(), "{typed}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_the_same(text in "\\PC{0,40}") {
            for direction in [Direction::Local, Direction::Remote, Direction::Dynamic] {
                if let Ok(forward) = Forward::parse(direction, &text) {
                    let shown = forward.to_string();
                    prop_assert_eq!(Forward::parse(direction, &shown[3..]).unwrap(), forward);
                }
            }
        }
    }
}
