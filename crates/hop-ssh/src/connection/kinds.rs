//! The kinds of channels that can be opened (RFC 4254 sections 6.1, 6.3.2, 7.2; OpenSSH PROTOCOL 2.4)
//! and their wire form.

use crate::error::Malformed;
use crate::wire::{Put, Reader};

/// A kind of channel with what it is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// `session`: a program.
    Session,
    /// `direct-tcpip`: a connection that the opener wants made.
    DirectTcpip(TcpEnds),
    /// `forwarded-tcpip`: a connection that came to a listener; the host is the address *as asked for*.
    ForwardedTcpip(TcpEnds),
    /// `direct-streamlocal@openssh.com`: a Unix socket that the opener wants connected.
    DirectStreamlocal {
        /// The path of the socket.
        path: Vec<u8>,
    },
    /// `forwarded-streamlocal@openssh.com`: a connection to a Unix listener, named by its path.
    ForwardedStreamlocal {
        /// The path as asked for.
        path: Vec<u8>,
    },
    /// `x11`: a client that wants the display.
    X11 {
        /// Address of the client.
        originator: String,
        /// Its port.
        port: u32,
    },
    /// `auth-agent@openssh.com`: a program that wants the agent.
    AuthAgent,
    /// Any other.
    Other {
        /// The name.
        name: String,
        /// What follows in the message.
        data: Vec<u8>,
    },
}

/// The two ends of a forwarded TCP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpEnds {
    /// Where it goes (direct) or came in (forwarded): a name or an address.
    pub host: String,
    /// The port there.
    pub port: u32,
    /// Where it comes from, as its sender says.
    pub originator: String,
    /// The port it comes from.
    pub originator_port: u32,
}

impl ChannelKind {
    /// The name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::Session => "session",
            Self::DirectTcpip(_) => "direct-tcpip",
            Self::ForwardedTcpip(_) => "forwarded-tcpip",
            Self::DirectStreamlocal { .. } => "direct-streamlocal@openssh.com",
            Self::ForwardedStreamlocal { .. } => "forwarded-streamlocal@openssh.com",
            Self::X11 { .. } => "x11",
            Self::AuthAgent => "auth-agent@openssh.com",
            Self::Other { name, .. } => name,
        }
    }

    pub(crate) fn read(name: &str, data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data);
        let kind = match name {
            "session" => Self::Session,
            "direct-tcpip" => Self::DirectTcpip(TcpEnds::read(&mut reader)?),
            "forwarded-tcpip" => Self::ForwardedTcpip(TcpEnds::read(&mut reader)?),
            "direct-streamlocal@openssh.com" => {
                let path = reader.string()?.to_vec();
                // Two reserved fields (PROTOCOL 2.4); some senders leave them out.
                if !reader.rest().is_empty() {
                    reader.string()?;
                    reader.uint32()?;
                }
                Self::DirectStreamlocal { path }
            }
            "forwarded-streamlocal@openssh.com" => {
                let path = reader.string()?.to_vec();
                if !reader.rest().is_empty() {
                    reader.string()?;
                }
                Self::ForwardedStreamlocal { path }
            }
            "x11" => Self::X11 { originator: reader.text()?.to_owned(), port: reader.uint32()? },
            "auth-agent@openssh.com" => Self::AuthAgent,
            _ => return Ok(Self::Other { name: name.to_owned(), data: data.to_vec() }),
        };
        reader.finish()?;
        Ok(kind)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Session | Self::AuthAgent => {}
            Self::DirectTcpip(ends) | Self::ForwardedTcpip(ends) => ends.write(out),
            Self::DirectStreamlocal { path } => {
                out.put_string(path);
                out.put_string("");
                out.put_uint32(0);
            }
            Self::ForwardedStreamlocal { path } => {
                out.put_string(path);
                out.put_string("");
            }
            Self::X11 { originator, port } => {
                out.put_string(originator);
                out.put_uint32(*port);
            }
            Self::Other { data, .. } => out.put_raw(data),
        }
    }
}

impl TcpEnds {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            host: reader.text()?.to_owned(),
            port: reader.uint32()?,
            originator: reader.text()?.to_owned(),
            originator_port: reader.uint32()?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put_string(&self.host);
        out.put_uint32(self.port);
        out.put_string(&self.originator);
        out.put_uint32(self.originator_port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_what_it_writes() {
        let ends =
            TcpEnds { host: "::1".into(), port: 22, originator: "localhost".into(), originator_port: 70_000 };
        for kind in [
            ChannelKind::Session,
            ChannelKind::DirectTcpip(ends.clone()),
            ChannelKind::ForwardedTcpip(ends),
            ChannelKind::DirectStreamlocal { path: b"/a\xff".to_vec() },
            ChannelKind::ForwardedStreamlocal { path: b"/b".to_vec() },
            ChannelKind::X11 { originator: "127.0.0.1".into(), port: 4 },
            ChannelKind::AuthAgent,
            ChannelKind::Other { name: "tun@openssh.com".into(), data: vec![1, 2, 3] },
        ] {
            let mut data = Vec::new();
            kind.write(&mut data);
            assert_eq!(ChannelKind::read(kind.name(), &data).unwrap(), kind);
        }
    }
}
