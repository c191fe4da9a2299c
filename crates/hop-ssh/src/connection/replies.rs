//! Replies carry no number (RFC 4254 sections 4 and 5.4): they are told apart by their order alone.
//!
//! Must stay true: replies leave in the order of the requests, whatever order they are decided in; the
//! queue is bounded: over the bound a request is refused in its turn, and over four times the bound the
//! connection ends.

use crate::error::Error;
use std::collections::VecDeque;

/// How many times the bound the queue may grow to with replies that are decided and wait for their turn. Who
/// asks on meanwhile gets no answer in any case, and is cut off.
const DECIDED: usize = 4;

/// The replies that we owe, oldest first.
#[derive(Debug)]
pub(crate) struct OwedReplies<R> {
    first: u64,
    slots: VecDeque<Option<R>>,
    most: usize,
}

/// Stands for one owed reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Ticket {
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    pub(crate) fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl<R> OwedReplies<R> {
    pub(crate) fn new(most: usize) -> Self {
        Self { first: 0, slots: VecDeque::new(), most }
    }

    /// The number of the first slot, and the slots; for state that moves between processes.
    pub(crate) fn parts(&self) -> (u64, &VecDeque<Option<R>>) {
        (self.first, &self.slots)
    }

    /// The counterpart of [`parts`](Self::parts).
    pub(crate) fn from_parts(first: u64, slots: VecDeque<Option<R>>, most: usize) -> Self {
        Self { first, slots, most }
    }

    /// Notes that a reply is owed; `None` when too many are, then [`push`](Self::push) a refusal.
    pub(crate) fn owe(&mut self) -> Option<Ticket> {
        if self.slots.len() >= self.most {
            return None;
        }
        self.slots.push_back(None);
        // The numbers only have to differ from those of the other slots.
        Some(Ticket(self.first.wrapping_add(self.slots.len() as u64 - 1)))
    }

    /// Puts a decided reply at the end of the queue.
    pub(crate) fn push(&mut self, reply: R) -> Result<(), Error> {
        if self.slots.len() >= DECIDED * self.most {
            return Err(Error::Limit { limit: "the number of requests that wait for a reply" });
        }
        self.slots.push_back(Some(reply));
        Ok(())
    }

    /// Decides one reply.
    pub(crate) fn decide(&mut self, ticket: Ticket, reply: R) {
        let index = usize::try_from(ticket.0.wrapping_sub(self.first)).ok();
        if let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) {
            *slot = Some(reply);
        }
    }

    /// The next reply that may leave now.
    pub(crate) fn next(&mut self) -> Option<R> {
        let reply = self.slots.front_mut()?.take()?;
        self.slots.pop_front();
        self.first = self.first.wrapping_add(1);
        Some(reply)
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_leave_in_the_order_of_the_requests() {
        let mut owed = OwedReplies::new(3);
        let (a, b) = (owed.owe().unwrap(), owed.owe().unwrap());
        owed.push('c').unwrap();
        assert!(owed.owe().is_none());
        owed.decide(b, 'b');
        assert_eq!(owed.next(), None);
        owed.decide(a, 'a');
        assert_eq!(
            [owed.next(), owed.next(), owed.next(), owed.next()],
            [Some('a'), Some('b'), Some('c'), None]
        );
        let d = owed.owe().unwrap();
        owed.decide(a, 'x');
        owed.decide(d, 'd');
        assert_eq!(owed.next(), Some('d'));
    }

    #[test]
    fn decided_replies_behind_an_undecided_one_are_bounded() {
        let mut owed = OwedReplies::new(2);
        owed.owe().unwrap();
        let taken = (0..100).take_while(|_| owed.push(()).is_ok()).count();
        assert_eq!((taken, owed.len()), (7, 8));
    }
}
