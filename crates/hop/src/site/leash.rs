//! The Unix socket between the supervisor and each of its processes: orders and listeners go down, a report comes
//! back, and its end is the end of the process.

use super::role::Role;
use super::settings::Settings;
use super::users::Users;
use crate::error::{CommandError, ErrorKind};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// The most that is said at once: settings and some public keys.
const LONGEST: usize = 256 * 1024;
/// The most descriptors that a process is given.
const MOST: usize = 4;

/// What a process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// What it is.
    pub(crate) role: Role,
    /// The site's settings; the data directory is absolute.
    pub(crate) settings: Settings,
    /// Who runs as whom.
    pub(crate) users: Users,
    /// The program for projects.
    pub(crate) program: PathBuf,
    /// Public keys that the person offers for the first account, a line each.
    pub(crate) offered_keys: Vec<String>,
    /// The gateway's host keys, for the keeper: projects know them.
    pub(crate) gateway_host_keys: Vec<String>,
}

/// What a process says when it is ready, or why it cannot be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// It serves.
    Ready(serde_json::Value),
    /// It cannot; the supervisor tells the person.
    Failed {
        /// As sysexits(3) numbers it.
        code: u8,
        /// What was tried and why it failed.
        message: String,
        /// What to do.
        hints: Vec<String>,
    },
}

/// Sends a line with descriptors.
pub(crate) fn send(stream: &UnixStream, orders: &Orders, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut line = serde_json::to_vec(orders)?;
    line.push(b'\n');
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors"));
    }
    let sent = sendmsg(stream, &[IoSlice::new(&line)], &mut ancillary, SendFlags::NOSIGNAL)?;
    let mut stream = stream;
    stream.write_all(line.get(sent..).unwrap_or_default())
}

/// The process's end.
#[derive(Debug)]
pub(crate) struct Leash(UnixStream);

impl Leash {
    /// Standard input, which the supervisor made.
    pub(crate) fn on_stdin() -> Result<Self, CommandError> {
        let socket = io::stdin().as_fd().try_clone_to_owned().map_err(not_a_leash)?;
        Ok(Self(UnixStream::from(socket)))
    }

    /// Waits for the orders.
    pub(crate) fn orders(&self) -> Result<(Orders, Vec<OwnedFd>), CommandError> {
        self.receive().map_err(not_a_leash)
    }

    fn receive(&self) -> io::Result<(Orders, Vec<OwnedFd>)> {
        let (mut line, mut descriptors) = (Vec::new(), Vec::new());
        let mut chunk = vec![0; 16 * 1024];
        while line.last() != Some(&b'\n') {
            if line.len() > LONGEST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the orders do not end"));
            }
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut into = [IoSliceMut::new(&mut chunk)];
            let received = recvmsg(&self.0, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(passed) = message {
                    descriptors.extend(passed);
                }
            }
            if received.bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            line.extend_from_slice(chunk.get(..received.bytes).unwrap_or_default());
        }
        Ok((serde_json::from_slice(&line)?, descriptors))
    }

    /// Tells the supervisor how it went. One that is gone hears nothing; the end follows.
    pub(crate) fn report(&self, report: &Report) {
        let told = serde_json::to_vec(report).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            let mut stream = &self.0;
            stream.write_all(&line)
        });
        if let Err(error) = told {
            tracing::warn!(%error, "the supervisor does not listen");
        }
    }

    /// Waits until the supervisor lets go, by will or by its own end.
    pub(crate) async fn let_go(self) {
        let watched = self.0.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(self.0));
        let Ok(stream) = watched else { return };
        let mut byte = [0; 1];
        loop {
            if stream.readable().await.is_err() {
                return;
            }
            match stream.try_read(&mut byte) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

/// Reads the process's report. Blocks.
pub(crate) fn read_report(stream: &UnixStream) -> io::Result<Report> {
    let mut line = Vec::new();
    let mut reader = stream.take(LONGEST as u64);
    let mut chunk = [0; 4096];
    while line.last() != Some(&b'\n') {
        match reader.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => line.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
    Ok(serde_json::from_slice(&line)?)
}

fn not_a_leash(error: io::Error) -> CommandError {
    CommandError::new(ErrorKind::Config, format!("no orders came on standard input: {error}"))
        .hint("this command is started by hop up and hop serve")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_listeners_arrive() {
        let (supervisor, process) = UnixStream::pair().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let orders = Orders {
            role: Role::Site,
            settings: Settings::default(),
            users: Users::Ourselves { uid: 1000 },
            program: PathBuf::from("/bin/hop"),
            offered_keys: vec!["ssh-ed25519 AAAA".to_owned(); 2000],
            gateway_host_keys: Vec::new(),
        };
        let sender = std::thread::spawn(move || {
            send(&supervisor, &orders, &[listener.as_fd()]).unwrap();
            (supervisor, read_report)
        });
        let leash = Leash(process);
        let (orders, mut descriptors) = leash.orders().unwrap();
        assert_eq!(orders.offered_keys.len(), 2000);
        let listener = std::net::TcpListener::from(descriptors.pop().unwrap());
        assert_eq!(listener.local_addr().unwrap(), address);
        leash.report(&Report::Ready(serde_json::json!({"x": 1})));
        let (supervisor, read) = sender.join().unwrap();
        assert!(matches!(read(&supervisor).unwrap(), Report::Ready(_)));
    }

    #[test]
    fn orders_that_end_early_are_an_error() {
        let (mut supervisor, process) = UnixStream::pair().unwrap();
        supervisor.write_all(b"{\"role\":").unwrap();
        drop(supervisor);
        assert!(Leash(process).orders().is_err());
    }
}
