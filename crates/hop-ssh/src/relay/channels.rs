//! The channels that cross a relay: enough to count them, to know what was granted on them, and no more.
//! Numbers and windows are the two peers' own.

use super::policy::{Asked, Side};
use crate::error::Malformed;
use crate::wire::{Put, Reader};
use std::collections::{HashMap, HashSet, VecDeque};

/// All channels of one relayed connection.
#[derive(Debug, Default)]
pub(super) struct Channels {
    /// By the number of the side that opens: not confirmed yet.
    opening: HashSet<(Side, u32)>,
    /// By the number that each side gave it.
    by_number: HashMap<(Side, u32), Ends>,
    pending: usize,
}

/// What is known of a channel from one side: the other side's number, and what this side asked for.
#[derive(Debug)]
struct Ends {
    other: u32,
    /// Requests of this side that want a reply, oldest first.
    asked: VecDeque<Asked>,
    /// This side sends no more data.
    ended: bool,
    /// This side has closed it.
    closed: bool,
}

impl Channels {
    /// Channels open or being opened.
    pub(super) fn count(&self) -> usize {
        self.opening.len() + self.by_number.len() / 2
    }

    /// Requests on channels that wait for their reply.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// What the other side calls the channel that `side` calls `number`.
    pub(super) fn other(&self, side: Side, number: u32) -> Option<u32> {
        self.by_number.get(&(side, number)).map(|ends| ends.other)
    }

    /// False when the opener has a channel of that number.
    pub(super) fn opening(&mut self, opener: Side, number: u32) -> bool {
        !self.by_number.contains_key(&(opener, number)) && self.opening.insert((opener, number))
    }

    /// `confirmer` confirms the channel that the other side opened as `theirs`, and calls it `ours`. False
    /// when that was not opened, or the confirmer has a channel of its number.
    pub(super) fn confirmed(&mut self, confirmer: Side, theirs: u32, ours: u32) -> bool {
        if self.by_number.contains_key(&(confirmer, ours))
            || !self.opening.remove(&(confirmer.other(), theirs))
        {
            return false;
        }
        let ends = |other| Ends { other, asked: VecDeque::new(), ended: false, closed: false };
        self.by_number.insert((confirmer, ours), ends(theirs));
        self.by_number.insert((confirmer.other(), theirs), ends(ours));
        true
    }

    pub(super) fn refused(&mut self, refuser: Side, theirs: u32) -> bool {
        self.opening.remove(&(refuser.other(), theirs))
    }

    /// `from` asks for something on the channel that the other side calls `recipient`.
    pub(super) fn asked(&mut self, from: Side, recipient: u32, asked: Asked) -> bool {
        let Some(ends) = self.mine(from, recipient) else { return false };
        ends.asked.push_back(asked);
        self.pending += 1;
        true
    }

    /// `from` replies on the channel that the other side calls `recipient`: what was asked.
    pub(super) fn replied(&mut self, from: Side, recipient: u32) -> Option<Asked> {
        let asked = self.by_number.get_mut(&(from.other(), recipient))?.asked.pop_front()?;
        self.pending -= 1;
        Some(asked)
    }

    /// `from` ends its data on the channel that the other side calls `recipient`.
    pub(super) fn ended(&mut self, from: Side, recipient: u32) {
        if let Some(ends) = self.mine(from, recipient) {
            ends.ended = true;
        }
    }

    /// Whether data of `from` may still come on the channel that it calls `number`.
    pub(super) fn is_sending(&self, from: Side, number: u32) -> bool {
        self.by_number.get(&(from, number)).is_some_and(|ends| !ends.ended && !ends.closed)
    }

