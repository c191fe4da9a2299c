//! Packets out of the server's byte stream.
//!
//! Short packets are cut out of a buffer; a long one is read straight into the memory it is handed over in.

use std::pin::pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use super::error::{ConnectError, ConnectionError};
use crate::codec::{FrameError, LENGTH_PREFIX, frame_length};

/// Size of the buffer in bytes.
const BUFFER: usize = 32 * 1024;

pub(super) struct Incoming {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// A packet of which a part has arrived, and its full length.
    partial: Option<(Vec<u8>, usize)>,
}

/// Why no packet came.
pub(super) enum IncomingError {
    Read(std::io::Error),
    Frame(FrameError),
}

impl From<IncomingError> for ConnectError {
    fn from(error: IncomingError) -> Self {
        match error {
            IncomingError::Read(error) => Self::Read(error),
            IncomingError::Frame(error) => Self::Frame(error),
        }
    }
}

impl From<IncomingError> for ConnectionError {
    fn from(error: IncomingError) -> Self {
        match error {
            IncomingError::Read(error) => error.into(),
            IncomingError::Frame(error) => error.into(),
        }
    }
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER], start: 0, end: 0, partial: None }
    }

    /// The next packet, without its length; `None` at the end of the stream.
    pub(super) async fn packet(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
    ) -> Result<Option<Vec<u8>>, IncomingError> {
        std::future::poll_fn(|cx| self.poll_packet(cx, reader)).await
    }

    pub(super) fn poll_packet(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
    ) -> Poll<Result<Option<Vec<u8>>, IncomingError>> {
        loop {
            if let Some(packet) = self.cut().map_err(IncomingError::Frame)? {
                return Poll::Ready(Ok(Some(packet)));
            }
            let count = ready!(self.poll_fill(cx, reader)).map_err(IncomingError::Read)?;
            if count == 0 {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// A whole packet out of what is there.
    fn cut(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if self.partial.is_none() {
            let buffered = self.buffer.get(self.start..self.end).unwrap_or_default();
            let Some(length) = frame_length(buffered)? else { return Ok(None) };
            let body = buffered.get(LENGTH_PREFIX..).unwrap_or_default();
            let there = body.get(..length.min(body.len())).unwrap_or_default();
            let mut packet = Vec::with_capacity(length);
            packet.extend_from_slice(there);
            self.start = self.start.saturating_add(LENGTH_PREFIX).saturating_add(there.len());
            self.partial = Some((packet, length));
        }
        Ok(match self.partial.take() {
            Some((packet, length)) if packet.len() == length => Some(packet),
            partial => {
                self.partial = partial;
                None
            }
        })
    }

    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
    ) -> Poll<std::io::Result<usize>> {
        if let Some((packet, length)) = &mut self.partial {
            // Reads into the packet's own spare room, which is not cleared before. `take` keeps it from
            // reading on into the next packet.
            let left = length.saturating_sub(packet.len());
            let mut limited = reader.take(u64::try_from(left).unwrap_or(0));
            return pin!(limited.read_buf(packet)).poll(cx);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end = self.end.saturating_sub(self.start);
        self.start = 0;
        let mut space = ReadBuf::new(self.buffer.get_mut(self.end..).unwrap_or_default());
        ready!(std::pin::Pin::new(reader).poll_read(cx, &mut space))?;
        let count = space.filled().len();
        self.end = self.end.saturating_add(count);
        Poll::Ready(Ok(count))
    }
}
