//! Replies carry no number (RFC 4254 sections 4 and 5.4): they are told apart by their order alone.
//!
//! Must stay true: replies leave in the order of the requests, whatever order they are decided in; the
//! queue is bounded, and over the bound a request is refused, in its turn.

use std::collections::VecDeque;

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
        Some(Ticket(self.first + self.slots.len() as u64 - 1))
    }

    /// Puts a decided reply at the end of the queue.
    pub(crate) fn push(&mut self, reply: R) {
        self.slots.push_back(Some(reply));
    }

    /// Decides one reply.
    pub(crate) fn decide(&mut self, ticket: Ticket, reply: R) {
        let index = ticket.0.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) {
            *slot = Some(reply);
        }
    }

    /// The next reply that may leave now.
    pub(crate) fn next(&mut self) -> Option<R> {
        let reply = self.slots.front_mut()?.take()?;
        self.slots.pop_front();
        self.first += 1;
        Some(reply)
    }

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
        owed.push('c');
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
}
