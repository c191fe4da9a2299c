//! A transport on a byte stream, one payload at a time: for the phases before channels.

use crate::buffer::{InBuf, OutBuf};
use crate::error::Error;
use crate::transport::Transport;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// How long a goodbye may take to leave.
pub(super) const GOODBYE: Duration = Duration::from_secs(2);

/// Sets what every TCP connection of ours needs: no Nagle delay (it costs 40 ms against a delayed ACK),
/// and at most 128 KiB unsent in the kernel, so that what is decided to be urgent leaves soon.
pub fn prepare_tcp(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(128 * 1024)
}

/// The present moment; the only place of this crate that reads the clock.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A transport and the byte stream it runs on.
pub(super) struct Wire<IO> {
    pub(super) io: IO,
    pub(super) transport: Transport,
    /// What the peer sent in one write with its NEWKEYS; dropbear, PuTTY and Go's clients do not wait for ours.
    early: Option<Vec<u8>>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Wire<IO> {
    /// A transport on its stream; nothing is sent yet.
    pub(super) fn new(io: IO, transport: Transport) -> Self {
        Self { io, transport, early: None }
    }

    /// The next payload for the layer above. Sends what the transport wants sent.
    ///
    /// # Cancel safety
    /// Cancel safe: bytes read so far stay in the transport.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, Error> {
        if let Some(payload) = self.early.take() {
            return Ok(payload);
        }
        loop {
            if let Some(payload) = self.transport.next(now())? {
                return Ok(self.transport.payload(&payload).to_vec());
            }
            self.flush().await?;
            let io = &mut self.io;
            let input = self.transport.input();
            if std::future::poll_fn(|cx| poll_read(Pin::new(&mut *io), cx, input)).await? == 0 {
                return Err(Error::Closed);
            }
        }
    }

    /// Runs the transport until its first key exchange is done.
    pub(super) async fn handshake(&mut self) -> Result<(), Error> {
        while self.transport.session_id().is_none() {
            // The transport lets none through before the keys are there: this one is the next phase's first.
            self.early = self.transport.next(now())?.map(|payload| self.transport.payload(&payload).to_vec());
            if self.transport.session_id().is_some() {
                break;
            }
            self.flush().await?;
            let io = &mut self.io;
            let input = self.transport.input();
            if std::future::poll_fn(|cx| poll_read(Pin::new(&mut *io), cx, input)).await? == 0 {
                return Err(Error::Closed);
            }
        }
        self.flush().await
    }

    pub(super) async fn send(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.transport.send(payload, &[])?;
        self.flush().await
    }

    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        let io = &mut self.io;
        let output = self.transport.output();
        while !output.is_empty() {
            std::future::poll_fn(|cx| poll_write(Pin::new(&mut *io), cx, output)).await?;
        }
        std::future::poll_fn(|cx| Pin::new(&mut *io).poll_flush(cx)).await?;
        Ok(())
    }

    /// Tells the peer why, closes the stream, and hands the error back.
    pub(super) async fn fail(&mut self, error: Error) -> Error {
        if let Some((reason, description)) = error.disconnect()
            && self.transport.send_disconnect(reason, &description).is_ok()
        {
            // A peer that does not read its goodbye does not get one.
            let _ = tokio::time::timeout(GOODBYE, async {
                self.flush().await?;
                self.io.shutdown().await.map_err(Error::from)
            })
            .await;
        }
        error
    }
}

/// Reads once into the input buffer; how many bytes, 0 at the end of the stream.
pub(super) fn poll_read<IO: AsyncRead>(
    io: Pin<&mut IO>,
    cx: &mut Context<'_>,
    input: &mut InBuf,
) -> Poll<io::Result<usize>> {
    let mut room = ReadBuf::new(input.spare());
    let read = io.poll_read(cx, &mut room);
    let count = room.filled().len();
    input.commit(count);
    // A buffer that nothing came into goes back to the pool: an idle connection owns none.
    input.release_if_empty();
    match read {
        Poll::Ready(Ok(())) => Poll::Ready(Ok(count)),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => Poll::Pending,
    }
}

/// Writes once from the output buffer; how many bytes.
pub(super) fn poll_write<IO: AsyncWrite>(
    io: Pin<&mut IO>,
    cx: &mut Context<'_>,
    output: &mut OutBuf,
) -> Poll<io::Result<usize>> {
    match io.poll_write(cx, output.pending()) {
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        Poll::Ready(Ok(count)) => {
            output.consume(count);
            Poll::Ready(Ok(count))
        }
        other => other,
    }
}
