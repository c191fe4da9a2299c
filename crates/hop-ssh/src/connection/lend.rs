//! Lending a program's pipes to the relay, from the endpoint's side: see [`crate::lending`] for what is said and when.
//!
//! Must stay true: while output is lent nobody writes to the channel, since its window is not here; input that came before
//! the relay took the pipe is in the pipe before the relay writes to it; the window of what is lent does not grow.

use super::Engine;
use super::channel::{LARGEST_DATA, Phase, Stream, wake};
use crate::error::{Error, InMessage};
use crate::leg::Leg;
use crate::lending::{Flow, LARGEST_INPUT, Lending, Step};
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Poll, Waker};

/// How far the lending of a flow has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Loan {
    #[default]
    None,
    /// The relay has been asked; all goes on as before.
    Asked,
    /// It takes input; what came before is still here.
    Taken,
    /// It moves the bytes.
    Started,
    /// It did not want them, and is not asked again.
    Refused,
}

impl Loan {
    fn is_out(self) -> bool {
        matches!(self, Self::Asked | Self::Taken | Self::Started)
    }

    /// What it is once it has been returned.
    fn returned(self) -> Self {
        if self == Self::Asked { Self::Refused } else { Self::None }
    }
}

impl Engine {
    /// There is a relay that can be lent to, and a stream that takes descriptors to it.
    pub(crate) fn set_lends(&mut self) {
        self.lends = true;
    }

    /// Whether any channel's pipes are lent.
    pub(crate) fn is_lending(&mut self) -> bool {
        self.channels.iter_mut().any(|channel| channel.send.loan.is_out() || channel.receive.loan.is_out())
    }

    /// Offers the pipes of a busy flow to the relay, if that can be done now.
    pub(crate) fn lend(
        &mut self,
        local: u32,
        flow: Flow,
        pipes: impl FnOnce() -> io::Result<Vec<OwnedFd>>,
    ) -> Result<bool, Error> {
        if !self.lends || self.ended.is_some() {
            return Ok(false);
        }
        let (Leg::Bare(leg), Some(channel)) = (&mut self.leg, self.channels.get_mut(local)) else {
            return Ok(false);
        };
        let (send, receive) = (&mut channel.send, &mut channel.receive);
        let may = match flow {
            Flow::Output => {
                send.loan == Loan::None && send.queued == 0 && !(send.eof || send.closing || send.closed)
            }
            Flow::Input => {
                let window = &receive.window;
                let is_open = !(receive.eof || receive.closed || receive.discard);
                // A far client's window has to grow, and what is under way then would have to be kept there.
                let is_small = window.size() <= LARGEST_INPUT && window.suffices();
                receive.loan == Loan::None && is_open && is_small
            }
        };
        if !may || !matches!(channel.phase, Phase::Open) {
            return Ok(false);
        }
        // Too many descriptors are open: it goes on without.
        let Ok(pipes) = pipes() else { return Ok(false) };
        let step = Step::Lend { with_errors: pipes.len() > 1, largest: send.largest.min(LARGEST_DATA) };
        let lending = Lending { channel: channel.remote, flow, step };
        leg.send_passing(&lending.encode(), pipes)?;
        match flow {
            Flow::Output => send.loan = Loan::Asked,
            Flow::Input => {
                receive.loan = Loan::Asked;
                // It may take a while until the relay hears how much may still come, and it keeps no more than this.
                receive.window.fix();
            }
        }
        self.wake_driver();
        Ok(true)
    }

    /// Waits while a channel's output is lent. There is one waiter.
    pub(crate) fn poll_output_returned(&mut self, local: u32, waker: &Waker) -> Poll<()> {
        let ended = self.ended.is_some();
        match self.channels.get_mut(local) {
            Some(channel) if !ended && !channel.receive.closed && channel.send.loan.is_out() => {
                *channel.wakers.write(Stream::Data) = Some(waker.clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// The reader of a channel has taken all there is: if its input is lent, the relay goes on from here.
    pub(super) fn start_input(&mut self, local: u32) -> Result<(), Error> {
        let Some(channel) = self.channels.get_mut(local) else { return Ok(()) };
        if channel.receive.loan == Loan::Taken {
            channel.receive.loan = Loan::Started;
            let window = u32::try_from(channel.receive.window.outstanding()).unwrap_or(u32::MAX);
            let start = Lending { channel: channel.remote, flow: Flow::Input, step: Step::Start { window } };
            self.leg.send(&start.encode(), &[])?;
            self.wake_driver();
        }
        Ok(())
    }

    /// What the relay says.
    pub(super) fn on_lending(&mut self, payload: &[u8]) -> Result<(), Error> {
        let number = payload.first().copied().unwrap_or_default();
        let Lending { channel: local, flow, step } = Lending::decode(payload).in_message(number)?;
        // It may have been closed meanwhile.
        let Some(channel) = self.channels.get_mut(local) else { return Ok(()) };
        let (send, receive) = (&mut channel.send, &mut channel.receive);
        match (step, flow) {
            (Step::Lent, Flow::Output) if send.loan == Loan::Asked => {
                send.loan = Loan::Started;
                let window = u32::try_from(std::mem::take(&mut send.window)).unwrap_or(u32::MAX);
                let start =
                    Lending { channel: channel.remote, flow: Flow::Output, step: Step::Start { window } };
                self.leg.send(&start.encode(), &[])?;
            }
            (Step::Lent, Flow::Input) if receive.loan == Loan::Asked => {
                receive.loan = Loan::Taken;
                wake(&mut channel.wakers.data);
            }
            (Step::Returned { credit, .. }, Flow::Output) if send.loan.is_out() => {
                send.loan = send.loan.returned();
                send.window = send.window.saturating_add(credit);
                channel.wakers.wake_writers();
                self.schedule_channel(local);
            }
            (Step::Returned { moved, credit }, Flow::Input) if receive.loan.is_out() => {
                receive.loan = receive.loan.returned();
                receive.window.settle(moved, credit);
                wake(&mut channel.wakers.data);
            }
            _ => return Err(Error::Protocol { problem: "it speaks of a pipe that was not lent" }),
        }
        Ok(())
    }
}
