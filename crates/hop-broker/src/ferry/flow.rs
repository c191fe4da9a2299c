//! Bytes between a channel and the pipes that a master was given.
//!
//! Must stay true: an end in one direction says nothing about the other; who stops reading stops only its own flow.

use super::FerryError;
use hop_ssh::connection::Stream;
use hop_ssh::driver::{Channel, ChannelReader};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;

/// What is read at once; a pipe holds as much.
const READ: usize = 64 * 1024;

/// The host's end of a pipe, and ours.
pub(super) struct Pipe<Ours> {
    pub(super) theirs: OwnedFd,
    pub(super) ours: Ours,
}

/// A pipe that the master reads.
pub(super) fn to_master() -> Result<Pipe<pipe::Sender>, FerryError> {
    let (reader, writer) = io::pipe().map_err(no_pipe)?;
    Ok(Pipe { theirs: reader.into(), ours: pipe::Sender::from_owned_fd(writer.into()).map_err(no_pipe)? })
}

/// A pipe that the master writes.
pub(super) fn from_master() -> Result<Pipe<pipe::Receiver>, FerryError> {
    let (reader, writer) = io::pipe().map_err(no_pipe)?;
    Ok(Pipe { theirs: writer.into(), ours: pipe::Receiver::from_owned_fd(reader.into()).map_err(no_pipe)? })
}

fn no_pipe(source: io::Error) -> FerryError {
    FerryError::System { step: "make a pipe", source }
}

/// Passes on what the client sends, until it sends no more or nobody reads it.
pub(super) async fn to_the_host(channel: &Channel, mut sink: impl AsyncWrite + Unpin) {
    let mut source: BufReader<ChannelReader> = BufReader::with_capacity(READ, channel.reader(Stream::Data));
    if tokio::io::copy_buf(&mut source, &mut sink).await.is_err() {
        // The client must not wait for room in its window.
        channel.discard_input();
    }
}

/// Passes on what the host sends, until it sends no more.
pub(super) async fn to_the_client(channel: &Channel, stream: Stream, source: impl AsyncRead + Unpin) {
    let mut source = BufReader::with_capacity(READ, source);
    let mut sink = channel.writer(stream);
    // A client that is gone takes its channel along.
    let _ = tokio::io::copy_buf(&mut source, &mut sink).await;
    let _ = sink.flush().await;
}

/// Joins a channel to a connection until both directions have ended, or the client has closed the channel; then closes it.
pub(super) async fn between(
    channel: &Channel,
    input: impl AsyncWrite + Unpin,
    output: impl AsyncRead + Unpin,
) {
    let inward = async {
        to_the_client(channel, Stream::Data, output).await;
        channel.send_eof();
    };
    let mut requests = channel.requests();
    let closed = async { while requests.next().await.is_some() {} };
    tokio::select! {
        _ = async { tokio::join!(to_the_host(channel, input), inward) } => {}
        () = closed => {}
    }
    channel.close();
}
