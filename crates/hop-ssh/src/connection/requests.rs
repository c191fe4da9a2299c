//! Channel requests (RFC 4254 section 6, RFC 4335, OpenSSH PROTOCOL 2.1 and 5.5) and global requests
//! (RFC 4254 section 7.1, OpenSSH PROTOCOL 2.4): what they ask for, and their wire form.

use crate::error::Malformed;
use crate::wire::{Put, Reader};

/// A request on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelRequest {
    /// `pty-req`.
    Pty(PtyRequest),
    /// `x11-req`.
    X11(X11Request),
    /// `auth-agent-req@openssh.com` (also `agent-req`, its standard name).
    AuthAgent,
    /// `env`.
    Env {
        /// The name of the variable.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// `shell`.
    Shell,
    /// `exec` with a command for the user's shell.
    Exec(Vec<u8>),
    /// `subsystem` with its name.
    Subsystem(Vec<u8>),
    /// `window-change`.
    WindowChange(WindowSize),
    /// `signal` with the name without SIG.
    Signal(String),
    /// `break` with its length in milliseconds.
    Break(u32),
    /// `exit-status`.
    ExitStatus(u32),
    /// `exit-signal`.
    ExitSignal(ExitSignal),
    /// `eow@openssh.com`: the sender reads no more.
    EndOfWrite,
    /// Any other.
    Other {
        /// The name.
        name: String,
        /// What follows in the message.
        data: Vec<u8>,
    },
}

/// `pty-req` (RFC 4254 section 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PtyRequest {
    /// The value for TERM.
    pub term: Vec<u8>,
    /// The size of the window.
    pub size: WindowSize,
    /// The encoded terminal modes, byte for byte (RFC 4254 section 8).
    pub modes: Vec<u8>,
}

/// The size of a terminal window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct WindowSize {
    pub columns: u32,
    pub rows: u32,
    pub width_pixels: u32,
    pub height_pixels: u32,
}

/// `x11-req` (RFC 4254 section 6.3.1).
#[derive(Clone, PartialEq, Eq)]
pub struct X11Request {
    /// Forward one connection only.
    pub single_connection: bool,
    /// The authentication protocol, as "MIT-MAGIC-COOKIE-1".
    pub protocol: String,
    /// The cookie in hexadecimal.
    pub cookie: String,
    /// The screen number.
    pub screen: u32,
}

impl std::fmt::Debug for X11Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The cookie is a secret.
        f.debug_struct("X11Request").field("screen", &self.screen).finish_non_exhaustive()
    }
}

/// `exit-signal` (RFC 4254 section 6.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitSignal {
    /// The name without SIG.
    pub signal: String,
    /// Whether a core was written.
    pub core_dumped: bool,
    /// A message for the person.
    pub message: String,
}

