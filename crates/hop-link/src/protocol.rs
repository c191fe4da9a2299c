//! The two halves of a WebSocket without any I/O: frames in, payload out; payload in, frames out.
//!
//! What must stay true: payload is passed on as it comes, however long its frame: nothing waits for the end of a message,
//! and no length that the peer names is ever allocated. A control frame is at most 125 bytes.

use crate::close::Close;
use crate::frame::{FrameError, Header, LONGEST, MOST_CONTROL, Opcode, apply_mask};

/// The longest payload of a data frame of ours: the longest with a two-byte length. Some servers have a cap on messages;
/// none that is known is below this.
pub(crate) const MOST_PAYLOAD: usize = u16::MAX as usize;
/// What must be in the input at least to get on: a control frame is taken whole.
pub(crate) const LONGEST_CONTROL: usize = LONGEST + MOST_CONTROL;

/// Which end of a WebSocket this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Masks what it sends.
    Client,
    /// Takes only what is masked.
    Server,
}

/// The payload of a ping or pong.
pub(crate) type ControlPayload = Vec<u8>;

/// What came of some input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More input is needed.
    Wait,
    /// So many bytes of payload.
    Data(usize),
    /// To be answered with the same payload.
    Ping(ControlPayload),
    /// An answer.
    Pong,
    /// The peer is done.
    Close(Close),
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Receiver {
    role: Role,
    /// Whether messages may be text.
    takes_text: bool,
    /// Whether a message has begun and not ended.
    inside: bool,
    /// Of the payload of the frame at hand.
    left: u64,
    mask: [u8; 4],
    phase: usize,
}

impl Receiver {
    pub(crate) fn new(role: Role) -> Self {
        Self { role, takes_text: false, inside: false, left: 0, mask: [0; 4], phase: 0 }
    }

    /// Takes text for data, too.
    pub(crate) fn take_text(&mut self) {
        self.takes_text = true;
    }

    /// Takes some of the input, which begins where the last call ended; says how much was taken. Payload goes into `room`,
    /// which must not be empty.
    pub(crate) fn advance(&mut self, input: &[u8], room: &mut [u8]) -> Result<(usize, Step), FrameError> {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..) {
            if self.left > 0 {
                let most = usize::try_from(self.left).unwrap_or(usize::MAX);
                let count = most.min(rest.len()).min(room.len());
                if let (Some(from), Some(to)) = (rest.get(..count), room.get_mut(..count)) {
                    to.copy_from_slice(from);
                    self.took(to);
                }
                return Ok((taken + count, if count == 0 { Step::Wait } else { Step::Data(count) }));
            }
            let Some((header, length)) = Header::parse(rest)? else { break };
            if header.mask.is_some() != (self.role == Role::Server) {
                return Err(FrameError::Mask);
            }
            match header.opcode {
                Opcode::Text if !self.takes_text => return Err(FrameError::Text),
                Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                    if self.inside != (header.opcode == Opcode::Continuation) {
                        return Err(FrameError::Order);
                    }
                    self.inside = !header.is_final;
                    self.left = header.length;
                    self.mask = header.mask.unwrap_or_default();
                    self.phase = 0;
                    taken += length;
                }
                control @ (Opcode::Close | Opcode::Ping | Opcode::Pong) => {
                    // At most 125, as the header was read.
                    let end = length + usize::try_from(header.length).unwrap_or(MOST_CONTROL);
                    let Some(payload) = rest.get(length..end) else { break };
                    let mut payload = payload.to_vec();
                    apply_mask(&mut payload, header.mask.unwrap_or_default(), 0);
                    let step = match control {
                        Opcode::Ping => Step::Ping(payload),
                        Opcode::Pong => Step::Pong,
                        _ => Step::Close(Close::parse(&payload)?),
                    };
                    return Ok((taken + end, step));
                }
            }
        }
        Ok((taken, Step::Wait))
    }

    /// How much of the frame at hand is to come: so much may be read past the input, and given to [`took`](Self::took).
    pub(crate) fn expects(&self) -> u64 {
        self.left
    }

    /// Unmasks payload in place that was read where it is wanted.
    pub(crate) fn took(&mut self, payload: &mut [u8]) {
        if self.role == Role::Server {
            self.phase = apply_mask(payload, self.mask, self.phase);
        }
        self.left = self.left.saturating_sub(payload.len() as u64);
    }
}

/// Fills a slice with random bytes: masks must not be foreseeable (section 5.3).
pub type Random = fn(&mut [u8]);

/// The sending half: at most one data frame waits, and the control frames that were put behind it.
pub(crate) struct Sender {
    random: Option<Random>,
    output: Vec<u8>,
    sent: usize,
}

impl Sender {
    /// A client's, which masks.
    pub(crate) fn client(random: Random) -> Self {
        Self { random: Some(random), output: Vec::new(), sent: 0 }
    }

    /// A server's.
    pub(crate) fn server() -> Self {
        Self { random: None, output: Vec::new(), sent: 0 }
    }