    /// `from` closes the channel that the other side calls `recipient`.
    pub(super) fn closed(&mut self, from: Side, recipient: u32) {
        let Some(ends) = self.mine(from, recipient) else { return };
        ends.closed = true;
        let mine = self.by_number.get(&(from.other(), recipient)).map(|other| other.other);
        let both = self.by_number.get(&(from.other(), recipient)).is_some_and(|other| other.closed);
        if let (true, Some(mine)) = (both, mine) {
            for key in [(from, mine), (from.other(), recipient)] {
                if let Some(ends) = self.by_number.remove(&key) {
                    self.pending -= ends.asked.len();
                }
            }
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put_uint32(u32::try_from(self.opening.len()).unwrap_or(u32::MAX));
        for (side, number) in &self.opening {
            out.put_boolean(*side == Side::Server);
            out.put_uint32(*number);
        }
        out.put_uint32(u32::try_from(self.by_number.len()).unwrap_or(u32::MAX));
        for ((side, number), ends) in &self.by_number {
            out.put_boolean(*side == Side::Server);
            out.put_uint32(*number);
            out.put_uint32(ends.other);
            out.put_boolean(ends.ended);
            out.put_boolean(ends.closed);
            out.put_uint32(u32::try_from(ends.asked.len()).unwrap_or(u32::MAX));
            for asked in &ends.asked {
                asked.write(out);
            }
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut channels = Self::default();
        let side = |is_server| if is_server { Side::Server } else { Side::Client };
        for _ in 0..reader.uint32()? {
            channels.opening.insert((side(reader.boolean()?), reader.uint32()?));
        }
        for _ in 0..reader.uint32()? {
            let key = (side(reader.boolean()?), reader.uint32()?);
            let mut ends = Ends {
                other: reader.uint32()?,
                ended: reader.boolean()?,
                closed: reader.boolean()?,
                asked: VecDeque::new(),
            };
            for _ in 0..reader.uint32()? {
                ends.asked.push_back(Asked::read(reader)?);
            }
            channels.pending += ends.asked.len();
            channels.by_number.insert(key, ends);
        }
        Ok(channels)
    }

    /// What must be true at any time.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn check(&self) {
        let asked: usize = self.by_number.values().map(|ends| ends.asked.len()).sum();
        assert_eq!(self.pending, asked, "requests are counted wrong");
        for ((side, number), ends) in &self.by_number {
            let other = self.by_number.get(&(side.other(), ends.other));
            assert_eq!(
                other.map(|other| other.other),
                Some(*number),
                "{side:?} {number} has lost its other end"
            );
        }
    }

    /// The entry of `from` for the channel that the other side calls `recipient`.
    fn mine(&mut self, from: Side, recipient: u32) -> Option<&mut Ends> {
        let number = self.by_number.get(&(from.other(), recipient))?.other;
        self.by_number.get_mut(&(from, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_lives_from_open_to_both_closes() {
        let mut channels = Channels::default();
        assert!(channels.opening(Side::Client, 0));
        assert!(!channels.opening(Side::Client, 0));
        assert_eq!(channels.count(), 1);
        assert!(channels.confirmed(Side::Server, 0, 7));
        assert!(!channels.confirmed(Side::Server, 0, 7));
        assert_eq!(channels.count(), 1);
        assert!(channels.asked(Side::Client, 7, Asked::Agent));
        assert!(channels.asked(Side::Client, 7, Asked::Other));
        assert!(!channels.asked(Side::Client, 0, Asked::Other));
        assert_eq!(channels.replied(Side::Server, 0), Some(Asked::Agent));
        assert_eq!(channels.pending(), 1);
        channels.closed(Side::Server, 0);
        assert_eq!(channels.count(), 1);
        channels.closed(Side::Client, 7);
        assert_eq!((channels.count(), channels.pending()), (0, 0));
    }

    /// Two channels under one number would be told apart by nobody, and never be forgotten.
    #[test]
    fn a_number_in_use_is_not_taken_again() {
        let mut channels = Channels::default();
        assert!(channels.opening(Side::Client, 0) && channels.opening(Side::Client, 1));
        assert!(channels.confirmed(Side::Server, 0, 7));
        assert!(!channels.opening(Side::Client, 0));
        assert!(!channels.confirmed(Side::Server, 1, 7));
        // The other side's numbers are its own.
        assert!(channels.opening(Side::Server, 0));
        channels.closed(Side::Client, 7);
        assert!(!channels.opening(Side::Client, 0));
        channels.closed(Side::Server, 0);
        assert!(channels.opening(Side::Client, 0));
        channels.check();
    }
}