impl ChannelRequest {
    /// The name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::Pty(_) => "pty-req",
            Self::X11(_) => "x11-req",
            Self::AuthAgent => "auth-agent-req@openssh.com",
            Self::Env { .. } => "env",
            Self::Shell => "shell",
            Self::Exec(_) => "exec",
            Self::Subsystem(_) => "subsystem",
            Self::WindowChange(_) => "window-change",
            Self::Signal(_) => "signal",
            Self::Break(_) => "break",
            Self::ExitStatus(_) => "exit-status",
            Self::ExitSignal(_) => "exit-signal",
            Self::EndOfWrite => "eow@openssh.com",
            Self::Other { name, .. } => name,
        }
    }

    pub(crate) fn read(name: &str, data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data);
        let request = match name {
            "pty-req" => Self::Pty(PtyRequest {
                term: reader.string()?.to_vec(),
                size: WindowSize::read(&mut reader)?,
                modes: reader.string()?.to_vec(),
            }),
            "x11-req" => Self::X11(X11Request {
                single_connection: reader.boolean()?,
                protocol: reader.text()?.to_owned(),
                cookie: reader.text()?.to_owned(),
                screen: reader.uint32()?,
            }),
            "auth-agent-req@openssh.com" | "agent-req" => Self::AuthAgent,
            "env" => Self::Env { name: reader.string()?.to_vec(), value: reader.string()?.to_vec() },
            "shell" => Self::Shell,
            "exec" => Self::Exec(reader.string()?.to_vec()),
            "subsystem" => Self::Subsystem(reader.string()?.to_vec()),
            "window-change" => Self::WindowChange(WindowSize::read(&mut reader)?),
            "signal" => Self::Signal(reader.text()?.to_owned()),
            "break" => Self::Break(reader.uint32()?),
            "exit-status" => Self::ExitStatus(reader.uint32()?),
            "exit-signal" => {
                let signal = reader.text()?.to_owned();
                let core_dumped = reader.boolean()?;
                let message = String::from_utf8_lossy(reader.string()?).into_owned();
                reader.string()?;
                Self::ExitSignal(ExitSignal { signal, core_dumped, message })
            }
            "eow@openssh.com" => Self::EndOfWrite,
            _ => return Ok(Self::Other { name: name.to_owned(), data: data.to_vec() }),
        };
        reader.finish()?;
        Ok(request)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Pty(pty) => {
                out.put_string(&pty.term);
                pty.size.write(out);
                out.put_string(&pty.modes);
            }
            Self::X11(x11) => {
                out.put_boolean(x11.single_connection);
                out.put_string(&x11.protocol);
                out.put_string(&x11.cookie);
                out.put_uint32(x11.screen);
            }
            Self::Env { name, value } => {
                out.put_string(name);
                out.put_string(value);
            }
            Self::Exec(text) | Self::Subsystem(text) => out.put_string(text),
            Self::WindowChange(size) => size.write(out),
            Self::Signal(name) => out.put_string(name),
            Self::Break(number) | Self::ExitStatus(number) => out.put_uint32(*number),
            Self::ExitSignal(exit) => {
                out.put_string(&exit.signal);
                out.put_boolean(exit.core_dumped);
                out.put_string(&exit.message);
                out.put_string("");
            }
            Self::AuthAgent | Self::Shell | Self::EndOfWrite => {}
            Self::Other { data, .. } => out.put_raw(data),
        }
    }
}

impl WindowSize {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            columns: reader.uint32()?,
            rows: reader.uint32()?,
            width_pixels: reader.uint32()?,
            height_pixels: reader.uint32()?,
        })
    }

    fn write(self, out: &mut Vec<u8>) {
        for number in [self.columns, self.rows, self.width_pixels, self.height_pixels] {
            out.put_uint32(number);
        }
    }
}

/// A request about the connection as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GlobalRequest {
    /// `tcpip-forward`: listen. Port 0 asks for any; the reply then carries it.
    TcpipForward {
        /// The address to listen on, as asked for: "", "localhost", "0.0.0.0", "*", a name.
        address: String,
        /// The port to listen on.
        port: u32,
    },
    /// `cancel-tcpip-forward`.
    CancelTcpipForward {
        /// As in the request that is taken back.
        address: String,
        /// As in the request that is taken back, or the port that was allocated.
        port: u32,
    },
    /// `streamlocal-forward@openssh.com`: listen on a Unix socket.
    StreamlocalForward {
        /// Its path.
        path: Vec<u8>,
    },
    /// `cancel-streamlocal-forward@openssh.com`.
    CancelStreamlocalForward {
        /// Its path.
        path: Vec<u8>,
    },
    /// `no-more-sessions@openssh.com` (OpenSSH PROTOCOL 2.2).
    NoMoreSessions,
    /// `hostkeys-00@openssh.com` (OpenSSH PROTOCOL 2.5): all host keys of the server, in wire form.
    HostKeys(Vec<Vec<u8>>),
    /// Any other.
    Other {
        /// The name.
        name: String,
        /// What follows in the message.
        data: Vec<u8>,
    },
}

/// How many host keys a server may announce.
const MOST_HOST_KEYS: usize = 32;

