//! The messages of a control socket: bytes in, messages out.
//!
//! Must stay true: no input makes it panic or keep more than [`LONGEST`] bytes. Numbers and layouts are those of
//! PROTOCOL.mux; its sections are named at the messages.

use super::forward::{End, Forward};
use std::ops::ControlFlow;

/// The only version that is spoken (section 1).
pub const VERSION: u32 = 4;
/// The longest message that is taken from a master. Its longest are a reason in words.
pub const LONGEST: usize = 64 * 1024;
/// No escape character (section 2).
const NO_ESCAPE: u32 = 0xffff_ffff;

mod number {
    pub(super) const HELLO: u32 = 0x0000_0001;
    pub(super) const NEW_SESSION: u32 = 0x1000_0002;
    pub(super) const ALIVE_CHECK: u32 = 0x1000_0004;
    pub(super) const TERMINATE: u32 = 0x1000_0005;
    pub(super) const OPEN_FORWARD: u32 = 0x1000_0006;
    pub(super) const CLOSE_FORWARD: u32 = 0x1000_0007;
    pub(super) const NEW_STDIO_FORWARD: u32 = 0x1000_0008;
    pub(super) const STOP_LISTENING: u32 = 0x1000_0009;
    pub(super) const OK: u32 = 0x8000_0001;
    pub(super) const PERMISSION_DENIED: u32 = 0x8000_0002;
    pub(super) const FAILURE: u32 = 0x8000_0003;
    pub(super) const EXIT_MESSAGE: u32 = 0x8000_0004;
    pub(super) const ALIVE: u32 = 0x8000_0005;
    pub(super) const SESSION_OPENED: u32 = 0x8000_0006;
    pub(super) const REMOTE_PORT: u32 = 0x8000_0007;
    pub(super) const TTY_ALLOC_FAIL: u32 = 0x8000_0008;
}

/// What a new session should be (section 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewSession {
    /// A terminal is wanted.
    pub tty: bool,
    /// X11 is wanted.
    pub x11: bool,
    /// The agent is wanted.
    pub agent: bool,
    /// The command is a subsystem's name.
    pub subsystem: bool,
    /// `$TERM`.
    pub terminal: String,
    /// The command; empty is a login shell.
    pub command: String,
    /// `NAME=value` each.
    pub environment: Vec<String>,
}

/// What we say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of PROTOCOL.mux")]
pub enum ToMaster {
    /// Section 1.
    Hello { version: u32 },
    /// Section 2; three descriptors follow it.
    NewSession { request: u32, session: NewSession },
    /// Section 3; two descriptors follow it.
    NewStdioForward { request: u32, host: String, port: u32 },
    /// Section 4.
    AliveCheck { request: u32 },
    /// Section 5.
    Terminate { request: u32 },
    /// Section 6.
    OpenForward { request: u32, forward: Forward },
    /// Section 7.
    CloseForward { request: u32, forward: Forward },
    /// Section 8.
    StopListening { request: u32 },
}

/// What a master says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of PROTOCOL.mux")]
pub enum FromMaster {
    /// Section 1; extensions are passed over, none is defined.
    Hello { version: u32 },
    /// Section 10.
    Ok { request: u32 },
    /// Section 10.
    PermissionDenied { request: u32, reason: String },
    /// Section 10.
    Failure { request: u32, reason: String },
    /// Section 2: the session ended.
    ExitMessage { session: u32, status: u32 },
    /// Section 4.
    Alive { request: u32, pid: u32 },
    /// Section 2.
    SessionOpened { request: u32, session: u32 },
    /// Section 6.
    RemotePort { request: u32, port: u32 },
    /// Section 2: no terminal for this session.
    TtyAllocFail { session: u32 },
}

/// Bytes that are no message of a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedMessage {
    /// Longer than any message is.
    #[error("a message of {0} bytes")]
    TooLong(usize),
    /// It ends inside a field.
    #[error("message {0:#010x} ends too early")]
    Short(u32),
    /// Not a message of a master.
    #[error("unknown message {0:#010x}")]
    Unknown(u32),
}

