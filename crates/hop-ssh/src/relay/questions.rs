//! What the peer of one leg owes replies to, in the order it was asked (RFC 4254 section 4).
//!
//! Must stay true: a reply answers the oldest question; an SSH_MSG_UNIMPLEMENTED names a packet, and answers the
//! question that left in it, or none.

use super::policy::Asked;
use crate::connection::Ticket;
use std::collections::VecDeque;

/// Something that wants a reply.
pub(super) enum Question {
    /// The relay's own keepalive.
    Keepalive,
    /// A request of the other side: its place in the other side's queue, and what it asked.
    Forwarded(Ticket, Asked),
}

/// In which packet a question left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    NotYet,
    In(u32),
    /// During a key exchange, or before this process had the leg.
    Unknown,
}

/// The questions that are not answered yet, oldest first.
#[derive(Default)]
pub(super) struct Questions {
    waiting: VecDeque<(Left, Question)>,
}

impl Questions {
    /// Notes a question that will be sent next; [`sent`](Self::sent) must follow when it is.
    pub(super) fn ask(&mut self, question: Question) {
        self.waiting.push_back((Left::NotYet, question));
    }

    /// Notes a question that has been sent, or is held for the end of a key exchange.
    pub(super) fn asked(&mut self, question: Question, sequence: Option<u32>) {
        self.waiting.push_back((sequence.map_or(Left::Unknown, Left::In), question));
    }

    /// A global request has left: if it is the last question, in this packet.
    pub(super) fn sent(&mut self, sequence: Option<u32>) {
        if let Some((left @ Left::NotYet, _)) = self.waiting.back_mut() {
            *left = sequence.map_or(Left::Unknown, Left::In);
        }
    }

    /// The question that a reply answers.
    pub(super) fn answered(&mut self) -> Option<Question> {
        self.waiting.pop_front().map(|(_, question)| question)
    }

    /// The question that left in a packet that the peer does not know, if one did: the peer knows other messages
    /// neither, which are none of ours.
    pub(super) fn not_known(&mut self, sequence: u32) -> Option<Question> {
        let place = |wanted| self.waiting.iter().position(|(left, _)| *left == wanted);
        let place = place(Left::In(sequence)).or_else(|| place(Left::Unknown))?;
        self.waiting.remove(place).map(|(_, question)| question)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Question> {
        self.waiting.iter().map(|(_, question)| question)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(number: u64) -> Question {
        Question::Forwarded(Ticket::from_number(number), Asked::Other)
    }

    fn number(question: Option<Question>) -> Option<u64> {
        match question? {
            Question::Keepalive => None,
            Question::Forwarded(ticket, _) => Some(ticket.number()),
        }
    }

    #[test]
    fn what_is_not_known_is_found_by_its_packet() {
        let mut questions = Questions::default();
        questions.ask(forwarded(1));
        questions.sent(Some(10));
        questions.ask(forwarded(2));
        questions.sent(Some(11));
        // One that wants no reply.
        questions.sent(Some(12));
        assert_eq!(number(questions.not_known(12)), None, "no question left in it");
        assert_eq!(number(questions.not_known(11)), Some(2));
        assert_eq!(number(questions.answered()), Some(1));
        assert_eq!(questions.len(), 0);
        questions.asked(forwarded(3), None);
        assert_eq!(number(questions.not_known(99)), Some(3), "in which packet it left is not known");
    }
}
