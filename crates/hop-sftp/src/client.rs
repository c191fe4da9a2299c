//! The SFTP client: many requests in flight over one stream, and whole-file transfers on top.
//!
//! [`connect`] greets the server and gives two things: a [`Client`], which may be cloned and used from many tasks, and
//! a [`Connection`], which moves the bytes and must be awaited beside them (a task of its own is the usual
//! place). When the last client is dropped and every answer is in, the connection ends.
//!
//! What must stay true: a request given up (its future dropped) leaves nothing behind, not even an open handle; what
//! waits in memory is bounded by the transfers' budget and by a fixed number of requests in flight.

mod connection;
mod directory;
mod error;
mod file;
mod incoming;
mod operations;
mod reply;
mod schedule;
mod transfer;
mod window;

use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Semaphore, mpsc};

use crate::codec::{
    ClientPacket, Extended, Extension, Hello, Limits, MAX_PACKET_LENGTH, Request, Response, ServerPacket,
    VERSION,
};
use connection::Submission;
use incoming::Incoming;

pub use connection::Connection;
pub use directory::{Entry, RemoteDirectory};
pub use error::{ConnectError, ConnectionError, Refused, RequestError, TransferError};
pub use file::{Chunk, RemoteFile};
pub use schedule::{Batch, Direction, Job};
pub use transfer::{TransferOptions, Transferred};

/// Reads and writes of a server that states no limits, in bytes: what every server takes.
const SAFE_LENGTH: u64 = 32 * 1024;

/// Header of a WRITE beside its data, generously.
const WRITE_HEADER: u64 = 512;

/// Requests waiting to be taken by the connection; it takes no more than it can hold.
const WAITING: usize = 64;

/// Bytes that all transfers of one client may have in flight together; in memory this is at most doubled.
const BUDGET: usize = 32 * 1024 * 1024;

/// Bytes per permit of the budget.
const BUDGET_UNIT: usize = 1024;

/// A client of one session. Cheap to clone; all clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    submissions: mpsc::Sender<Submission>,
    /// Handles to be closed without anyone waiting for it. Bounded by the handles that are open.
    closes: mpsc::UnboundedSender<Vec<u8>>,
    server: Server,
    budget: Arc<Semaphore>,
    /// Why the connection ended, once it has.
    ended: Arc<OnceLock<ConnectionError>>,
}

/// What the server said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The protocol version it speaks.
    pub version: u32,
    /// Extension names and their versions.
    pub extensions: Vec<(Vec<u8>, Vec<u8>)>,
    /// Longest read to ask for, in bytes; never 0.
    pub read_length: u32,
    /// Longest write to send, in bytes; never 0.
    pub write_length: u32,
    /// Handles that may be open at one time; `None`: not stated.
    pub open_handles: Option<u64>,
}

impl Server {
    /// Whether the server offers the extension in the version known here.
    pub fn offers(&self, extension: Extension) -> bool {
        let wanted = (extension.name().as_bytes(), extension.version().as_bytes());
        self.extensions.iter().any(|(name, version)| (name.as_slice(), version.as_slice()) == wanted)
    }

    fn limit_by(&mut self, limits: &Limits) {
        // 0 means "not stated". A longer packet than this side takes is of no use.
        let longest = u64::try_from(MAX_PACKET_LENGTH).unwrap_or(SAFE_LENGTH).saturating_sub(WRITE_HEADER);
        let packet = match limits.packet_length {
            0 => SAFE_LENGTH.saturating_add(WRITE_HEADER),
            stated => stated,
        };
        let length = |stated: u64| {
            let stated = if stated == 0 { packet.saturating_sub(WRITE_HEADER) } else { stated };
            u32::try_from(stated.clamp(1, longest)).unwrap_or(u32::MAX)
        };
        self.read_length = length(limits.read_length);
        self.write_length = length(limits.write_length.min(packet.saturating_sub(WRITE_HEADER)));
        self.open_handles = Some(limits.open_handles).filter(|handles| *handles > 0);
    }
}

