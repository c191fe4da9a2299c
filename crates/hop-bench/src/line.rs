//! A line with a long way and more room than anything here can fill, between a client and a server.
//!
//! It shows what windows and turns of a protocol cost over a distance; it does not show loss or what TCP makes of it.
//! Must stay true: bytes keep their order and half-closes pass.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::error::Error;

/// What one read may bring.
const CHUNK: usize = 256 * 1024;
/// Chunks on the line, each way: at 20 ms and 2 GB/s there are 160.
const ROOM: usize = 1024;

/// Starts a line to `target`, `one_way` long; where clients connect. It lasts as long as the program.
pub(crate) fn start(target: SocketAddr, one_way: Duration) -> Result<SocketAddr, Error> {
    let start = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        std::thread::Builder::new().name("line".into()).spawn(move || {
            for client in listener.incoming().flatten() {
                // A target that refuses shows to the client as a connection that ends.
                let _joined = join(client, target, one_way);
            }
        })?;
        Ok(address)
    };
    start().map_err(Error::system("starting a delay line"))
}

/// The same, but `rate` bytes a second wide each way and with little room on the way, as a router has: what does not
/// fit waits with its sender.
pub(crate) fn start_narrow(target: SocketAddr, one_way: Duration, rate: f64) -> Result<SocketAddr, Error> {
    let start = || {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        // Accepted sockets inherit it.
        listener.set_recv_buffer_size(NARROW)?;
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        listener.listen(16)?;
        let listener = TcpListener::from(listener);
        let address = listener.local_addr()?;
        std::thread::Builder::new().name("line".into()).spawn(move || {
            for client in listener.incoming().flatten() {
                let _joined = join_narrow(client, target, one_way, rate);
            }
        })?;
        Ok(address)
    };
    start().map_err(Error::system("starting a narrow line"))
}

/// Bytes that wait at the entrance of a narrow line, in the kernel's buffer.
const NARROW: usize = 64 * 1024;
/// What one departure on a narrow line carries: 0.8 ms of a line of 10 MB/s.
const PARCEL: usize = 8 * 1024;

fn join_narrow(client: TcpStream, target: SocketAddr, one_way: Duration, rate: f64) -> io::Result<()> {
    let server = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    server.set_recv_buffer_size(NARROW)?;
    server.connect(&target.into())?;
    let server = TcpStream::from(server);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        let (line, far) = sync_channel(ROOM);
        std::thread::Builder::new()
            .name("line in".into())
            .spawn(move || depart_slowly(from, &line, one_way, rate))?;
        std::thread::Builder::new().name("line out".into()).spawn(move || arrive(to, &far))?;
    }
    Ok(())
}

fn depart_slowly(mut from: TcpStream, line: &SyncSender<(Instant, Vec<u8>)>, one_way: Duration, rate: f64) {
    let mut room = vec![0; PARCEL];
    let mut free = Instant::now();
    while let Ok(count @ 1..) = from.read(&mut room) {
        let bytes = room.get(..count).unwrap_or_default().to_vec();
        free = free.max(Instant::now()) + Duration::from_secs_f64(count as f64 / rate);
        std::thread::sleep(free.saturating_duration_since(Instant::now()));
        if line.send((free + one_way, bytes)).is_err() {
            return;
        }
    }
}

fn join(client: TcpStream, target: SocketAddr, one_way: Duration) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    carry(client.try_clone()?, server.try_clone()?, one_way)?;
    carry(server, client, one_way)
}

fn carry(from: TcpStream, to: TcpStream, one_way: Duration) -> io::Result<()> {
    let (line, far) = sync_channel(ROOM);
    std::thread::Builder::new().name("line in".into()).spawn(move || depart(from, &line, one_way))?;
    std::thread::Builder::new().name("line out".into()).spawn(move || arrive(to, &far))?;
    Ok(())
}

fn depart(mut from: TcpStream, line: &SyncSender<(Instant, Vec<u8>)>, one_way: Duration) {
    let mut room = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut room) {
        let bytes = room.get(..count).unwrap_or_default().to_vec();
        if line.send((Instant::now() + one_way, bytes)).is_err() {
            return;
        }
    }
}

fn arrive(mut to: TcpStream, line: &Receiver<(Instant, Vec<u8>)>) {
    while let Ok((due, bytes)) = line.recv() {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
    // Whoever is gone needs no half-close.
    let _gone = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time_and_keep_their_order() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = start(listener.local_addr().unwrap(), Duration::from_millis(20)).unwrap();
        let mut near = TcpStream::connect(address).unwrap();
        let begun = Instant::now();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let writer = std::thread::spawn({
            let sent = sent.clone();
            move || {
                near.write_all(&sent).unwrap();
                near.shutdown(Shutdown::Write).unwrap();
                near
            }
        });
        let (mut far, _) = listener.accept().unwrap();
        let mut got = Vec::new();
        far.read_to_end(&mut got).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(20));
        assert!(got == sent);
        drop(writer.join().unwrap());
    }
}
