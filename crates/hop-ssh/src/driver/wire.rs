//! A transport on a byte stream, one payload at a time: for the phases before channels.

use crate::buffer::{InBuf, OutBuf};
use crate::error::Error;
use crate::transport::Transport;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a goodbye may take to leave.
pub(super) const GOODBYE: Duration = Duration::from_secs(2);

/// How many messages may come while nobody waits for one; a server may show some banners.
const MOST_EARLY: usize = 64;

/// The present moment; the only place of this crate that reads the clock.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A transport and the byte stream it runs on.
pub(super) struct Wire<IO> {
    pub(super) io: IO,
    pub(super) transport: Transport,
    /// What came before anybody asked for it: in one write with the peer's NEWKEYS (dropbear, PuTTY and Go's
    /// clients do not wait for ours), or while [`watch`](Self::watch) was looking.
    early: VecDeque<Vec<u8>>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Wire<IO> {
    /// A transport on its stream; nothing is sent yet.
    pub(super) fn new(io: IO, transport: Transport) -> Self {
        Self { io, transport, early: VecDeque::new() }
    }

    /// The next payload for the layer above. Sends what the transport wants sent.
    ///
    /// # Cancel safety
    /// Cancel safe: bytes read so far stay in the transport.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, Error> {
        match self.early.pop_front() {
            Some(payload) => Ok(payload),
            None => self.receive().await,
        }
    }

    /// What has come that [`next`](Self::next) will give.
    pub(super) fn early(&self) -> impl Iterator<Item = &[u8]> {
        self.early.iter().map(Vec::as_slice)
    }

    /// Waits for the end of the connection and says how it came; what comes before is kept for
    /// [`next`](Self::next).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn watch(&mut self) -> Error {
        loop {
            match self.receive().await {
                Ok(_) if self.early.len() >= MOST_EARLY => {
                    return Error::Limit { limit: "the number of messages that nobody waits for" };
                }
                Ok(payload) => self.early.push_back(payload),
                Err(error) => return error,
            }
        }
    }

    async fn receive(&mut self) -> Result<Vec<u8>, Error> {
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
            if let Some(payload) = self.transport.next(now())? {
                self.early.push_back(self.transport.payload(&payload).to_vec());
            }
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
            let mut farewell = Farewell::default();
            let output = self.transport.output();
            let said = std::future::poll_fn(|cx| farewell.poll(cx, &mut self.io, output));
            // A peer that does not read its goodbye does not get one.
            let _ = tokio::time::timeout(GOODBYE, said).await;
        }
        error
    }
}

/// The end of a stream on which something is still to be said.
///
/// Closing a socket with unread bytes resets it, and a reset destroys what the peer has not read yet. So what
/// the peer still sends is taken and thrown away until it hangs up. Whoever polls sets a limit to that.
#[derive(Default)]
pub(super) struct Farewell {
    is_said: bool,
    peer_is_gone: bool,
}

impl Farewell {
    /// Sends what is left, ends our direction, and waits for the end of the peer's.
    pub(super) fn poll<IO: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut IO,
        output: &mut OutBuf,
    ) -> Poll<io::Result<()>> {
        // Also before all is said: a peer that waits for us to read may not be reading itself.
        while !self.peer_is_gone {
            let mut room = [0; 8192];
            let mut room = ReadBuf::new(&mut room);
            match Pin::new(&mut *io).poll_read(cx, &mut room)? {
                Poll::Ready(()) => self.peer_is_gone = room.filled().is_empty(),
                Poll::Pending => break,
            }
        }
        if !self.is_said {
            while !output.is_empty() {
                ready!(poll_write(Pin::new(&mut *io), cx, output))?;
            }
            ready!(Pin::new(&mut *io).poll_flush(cx))?;
            ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
            self.is_said = true;
        }
        if self.peer_is_gone { Poll::Ready(Ok(())) } else { Poll::Pending }
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_goodbye_reaches_a_peer_that_is_still_sending() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut ours, _) = listener.accept().await.unwrap();
        // So much that it does not stop before somebody reads.
        let flood = tokio::spawn(async move {
            peer.write_all(&vec![0; 64 << 20]).await.unwrap();
            let mut heard = Vec::new();
            peer.read_to_end(&mut heard).await.unwrap();
            heard
        });
        ours.readable().await.unwrap();
        let mut output = OutBuf::default();
        output.tail().extend_from_slice(b"bye");
        let mut farewell = Farewell::default();
        std::future::poll_fn(|cx| farewell.poll(cx, &mut ours, &mut output)).await.unwrap();
        drop(ours);
        assert_eq!(flood.await.unwrap(), b"bye");
    }
}
