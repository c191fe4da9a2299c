//! The two ways of a program's bytes, through pumps of ours or, when there are many of them and a gateway is in front,
//! through the gateway alone, which is lent the pipes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hop_ssh::driver::{ChannelReader, ChannelWriter};
use tokio::io::AsyncWrite;

use crate::descriptor::Descriptor;
use crate::limits::Activity;
use crate::pump::{Pump, Stopped};

/// A pipe is offered when so many more bytes have passed through here.
const OFFER_AFTER: u64 = 1024 * 1024;

/// Standard output and standard error.
pub(super) struct Output {
    data: Half,
    errors: Half,
    /// How many bytes of standard output are to have passed before it is lent.
    offer_at: u64,
    is_lent: bool,
}

/// One of them; both share the channel's window, and are lent together.
struct Half {
    writer: ChannelWriter,
    pipe: End,
    pump: Pump,
}

/// Our end of a pipe.
enum End {
    Open(Descriptor),
    /// It is lent: every write of the program would wake us, too.
    Parked(OwnedFd),
    Ended,
}

/// What is next with output that is not lent.
enum Next {
    Ended,
    Offer,
}

impl Output {
    pub(super) fn new(
        (data, stdout): (ChannelWriter, Descriptor),
        (errors, stderr): (ChannelWriter, Descriptor),
    ) -> Self {
        Self {
            data: Half::new(data, stdout),
            errors: Half::new(errors, stderr),
            offer_at: OFFER_AFTER,
            is_lent: false,
        }
    }

    /// Moves bytes until both have ended, or the client takes no more. Cancel-safe: a cancelled run goes on where it was.
    pub(super) async fn run(&mut self, activity: &Activity) {
        loop {
            if self.is_lent {
                std::future::poll_fn(|context| self.data.writer.poll_returned(context)).await;
                self.is_lent = false;
                self.data.unpark();
                self.errors.unpark();
                self.offer_at = self.data.pump.moved() + OFFER_AFTER;
            }
            match std::future::poll_fn(|context| self.poll(context, activity)).await {
                Next::Ended => return,
                Next::Offer => {
                    let pipes = [&self.data.pipe, &self.errors.pipe];
                    let pipes = pipes.into_iter().filter_map(End::descriptor);
                    self.is_lent = self.data.writer.lend(|| pipes.map(duplicate).collect());
                    if self.is_lent {
                        self.data.park();
                        self.errors.park();
                    } else {
                        self.offer_at = u64::MAX;
                    }
                }
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>, activity: &Activity) -> Poll<Next> {
        if self.is_to_be_offered() {
            return self.poll_empty(context);
        }
        self.errors.poll(context, activity);
        self.data.poll(context, activity);
        if self.data.pipe.descriptor().is_none() && self.errors.pipe.descriptor().is_none() {
            return Poll::Ready(Next::Ended);
        }
        if self.is_to_be_offered() { self.poll_empty(context) } else { Poll::Pending }
    }

    fn is_to_be_offered(&self) -> bool {
        self.data.pipe.descriptor().is_some() && self.data.pump.moved() >= self.offer_at
    }

    /// Sends what has been read, and reads no more.
    fn poll_empty(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        for half in [&mut self.errors, &mut self.data] {
            // A client that takes no more is found out by whoever writes next.
            let _closed = ready!(half.pump.poll_rest(context, Pin::new(&mut half.writer)));
            let _ended = ready!(Pin::new(&mut half.writer).poll_flush(context));
        }
        Poll::Ready(Next::Offer)
    }
}

impl Half {
    fn new(writer: ChannelWriter, pipe: Descriptor) -> Self {
        Self { writer, pipe: End::Open(pipe), pump: Pump::to_peer() }
    }

    fn poll(&mut self, context: &mut Context<'_>, activity: &Activity) {
        if let End::Open(pipe) = &mut self.pipe
            && self.pump.poll(context, pipe, &mut self.writer, activity).is_ready()
        {
            self.pipe = End::Ended;
        }
    }

    fn park(&mut self) {
        if let End::Open(pipe) = std::mem::replace(&mut self.pipe, End::Ended) {
            self.pipe = End::Parked(pipe.into_inner());
        }
    }

    fn unpark(&mut self) {
        if let End::Parked(pipe) = std::mem::replace(&mut self.pipe, End::Ended) {
            match Descriptor::pipe(pipe) {
                Ok(pipe) => self.pipe = End::Open(pipe),
                Err(error) => tracing::error!(%error, "a program's output cannot be read any more"),
            }
        }
    }
}

impl End {
    fn descriptor(&self) -> Option<&Descriptor> {
        match self {
            Self::Open(pipe) => Some(pipe),
            Self::Parked(_) | Self::Ended => None,
        }
    }
}

/// Standard input.
pub(super) struct Input {
    reader: ChannelReader,
    pipe: Option<Descriptor>,
    pump: Pump,
    /// How many bytes are to have passed before it is lent.
    offer_at: u64,
}

impl Input {
    pub(super) fn new(reader: ChannelReader, stdin: Descriptor) -> Self {
        Self { reader, pipe: Some(stdin), pump: Pump::default(), offer_at: OFFER_AFTER }
    }

    /// Moves bytes until the client ends its data or the program closes its end; then, and on every further call, it
    /// waits for ever. Cancel-safe like [`Output::run`].
    pub(super) async fn run(&mut self, activity: &Activity) -> Stopped {
        let Self { reader, pipe: Some(pipe), pump, offer_at } = self else {
            return std::future::pending().await;
        };
        let stopped = std::future::poll_fn(|context| {
            let polled = pump.poll(context, reader, pipe, activity);
            if pump.moved() >= *offer_at {
                // What still comes by way of this reader belongs into the pipe, whoever has it.
                *offer_at = pump.moved() + OFFER_AFTER;
                reader.lend(|| duplicate(pipe));
            }
            polled
        })
        .await;
        self.pipe = None;
        stopped
    }
}

/// Another descriptor of the same pipe.
fn duplicate(pipe: &Descriptor) -> io::Result<OwnedFd> {
    pipe.as_fd().try_clone_to_owned()
}