    /// Appends a frame with all of `payload`.
    pub(crate) fn push(&mut self, opcode: Opcode, payload: &[u8]) {
        let mask = self.random.map(|random| {
            let mut mask = [0; 4];
            random(&mut mask);
            mask
        });
        self.output.reserve(LONGEST + payload.len());
        Header { is_final: true, opcode, mask, length: payload.len() as u64 }.write(&mut self.output);
        let start = self.output.len();
        self.output.extend_from_slice(payload);
        if let (Some(mask), Some(payload)) = (mask, self.output.get_mut(start..)) {
            apply_mask(payload, mask, 0);
        }
    }

    /// What is to be sent.
    pub(crate) fn pending(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    /// So much of it was.
    pub(crate) fn consume(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count);
        if self.sent >= self.output.len() {
            // An idle connection owns no buffer.
            *self = Self { random: self.random, output: Vec::new(), sent: 0 };
        }
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("pending", &self.pending().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chance(bytes: &mut [u8]) {
        bytes.copy_from_slice(&[0x37, 0xfa, 0x21, 0x3d]);
    }

    fn frames(role: Role, frames: &[(Opcode, Vec<u8>)]) -> Vec<u8> {
        let mut sender = match role {
            Role::Client => Sender::client(chance),
            Role::Server => Sender::server(),
        };
        for (opcode, payload) in frames {
            sender.push(*opcode, payload);
        }
        sender.pending().to_vec()
    }

    /// Everything that a receiver makes of some bytes that come in pieces of `piece`, into a room of `room`.
    fn receive(
        role: Role,
        bytes: &[u8],
        piece: usize,
        room: usize,
    ) -> Result<(Vec<u8>, Vec<Step>), FrameError> {
        let mut receiver = Receiver::new(role);
        let (mut data, mut steps, mut input) = (Vec::new(), Vec::new(), Vec::new());
        for part in bytes.chunks(piece) {
            input.extend_from_slice(part);
            loop {
                let mut room = vec![0; room];
                let (taken, step) = receiver.advance(&input, &mut room)?;
                input.drain(..taken);
                match step {
                    Step::Wait => break,
                    Step::Data(count) => data.extend_from_slice(&room[..count]),
                    other => steps.push(other),
                }
            }
            assert!(input.len() < LONGEST_CONTROL, "{} bytes wait", input.len());
        }
        Ok((data, steps))
    }

    #[test]
    fn a_frame_without_end_is_passed_on_as_it_comes() {
        let mut receiver = Receiver::new(Role::Client);
        let mut room = [0; 4];
        let header = [0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, b'S', b'S'];
        assert_eq!(receiver.advance(&header, &mut room), Ok((12, Step::Data(2))));
        assert_eq!(receiver.expects(), i64::MAX as u64 - 2);
    }

    #[test]
    fn what_breaks_the_protocol() {
        let cases: &[(Role, &[u8], FrameError)] = &[
            (Role::Server, &[0x82, 1, 0], FrameError::Mask),
            (Role::Client, &[0x82, 0x81, 0, 0, 0, 0, 0], FrameError::Mask),
            (Role::Client, &[0x81, 1, b'x'], FrameError::Text),
            (Role::Client, &[0x80, 0], FrameError::Order),
            (Role::Client, &[0x02, 0, 0x82, 0], FrameError::Order),
            (Role::Client, &[0x88, 1, 0], FrameError::Close),
        ];
        for (role, bytes, error) in cases {
            assert_eq!(receive(*role, bytes, 64, 64).unwrap_err(), *error, "{bytes:x?}");
        }
        // A ping may stand between the parts of a message.
        let parts = [0x02, 1, b'a', 0x89, 0, 0x80, 1, b'b'];
        let (data, steps) = receive(Role::Client, &parts, 1, 1).unwrap();
        assert_eq!((data.as_slice(), steps.as_slice()), (b"ab".as_slice(), &[Step::Ping(Vec::new())][..]));
    }

    proptest! {
        #[test]
        fn receiving_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), piece in 1..50usize, room in 1..50usize) {
            let _ = receive(Role::Client, &bytes, piece, room);
            let _ = receive(Role::Server, &bytes, piece, room);
        }

        #[test]
        fn what_one_sends_the_other_gets(
            payloads in prop::collection::vec((0..3u8, prop::collection::vec(any::<u8>(), 0..300)), 0..20),
            piece in 1..200usize,
            room in 1..200usize,
            is_client: bool,
        ) {
            let (here, there) = match is_client {
                true => (Role::Client, Role::Server),
                false => (Role::Server, Role::Client),
            };
            let (mut sent, mut data, mut steps) = (Vec::new(), Vec::new(), Vec::new());
            for (kind, mut payload) in payloads {
                if kind == 0 {
                    data.extend_from_slice(&payload);
                    sent.push((Opcode::Binary, payload));
                    continue;
                }
                payload.truncate(MOST_CONTROL);
                if kind == 1 {
                    sent.push((Opcode::Ping, payload.clone()));
                    steps.push(Step::Ping(payload));
                } else {
                    sent.push((Opcode::Pong, payload));
                    steps.push(Step::Pong);
                }
            }
            let received = receive(there, &frames(here, &sent), piece, room);
            prop_assert_eq!(received, Ok((data, steps)));
        }
    }
}