impl GlobalRequest {
    /// The name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::TcpipForward { .. } => "tcpip-forward",
            Self::CancelTcpipForward { .. } => "cancel-tcpip-forward",
            Self::StreamlocalForward { .. } => "streamlocal-forward@openssh.com",
            Self::CancelStreamlocalForward { .. } => "cancel-streamlocal-forward@openssh.com",
            Self::NoMoreSessions => "no-more-sessions@openssh.com",
            Self::HostKeys(_) => "hostkeys-00@openssh.com",
            Self::Other { name, .. } => name,
        }
    }

    pub(crate) fn read(name: &str, data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data);
        let request = match name {
            "tcpip-forward" => {
                Self::TcpipForward { address: reader.text()?.to_owned(), port: reader.uint32()? }
            }
            "cancel-tcpip-forward" => {
                Self::CancelTcpipForward { address: reader.text()?.to_owned(), port: reader.uint32()? }
            }
            "streamlocal-forward@openssh.com" => Self::StreamlocalForward { path: reader.string()?.to_vec() },
            "cancel-streamlocal-forward@openssh.com" => {
                Self::CancelStreamlocalForward { path: reader.string()?.to_vec() }
            }
            "no-more-sessions@openssh.com" => Self::NoMoreSessions,
            "hostkeys-00@openssh.com" => {
                let mut keys = Vec::new();
                while !reader.rest().is_empty() && keys.len() < MOST_HOST_KEYS {
                    keys.push(reader.string()?.to_vec());
                }
                return Ok(Self::HostKeys(keys));
            }
            _ => return Ok(Self::Other { name: name.to_owned(), data: data.to_vec() }),
        };
        reader.finish()?;
        Ok(request)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::TcpipForward { address, port } | Self::CancelTcpipForward { address, port } => {
                out.put_string(address);
                out.put_uint32(*port);
            }
            Self::StreamlocalForward { path } | Self::CancelStreamlocalForward { path } => {
                out.put_string(path);
            }
            Self::NoMoreSessions => {}
            Self::HostKeys(keys) => keys.iter().for_each(|key| out.put_string(key)),
            Self::Other { data, .. } => out.put_raw(data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_request_reads_what_it_writes() {
        let size = WindowSize { columns: 80, rows: 24, width_pixels: 1, height_pixels: 2 };
        for request in [
            ChannelRequest::Pty(PtyRequest { term: b"xterm".to_vec(), size, modes: vec![53, 0, 0, 0, 1, 0] }),
            ChannelRequest::X11(X11Request {
                single_connection: true,
                protocol: "MIT-MAGIC-COOKIE-1".into(),
                cookie: "00ff".into(),
                screen: 3,
            }),
            ChannelRequest::AuthAgent,
            ChannelRequest::Env { name: b"LANG".to_vec(), value: b"C\xff".to_vec() },
            ChannelRequest::Shell,
            ChannelRequest::Exec(b"ls \xff".to_vec()),
            ChannelRequest::Subsystem(b"sftp".to_vec()),
            ChannelRequest::WindowChange(size),
            ChannelRequest::Signal("TERM".into()),
            ChannelRequest::Break(500),
            ChannelRequest::ExitStatus(255),
            ChannelRequest::ExitSignal(ExitSignal {
                signal: "KILL".into(),
                core_dumped: true,
                message: "x".into(),
            }),
            ChannelRequest::EndOfWrite,
            ChannelRequest::Other { name: "xon-xoff".into(), data: vec![1] },
        ] {
            let mut data = Vec::new();
            request.write(&mut data);
            assert_eq!(ChannelRequest::read(request.name(), &data).unwrap(), request);
        }
    }

    #[test]
    fn every_global_request_reads_what_it_writes() {
        for request in [
            GlobalRequest::TcpipForward { address: "*".into(), port: 0 },
            GlobalRequest::CancelTcpipForward { address: "".into(), port: 8080 },
            GlobalRequest::StreamlocalForward { path: b"/x".to_vec() },
            GlobalRequest::CancelStreamlocalForward { path: b"/x".to_vec() },
            GlobalRequest::NoMoreSessions,
            GlobalRequest::HostKeys(vec![vec![1], vec![2, 3]]),
            GlobalRequest::Other { name: "keepalive@openssh.com".into(), data: vec![] },
        ] {
            let mut data = Vec::new();
            request.write(&mut data);
            assert_eq!(GlobalRequest::read(request.name(), &data).unwrap(), request);
        }
    }
}
