//! Descriptors that go with bytes over Unix sockets (SCM_RIGHTS, unix(7)).

use crate::buffer::{InBuf, OutBuf};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, Interest};
use tokio::net::UnixStream;

/// How many go with one byte at most.
pub(crate) const MOST: usize = 2;

/// A stream that brings descriptors with its bytes.
pub trait BringsDescriptors: AsyncRead {
    /// Reads once into `room`; how many bytes, 0 at the end of the stream. Descriptors that came with them are added to
    /// `brought`, at most two.
    fn poll_read_with_descriptors(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut [u8],
        brought: &mut Vec<OwnedFd>,
    ) -> Poll<io::Result<usize>>;
}

impl BringsDescriptors for UnixStream {
    fn poll_read_with_descriptors(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut [u8],
        brought: &mut Vec<OwnedFd>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_read_ready(cx))?;
            let mut receive = || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
                let mut ancillary = RecvAncillaryBuffer::new(&mut space);
                let mut slices = [IoSliceMut::new(room)];
                let got = recvmsg(&*self, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
                for message in ancillary.drain() {
                    if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                        brought.extend(descriptors);
                    }
                }
                Ok(got.bytes)
            };
            match self.try_io(Interest::READABLE, &mut receive) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return Poll::Ready(read),
            }
        }
    }
}

/// Reads once into the input buffer; how many bytes, 0 at the end of the stream.
pub(super) fn poll_read<IO: BringsDescriptors>(
    io: Pin<&mut IO>,
    cx: &mut Context<'_>,
    input: &mut InBuf,
    brought: &mut Vec<OwnedFd>,
) -> Poll<io::Result<usize>> {
    let read = io.poll_read_with_descriptors(cx, input.spare(), brought);
    if let Poll::Ready(Ok(count)) = read {
        input.commit(count);
    }
    input.release_if_empty();
    read
}

/// Writes once from the output buffer, whose next byte has descriptors with it; how many bytes.
pub(super) fn poll_write(
    stream: &UnixStream,
    cx: &mut Context<'_>,
    output: &mut OutBuf,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        let send = || {
            let descriptors: Vec<BorrowedFd<'_>> = output.passed().iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let slices = [IoSlice::new(output.pending())];
            Ok(sendmsg(stream, &slices, &mut ancillary, SendFlags::NOSIGNAL)?)
        };
        match stream.try_io(Interest::WRITABLE, send) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(count) => {
                output.consume(count);
                return Poll::Ready(Ok(count));
            }
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}