impl ToMaster {
    /// The message with its length in front.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(vec![0; 4]);
        match self {
            Self::Hello { version } => out.numbers(&[number::HELLO, *version]),
            Self::NewSession { request, session } => {
                out.numbers(&[number::NEW_SESSION, *request]);
                out.string("");
                let flags = [session.tty, session.x11, session.agent, session.subsystem];
                // "bool" here is a uint32 as in all of OpenSSH's mux code, not the byte of RFC 4251.
                out.numbers(&flags.map(u32::from));
                out.numbers(&[NO_ESCAPE]);
                out.string(&session.terminal);
                out.string(&session.command);
                session.environment.iter().for_each(|entry| out.string(entry));
            }
            Self::NewStdioForward { request, host, port } => {
                out.numbers(&[number::NEW_STDIO_FORWARD, *request]);
                out.string("");
                out.string(host);
                // The document says "string", the code (mux.c) has always sent and read a uint32.
                out.numbers(&[*port]);
            }
            Self::AliveCheck { request } => out.numbers(&[number::ALIVE_CHECK, *request]),
            Self::Terminate { request } => out.numbers(&[number::TERMINATE, *request]),
            Self::OpenForward { request, forward } => {
                out.numbers(&[number::OPEN_FORWARD, *request]);
                out.forward(forward);
            }
            Self::CloseForward { request, forward } => {
                out.numbers(&[number::CLOSE_FORWARD, *request]);
                out.forward(forward);
            }
            Self::StopListening { request } => out.numbers(&[number::STOP_LISTENING, *request]),
        }
        out.finish()
    }
}

impl FromMaster {
    /// The message with its length in front: what a master would send. For peers made by tests.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(vec![0; 4]);
        match self {
            Self::Hello { version } => out.numbers(&[number::HELLO, *version]),
            Self::Ok { request } => out.numbers(&[number::OK, *request]),
            Self::PermissionDenied { request, reason } => {
                out.numbers(&[number::PERMISSION_DENIED, *request]);
                out.string(reason);
            }
            Self::Failure { request, reason } => {
                out.numbers(&[number::FAILURE, *request]);
                out.string(reason);
            }
            Self::ExitMessage { session, status } => {
                out.numbers(&[number::EXIT_MESSAGE, *session, *status]);
            }
            Self::Alive { request, pid } => out.numbers(&[number::ALIVE, *request, *pid]),
            Self::SessionOpened { request, session } => {
                out.numbers(&[number::SESSION_OPENED, *request, *session]);
            }
            Self::RemotePort { request, port } => out.numbers(&[number::REMOTE_PORT, *request, *port]),
            Self::TtyAllocFail { session } => out.numbers(&[number::TTY_ALLOC_FAIL, *session]),
        }
        out.finish()
    }

    fn decode(mut body: &[u8]) -> Result<Self, MalformedMessage> {
        let kind = read_u32(&mut body).ok_or(MalformedMessage::Short(0))?;
        let short = MalformedMessage::Short(kind);
        let mut number = || read_u32(&mut body).ok_or(short);
        Ok(match kind {
            number::HELLO => Self::Hello { version: number()? },
            number::OK => Self::Ok { request: number()? },
            number::PERMISSION_DENIED => {
                Self::PermissionDenied { request: number()?, reason: read_text(&mut body).ok_or(short)? }
            }
            number::FAILURE => {
                Self::Failure { request: number()?, reason: read_text(&mut body).ok_or(short)? }
            }
            number::EXIT_MESSAGE => Self::ExitMessage { session: number()?, status: number()? },
            number::ALIVE => Self::Alive { request: number()?, pid: number()? },
            number::SESSION_OPENED => Self::SessionOpened { request: number()?, session: number()? },
            number::REMOTE_PORT => Self::RemotePort { request: number()?, port: number()? },
            number::TTY_ALLOC_FAIL => Self::TtyAllocFail { session: number()? },
            unknown => return Err(MalformedMessage::Unknown(unknown)),
        })
    }
}

/// Cuts what a master sends into messages.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Takes bytes as they came. At most one message and what came with it is ever kept, if [`Self::next`] is
    /// called until it has nothing before more is pushed.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message.
    ///
    /// # Errors
    /// When what came is no message; the connection is of no further use then.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end at the first None")]
    pub fn next(&mut self) -> Result<Option<FromMaster>, MalformedMessage> {
        let length = match self.length()? {
            ControlFlow::Break(length) => length,
            ControlFlow::Continue(()) => return Ok(None),
        };
        let Some(body) = self.buffer.get(4..4 + length) else { return Ok(None) };
        let message = FromMaster::decode(body);
        self.buffer.drain(..4 + length);
        message.map(Some)
    }

    fn length(&self) -> Result<ControlFlow<usize>, MalformedMessage> {
        let mut start = self.buffer.as_slice();
        match read_u32(&mut start) {
            None => Ok(ControlFlow::Continue(())),
            Some(length) if length as usize > LONGEST => Err(MalformedMessage::TooLong(length as usize)),
            Some(length) => Ok(ControlFlow::Break(length as usize)),
        }
    }
}

