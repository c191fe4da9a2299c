//! What goes from a program's pipe to the peer without being read here.

use super::channel::{LARGEST_DATA, Phase, Stream, data_head};
use super::{Engine, FULL};
use crate::error::Error;
use crate::leg::Leg;
use crate::lent::Lender;
use std::task::{Poll, Waker};

/// From how many bytes on it is worth it: one whole message. What is less is copied, in fewer calls.
const WORTH: usize = LARGEST_DATA as usize;

/// They are to be read and written.
const NOT_NOW: Poll<usize> = Poll::Ready(0);

impl Engine {
    /// Whoever runs us can move bytes from a pipe to the stream.
    pub(crate) fn set_splices(&mut self) {
        self.splices = true;
    }

    /// Sends what lies in a pipe, as far as it can leave at once; how many bytes. None when it is not worth it, or does
    /// not work now: then they are to be read and written. What the channel has in its queue leaves first.
    pub(crate) fn lend(
        &mut self,
        local: u32,
        stream: Stream,
        lender: &Lender,
        waker: &Waker,
    ) -> Result<Poll<usize>, Error> {
        if !self.splices || self.ended.is_some() {
            return Ok(NOT_NOW);
        }
        let (Leg::Bare(leg), Some(channel)) = (&mut self.leg, self.channels.get_mut(local)) else {
            return Ok(NOT_NOW);
        };
        let send = &mut channel.send;
        if send.eof || send.closing || send.closed || !matches!(channel.phase, Phase::Open) {
            return Ok(NOT_NOW);
        }
        let lying = lender.lying();
        if lying < WORTH {
            return Ok(NOT_NOW);
        }
        if send.queued > 0 {
            // Else a channel that once had to copy, for want of a window, would never stop: its queue would stay full.
            *channel.wakers.write(stream) = Some(waker.clone());
            return Ok(Poll::Pending);
        }
        if !self.schedule.is_empty() || !send.is_clear() {
            return Ok(NOT_NOW);
        }
        let mut taken = 0;
        while leg.output().len() < FULL {
            let count = send.allowance(lying - taken);
            if count == 0 {
                break;
            }
            leg.send_lent(&data_head(stream, channel.remote, count), lender.lend(count))?;
            send.window -= count as u64;
            taken += count;
        }
        if taken > 0 {
            self.wake_driver();
        }
        Ok(Poll::Ready(taken))
    }
}
