//! Listeners that clients ask for with `-R`: TCP (RFC 4254 section 7.1) and Unix sockets (OpenSSH PROTOCOL 2.4).
//!
//! A listener is closed, and its socket file removed, when its value is dropped: none outlives its connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::task::Poll;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::socket::{UnixSocketFile, listen_tcp, recover};

/// How often another free port is tried when the one the system chose is taken on the second address.
const PORT_ATTEMPTS: usize = 16;

/// Whether clients may listen beyond loopback: sshd's GatewayPorts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GatewayPorts {
    /// Loopback, whatever was asked ("no").
    #[default]
    Loopback,
    /// The address that was asked ("clientspecified").
    AsAsked,
    /// All addresses, unless loopback was asked by its number ("yes").
    Everywhere,
}

/// What is bound for an address that a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum BindTo {
    /// One or two addresses of which at least one must work; the first is preferred.
    Either(Vec<IpAddr>),
    /// A name to look up; all its addresses.
    Name(String),
}

/// A forwarding that cannot be listened for.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The name asked for has no address here.
    #[error("cannot find the address {address:?} to listen on: {source}")]
    Unknown {
        /// As asked.
        address: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The system refused.
    #[error("cannot listen on {address} port {port}: {source}")]
    Tcp {
        /// As asked; empty stands for all.
        address: String,
        /// As asked.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The path is not one that a server could have a fixed idea of.
    #[error("the socket path {0:?} is not absolute")]
    RelativePath(PathBuf),
    /// The system refused.
    #[error("cannot listen on {}: {source}", path.display())]
    Unix {
        /// As asked.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A TCP forwarding: one port on one or more addresses.
#[derive(Debug)]
pub struct TcpForward {
    listeners: Vec<TcpListener>,
    port: u16,
}

impl TcpForward {
    /// Listens for a tcpip-forward of `address` (as asked; it must be given back in forwarded-tcpip opens)
    /// and `port`, 0 for any.
    pub async fn listen(address: &str, port: u16, rule: GatewayPorts) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Tcp { address: address.to_owned(), port, source };
        match bind_to(address, rule) {
            BindTo::Either(ips) => Self::bind(&ips, port).map_err(failed),
            BindTo::Name(name) => {
                let found = tokio::net::lookup_host((name.as_str(), port)).await;
                let found = found.map_err(|source| ListenError::Unknown { address: name.clone(), source })?;
                let ips: Vec<IpAddr> = found.map(|address| address.ip()).collect();
                Self::bind(&ips, port).map_err(failed)
            }
        }
    }

    /// Binds loopback, IPv4 and IPv6 where they exist.
    pub(crate) fn listen_loopback(port: u16) -> io::Result<Self> {
        Self::bind(&LOOPBACK, port)
    }

    /// One port on all of `ips` that exist on this machine. A port that is in use on any of them is an error:
    /// half a forwarding would send some of its users to a stranger.
    fn bind(ips: &[IpAddr], port: u16) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for _ in 0..PORT_ATTEMPTS {
            match Self::bind_once(ips, port) {
                Err(error) if port == 0 && error.kind() == io::ErrorKind::AddrInUse => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    fn bind_once(ips: &[IpAddr], asked: u16) -> io::Result<Self> {
        let mut made = Self { listeners: Vec::new(), port: asked };
        let mut missing = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for ip in ips {
            match listen_tcp(SocketAddr::new(*ip, made.port)) {
                Ok(listener) => {
                    made.port = listener.local_addr()?.port();
                    made.listeners.push(listener);
                }
                Err(error) if is_absent(&error) => missing = error,
                Err(error) => return Err(error),
            }
        }
        if made.listeners.is_empty() { Err(missing) } else { Ok(made) }
    }

    /// The port, also when 0 was asked.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next connection and where it comes from, from any of the addresses. Cancel-safe.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, from) = loop {
            let next = std::future::poll_fn(|context| {
                let ready = |listener: &TcpListener| match listener.poll_accept(context) {
                    Poll::Ready(accepted) => Some(accepted),
                    Poll::Pending => None,
                };
                self.listeners.iter().find_map(ready).map_or(Poll::Pending, Poll::Ready)
            });
            match next.await {
                Ok(accepted) => break accepted,
                Err(error) => recover(error).await?,
            }
        };
        stream.set_nodelay(true)?;
        Ok((stream, SocketAddr::new(from.ip().to_canonical(), from.port())))
    }
}

/// A Unix-socket forwarding.
#[derive(Debug)]
pub struct UnixForward {
    socket: UnixSocketFile,
}

impl UnixForward {
    /// Listens for a streamlocal-forward. The file is 0600; one that exists is kept and an error, unless it is
    /// a socket of ours that nobody listens on.
    pub fn listen(path: &Path) -> Result<Self, ListenError> {
        if !path.is_absolute() {
            return Err(ListenError::RelativePath(path.to_owned()));
        }
        let failed = |source| ListenError::Unix { path: path.to_owned(), source };
        Ok(Self { socket: UnixSocketFile::bind(path).map_err(failed)? })
    }

    /// The next connection. Cancel-safe.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.socket.accept().await
    }
}

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
const EVERYWHERE: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// RFC 4254 section 7.1 gives meaning to "", "0.0.0.0", "::", "localhost" and the two loopback numbers; "*" is
/// what OpenSSH's client sends for `-R '*:port'`.
fn bind_to(asked: &str, rule: GatewayPorts) -> BindTo {
    let loopback_number = match asked.parse::<IpAddr>() {
        Ok(ip) if ip.is_loopback() => Some(ip),
        _ => None,
    };
    match (rule, loopback_number) {
        (_, Some(ip)) => BindTo::Either(vec![ip]),
        (GatewayPorts::Loopback, None) => BindTo::Either(LOOPBACK.to_vec()),
        (GatewayPorts::Everywhere, None) => BindTo::Either(EVERYWHERE.to_vec()),
        (GatewayPorts::AsAsked, None) => match asked {
            "" | "*" => BindTo::Either(EVERYWHERE.to_vec()),
            "localhost" => BindTo::Either(LOOPBACK.to_vec()),
            _ => match asked.parse() {
                Ok(ip) => BindTo::Either(vec![ip]),
                Err(_) => BindTo::Name(asked.to_owned()),
            },
        },
    }
}

/// Whether this machine lacks the address (or its whole family), as containers often lack IPv6.
fn is_absent(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::private_dir::PrivateDir;

    #[test]
    fn addresses_follow_the_rule() {
        use GatewayPorts::{AsAsked, Everywhere, Loopback};
        let loopback = BindTo::Either(LOOPBACK.to_vec());
        let everywhere = BindTo::Either(EVERYWHERE.to_vec());
        let only = |ip: &str| BindTo::Either(vec![ip.parse().unwrap()]);
        let name = |name: &str| BindTo::Name(name.into());
        let cases = [
            ("", Loopback, loopback.clone()),
            ("*", Loopback, loopback.clone()),
            ("localhost", Loopback, loopback.clone()),
            ("0.0.0.0", Loopback, loopback.clone()),
            ("192.0.2.1", Loopback, loopback.clone()),
            ("host.example", Loopback, loopback.clone()),
            ("127.0.0.1", Loopback, only("127.0.0.1")),
            ("127.0.0.7", Loopback, only("127.0.0.7")),
            ("::1", Loopback, only("::1")),
            ("", AsAsked, everywhere.clone()),
            ("*", AsAsked, everywhere.clone()),
            ("localhost", AsAsked, loopback),
            ("0.0.0.0", AsAsked, only("0.0.0.0")),
            ("::", AsAsked, only("::")),
            ("192.0.2.1", AsAsked, only("192.0.2.1")),
            ("host.example", AsAsked, name("host.example")),
            ("", Everywhere, everywhere.clone()),
            ("localhost", Everywhere, everywhere.clone()),
            ("192.0.2.1", Everywhere, everywhere),
            ("127.0.0.1", Everywhere, only("127.0.0.1")),
        ];
        for (asked, rule, expected) in cases {
            assert_eq!(bind_to(asked, rule), expected, "{asked:?} under {rule:?}");
        }
    }

    #[tokio::test]
    async fn any_port_is_the_same_on_all_addresses_and_closes() {
        let forward = TcpForward::listen("localhost", 0, GatewayPorts::Loopback).await.unwrap();
        assert_ne!(forward.port(), 0);
        let addresses: Vec<SocketAddr> =
            forward.listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        for address in &addresses {
            assert!(address.ip().is_loopback());
            assert_eq!(address.port(), forward.port());
            let (accepted, connected) = tokio::join!(forward.accept(), TcpStream::connect(address));
            let ((mut accepted, from), mut connected) = (accepted.unwrap(), connected.unwrap());
            assert_eq!(from, connected.local_addr().unwrap());
            connected.write_all(b"x").await.unwrap();
            assert_eq!(accepted.read_u8().await.unwrap(), b'x');
        }
        drop(forward);
        for address in addresses {
            let refused = TcpStream::connect(address).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error_that_names_it() {
        let taken = TcpForward::listen("127.0.0.1", 0, GatewayPorts::Loopback).await.unwrap();
        // Free on ::1, but half a forwarding is none.
        let error = TcpForward::listen("localhost", taken.port(), GatewayPorts::Loopback).await.unwrap_err();
        assert!(
            matches!(&error, ListenError::Tcp { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
        );
        assert!(error.to_string().contains(&format!("localhost port {}", taken.port())), "{error}");
    }

    #[tokio::test]
    async fn unix_sockets_are_listened_on_and_removed() {
        let directory = PrivateDir::create(&std::env::temp_dir()).unwrap();
        let path = directory.path().join("forwarded");
        let forward = UnixForward::listen(&path).unwrap();
        let (accepted, connected) = tokio::join!(forward.accept(), UnixStream::connect(&path));
        accepted.unwrap();
        connected.unwrap();
        let error = UnixForward::listen(&path).unwrap_err();
        assert!(error.to_string().contains("forwarded"), "{error}");
        drop(forward);
        assert!(!path.exists());
        let relative = UnixForward::listen(Path::new("somewhere")).unwrap_err();
        assert!(matches!(relative, ListenError::RelativePath(_)));
    }
}
