//! A line with a long way and more room than anything here can fill, between a client and a server.
//!
//! It shows what windows and turns of a protocol cost over a distance; it does not show loss or what TCP makes of it.
//! (The testkit's line paces 8 KiB at a time and has little room, as a narrow one has; it would bound what is measured
//! through this one.)
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
