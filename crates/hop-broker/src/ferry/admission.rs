//! A client's conversation with the broker, for as long as it uses the connection.
//!
//! Must stay true: waiting is bounded, and whoever waits is told what for; dropping an admission gives its place back.

use super::Fare;
use crate::conversation::ConversationError;
use crate::protocol::{Event, Failure, FailureKind, LONGEST_LINE, Request, VERSION};
use hop_connect::SocketDirectory;
use hop_connect::mux::MuxError;
use hop_connect::resolve::Resolved;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// How long a place in line is kept, and a login waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Why a client is not carried.
#[derive(Debug, thiserror::Error)]
pub enum FerryError {
    /// There is no connection, and none could be made.
    #[error("{}{}", .0.reason, hint(.0.hint.as_deref()))]
    Failed(Failure),
    /// The broker.
    #[error(transparent)]
    Broker(#[from] ConversationError),
    /// It waited as long as anybody may.
    #[error("no session became free within {} minutes\nhint: hop status shows who has them", .0.as_secs() / 60)]
    TooLong(Duration),
    /// The master refused, or broke.
    #[error("cannot use the connection to {alias}: {source}")]
    Master {
        /// The host.
        alias: hop_connect::Alias,
        /// What it said.
        source: MuxError,
    },
    /// A pipe or terminal.
    #[error("cannot {step}: {source}")]
    System {
        /// What was tried.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

fn hint(hint: Option<&str>) -> String {
    hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default()
}

fn refused(reason: String) -> FerryError {
    FerryError::Failed(Failure { kind: FailureKind::Denied, reason, hint: None })
}

/// A place at the broker.
#[derive(Debug)]
pub struct Admission {
    stream: BufReader<UnixStream>,
}

/// What may be used.
#[derive(Debug)]
pub struct Admitted {
    /// The control socket.
    pub socket: PathBuf,
    /// The master's process.
    pub master: u32,
    /// What the connection was made with.
    pub resolved: Resolved,
}

impl Admission {
    /// Connects to the broker that runs.
    ///
    /// # Errors
    /// When none does.
    pub async fn connect(sockets: &SocketDirectory) -> Result<Self, FerryError> {
        let stream =
            UnixStream::connect(sockets.broker_socket()).await.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ConversationError::Absent,
                _ => ConversationError::Io(error),
            })?;
        if stream.peer_cred().map_err(ConversationError::Io)?.uid() != rustix::process::geteuid().as_raw() {
            return Err(ConversationError::Stranger.into());
        }
        let mut admission = Self { stream: BufReader::new(stream) };
        match admission.next().await? {
            Event::Hello { version: VERSION, .. } => Ok(admission),
            Event::Hello { version, .. } => Err(ConversationError::Version(version).into()),
            _ => Err(ConversationError::Version(0).into()),
        }
    }

    /// Waits until the connection may be used; `tell` hears what is waited for.
    ///
    /// # Errors
    /// When there is none, or it took too long.
    pub async fn admitted(
        &mut self,
        fare: &Fare,
        takes_session: bool,
        tell: &mut (impl FnMut(String) + Send),
    ) -> Result<Admitted, FerryError> {
        self.say(&Request::Use {
            alias: fare.alias.clone(),
            purpose: fare.purpose.clone(),
            takes_session,
            attended: false,
            environment: fare.environment.clone(),
        })
        .await?;
        let waited = tokio::time::timeout(LONGEST_WAIT, self.decided(fare, tell)).await;
        waited.unwrap_or(Err(FerryError::TooLong(LONGEST_WAIT)))
    }

    async fn decided(
        &mut self,
        fare: &Fare,
        tell: &mut (impl FnMut(String) + Send),
    ) -> Result<Admitted, FerryError> {
        loop {
            match self.next().await? {
                Event::Up { socket, master, resolved, .. } => {
                    return Ok(Admitted { socket, master, resolved: *resolved });
                }
                Event::Failed(failure) => return Err(FerryError::Failed(failure)),
                Event::InLine { text } | Event::Progress { text } => tell(text),
                Event::Refused { reason } => return Err(refused(reason)),
                Event::Declined { reason } => {
                    let own = || format!("{} cannot be reached by way of itself", fare.alias);
                    return Err(refused(reason.unwrap_or_else(own)));
                }
                // Nobody is asked here.
                _ => {}
            }
        }
    }

    /// Tells the broker that a use came to nothing, and waits until it has heard that.
    ///
    /// # Errors
    /// When the broker is gone.
    pub async fn report(&mut self, request: &Request) -> Result<(), FerryError> {
        self.say(request).await?;
        loop {
            match self.next().await? {
                Event::Done | Event::Refused { .. } => return Ok(()),
                _ => {}
            }
        }
    }

    /// Asks for a forwarding, which ends with this admission; the port that the host chose, if it did.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(super) async fn forwarded(&mut self, request: &Request) -> Result<Option<u16>, FerryError> {
        self.say(request).await?;
        loop {
            match self.next().await? {
                Event::Forwarded { port } => return Ok(port),
                Event::Refused { reason } => return Err(refused(reason)),
                _ => {}
            }
        }
    }

    async fn say(&mut self, request: &Request) -> Result<(), FerryError> {
        let mut line = serde_json::to_vec(request).map_err(ConversationError::Malformed)?;
        line.push(b'\n');
        Ok(self.stream.write_all(&line).await.map_err(|_| ConversationError::Closed)?)
    }

    async fn next(&mut self) -> Result<Event, FerryError> {
        let mut line = Vec::new();
        let most = LONGEST_LINE as u64 + 1;
        let read = (&mut self.stream).take(most).read_until(b'\n', &mut line).await;
        match read.map_err(ConversationError::Io)? {
            0 => Err(ConversationError::Closed.into()),
            _ if !line.ends_with(b"\n") && line.len() > LONGEST_LINE => {
                Err(ConversationError::TooLong.into())
            }
            _ => Ok(serde_json::from_slice(&line).map_err(ConversationError::Malformed)?),
        }
    }
}
