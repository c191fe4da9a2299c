//! A live relay goes to a fresh process of the same program: its two sockets, its configuration and its state, all
//! through one Unix socket, which is the new process's standard input.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use hop_ssh::driver::RelayDriver;
use hop_ssh::export::{Exported, RelaySetup};
use hop_ssh::relay::Relay;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use super::RelayError;
use super::config::{RelayConfig, RelayEvent};
use super::policy::RefuseByName;
use super::second_leg::client_config;
use super::serve::to_the_end;

/// The argument that makes the program take over.
pub const TAKE_OVER: &str = "take-over";
/// A configuration is a few hundred bytes.
const LONGEST: u32 = 64 * 1024;

/// What goes along with sockets and state.
#[derive(Debug, Serialize, Deserialize)]
struct Baggage {
    config: RelayConfig,
    /// The client's identification line, for key exchanges with the target.
    identification: String,
}

/// Hands a relay to a new process; that process's id.
pub(super) async fn hand_over(
    config: &RelayConfig,
    identification: &str,
    relay: Relay,
    client: TcpStream,
    server: TcpStream,
) -> Result<u32, RelayError> {
    let state = match relay.export() {
        Ok(state) => state,
        Err((_, reason)) => return Err(io::Error::other(reason).into()),
    };
    let sockets: [OwnedFd; 2] = [client.into_std()?.into(), server.into_std()?.into()];
    let baggage = Baggage { config: config.clone(), identification: identification.to_owned() };
    let baggage = serde_json::to_vec(&baggage).map_err(io::Error::from)?;
    let (ours, theirs) = UnixStream::pair()?;
    let theirs: OwnedFd = theirs.into();
    let child = Command::new(std::env::current_exe()?).arg(TAKE_OVER).stdin(Stdio::from(theirs)).spawn()?;
    // Blocking: this process has nothing else to do any more.
    send_sockets(&ours, &sockets)?;
    let length = u32::try_from(baggage.len()).unwrap_or(u32::MAX);
    (&ours).write_all(&length.to_be_bytes())?;
    (&ours).write_all(&baggage)?;
    state.send(&ours)?;
    // A byte back: it runs.
    (&ours).read_exact(&mut [0])?;
    Ok(child.id())
}

/// The new process's part: takes a relay over from standard input and runs it to its end; how it ended.
pub async fn take_over(report: impl Fn(RelayEvent)) -> Result<(), RelayError> {
    let input = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let [client, server] = receive_sockets(&input)?;
    let mut length = [0; 4];
    (&input).read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > LONGEST {
        return Err(io::Error::from(io::ErrorKind::InvalidData).into());
    }
    let mut baggage = vec![0; length as usize];
    (&input).read_exact(&mut baggage)?;
    let Baggage { config, identification } = serde_json::from_slice(&baggage).map_err(io::Error::from)?;
    let state = Exported::receive(&input)?;
    let setup = RelaySetup {
        server: Arc::new(config.server()?),
        client: Arc::new(client_config(&config, &identification)?),
        policy: Box::new(RefuseByName(config.refuse.clone())),
        keepalive: config.keepalive(),
    };
    let relay = Relay::import(&state, setup, Instant::now())?;
    drop(state);
    let driver = RelayDriver::new(relay, stream(client)?, stream(server)?);
    (&input).write_all(&[0])?;
    report(RelayEvent::Ended { how: to_the_end(driver).await });
    Ok(())
}

fn stream(socket: OwnedFd) -> io::Result<TcpStream> {
    TcpStream::from_std(std::net::TcpStream::from(socket))
}

fn send_sockets(channel: &UnixStream, sockets: &[OwnedFd; 2]) -> io::Result<()> {
    let sockets = [sockets[0].as_fd(), sockets[1].as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    sendmsg(channel, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

fn receive_sockets(channel: &UnixStream) -> Result<[OwnedFd; 2], RelayError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let buffers = &mut [IoSliceMut::new(&mut byte)];
    recvmsg(channel, buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC).map_err(io::Error::from)?;
    let mut sockets = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            sockets.extend(passed);
        }
    }
    sockets.try_into().map_err(|came: Vec<OwnedFd>| RelayError::Sockets { count: came.len() })
}
