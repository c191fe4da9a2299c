//! Bytes that lie in a program's pipe and go to a socket from there (splice(2)): no copy of them passes through this
//! process.
//!
//! Must stay true: what is lent lies in the pipe already, and nobody else reads that pipe, so that a message whose length
//! was said can be completed; while a loan is out its lender reads nothing, and it is woken when the last one is over,
//! whichever way.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rustix::io::{Errno, ioctl_fionread, read};
use rustix::pipe::{SpliceFlags, splice};

/// A pipe whose only reader this is, not blocking.
#[derive(Clone)]
pub struct Lender {
    pipe: Arc<OwnedFd>,
    loans: Arc<Mutex<Loans>>,
}

#[derive(Default)]
struct Loans {
    out: usize,
    lender: Option<Waker>,
}

impl Lender {
    /// A pipe of which nothing is lent.
    pub fn new(pipe: Arc<OwnedFd>) -> Self {
        Self { pipe, loans: Arc::default() }
    }

    /// Waits until nothing is lent any more. There is one waiter.
    pub fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut loans = self.loans();
        if loans.out == 0 {
            return Poll::Ready(());
        }
        loans.lender = Some(cx.waker().clone());
        Poll::Pending
    }

    /// How many bytes lie in the pipe and can be lent: none while others are out.
    pub(crate) fn lying(&self) -> usize {
        if self.loans().out > 0 {
            return 0;
        }
        // Where that cannot be asked, bytes are read as always.
        ioctl_fionread(&*self.pipe).ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
    }

    /// Lends `count` bytes of those that [`lying`](Self::lying) told of; several loans are of bytes in a row.
    pub(crate) fn lend(&self, count: usize) -> Loan {
        self.loans().out += 1;
        Loan { lender: self.clone(), left: count }
    }

    fn loans(&self) -> MutexGuard<'_, Loans> {
        self.loans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lender").field("pipe", &self.pipe).finish_non_exhaustive()
    }
}

/// So many bytes of a pipe. It keeps the pipe open.
pub(crate) struct Loan {
    lender: Lender,
    left: usize,
}

impl Loan {
    /// How many of them have not left yet.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Moves some of them to a socket; how many.
    ///
    /// # Errors
    /// `WouldBlock` when the socket takes nothing now; `UnexpectedEof` when somebody else has read the pipe;
    /// `Unsupported` where the kernel, or a filter of system calls, does not do this.
    pub(crate) fn splice_to(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        match splice(&*self.lender.pipe, None, socket, None, self.left, flags) {
            Ok(count @ 1..) => {
                self.left = self.left.saturating_sub(count);
                Ok(count)
            }
            // It says the same of a full socket and of an empty pipe.
            Err(Errno::AGAIN) if ioctl_fionread(&*self.lender.pipe).is_ok_and(|lying| lying > 0) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Ok(_) | Err(Errno::AGAIN) => Err(gone()),
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads them after all.
    pub(crate) fn read_to(mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        while self.left > 0 {
            let start = bytes.len();
            bytes.resize(start + self.left, 0);
            let count = read(&*self.lender.pipe, bytes.get_mut(start..).unwrap_or_default());
            bytes.truncate(start + *count.as_ref().unwrap_or(&0));
            match count {
                Ok(count @ 1..) => self.left = self.left.saturating_sub(count),
                Err(Errno::INTR) => {}
                Ok(_) | Err(Errno::AGAIN) => return Err(gone()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut loans = self.lender.loans();
        loans.out = loans.out.saturating_sub(1);
        if loans.out == 0
            && let Some(lender) = loans.lender.take()
        {
            drop(loans);
            lender.wake();
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "somebody else has read what a program wrote for the peer from its pipe",
    )
}

#[cfg(test)]
mod tests;