/// Greets a server over its stream and asks for its limits.
///
/// Not cancel safe: a stream given up in the middle of the greeting is of no use.
pub async fn connect<R, W>(reader: R, writer: W) -> Result<(Client, Connection<R, W>), ConnectError>
where
    R: AsyncRead,
    W: AsyncWrite,
{
    let mut reader = Box::pin(reader);
    let mut writer = Box::pin(writer);
    let mut incoming = Incoming::new();

    let mut bytes = Vec::new();
    ClientPacket::Init(Hello { version: VERSION, extensions: Vec::new() }).encode(&mut bytes);
    send(&mut writer, &bytes).await?;
    let packet = incoming.packet(&mut reader).await?.ok_or(ConnectError::NoAnswer)?;
    let hello = match ServerPacket::decode(&packet) {
        Ok(ServerPacket::Version(hello)) => hello,
        Ok(ServerPacket::Response { .. }) | Err(_) => return Err(ConnectError::NoVersion),
    };
    if hello.version != VERSION {
        return Err(ConnectError::Version { version: hello.version });
    }
    let safe = u32::try_from(SAFE_LENGTH).unwrap_or(u32::MAX);
    let own = |(name, version): &(&[u8], &[u8])| (name.to_vec(), version.to_vec());
    let mut server = Server {
        version: hello.version,
        extensions: hello.extensions.iter().map(own).collect(),
        read_length: safe,
        write_length: safe,
        open_handles: None,
    };

    if server.offers(Extension::Limits) {
        bytes.clear();
        Request::Extended(Extended::Limits).encode(0, &mut bytes);
        send(&mut writer, &bytes).await?;
        let packet = incoming.packet(&mut reader).await?.ok_or(ConnectError::NoAnswer)?;
        if let Ok(ServerPacket::Response { response: Response::ExtendedReply(payload), .. }) =
            ServerPacket::decode(&packet)
            && let Ok(limits) = Limits::decode(payload)
        {
            server.limit_by(&limits);
        }
        // A server may also refuse (sftp-server -P limits): then the safe lengths stay.
    }

    let (submissions, taken) = mpsc::channel(WAITING);
    let (closes, closed) = mpsc::unbounded_channel();
    let ended = Arc::new(OnceLock::new());
    let connection = Connection::new(reader, writer, incoming, taken, closed, Arc::clone(&ended));
    let budget = Arc::new(Semaphore::new(BUDGET.div_euclid(BUDGET_UNIT)));
    let client = Client { shared: Arc::new(Shared { submissions, closes, server, budget, ended }) };
    Ok((client, connection))
}

async fn send(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), ConnectError> {
    writer.write_all(bytes).await.map_err(ConnectError::Write)?;
    writer.flush().await.map_err(ConnectError::Write)
}

impl Client {
    /// What the server said of itself.
    pub fn server(&self) -> &Server {
        &self.shared.server
    }
}

#[cfg(test)]
mod tests {
    use super::Server;
    use crate::codec::Limits;

    #[test]
    fn limits_are_made_sane() {
        let blank = Server {
            version: 3,
            extensions: Vec::new(),
            read_length: 32_768,
            write_length: 32_768,
            open_handles: None,
        };
        for (limits, expected) in [
            // OpenSSH.
            ((262_144, 261_120, 261_120, 1019), (261_120, 261_120, Some(1019))),
            // Nothing stated: what every server takes.
            ((0, 0, 0, 0), (32_768, 32_768, None)),
            // Only the packet stated.
            ((100_512, 0, 0, 7), (100_000, 100_000, Some(7))),
            // A write that would not fit its own packet.
            ((32_768, 65_536, 65_536, 1), (65_536, 32_256, Some(1))),
            // Nonsense, small and large.
            ((1, 1, 1, 1), (1, 1, Some(1))),
            ((u64::MAX, u64::MAX, u64::MAX, u64::MAX), (262_656, 262_656, Some(u64::MAX))),
        ] {
            let (packet_length, read_length, write_length, open_handles) = limits;
            let mut server = blank.clone();
            server.limit_by(&Limits { packet_length, read_length, write_length, open_handles });
            assert_eq!(
                (server.read_length, server.write_length, server.open_handles),
                expected,
                "{limits:?}"
            );
        }
    }
}
