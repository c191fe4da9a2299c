//! A download through `-L` from a source on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use super::{Measurement, Scale, Work, timed};
use crate::error::Error;
use crate::figures::{Figure, Goal};
use crate::lab::{Cipher, Lab};
use crate::server::{Kind, Running};

pub(super) fn measurement() -> Measurement {
    Measurement {
        name: "forward",
        title: "`-L` download",
        what: "1 GiB from a TCP source on loopback through `ssh -N -L`, whose near end is a Unix socket",
        bound: "three programs on two cores: the source, the server (TCP over loopback twice: receiving, sending and \
                the wake-ups of both are 70 % of its time, AES 11 %, our own copies 8 %) and the client, which decrypts \
                and copies to a socket. Larger reads and turns changed nothing that could be measured.",
        work: Work::Compared { run, scale: Scale::Large, goals: &[(Figure::Wall, Goal::AtMost(0.6))] },
    }
}

fn run(lab: &Lab, _: Kind, cipher: Cipher, server: &Running) -> Result<f64, Error> {
    let wanted = lab.sizes.large;
    let source = start_source(wanted)?;
    lab.remove("forward")?;
    let near = lab.path("forward");
    let mut command = lab.client("ssh", server, cipher)?;
    // The local command runs once the forwarding listens.
    command.args(["-N", "-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo ready", "-L"]);
    command.arg(format!("{}:{source}", near.display())).arg("server");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let child = command.spawn().map_err(|source| Error::Start { program: "ssh".into(), source })?;
    let mut client = Client(child);
    let said = client.0.stdout.take().ok_or(Error::Unexpected("ssh has no standard output"))?;
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line).map_err(Error::system("reading what ssh says"))?;
    if line.trim() != "ready" {
        return Err(Error::Unexpected("ssh ended before its forwarding listened"));
    }
    timed(|| {
        let mut stream = UnixStream::connect(&near).map_err(Error::file(&near))?;
        let mut room = vec![0; 256 * 1024];
        let mut got = 0;
        while let count @ 1.. = stream.read(&mut room).map_err(Error::system("reading from a forwarding"))? {
            got += count as u64;
        }
        if got == wanted { Ok(()) } else { Err(Error::Short { what: "a forwarding", wanted, got }) }
    })
}

/// A client that is ended with its measurement.
pub(super) struct Client(pub(super) Child);

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself; waiting for it counts its time.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Sends so many bytes to the one who connects.
fn start_source(size: u64) -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::system("listening"))?;
    let address = listener.local_addr().map_err(Error::system("listening"))?;
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let block = vec![7; 256 * 1024];
        for _ in 0..size / block.len() as u64 {
            // The reader notices what it did not get.
            if stream.write_all(&block).is_err() {
                return;
            }
        }
    });
    Ok(address)
}
