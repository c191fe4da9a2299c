//! A conversation with the broker on its own socket, for tasks. ([`crate::conversation`] is the same for commands.)

use crate::protocol::{Event, LONGEST_LINE, Request};
use hop_connect::SocketDirectory;
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use zeroize::Zeroize;

/// A conversation.
#[derive(Debug)]
pub(super) struct Conversation {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    /// What has come of a line, so that reading can be given up and taken up again.
    line: Vec<u8>,
}

impl Conversation {
    pub(super) async fn start(sockets: &SocketDirectory) -> io::Result<Self> {
        let (reader, writer) = UnixStream::connect(sockets.broker_socket()).await?.into_split();
        let mut conversation = Self { reader: BufReader::new(reader), writer, line: Vec::new() };
        match conversation.next().await? {
            Event::Hello { .. } => Ok(conversation),
            _ => Err(io::Error::other("the broker did not say hello")),
        }
    }

    pub(super) async fn say(&mut self, request: &Request) -> io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let written = self.writer.write_all(&line).await;
        line.zeroize();
        written
    }

    /// The next event. Cancel safe.
    pub(super) async fn next(&mut self) -> io::Result<Event> {
        let left = (LONGEST_LINE * 4).saturating_sub(self.line.len()) as u64;
        let _ = (&mut self.reader).take(left).read_until(b'\n', &mut self.line).await?;
        if self.line.last() != Some(&b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let event = serde_json::from_slice(&self.line);
        self.line.zeroize();
        Ok(event?)
    }
}
