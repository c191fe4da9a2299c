//! What may cross a relay: the hook of its owner, and the rule that the far side may open only what the
//! near side asked for.

use crate::connection::{ChannelKind, GlobalRequest};
use std::collections::HashSet;

/// Which leg something comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one who connected to us.
    Client,
    /// The one whom we connected to.
    Server,
}

impl Side {
    /// The other leg.
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What is to happen with something that wants to cross.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It crosses unchanged.
    Pass,
    /// It does not; for an open, the words for the person.
    Refuse(&'static str),
}

/// The owner's say. Everything passes by default.
pub trait RelayPolicy: Send {
    /// A channel is to be opened.
    fn open(&mut self, _from: Side, _kind: &ChannelKind) -> Verdict {
        Verdict::Pass
    }
    /// A request is made on a channel; its name as on the wire.
    fn channel_request(&mut self, _from: Side, _name: &str) -> Verdict {
        Verdict::Pass
    }
    /// A request is made of the connection.
    fn global_request(&mut self, _from: Side, _request: &GlobalRequest) -> Verdict {
        Verdict::Pass
    }
}

/// Lets everything pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct PassAll;

impl RelayPolicy for PassAll {}

/// The longest address or path of a listener, in bytes: far above host names (255) and socket paths (108).
const LONGEST_NAME: usize = 1024;

/// What the client asked the far side to open towards it, and was granted.
#[derive(Debug, Default)]
pub(super) struct Invitations {
    pub(super) agent: bool,
    pub(super) x11: bool,
    tcp: HashSet<(String, u32)>,
    streamlocal: HashSet<Vec<u8>>,
}

/// A grant in waiting: what a success will invite or take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing that the relay minds.
    Other,
    Agent,
    X11,
    Tcp {
        address: String,
        port: u32,
    },
    Streamlocal {
        path: Vec<u8>,
    },
    CancelTcp {
        address: String,
        port: u32,
    },
    CancelStreamlocal {
        path: Vec<u8>,
    },
}

impl Asked {
    pub(super) fn of_global(request: &GlobalRequest) -> Self {
        match request {
            GlobalRequest::TcpipForward { address, port } => {
                Self::Tcp { address: address.clone(), port: *port }
            }
            GlobalRequest::CancelTcpipForward { address, port } => {
                Self::CancelTcp { address: address.clone(), port: *port }
            }
            GlobalRequest::StreamlocalForward { path } => Self::Streamlocal { path: path.clone() },
            GlobalRequest::CancelStreamlocalForward { path } => {
                Self::CancelStreamlocal { path: path.clone() }
            }
            GlobalRequest::NoMoreSessions | GlobalRequest::HostKeys(_) | GlobalRequest::Other { .. } => {
                Self::Other
            }
        }
    }

    /// Whether a success lets the far side open channels.
    pub(super) fn is_invitation(&self) -> bool {
        match self {
            Self::Agent | Self::X11 | Self::Tcp { .. } | Self::Streamlocal { .. } => true,
            Self::Other | Self::CancelTcp { .. } | Self::CancelStreamlocal { .. } => false,
        }
    }

    /// Whether it names something that cannot be: it would only be kept.
    pub(super) fn is_too_long(&self) -> bool {
        let length = match self {
            Self::Other | Self::Agent | Self::X11 => 0,
            Self::Tcp { address, .. } | Self::CancelTcp { address, .. } => address.len(),
            Self::Streamlocal { path } | Self::CancelStreamlocal { path } => path.len(),
        };
        length > LONGEST_NAME
    }

    pub(super) fn of_channel_request(name: &str) -> Self {
        match name {
            "auth-agent-req@openssh.com" | "agent-req" => Self::Agent,
            "x11-req" => Self::X11,
            _ => Self::Other,
        }
    }
}

impl Invitations {
    /// How many listeners one connection may hold.
    const MOST: usize = 256;

    /// Whether one more forward may be asked for.
    pub(super) fn has_room(&self) -> bool {
        self.tcp.len() + self.streamlocal.len() < Self::MOST
    }

    /// Takes note of a success. `allocated` is the port that its reply carries, if any.
    pub(super) fn granted(&mut self, asked: Asked, allocated: Option<u32>) {
        match asked {
            Asked::Other => {}
            Asked::Agent => self.agent = true,
            Asked::X11 => self.x11 = true,
            Asked::Tcp { address, port: 0 } => {
                if let Some(port) = allocated {
                    self.tcp.insert((address, port));
                }
            }
            Asked::Tcp { address, port } => {
                self.tcp.insert((address, port));
            }
            Asked::Streamlocal { path } => {
                self.streamlocal.insert(path);
            }
            Asked::CancelTcp { address, port } => {
                self.tcp.remove(&(address, port));
            }
            Asked::CancelStreamlocal { path } => {
                self.streamlocal.remove(&path);
            }
        }
    }

    /// The listeners, as what was asked for.
    pub(super) fn listeners(&self) -> Vec<Asked> {
        let tcp = self.tcp.iter().map(|(address, port)| Asked::Tcp { address: address.clone(), port: *port });
        let local = self.streamlocal.iter().map(|path| Asked::Streamlocal { path: path.clone() });
        tcp.chain(local).collect()
    }

    /// Whether the far side may open a channel of this kind.
    pub(super) fn admits(&self, kind: &ChannelKind) -> bool {
        match kind {
            ChannelKind::AuthAgent => self.agent,
            ChannelKind::X11 { .. } => self.x11,
            ChannelKind::ForwardedTcpip(ends) => self.tcp.contains(&(ends.host.clone(), ends.port)),
            ChannelKind::ForwardedStreamlocal { path } => self.streamlocal.contains(path),
            // The agent's name in draft-ietf-sshm-ssh-agent.
            ChannelKind::Other { name, .. } if name == "agent-connect" => self.agent,
            // No client grants these, and unknown kinds are its to judge.
            ChannelKind::Session
            | ChannelKind::DirectTcpip(_)
            | ChannelKind::DirectStreamlocal { .. }
            | ChannelKind::Other { .. } => true,
        }
    }
}
