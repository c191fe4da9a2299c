//! A client on our own engine, for tests of flow and endurance: logs in with a key file, runs commands.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use hop_keys::{Identity, PrivateKey, SignatureAlgorithm, load_private_key};
use hop_ssh::auth::{InfoRequest, Offer};
use hop_ssh::connection::{ChannelKind, ChannelRequest, Limits};
use hop_ssh::driver::{Answers, Arrivals, Channel, ClientLogin, Connection, OpenError, prepare_tcp};
use hop_ssh::{ClientConfig, Error};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A connection after login. It ends when this is dropped.
pub struct Client {
    /// The connection.
    pub connection: Connection,
    /// What the server wants.
    pub arrivals: Arrivals,
    driver: JoinHandle<Arc<Error>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The key file cannot be used.
    #[error(transparent)]
    Key(#[from] hop_keys::FileError),
    /// The server cannot be reached, or refuses.
    #[error("logging in to {address} as {user}: {error}")]
    Ssh {
        /// Where.
        address: SocketAddr,
        /// As whom.
        user: String,
        /// What happened.
        error: Error,
    },
}

/// Why a command was not started.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// There is no channel for it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The server refused it.
    #[error("the server refuses to run {0:?}")]
    Refused(String),
}

impl Client {
    /// Logs in, on the current runtime, whatever host key the server has.
    pub async fn log_in(
        address: SocketAddr,
        user: &str,
        key: &Path,
        limits: Limits,
    ) -> Result<Self, LoginError> {
        let config = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
        Self::log_in_with(address, user, key, limits, config).await
    }

    /// The same with another configuration.
    pub async fn log_in_with(
        address: SocketAddr,
        user: &str,
        key: &Path,
        limits: Limits,
        config: ClientConfig,
    ) -> Result<Self, LoginError> {
        Self::log_in_by(address, user, Arc::new(load_private_key(key, None)?), limits, config).await
    }

    /// The same with a key that is at hand.
    pub async fn log_in_by(
        address: SocketAddr,
        user: &str,
        key: Arc<PrivateKey>,
        limits: Limits,
        config: ClientConfig,
    ) -> Result<Self, LoginError> {
        let start = async {
            let stream = TcpStream::connect(address).await?;
            prepare_tcp(&stream)?;
            let offer = Offer::Key(Identity::Key(key.public().clone()));
            let login = ClientLogin::connect(stream, Arc::new(config)).await?;
            login.log_in(user, [offer], &mut Signer(key), limits).await
        };
        match start.await {
            Ok((connection, arrivals, driver)) => {
                Ok(Self { connection, arrivals, driver: tokio::spawn(driver.run()) })
            }
            Err(error) => Err(LoginError::Ssh { address, user: user.to_owned(), error }),
        }
    }

    /// Whether neither side has ended the connection.
    pub fn is_open(&self) -> bool {
        self.connection.ended().is_none()
    }

    /// Starts a command on a channel of its own.
    pub async fn exec(&self, command: &str) -> Result<Channel, ExecError> {
        let channel = self.connection.open(ChannelKind::Session).await?;
        match channel.request(&ChannelRequest::Exec(command.as_bytes().to_vec())).await {
            true => Ok(channel),
            false => Err(ExecError::Refused(command.to_owned())),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The exit status that a channel's end brings; its output must be read by somebody else.
pub async fn exit_status(channel: &Channel) -> Option<u32> {
    let mut requests = channel.requests();
    let mut status = None;
    while let Some(request) = requests.next().await {
        if let ChannelRequest::ExitStatus(found) = request.request() {
            status = Some(*found);
        }
    }
    status
}

/// Signs with one key and answers nothing.
pub(crate) struct Signer(pub(crate) Arc<PrivateKey>);

impl Answers for Signer {
    async fn sign(
        &mut self,
        _identity: &Identity,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Option<Vec<u8>> {
        self.0.sign(algorithm, message).ok()
    }

    async fn answer(&mut self, _request: &InfoRequest) -> Option<Vec<String>> {
        None
    }

    async fn banner(&mut self, _text: &str) {}
}
