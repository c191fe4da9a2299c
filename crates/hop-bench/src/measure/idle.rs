//! Memory of connections on which nothing happens.

use std::net::Ipv4Addr;
use std::sync::Arc;

use hop_keys::{Identity, PrivateKey, SignatureAlgorithm};
use hop_ssh::auth::{InfoRequest, Offer};
use hop_ssh::connection::Limits;
use hop_ssh::driver::{Answers, Arrivals, ClientLogin, Connection, prepare_tcp};
use hop_ssh::{Algorithms, ClientConfig};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use super::{Judged, Measurement, Row, Work, compare};
use crate::error::Error;
use crate::figures::Goal;
use crate::lab::{KEX, Lab};
use crate::process::{descendants, proportional_set};
use crate::server::{Kind, Running};

const CONNECTIONS: usize = 200;
/// Connections that are made, and closed, before the first reading: what a server allocates once.
const WARM_UP: usize = 8;

pub(super) fn measurement() -> Measurement {
    Measurement {
        name: "idle",
        title: "idle connection",
        what: "growth of the proportional set size of the server's processes over 200 logged-in connections without a \
               channel, per connection",
        bound: "the state of the transport: key schedules, buffers of the runtime, the socket's task.",
        work: Work::Own(run),
    }
}

fn run(lab: &Lab, rounds: usize) -> Result<Vec<Row>, Error> {
    let key = Key::read(lab)?;
    let (ours, theirs) = compare(rounds, |kind| {
        let kib = measure(lab, kind, &key)?;
        eprintln!("idle {kind}: {kib:.1} KiB");
        Ok(kib)
    })?;
    Ok(vec![Row {
        variant: String::new(),
        figure: "PSS".into(),
        unit: " KiB",
        ours,
        theirs,
        goal: Some(Goal::AtMost(40.0)),
        judged: Judged::Value,
    }])
}

/// KiB per connection.
fn measure(lab: &Lab, kind: Kind, key: &Key) -> Result<f64, Error> {
    let server = Running::start(lab, kind)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::system("starting a runtime"))?;
    let local = LocalSet::new();
    let connect = |count: usize| {
        local.block_on(&runtime, async {
            let mut held = Vec::new();
            for _ in 0..count {
                held.push(Held::connect(lab, server.port(), key).await?);
            }
            Ok::<_, Error>(held)
        })
    };
    let close = |held: Vec<Held>| {
        local.block_on(&runtime, async {
            for held in held {
                held.close().await;
            }
        });
    };
    close(connect(WARM_UP)?);
    server.settle()?;
    let before = memory(&server)?;
    let held = connect(CONNECTIONS)?;
    let grown = memory(&server)?.saturating_sub(before);
    close(held);
    server.stop()?;
    Ok(grown as f64 / 1024.0 / CONNECTIONS as f64)
}

fn memory(server: &Running) -> Result<u64, Error> {
    let mut sum = proportional_set(server.id())?;
    for process in descendants(server.id())? {
        sum += proportional_set(process)?;
    }
    Ok(sum)
}

/// A connection and the task that keeps it.
struct Held {
    driver: JoinSet<()>,
    _connection: Connection,
    _arrivals: Arrivals,
}

impl Held {
    async fn connect(lab: &Lab, port: u16, key: &Key) -> Result<Self, Error> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        let stream = stream.map_err(Error::system("connecting"))?;
        prepare_tcp(&stream).map_err(Error::system("connecting"))?;
        let mut config = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
        config.algorithms = Algorithms::default().with_kex(&[KEX]);
        let login = ClientLogin::connect(stream, Arc::new(config)).await.map_err(Error::ssh("connecting"))?;
        let offer = Offer::Key(key.identity.clone());
        let login = login.log_in(&lab.account.name, [offer], &mut key.clone(), Limits::default()).await;
        let (connection, arrivals, driver) = login.map_err(Error::ssh("logging in"))?;
        let mut tasks = JoinSet::new();
        tasks.spawn_local(async move {
            // Why it ended is of no interest: the measurement checks nothing after it.
            let _ended = driver.run().await;
        });
        Ok(Self { driver: tasks, _connection: connection, _arrivals: arrivals })
    }

    /// Cuts it. Merely dropped, the task would keep its socket until the set of tasks runs again.
    async fn close(mut self) {
        self.driver.shutdown().await;
    }
}

/// The lab's user key, to sign with.
#[derive(Clone)]
struct Key {
    private: Arc<PrivateKey>,
    identity: Identity,
}

impl Key {
    fn read(lab: &Lab) -> Result<Self, Error> {
        let path = lab.path("user_key");
        let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
        let private = PrivateKey::from_openssh(&text, None)
            .map_err(|_| Error::Unexpected("ssh-keygen's key is not readable"))?;
        let identity = Identity::Key(private.public().clone());
        Ok(Self { private: Arc::new(private), identity })
    }
}

impl Answers for Key {
    async fn sign(&mut self, _: &Identity, algorithm: SignatureAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
        self.private.sign(algorithm, message).ok()
    }

    async fn answer(&mut self, _: &InfoRequest) -> Option<Vec<String>> {
        None
    }

    async fn banner(&mut self, _: &str) {}
}
