//! A WebSocket joined with a local stream: what a ProxyCommand does.

use crate::stream::{End, Traffic, WebSocket};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};

/// How much is moved at once: what fits into a frame.
const PIECE: usize = u16::MAX as usize;
/// How long the far end may take to answer a goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// How two joined streams came apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parted {
    /// How the WebSocket ended; `None` when the local side ended and the far end did not answer the goodbye.
    pub end: Option<End>,
    /// What went through.
    pub traffic: Traffic,
}

/// Moves bytes both ways until either side ends; what was received is delivered first. Each direction waits for its own
/// reader only.
///
/// # Errors
/// The local stream's. The WebSocket's are an [`End`].
pub async fn join<L, IO>(local: L, socket: &mut WebSocket<IO>) -> io::Result<Parted>
where
    L: AsyncRead + AsyncWrite + Unpin,
    IO: AsyncRead + AsyncWrite + Unpin,
{
    {
        let (mut from_local, mut to_local) = split(local);
        let (mut from_far, mut to_far) = split(&mut *socket);
        let down = async {
            let mut piece = vec![0; PIECE];
            // An error of the WebSocket is told by its end.
            while let count @ 1.. = from_far.read(&mut piece).await.unwrap_or(0) {
                to_local.write_all(piece.get(..count).unwrap_or_default()).await?;
                to_local.flush().await?;
            }
            io::Result::Ok(())
        };
        let up = async {
            let mut piece = vec![0; PIECE];
            loop {
                let count = from_local.read(&mut piece).await?;
                let bytes = piece.get(..count).unwrap_or_default();
                if count == 0 {
                    return io::Result::Ok(());
                }
                if to_far.write_all(bytes).await.is_err() || to_far.flush().await.is_err() {
                    // The reading direction finds out how it ended, after what is still to be read.
                    return std::future::pending().await;
                }
            }
        };
        let mut down = std::pin::pin!(down);
        tokio::select! {
            ended = &mut down => ended?,
            ended = up => {
                ended?;
                let parting = async {
                    // To a far end that is gone no goodbye is said.
                    let _ = to_far.shutdown().await;
                    down.await
                };
                // Nobody reads any more; an error is no news.
                let _ = tokio::time::timeout(GOODBYE, parting).await;
            }
        }
    }
    Ok(Parted { end: socket.end().cloned(), traffic: socket.traffic() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::{Close, CloseCode};
    use tokio::io::duplex;

    fn chance(bytes: &mut [u8]) {
        bytes.fill(1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_received_is_delivered_before_the_end() {
        let (one, other) = duplex(1 << 20);
        let (mut ssh, local) = duplex(1000);
        let mut client = WebSocket::client(one, &[], chance);
        let mut server = WebSocket::server(other, &[]);
        let serving = async {
            server.write_all(&[7; 300_000]).await.unwrap();
            server.set_close(Close::new(CloseCode::TryAgainLater, "busy"));
            server.shutdown().await.unwrap();
        };
        let reading = async {
            let mut heard = Vec::new();
            ssh.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let (parted, (), heard) = tokio::join!(join(local, &mut client), serving, reading);
        assert_eq!(heard.len(), 300_000);
        let parted = parted.unwrap();
        assert_eq!(parted.end, Some(End::Closed(Close::new(CloseCode::TryAgainLater, "busy"))));
        assert_eq!(parted.traffic, Traffic { received: 300_000, sent: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_far_end_that_does_not_answer_the_goodbye_is_left() {
        let (one, mut other) = duplex(1 << 20);
        let (mut ssh, local) = duplex(1000);
        let mut client = WebSocket::client(one, &[], chance);
        ssh.write_all(b"last words").await.unwrap();
        drop(ssh);
        let started = tokio::time::Instant::now();
        let parted = join(local, &mut client).await.unwrap();
        assert_eq!((parted.end, started.elapsed()), (None, GOODBYE));
        let mut said = [0; 24];
        other.read_exact(&mut said).await.unwrap();
        assert_eq!((said[0], said[16]), (0x82, 0x88), "the data, then the goodbye");
    }
}
