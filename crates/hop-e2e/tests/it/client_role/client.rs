//! A client made of our engine: a login, and what a test does with the connection.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hop_e2e::Foreign;
use hop_keys::{
    HostKeyPolicy, HostKeyVerdict, Identity, KnownHosts, PrivateKey, SignatureAlgorithm, load_private_key,
};
use hop_ssh::auth::{InfoRequest, Offer};
use hop_ssh::connection::{ChannelKind, ChannelRequest, ExitSignal, Limits, Stream};
use hop_ssh::driver::{Answers, Arrivals, Channel, ChannelReader, ClientLogin, Connection, prepare_tcp};
use hop_ssh::{ClientConfig, Error, USER_SIGNATURES};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::agent::AgentClient;

/// Runs a test on one thread with room for local tasks.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(200), test).await.expect("the test hangs");
    });
}

/// Whoever logs in: keys at hand, an agent, answers prepared for questions. Keeps what it was shown.
#[derive(Default)]
pub(crate) struct Person {
    pub(crate) keys: Vec<PrivateKey>,
    pub(crate) agent: Option<AgentClient>,
    /// The answers to each round that has prompts. A round without is answered by itself, one too many by nobody.
    pub(crate) rounds: VecDeque<Vec<String>>,
    /// Never comes to answer.
    pub(crate) dawdles: bool,
    /// Every round that came.
    pub(crate) asked: Vec<InfoRequest>,
    pub(crate) banners: Vec<String>,
    /// How it was asked to sign.
    pub(crate) signed: Vec<SignatureAlgorithm>,
}

impl Person {
    /// Holds one key.
    pub(crate) fn with(key: PrivateKey) -> Self {
        Self { keys: vec![key], ..Self::default() }
    }

    /// Gives these answers, one round each.
    pub(crate) fn answering(rounds: &[&[&str]]) -> Self {
        let rounds = rounds.iter().map(|round| round.iter().map(|a| (*a).to_owned()).collect());
        Self { rounds: rounds.collect(), ..Self::default() }
    }

    /// The keys at hand, to be offered in their order.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        self.keys.iter().map(|key| Offer::Key(Identity::Key(key.public().clone()))).collect()
    }

    /// The prompts of every round, with whether the answer is shown.
    pub(crate) fn prompts(&self) -> Vec<Vec<(&str, bool)>> {
        self.asked.iter().map(|r| r.prompts.iter().map(|(text, shown)| (&**text, *shown)).collect()).collect()
    }
}

impl Answers for Person {
    async fn sign(
        &mut self,
        identity: &Identity,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Option<Vec<u8>> {
        self.signed.push(algorithm);
        if let Some(agent) = &mut self.agent {
            return agent.sign(identity, algorithm, message).await;
        }
        let key = self.keys.iter().find(|key| key.public() == identity.key())?;
        Some(key.sign(algorithm, message).unwrap())
    }

    async fn answer(&mut self, request: &InfoRequest) -> Option<Vec<String>> {
        self.asked.push(request.clone());
        if self.dawdles {
            std::future::pending::<()>().await;
        }
        if request.prompts.is_empty() { Some(Vec::new()) } else { self.rounds.pop_front() }
    }

    async fn banner(&mut self, text: &str) {
        self.banners.push(text.to_owned());
    }
}

/// Accepts the host keys that a known_hosts file has for this name and port.
pub(crate) fn judged_by(known_hosts: &str, host: &str, port: u16) -> ClientConfig {
    let mut known = KnownHosts::new();
    assert_eq!(known.add(Path::new("known_hosts"), known_hosts.as_bytes()), []);
    let host = host.to_owned();
    ClientConfig::new(Arc::new(move |offered: &Identity| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let policy = HostKeyPolicy { ca_signatures: USER_SIGNATURES, revocations: None, now };
        match known.check(&host, port, offered, &policy) {
            HostKeyVerdict::Known { .. } => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }))
}

/// A connection that is up, its driver running beside the test.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) arrivals: Arrivals,
    pub(crate) driver: JoinHandle<Arc<Error>>,
}

