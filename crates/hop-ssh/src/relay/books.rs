//! The relay's own records in their exported form: replies owed and awaited, channels, invitations.

use super::channels::Channels;
use super::policy::{Asked, Invitations};
use super::questions::Question;
use super::{End, Relay};
use crate::connection::{OwedReplies, Ticket};
use crate::error::Malformed;
use crate::wire::{Put, Reader};

impl Relay {
    pub(crate) fn write_books(&self, out: &mut Vec<u8>) {
        for end in [&self.client, &self.server] {
            end.write(out);
        }
        self.channels.write(out);
        self.invitations.write(out);
    }

    pub(crate) fn read_books(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        for end in [&mut self.client, &mut self.server] {
            end.read(reader)?;
        }
        self.channels = Channels::read(reader)?;
        self.invitations = Invitations::read(reader)?;
        Ok(())
    }
}

impl End {
    fn write(&self, out: &mut Vec<u8>) {
        out.put_uint32(u32::try_from(self.stash.len()).unwrap_or(u32::MAX));
        for payload in &self.stash {
            out.put_string(payload);
        }
        let (first, slots) = self.owed.parts();
        out.put_uint64(first);
        out.put_uint32(u32::try_from(slots.len()).unwrap_or(u32::MAX));
        for slot in slots {
            match slot {
                None => out.put_byte(0),
                Some(Err(())) => out.put_byte(1),
                Some(Ok(data)) => {
                    out.put_byte(2);
                    out.put_string(data);
                }
            }
        }
        out.put_uint32(u32::try_from(self.asked.len()).unwrap_or(u32::MAX));
        for question in self.asked.iter() {
            match question {
                Question::Keepalive => out.put_boolean(false),
                Question::Forwarded(ticket, asked) => {
                    out.put_boolean(true);
                    out.put_uint64(ticket.number());
                    asked.write(out);
                }
            }
        }
        out.put_uint64(self.crossed);
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        for _ in 0..reader.uint32()? {
            self.stash.push_back(reader.string()?.to_vec());
        }
        let first = reader.uint64()?;
        let mut slots = std::collections::VecDeque::new();
        for _ in 0..reader.uint32()? {
            slots.push_back(match reader.byte()? {
                0 => None,
                1 => Some(Err(())),
                _ => Some(Ok(reader.string()?.to_vec())),
            });
        }
        self.owed = OwedReplies::from_parts(first, slots, super::MOST_REQUESTS);
        for _ in 0..reader.uint32()? {
            let question = match reader.boolean()? {
                false => Question::Keepalive,
                true => Question::Forwarded(Ticket::from_number(reader.uint64()?), Asked::read(reader)?),
            };
            self.asked.asked(question, None);
        }
        self.crossed = reader.uint64()?;
        Ok(())
    }
}

impl Asked {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (kind, text, port): (u8, &[u8], u32) = match self {
            Self::Other => (0, b"", 0),
            Self::Agent => (1, b"", 0),
            Self::X11 => (2, b"", 0),
            Self::Tcp { address, port } => (3, address.as_bytes(), *port),
            Self::Streamlocal { path } => (4, path, 0),
            Self::CancelTcp { address, port } => (5, address.as_bytes(), *port),
            Self::CancelStreamlocal { path } => (6, path, 0),
        };
        out.put_byte(kind);
        out.put_string(text);
        out.put_uint32(port);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (kind, text, port) = (reader.byte()?, reader.string()?, reader.uint32()?);
        let address = || std::str::from_utf8(text).map(str::to_owned).map_err(|_| Malformed::NotUtf8);
        Ok(match kind {
            1 => Self::Agent,
            2 => Self::X11,
            3 => Self::Tcp { address: address()?, port },
            4 => Self::Streamlocal { path: text.to_vec() },
            5 => Self::CancelTcp { address: address()?, port },
            6 => Self::CancelStreamlocal { path: text.to_vec() },
            _ => Self::Other,
        })
    }
}

impl Invitations {
    fn write(&self, out: &mut Vec<u8>) {
        out.put_boolean(self.agent);
        out.put_boolean(self.x11);
        let listeners = self.listeners();
        out.put_uint32(u32::try_from(listeners.len()).unwrap_or(u32::MAX));
        for listener in listeners {
            listener.write(out);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut invitations = Self::default();
        invitations.agent = reader.boolean()?;
        invitations.x11 = reader.boolean()?;
        for _ in 0..reader.uint32()? {
            invitations.granted(Asked::read(reader)?, None);
        }
        Ok(invitations)
    }
}
