//! Connections that clients ask for with `-L`, `-D` and `-W`: direct-tcpip (RFC 4254 section 7.2) and
//! direct-streamlocal (OpenSSH PROTOCOL 2.4).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A second address is tried beside the first after this long (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// More addresses than this of one name are not tried.
const MAX_ADDRESSES: usize = 16;
/// Longest host name of the DNS.
const MAX_HOST: usize = 255;

/// A target that could not be reached. The text is fit for the description of CHANNEL_OPEN_FAILURE.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No name or address at all.
    #[error("{0:?} is not a host name")]
    NotAHost(String),
    /// The name has no address.
    #[error("cannot find the address of {host}: {source}")]
    Unknown {
        /// As asked.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address of it accepted.
    #[error("cannot connect to {host} port {port}: {source}")]
    Refused {
        /// As asked.
        host: String,
        /// As asked.
        port: u16,
        /// Of the last address that failed.
        source: io::Error,
    },
    /// Nothing was heard in time.
    #[error("{target} did not answer within {} s", limit.as_secs())]
    TimedOut {
        /// Host and port, or path.
        target: String,
        /// The time it had.
        limit: Duration,
    },
    /// Relative paths would depend on where the server was started.
    #[error("the socket path {0:?} is not absolute")]
    RelativePath(PathBuf),
    /// Nobody there.
    #[error("cannot connect to {}: {source}", path.display())]
    Unix {
        /// As asked.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Connects to a host and port, trying its addresses so that a dead one costs little.
pub async fn dial_tcp(host: &str, port: u16, limit: Duration) -> Result<TcpStream, DialError> {
    if host.is_empty() || host.len() > MAX_HOST || host.contains(|c: char| c.is_control() || c == ' ') {
        return Err(DialError::NotAHost(host.chars().take(MAX_HOST).collect()));
    }
    let connected = timeout(limit, async {
        let addresses = addresses(host, port).await?;
        let stream = race(addresses).await;
        stream.map_err(|source| DialError::Refused { host: host.to_owned(), port, source })
    });
    match connected.await {
        Ok(result) => {
            let stream = result?;
            // A forwarded keystroke must not wait for the acknowledgement of the one before.
            stream.set_nodelay(true).map_err(|source| DialError::Refused {
                host: host.to_owned(),
                port,
                source,
            })?;
            Ok(stream)
        }
        Err(_) => Err(DialError::TimedOut { target: format!("{host} port {port}"), limit }),
    }
}

/// Connects to a Unix socket.
pub async fn dial_unix(path: &Path, limit: Duration) -> Result<UnixStream, DialError> {
    if !path.is_absolute() {
        return Err(DialError::RelativePath(path.to_owned()));
    }
    match timeout(limit, UnixStream::connect(path)).await {
        Ok(result) => result.map_err(|source| DialError::Unix { path: path.to_owned(), source }),
        Err(_) => Err(DialError::TimedOut { target: path.display().to_string(), limit }),
    }
}

async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|source| DialError::Unknown { host: host.to_owned(), source })?;
    Ok(alternate_families(found.collect()))
}

/// The resolver's order, but with the families taking turns, beginning with the first one's (RFC 8305 section 4).
fn alternate_families(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_six = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut preferred, mut other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_six);
    preferred.reverse();
    other.reverse();
    let mut mixed = Vec::new();
    while mixed.len() < MAX_ADDRESSES && !(preferred.is_empty() && other.is_empty()) {
        mixed.extend(preferred.pop());
        mixed.extend(other.pop());
    }
    mixed.truncate(MAX_ADDRESSES);
    mixed
}

/// The first connection that is made. The next address starts when one has failed or [`HEAD_START`] has gone
/// by; the losers are dropped.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let more = match waiting.next() {
            Some(address) => {
                attempts.spawn(TcpStream::connect(address));
                waiting.len() > 0
            }
            None => false,
        };
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => last = error,
                Some(Err(_aborted)) => {}
                None => return Err(last),
            },
            () = tokio::time::sleep(HEAD_START), if more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, UnixListener};

    use super::*;
    use crate::private_dir::PrivateDir;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn families_take_turns() {
        let parse = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|address| address.parse().unwrap()).collect()
        };
        let cases: [(&[&str], &[&str]); 3] = [
            (&[], &[]),
            (&["[::1]:1", "[::2]:1", "1.1.1.1:1"], &["[::1]:1", "1.1.1.1:1", "[::2]:1"]),
            (&["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"], &["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]),
        ];
        for (given, expected) in cases {
            assert_eq!(alternate_families(parse(given)), parse(expected));
        }
        assert_eq!(alternate_families(vec!["1.1.1.1:1".parse().unwrap(); 40]).len(), MAX_ADDRESSES);
    }

    #[tokio::test]
    async fn an_address_that_refuses_gives_way_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = TcpListener::bind("127.0.0.2:0").await.unwrap().local_addr().unwrap();
        let open = listener.local_addr().unwrap();
        let stream = race(vec![closed, closed, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        assert_eq!(race(vec![closed]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(race(vec![]).await.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    async fn names_and_numbers_are_reached_without_delay_of_small_packets() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            let stream = dial_tcp(host, port, LIMIT).await.unwrap();
            assert!(stream.nodelay().unwrap());
        }
    }

    #[tokio::test]
    async fn failures_name_the_target() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let error = dial_tcp("127.0.0.1", closed, LIMIT).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot connect to 127.0.0.1 port {closed}: ")), "{error}");
        let long = "x".repeat(300);
        for host in ["", "a b", "a\0b", &long] {
            assert!(matches!(dial_tcp(host, 1, LIMIT).await.unwrap_err(), DialError::NotAHost(_)));
        }
        let unknown = dial_tcp("no-such-host.invalid", 1, LIMIT).await.unwrap_err();
        assert!(matches!(unknown, DialError::Unknown { .. }), "{unknown}");
    }

    #[tokio::test]
    async fn unix_sockets_are_reached_by_absolute_path() {
        let directory = PrivateDir::create(&std::env::temp_dir()).unwrap();
        let path = directory.path().join("s");
        assert!(matches!(dial_unix(&path, LIMIT).await.unwrap_err(), DialError::Unix { .. }));
        let _listener = UnixListener::bind(&path).unwrap();
        dial_unix(&path, LIMIT).await.unwrap();
        assert!(matches!(dial_unix(Path::new("s"), LIMIT).await.unwrap_err(), DialError::RelativePath(_)));
    }

    #[tokio::test]
    async fn silence_ends_in_time() {
        // A listener with a full backlog answers nobody: connecting to it waits.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut held = Vec::new();
        let error = loop {
            match dial_tcp("127.0.0.1", address.port(), Duration::from_millis(200)).await {
                Ok(stream) => held.push(stream),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, DialError::TimedOut { .. }), "{error}");
    }
}
