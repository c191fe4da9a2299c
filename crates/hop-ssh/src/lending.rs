//! What the two ends of a bare leg say about pipes that one lends to the other.
//!
//! The endpoint of a busy channel can hand its program's pipes to the relay: then the relay reads what the program writes,
//! or writes what it is to read, as if the program were its own, and nothing passes through the endpoint. Whoever holds
//! the pipes also keeps the channel's window. In order:
//!
//! 1. LEND, with the pipes (SCM_RIGHTS) in its first byte, from the endpoint, which for output has sent all it had;
//! 2. LENT: from here on the relay keeps what the client says about that flow: credit for output, data for input;
//! 3. START, once nothing is left at the endpoint: the window as it stands there. The relay moves bytes;
//! 4. RETURNED, in place of LENT when the relay does not want them, or at any time after it: how many bytes it moved, and
//!    what is left of the window (output) or what it granted besides (input). What it kept follows as ordinary messages.
//!
//! Output is standard output and standard error together, since they share a window. No message of an end depends on when
//! the other's arrives: a START that crosses a RETURNED means nothing.

use crate::error::Malformed;
use crate::message;
use crate::wire::{Put, Reader};

/// The largest window of a channel whose input may be lent, in bytes: what the relay may have to keep.
pub const LARGEST_INPUT: u32 = 2 * 1024 * 1024;

/// What is lent of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// What the program writes.
    Output,
    /// What it reads.
    Input,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lending {
    /// The recipient's number for the channel: towards the endpoint its own, from it the client's.
    pub(crate) channel: u32,
    pub(crate) flow: Flow,
    pub(crate) step: Step,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Lend {
        /// Whether standard error comes with standard output.
        with_errors: bool,
        /// The largest data message that the client takes, in bytes.
        largest: u32,
    },
    Lent,
    Start {
        window: u32,
    },
    Returned {
        moved: u64,
        credit: u64,
    },
}

impl Lending {
    /// How many pipes go with it.
    pub(crate) fn pipes(&self) -> usize {
        match self.step {
            Step::Lend { with_errors, .. } => 1 + usize::from(with_errors),
            Step::Lent | Step::Start { .. } | Step::Returned { .. } => 0,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let number = match self.step {
            Step::Lend { .. } => message::LEND,
            Step::Lent => message::LENT,
            Step::Start { .. } => message::LOAN_START,
            Step::Returned { .. } => message::LOAN_RETURNED,
        };
        let mut out = vec![number];
        out.put_uint32(self.channel);
        out.put_boolean(self.flow == Flow::Input);
        match self.step {
            Step::Lend { with_errors, largest } => {
                out.put_boolean(with_errors);
                out.put_uint32(largest);
            }
            Step::Lent => {}
            Step::Start { window } => out.put_uint32(window),
            Step::Returned { moved, credit } => {
                out.put_uint64(moved);
                out.put_uint64(credit);
            }
        }
        out
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let number = reader.byte()?;
        let channel = reader.uint32()?;
        let flow = if reader.boolean()? { Flow::Input } else { Flow::Output };
        let step = match number {
            message::LEND => Step::Lend { with_errors: reader.boolean()?, largest: reader.uint32()? },
            message::LENT => Step::Lent,
            message::LOAN_START => Step::Start { window: reader.uint32()? },
            _ => Step::Returned { moved: reader.uint64()?, credit: reader.uint64()? },
        };
        reader.finish()?;
        Ok(Self { channel, flow, step })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_reads_as_it_was_written() {
        let steps = [
            Step::Lend { with_errors: false, largest: 32_768 },
            Step::Lend { with_errors: true, largest: 1 },
            Step::Lent,
            Step::Start { window: u32::MAX },
            Step::Returned { moved: u64::MAX, credit: 7 },
        ];
        for step in steps {
            for flow in [Flow::Output, Flow::Input] {
                let lending = Lending { channel: 77, flow, step };
                let bytes = lending.encode();
                assert_eq!(Lending::decode(&bytes), Ok(lending));
                assert!(Lending::decode(&bytes[..bytes.len() - 1]).is_err());
                assert!(Lending::decode(&[&bytes[..], &[0]].concat()).is_err());
            }
        }
    }
}
