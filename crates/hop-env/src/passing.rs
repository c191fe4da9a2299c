//! Messages over a Unix stream: one JSON value per line, at most [`LONGEST_LINE`] bytes, each with at most one
//! descriptor.

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// The longest message, in bytes.
pub(crate) const LONGEST_LINE: usize = 64 * 1024;
/// How many descriptors may be here whose message was not read yet.
const MOST_DESCRIPTORS: usize = 8;

/// A message that cannot be received.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a message of more than {LONGEST_LINE} bytes")]
    TooLong,
    #[error("the connection ended in the middle of a message")]
    CutOff,
    #[error("not a message that is known here: {0}")]
    Unknown(#[source] serde_json::Error),
    #[error("more descriptors than messages")]
    TooManyDescriptors,
}

/// One end of a conversation.
#[derive(Debug)]
pub(crate) struct Passing {
    stream: UnixStream,
    /// Bytes of messages that were not taken yet.
    read: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
    accepts_descriptors: bool,
}

impl Passing {
    /// An end that takes no descriptors: the system drops those that are sent to it.
    pub(crate) fn without_descriptors(stream: UnixStream) -> Self {
        Self { stream, read: Vec::new(), descriptors: VecDeque::new(), accepts_descriptors: false }
    }

    /// An end that takes descriptors.
    pub(crate) fn with_descriptors(stream: UnixStream) -> Self {
        Self { accepts_descriptors: true, ..Self::without_descriptors(stream) }
    }

    /// Sends a message, and a descriptor with it.
    ///
    /// # Cancel safety
    /// Not cancel safe: a message may be sent in part.
    pub(crate) async fn send(
        &self,
        message: &impl Serialize,
        mut descriptor: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
        line.push(b'\n');
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            let sent = self
                .stream
                .async_io(Interest::WRITABLE, || send_some(&self.stream, rest, descriptor))
                .await?;
            // It went with the first byte.
            descriptor = None;
            rest = rest.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// Receives a message; `None` when the other end has closed.
    ///
    /// # Cancel safety
    /// Cancel safe: what was read is kept.
    pub(crate) async fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ReceiveError> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).map_err(ReceiveError::Unknown);
            }
            if self.read.len() >= LONGEST_LINE {
                return Err(ReceiveError::TooLong);
            }
            let mut chunk = [0; 4096];
            let got = self
                .stream
                .async_io(Interest::READABLE, || {
                    receive_some(&self.stream, &mut chunk, self.accepts_descriptors)
                })
                .await?;
            let (length, descriptor) = got;
            self.descriptors.extend(descriptor);
            if self.descriptors.len() > MOST_DESCRIPTORS {
                return Err(ReceiveError::TooManyDescriptors);
            }
            match chunk.get(..length) {
                Some([]) | None if self.read.is_empty() => return Ok(None),
                Some([]) | None => return Err(ReceiveError::CutOff),
                Some(bytes) => self.read.extend_from_slice(bytes),
            }
        }
    }

    /// The descriptor that came with the oldest message whose descriptor was not taken.
    pub(crate) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    /// Waits until the other end closes; what it says until then is dropped.
    pub(crate) async fn closed(&self) {
        let mut chunk = [0; 256];
        loop {
            let reading =
                self.stream.async_io(Interest::READABLE, || receive_some(&self.stream, &mut chunk, false));
            match reading.await {
                Ok((0, _)) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

fn send_some(stream: &UnixStream, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let passed: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
    if !passed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&passed)) {
        return Err(Errno::NOBUFS.into());
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut control, flags)?)
}

fn receive_some(
    stream: &UnixStream,
    chunk: &mut [u8],
    with_descriptors: bool,
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let space: &mut [MaybeUninit<u8>] = if with_descriptors { &mut space } else { &mut [] };
    let mut control = RecvAncillaryBuffer::new(space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let got = rustix::net::recvmsg(stream, &mut [IoSliceMut::new(chunk)], &mut control, flags)?;
    let mut descriptor = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            descriptor = descriptors.last().or(descriptor);
        }
    }
    Ok((got.bytes, descriptor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn each_message_has_its_own_descriptor() {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, mut other) = (Passing::without_descriptors(one), Passing::with_descriptors(other));
        let mut kept = Vec::new();
        for number in 0..3_u8 {
            let (mine, yours) = std::os::unix::net::UnixStream::pair().unwrap();
            one.send(&format!("without {number}"), None).await.unwrap();
            one.send(&number, Some(yours.as_fd())).await.unwrap();
            kept.push(mine);
        }
        for number in 0..3_u8 {
            let said: String = other.receive().await.unwrap().unwrap();
            assert_eq!(said, format!("without {number}"));
            assert_eq!(other.receive::<u8>().await.unwrap(), Some(number));
            let passed = std::os::unix::net::UnixStream::from(other.take_descriptor().unwrap());
            io::Write::write_all(&mut &passed, &[number]).unwrap();
            drop(passed);
            let mut said = Vec::new();
            kept[usize::from(number)].read_to_end(&mut said).unwrap();
            assert_eq!(said, [number]);
        }
        drop(one);
        assert_eq!(other.receive::<u8>().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_large_message_is_sent_in_parts_and_an_endless_one_is_refused() {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, mut other) = (Passing::without_descriptors(one), Passing::with_descriptors(other));
        let text = "x".repeat(LONGEST_LINE - 3);
        let (sent, got) = tokio::join!(one.send(&text, None), other.receive::<String>());
        sent.unwrap();
        assert_eq!(got.unwrap().unwrap(), text);

        let (mut one, other) = UnixStream::pair().unwrap();
        let mut other = Passing::without_descriptors(other);
        let endless = tokio::spawn(async move { while one.write_all(&[b'x'; 4096]).await.is_ok() {} });
        assert!(matches!(other.receive::<String>().await, Err(ReceiveError::TooLong)));
        drop(other);
        endless.await.unwrap();
    }

    #[tokio::test]
    async fn one_that_takes_no_descriptors_gets_none() {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, mut other) = (Passing::without_descriptors(one), Passing::without_descriptors(other));
        let (mut mine, yours) = std::os::unix::net::UnixStream::pair().unwrap();
        one.send(&1, Some(yours.as_fd())).await.unwrap();
        drop(yours);
        assert_eq!(other.receive::<u8>().await.unwrap(), Some(1));
        assert!(other.take_descriptor().is_none());
        // Nobody holds it: it reads as closed.
        assert_eq!(mine.read(&mut [0; 1]).unwrap(), 0);
    }
}
