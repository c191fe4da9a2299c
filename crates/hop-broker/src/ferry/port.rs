//! A loopback port for clients that know neither control sockets nor ProxyCommand: paramiko, ssh2.js, PuTTY.
//!
//! Must stay true: it listens on loopback only; who has not proved to hold the key that was made for it gets nothing, and
//! nothing is logged in to for them; connections, and those that have proved nothing yet, are bounded in number and time.

use super::admission::{Admission, FerryError};
use super::keys::{KeysError, StateDirectory};
use super::{Fare, limits, serve};
use hop_connect::master::printable;
use hop_connect::{Alias, SocketDirectory};
use hop_keys::PublicKey;
use hop_ssh::auth::{Question, VerifiedKey};
use hop_ssh::driver::{QuickAck, ServerLogin, prepare_tcp};
use hop_ssh::message::DisconnectReason;
use hop_ssh::{Error, ServerConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// Connections at once.
const CONNECTIONS: usize = 64;
/// Of these, how many may still be at proving who they are; more wait.
const STRANGERS: usize = 16;
/// How long that may take.
const GRACE: Duration = Duration::from_secs(30);
/// Failed signatures of one connection; the key is there or it is not.
const FAILURES: u32 = 3;
/// A login that takes longer is announced: some clients show nothing else.
const QUIET: Duration = Duration::from_millis(500);
/// A client that does not answer three of these is gone (a laptop's virtual machine that was stopped).
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Of what a client calls itself.
const LONGEST_NAME: usize = 64;

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Its keys, or the note of its number.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The system gives none.
    #[error("cannot listen on a port of 127.0.0.1: {0}")]
    Listen(#[source] std::io::Error),
}

/// A port that listens.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    number: u16,
    door: Arc<Door>,
}

/// What every connection goes by.
#[derive(Debug)]
struct Door {
    server: Arc<ServerConfig>,
    key: PublicKey,
    sockets: SocketDirectory,
}

impl Port {
    /// Listens on the port of before, or on another one if somebody else has that now, which is then remembered. Must be
    /// called inside a runtime.
    ///
    /// # Errors
    /// When a key cannot be read or made, or there is no port.
    pub fn bind(state: &StateDirectory, sockets: SocketDirectory) -> Result<Self, PortError> {
        // The first makes the directory, too.
        let server = state.server()?;
        let key = state.client_key()?.public().clone();
        let bind = |port| std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let before = state.port();
        let listener = before.map_or_else(|| bind(0), |port| bind(port).or_else(|_| bind(0)));
        let listener = listener.map_err(PortError::Listen)?;
        let number = listener.local_addr().map_err(PortError::Listen)?.port();
        if before != Some(number) {
            state.remember_port(number)?;
        }
        listener.set_nonblocking(true).map_err(PortError::Listen)?;
        let listener = TcpListener::from_std(listener).map_err(PortError::Listen)?;
        Ok(Self { listener, number, door: Arc::new(Door { server, key, sockets }) })
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Serves until it is dropped.
    pub async fn run(self) {
        let (places, strangers) =
            (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Semaphore::new(STRANGERS)));
        let mut tasks = JoinSet::new();
        loop {
            while tasks.try_join_next().is_some() {}
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let Ok(stranger) = strangers.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let door = self.door.clone();
                    tasks.spawn(async move {
                        if let Err(error) = door.serve(stream, move || drop(stranger)).await {
                            tracing::info!(%error, "a client of the port was not served");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting on the port failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

type Login = ServerLogin<QuickAck>;

impl Door {
    async fn serve(&self, stream: TcpStream, proved: impl FnOnce()) -> Result<(), Error> {
        prepare_tcp(&stream)?;
        let authenticating = self.authenticate(QuickAck::new(stream));
        let (mut login, key) = match tokio::time::timeout(GRACE, authenticating).await {
            Ok(authenticated) => authenticated?,
            Err(_) => return Err(Error::TimedOut { what: "a login at the port" }),
        };
        proved();
        let alias = match Alias::parse(key.user()) {
            Ok(alias) => alias,
            Err(error) => {
                return Err(login.refuse(refused(format!("the user name is the host: {error}"))).await);
            }
        };
        let purpose = printable(login.peer_identification().as_bytes());
        let purpose: String = purpose.trim_start_matches("SSH-2.0-").chars().take(LONGEST_NAME).collect();
        let fare = Fare { sockets: self.sockets.clone(), alias, purpose, environment: Vec::new() };
        // Kept for as long as the client is there: it is a user of the connection, also when it opens nothing.
        let _admission = match self.admitted(&mut login, &fare).await {
            Ok(admission) => admission,
            Err(NotAdmitted::Gone(error)) => return Err(error),
            Err(NotAdmitted::Refused(error)) => return Err(login.refuse(refused(error.to_string())).await),
        };
        let limits = hop_ssh::connection::Limits { keepalive: Some(KEEPALIVE), ..limits() };
        serve(fare, login.admit(key).await?.serve(limits)).await;
        Ok(())
    }

    async fn authenticate(&self, stream: QuickAck) -> Result<(Login, VerifiedKey), Error> {
        let mut login = ServerLogin::accept(stream, self.server.clone(), FAILURES).await?;
        loop {
            match login.next_question().await? {
                Question::Probe(query) if query.identity.key() == &self.key => login.encourage().await?,
                Question::Login(key) if key.identity().key() == &self.key => return Ok((login, key)),
                Question::Probe(_) | Question::Login(_) => login.reject().await?,
            }
        }
    }

    /// Waits until the host's connection can be used.
    async fn admitted(&self, login: &mut Login, fare: &Fare) -> Result<Admission, NotAdmitted> {
        let (notices, mut told) = mpsc::channel::<String>(8);
        let admitting = async move {
            let mut admission = Admission::connect(&fare.sockets).await?;
            admission.admitted(fare, false, &mut |text| drop(notices.try_send(text))).await?;
            Ok(admission)
        };
        tokio::pin!(admitting);
        let quiet = tokio::time::sleep(QUIET);
        tokio::pin!(quiet);
        let mut is_announced = false;
        loop {
            let text = tokio::select! {
                admitted = &mut admitting => return admitted.map_err(NotAdmitted::Refused),
                Some(text) = told.recv() => text,
                () = &mut quiet, if !is_announced => format!("logging in to {}…", fare.alias),
                error = login.gone() => return Err(NotAdmitted::Gone(error)),
            };
            is_announced = true;
            login.banner(&format!("hop: {text}\r\n")).await.map_err(NotAdmitted::Gone)?;
        }
    }
}

/// Why a client that has proved who it is is not served.
enum NotAdmitted {
    Gone(Error),
    Refused(FerryError),
}

fn refused(text: String) -> Error {
    Error::Disconnecting { reason: DisconnectReason::ByApplication, description: text.replace('\n', "; ") }
}
