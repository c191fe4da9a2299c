//! A line between a client and a server that takes time and carries so many bytes a second, in user space and for
//! TCP only: no privileges, no kernel module, the same on every machine.
//!
//! What must stay true: bytes keep their order, none is lost or added; a half-close passes; a line holds at most
//! its buffer's bytes for each direction, and then does not read: as a router does, whose queue is full.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// What is read at once. Small against the rates of interest, so that the pacing is smooth.
const CHUNK: u32 = 8 * 1024;
/// The kernel's own buffers on both sides of the line, in bytes: without a bound they would grow to megabytes
/// and be a second, unknown queue.
const SOCKET_BUFFER: u32 = 64 * 1024;

/// How a line behaves, the same for both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// The way there; there and back takes twice as long.
    pub one_way: Duration,
    /// What it carries; `None` is no limit.
    pub bytes_per_second: Option<u64>,
    /// What may be on the line and in its queue. It should be more than rate times `one_way`, or the line never
    /// reaches its rate.
    pub buffer: u32,
}

impl Delay {
    /// The line of the requirements: 10 MB/s, 20 ms there and back; a queue of as much again.
    pub fn wide_area() -> Self {
        Self { one_way: Duration::from_millis(10), bytes_per_second: Some(10_000_000), buffer: 256 * 1024 }
    }
}

/// A running line. It ends, and cuts its connections, when dropped.
#[derive(Debug)]
pub struct DelayLine {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl DelayLine {
    /// A line to `target`.
    pub fn start(target: SocketAddr, delay: Delay) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            bound(&socket)?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            socket.listen(64)
        })?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("delay line".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, target, delay) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DelayLine {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its own panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn bound(socket: &TcpSocket) -> io::Result<()> {
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)
}

async fn accept(listener: TcpListener, target: SocketAddr, delay: Delay) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(async move {
            // A target that refuses shows to the client as a connection that ends.
            if let Ok(server) = connect(target).await {
                join(client, server, delay).await;
            }
        });
    }
}

async fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    bound(&socket)?;
    socket.connect(target).await
}

async fn join(client: TcpStream, server: TcpStream, delay: Delay) {
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
        return;
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::join!(carry(from_client, to_server, delay), carry(from_server, to_client, delay));
}

/// Bytes on their way: when they arrive, and the room that they take.
struct Flight {
    arrival: Instant,
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

async fn carry(from: OwnedReadHalf, to: OwnedWriteHalf, delay: Delay) {
    let (sender, flights) = mpsc::channel(64 * 1024);
    tokio::join!(depart(from, sender, delay), arrive(to, flights));
}

async fn depart(mut from: OwnedReadHalf, line: mpsc::Sender<Flight>, delay: Delay) {
    let room = Arc::new(Semaphore::new(delay.buffer.max(CHUNK) as usize));
    let mut bytes = vec![0; CHUNK as usize];
    let mut free = Instant::now();
    loop {
        let Ok(mut permit) = Arc::clone(&room).acquire_many_owned(CHUNK).await else { return };
        let count = match from.read(&mut bytes).await {
            Ok(count @ 1..) => count,
            Ok(_) | Err(_) => return,
        };
        drop(permit.split(CHUNK as usize - count));
        free = free.max(Instant::now());
        if let Some(rate) = delay.bytes_per_second {
            free += Duration::from_secs_f64(count as f64 / rate as f64);
        }
        let bytes = bytes.get(..count).unwrap_or_default().to_vec();
        let flight = Flight { arrival: free + delay.one_way, bytes, _room: permit };
        if line.send(flight).await.is_err() {
            return;
        }
    }
}

async fn arrive(mut to: OwnedWriteHalf, mut flights: mpsc::Receiver<Flight>) {
    while let Some(flight) = flights.recv().await {
        tokio::time::sleep_until(flight.arrival).await;
        if to.write_all(&flight.bytes).await.is_err() {
            return;
        }
    }
    // The half that ended, ends; whoever is gone does not mind.
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net;
    use std::time::Instant;

    use super::*;

    /// A server that sends everything back, and ends when its input ends.
    fn echo() -> SocketAddr {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut input, _) = listener.accept().unwrap();
            let mut output = input.try_clone().unwrap();
            io::copy(&mut input, &mut output).unwrap();
            output.shutdown(net::Shutdown::Write).unwrap();
        });
        address
    }

    #[test]
    fn everything_arrives_in_order_and_not_before_its_time() {
        let delay = Delay {
            one_way: Duration::from_millis(30),
            bytes_per_second: Some(4_000_000),
            buffer: 256 * 1024,
        };
        let line = DelayLine::start(echo(), delay).unwrap();
        let start = Instant::now();
        let mut near = net::TcpStream::connect(line.address()).unwrap();
        near.write_all(b"x").unwrap();
        let mut one = [0];
        near.read_exact(&mut one).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(60), "{:?}", start.elapsed());

        let sent: Vec<u8> = (0..2_000_000_u32).map(|number| (number % 251) as u8).collect();
        let mut writer = near.try_clone().unwrap();
        let copy = sent.clone();
        let feed = std::thread::spawn(move || {
            writer.write_all(&copy).unwrap();
            writer.shutdown(net::Shutdown::Write).unwrap();
        });
        let start = Instant::now();
        let mut received = Vec::new();
        near.read_to_end(&mut received).unwrap();
        feed.join().unwrap();
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
        // 2 MB at 4 MB/s, and 60 ms: an upper bound would only measure the machine.
        assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
    }

    #[test]
    fn a_reader_that_stops_stops_the_writer_soon() {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let delay = Delay { one_way: Duration::ZERO, bytes_per_second: None, buffer: 100_000 };
        let line = DelayLine::start(listener.local_addr().unwrap(), delay).unwrap();
        let mut near = net::TcpStream::connect(line.address()).unwrap();
        let (_far, _) = listener.accept().unwrap();
        near.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut taken = 0;
        let block = [0; 16 * 1024];
        while let Ok(count) = near.write(&block) {
            taken += count;
            assert!(taken < 64 << 20, "the line holds without bound");
        }
    }
}
