//! Where a connection comes from: an address of a network, or a project of this site.

use hop_store::ProjectId;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A network.
    Network {
        /// The client's end.
        client: SocketAddr,
        /// Our end.
        server: SocketAddr,
    },
    /// A process inside a project, through the project's own door.
    Project(ProjectId),
}

impl Origin {
    /// The client's address, where it has one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Network { client, .. } => Some(client.ip().to_canonical()),
            Self::Project(_) => None,
        }
    }

    /// The project that it comes from.
    pub fn project(&self) -> Option<ProjectId> {
        match self {
            Self::Network { .. } => None,
            Self::Project(project) => Some(*project),
        }
    }

    /// The client's end as records and SSH_CONNECTION show it: a project's door has no address of its own, and is on
    /// this machine.
    pub(crate) fn client(&self) -> SocketAddr {
        match self {
            Self::Network { client, .. } => *client,
            Self::Project(_) => NOWHERE,
        }
    }

    /// Our end, likewise.
    pub(crate) fn server(&self) -> SocketAddr {
        match self {
            Self::Network { server, .. } => *server,
            Self::Project(_) => NOWHERE,
        }
    }

    /// Who answers for failures.
    pub(crate) fn source(&self) -> Source {
        match self {
            Self::Network { client, .. } => match client.ip().to_canonical() {
                IpAddr::V4(address) => Source::V4(address.octets()),
                IpAddr::V6(address) => {
                    let [a, b, c, d, e, f, g, h, ..] = address.octets();
                    Source::V6([a, b, c, d, e, f, g, h])
                }
            },
            Self::Project(project) => Source::Project(*project),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { client, .. } => client.fmt(f),
            Self::Project(project) => write!(f, "project {project}"),
        }
    }
}

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What is counted together: an IPv4 address, the /64 of an IPv6 address (a host has all of it), a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    V4([u8; 4]),
    V6([u8; 8]),
    Project(ProjectId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let source = |client: &str| {
            Origin::Network { client: client.parse().unwrap(), server: "[::1]:22".parse().unwrap() }.source()
        };
        let table = [
            ("192.0.2.1:5", "192.0.2.1:6", true),
            ("192.0.2.1:5", "192.0.2.2:5", false),
            ("192.0.2.1:5", "[::ffff:192.0.2.1]:5", true),
            ("[2001:db8::1]:5", "[2001:db8::ffff:ffff:ffff:ffff]:5", true),
            ("[2001:db8::1]:5", "[2001:db8:0:1::1]:5", false),
        ];
        for (one, other, same) in table {
            assert_eq!(source(one) == source(other), same, "{one} {other}");
        }
    }
}