/// Builds a message; the first four bytes are kept for its length.
struct Writer(Vec<u8>);

impl Writer {
    fn numbers(&mut self, numbers: &[u32]) {
        numbers.iter().for_each(|n| self.0.extend_from_slice(&n.to_be_bytes()));
    }

    fn string(&mut self, text: &str) {
        self.numbers(&[u32::try_from(text.len()).unwrap_or(u32::MAX)]);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn forward(&mut self, forward: &Forward) {
        self.numbers(&[forward.direction.number()]);
        // For a proxy, OpenSSH writes this word; it is compared when the forwarding is closed.
        let connect = forward.connect.as_ref().map_or(("socks", 0), End::on_wire);
        for (host, port) in [forward.listen.on_wire(), connect] {
            self.string(host);
            self.numbers(&[port]);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 4).unwrap_or(u32::MAX);
        if let Some(start) = self.0.first_chunk_mut::<4>() {
            *start = length.to_be_bytes();
        }
        self.0
    }
}

fn read_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*number))
}

/// Reasons come from the far side, so they are not always UTF-8.
fn read_text(bytes: &mut &[u8]) -> Option<String> {
    let length = read_u32(bytes)? as usize;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::forward::Direction;
    use super::*;
    use proptest::prelude::*;

    fn any_message() -> impl Strategy<Value = FromMaster> {
        let n = any::<u32>;
        prop_oneof![
            n().prop_map(|version| FromMaster::Hello { version }),
            n().prop_map(|request| FromMaster::Ok { request }),
            (n(), ".{0,200}").prop_map(|(request, reason)| FromMaster::PermissionDenied { request, reason }),
            (n(), ".{0,200}").prop_map(|(request, reason)| FromMaster::Failure { request, reason }),
            (n(), n()).prop_map(|(session, status)| FromMaster::ExitMessage { session, status }),
            (n(), n()).prop_map(|(request, pid)| FromMaster::Alive { request, pid }),
            (n(), n()).prop_map(|(request, session)| FromMaster::SessionOpened { request, session }),
            (n(), n()).prop_map(|(request, port)| FromMaster::RemotePort { request, port }),
            n().prop_map(|session| FromMaster::TtyAllocFail { session }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_any_pieces(
            messages in proptest::collection::vec(any_message(), 0..8),
            piece in 1_usize..40,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(FromMaster::encode).collect();
            let (mut decoder, mut read) = (Decoder::default(), Vec::new());
            for piece in bytes.chunks(piece) {
                decoder.push(piece);
                while let Some(message) = decoder.next().unwrap() {
                    read.push(message);
                }
            }
            prop_assert_eq!(read, messages);
        }

        #[test]
        fn nothing_panics_or_grows(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut decoder = Decoder::default();
            for piece in bytes.chunks(7) {
                decoder.push(piece);
                while let Ok(Some(_)) = decoder.next() {}
                prop_assert!(decoder.buffer.len() <= LONGEST + 4 + 7);
            }
        }
    }

    #[test]
    fn a_length_from_nowhere_is_refused_before_it_is_waited_for() {
        let mut decoder = Decoder::default();
        decoder.push(&[0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(decoder.next(), Err(MalformedMessage::TooLong(0x7fff_ffff)));
    }

    #[test]
    fn a_forwarding_as_openssh_writes_it() {
        let forward = Forward::parse(Direction::Remote, "80:/x").unwrap();
        let bytes = ToMaster::OpenForward { request: 7, forward }.encode();
        let mut wanted = vec![0, 0, 0, 30, 0x10, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 2];
        wanted.extend(b"\0\0\0\0\0\0\0\x50\0\0\0\x02/x\xff\xff\xff\xfe");
        assert_eq!(bytes, wanted);
    }

    #[test]
    fn a_session_as_openssh_writes_it() {
        let session = NewSession {
            tty: true,
            x11: false,
            agent: false,
            subsystem: false,
            terminal: "xterm".to_owned(),
            command: "id".to_owned(),
            environment: vec!["LANG=C".to_owned()],
        };
        let bytes = ToMaster::NewSession { request: 7, session }.encode();
        let mut wanted = vec![0, 0, 0, 57, 0x10, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0];
        wanted.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        wanted.extend(b"\0\0\0\x05xterm\0\0\0\x02id\0\0\0\x06LANG=C");
        assert_eq!(bytes, wanted);
    }
}