/// The key exchange with a server.
pub(crate) async fn connect(
    address: SocketAddr,
    config: ClientConfig,
) -> Result<ClientLogin<TcpStream>, Error> {
    let stream = TcpStream::connect(address).await.unwrap();
    prepare_tcp(&stream).unwrap();
    ClientLogin::connect(stream, Arc::new(config)).await
}

/// The whole login.
pub(crate) async fn log_in(
    address: SocketAddr,
    config: ClientConfig,
    user: &str,
    offers: Vec<Offer>,
    person: &mut Person,
) -> Result<Client, Error> {
    let login = connect(address, config).await?;
    let (connection, arrivals, driver) = login.log_in(user, offers, person, Limits::default()).await?;
    Ok(Client { connection, arrivals, driver: tokio::task::spawn_local(driver.run()) })
}

/// What [`Foreign`]'s known_hosts file says, for its address.
pub(crate) fn config_for(server: &Foreign) -> ClientConfig {
    let known = std::fs::read_to_string(&server.known_hosts).unwrap();
    judged_by(&known, "127.0.0.1", server.address.port())
}

/// A private key that a fixture made.
pub(crate) fn private(identity: &hop_e2e::Identity) -> PrivateKey {
    load_private_key(&identity.private, None).unwrap()
}

/// Logs in with the key that [`Foreign`] lets in.
pub(crate) async fn log_in_to(server: &Foreign) -> Client {
    log_in_with(server, config_for(server)).await
}

/// The same with choices.
pub(crate) async fn log_in_with(server: &Foreign, config: ClientConfig) -> Client {
    let mut person = Person::with(private(&server.user_key));
    let offers = person.offers();
    log_in(server.address, config, &server.user, offers, &mut person).await.unwrap()
}

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) status: Option<u32>,
    pub(crate) signal: Option<ExitSignal>,
}

impl Ended {
    /// Standard output of a command that ended with 0.
    pub(crate) fn success(self) -> String {
        let stderr = String::from_utf8_lossy(&self.stderr);
        assert_eq!((self.status, &self.signal), (Some(0), &None), "stderr: {stderr}");
        String::from_utf8(self.stdout).unwrap()
    }
}

impl Client {
    /// A session with a command, nothing read or written yet.
    pub(crate) async fn start(&self, command: &str) -> Channel {
        let channel = self.connection.open(ChannelKind::Session).await.unwrap();
        assert!(channel.request(&ChannelRequest::Exec(command.as_bytes().to_vec())).await);
        channel
    }

    /// Runs a command to its end, `input` on its standard input.
    pub(crate) async fn exec(&self, command: &str, input: &[u8]) -> Ended {
        let channel = self.start(command).await;
        let mut writer = channel.writer(Stream::Data);
        let feed = async {
            // A command may end without having read all.
            let _ = writer.write_all(input).await;
            let _ = writer.shutdown().await;
        };
        tokio::join!(feed, finish(&channel)).1
    }
}

/// Reads everything that a started session says, to its end.
pub(crate) async fn finish(channel: &Channel) -> Ended {
    let (stdout, stderr) =
        tokio::join!(read_all(channel.reader(Stream::Data)), read_all(channel.reader(Stream::Stderr)),);
    let (mut status, mut signal) = (None, None);
    let mut requests = channel.requests();
    while let Some(request) = requests.next().await {
        match request.request() {
            ChannelRequest::ExitStatus(code) => status = Some(*code),
            ChannelRequest::ExitSignal(exit) => signal = Some(exit.clone()),
            _ => {}
        }
    }
    Ended { stdout, stderr, status, signal }
}

async fn read_all(mut reader: ChannelReader) -> Vec<u8> {
    let mut all = Vec::new();
    reader.read_to_end(&mut all).await.unwrap();
    all
}
