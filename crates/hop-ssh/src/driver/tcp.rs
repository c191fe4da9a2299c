//! What every TCP connection of ours needs so that nobody waits for a timer.
//!
//! Must stay true: our own packets leave at once, no packet that stays on this machine waits for a line's timer, and
//! during a login and the first requests of a session the peer never waits for our acknowledgement.

use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How many reads are acknowledged at once: a login with several keys and the first requests of a session take
/// a dozen or two. Afterwards the kernel's own judgement is better, and costs no calls.
const AT_ONCE: u8 = 64;

/// A congestion control that every Linux has, that every user may choose, and that sets no timers.
const WITHOUT_PACE: &[u8] = b"reno";

/// Sets what every TCP connection of ours needs: no Nagle delay (it costs 40 ms against a delayed ACK),
/// and at most 128 KiB unsent in the kernel, so that what is decided to be urgent leaves soon.
///
/// A system may have chosen BBR, which measures a line and sends at its pace, by a timer. Where there is no line, the
/// timers are all that it does: a third of the processor time of a relay.
pub fn prepare_tcp(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if stays_here(stream.local_addr()?, stream.peer_addr()?) && socket.tcp_congestion().is_ok_and(keeps_pace)
    {
        // Where it cannot be, things are as slow as they were.
        let _refused = socket.set_tcp_congestion(WITHOUT_PACE);
    }
    socket.set_tcp_notsent_lowat(128 * 1024)
}

/// Whether both ends are on this machine: packets to one of its own addresses take no line either.
fn stays_here(local: SocketAddr, peer: SocketAddr) -> bool {
    let (local, peer) = (local.ip().to_canonical(), peer.ip().to_canonical());
    peer.is_loopback() || local == peer
}

/// Whether a congestion control is one of BBR's versions.
fn keeps_pace(name: Vec<u8>) -> bool {
    name.starts_with(b"bbr")
}

/// A TCP stream that acknowledges at once what it receives first.
///
/// OpenSSH's client leaves Nagle's algorithm on. It writes some packets in two or more calls (its key exchange
/// value behind its KEXINIT, its service request behind its NEWKEYS); the second waits in its kernel until the first
/// is acknowledged, and our kernel holds the acknowledgement back for 40 ms, hoping for an answer to put it on,
/// which we do not have before the second has come.
#[derive(Debug)]
pub struct QuickAck {
    stream: TcpStream,
    left: u8,
}

impl QuickAck {
    /// A stream on which nothing has been read yet.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, left: AT_ONCE }
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsyncRead for QuickAck {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if self.left > 0 && matches!(polled, Poll::Ready(Ok(()))) {
            self.left -= 1;
            // Each time: the kernel takes the option back as soon as it sees an answer (tcp(7)). It also sends what
            // it held back. Where it is not known, things are as slow as they were.
            let _unknown = SockRef::from(&self.stream).set_tcp_quickack(true);
        }
        polled
    }
}

impl AsyncWrite for QuickAck {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn what_stays_on_this_machine_is_not_paced() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = SockRef::from(&peer);
        // A kernel without BBR has nothing to be cured of; then what it has stays.
        let is_there = socket.set_tcp_congestion(b"bbr").is_ok();
        let before = socket.tcp_congestion().unwrap();
        assert_eq!(keeps_pace(before.clone()), is_there);
        prepare_tcp(&peer).unwrap();
        let after = socket.tcp_congestion().unwrap();
        if is_there { assert!(after.starts_with(WITHOUT_PACE)) } else { assert_eq!(after, before) }
    }

    #[test]
    fn only_what_stays_on_this_machine_is_local() {
        for (local, peer, stays) in [
            ("127.0.0.1:22", "127.0.0.9:4000", true),
            ("[::1]:22", "[::1]:4000", true),
            ("[::ffff:127.0.0.1]:22", "[::ffff:127.0.0.1]:4000", true),
            ("192.0.2.1:22", "192.0.2.1:4000", true),
            ("[::ffff:192.0.2.1]:22", "[::ffff:192.0.2.1]:4000", true),
            ("192.0.2.1:22", "192.0.2.2:4000", false),
            ("[2001:db8::1]:22", "[2001:db8::2]:4000", false),
        ] {
            assert_eq!(stays_here(local.parse().unwrap(), peer.parse().unwrap()), stays, "{local} {peer}");
        }
        assert!(keeps_pace(b"bbr2".to_vec()) && !keeps_pace(b"cubic".to_vec()));
    }

    /// How long a peer with Nagle's algorithm takes for messages that it writes in two halves and that are answered
    /// when whole: what OpenSSH's client does.
    async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(wrap: impl FnOnce(TcpStream) -> S) -> Duration {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (ours, _) = listener.accept().await.unwrap();
        ours.set_nodelay(true).unwrap();
        let mut ours = wrap(ours);
        let start = Instant::now();
        let asking = async {
            for _ in 0..10 {
                peer.write_all(b"half").await.unwrap();
                peer.write_all(b"half").await.unwrap();
                let mut answer = [0; 6];
                peer.read_exact(&mut answer).await.unwrap();
            }
        };
        let answering = async {
            for _ in 0..10 {
                let mut message = [0; 8];
                ours.read_exact(&mut message).await.unwrap();
                ours.write_all(b"answer").await.unwrap();
            }
        };
        tokio::join!(asking, answering);
        start.elapsed()
    }

    #[tokio::test]
    async fn a_peer_that_writes_in_halves_does_not_wait_for_our_acknowledgement() {
        let plain = exchange(|stream| stream).await;
        let quick = exchange(QuickAck::new).await;
        // Most of ten messages wait for 40 ms without it, and none with it.
        assert!(plain > Duration::from_millis(200), "no delay to be cured: {plain:?}");
        assert!(quick * 4 < plain, "{quick:?} instead of {plain:?}");
    }
}
