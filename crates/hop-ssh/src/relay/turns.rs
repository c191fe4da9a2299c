//! Whose output goes to the client next: that of each program whose pipes are lent, then that of the endpoint, which
//! carries all others' and has a turn for each of them.

use super::{Relay, RelayError, Side};
use std::task::Context;
use std::time::Instant;

/// What is left of a circle. A turn is over when the output to the client is full, or nothing more is there.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Loans that are still to come.
    pub(super) loans: usize,
    /// Turns that the endpoint has then.
    endpoint: usize,
}

impl Relay {
    /// Moves what has arrived and what programs have written; whether anything was moved into or out of a pipe.
    pub(crate) fn poll_move(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, RelayError> {
        let mut moved = self.poll_outputs(cx, now)?;
        let is_its_turn = self.end(Side::Client).takes_more();
        self.process(now)?;
        if is_its_turn {
            let has_more = !self.end(Side::Client).takes_more();
            self.turns.endpoint = self.turns.endpoint.saturating_sub(1);
            if self.turns.endpoint == 0 || !has_more {
                let lent = self.loans.output_count();
                let others = self.channel_count().saturating_sub(lent).max(1);
                self.turns = Turns { loans: lent, endpoint: others };
            }
            moved |= self.poll_outputs(cx, now)?;
        }
        Ok(self.poll_inputs(cx, now)? || moved)
    }
}
