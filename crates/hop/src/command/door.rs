//! `hop door`: the way of a project's own `ssh` to its gateway. ssh runs it as ProxyCommand with ProxyUseFdpass: it
//! connects, passes the descriptor on standard output, and is gone; nothing is copied through it.

use crate::error::{CommandError, ErrorKind};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// Where a project's endpoint is given its way to the gateway.
const GATEWAY: &str = "/run/grasshopper/gateway";

/// Connects and passes the descriptor.
pub(crate) fn run() -> Result<(), CommandError> {
    let gateway = UnixStream::connect(GATEWAY).map_err(|error| {
        CommandError::new(ErrorKind::Unavailable, format!("cannot reach the gateway at {GATEWAY}: {error}"))
            .hint("this works inside a project of a site, where ssh calls it")
    })?;
    pass(&gateway).map_err(|error| {
        CommandError::new(ErrorKind::Config, format!("cannot pass the connection to ssh: {error}"))
            .hint("ssh needs ProxyUseFdpass yes beside ProxyCommand")
    })
}

fn pass(connection: &UnixStream) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [connection.as_fd()];
    // The space is for one.
    let _ = ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(io::stdout(), &[IoSlice::new(b"\0")], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}
