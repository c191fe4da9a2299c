//! The engine alone, in memory, on one core: sealing, opening, relaying, and both ends of the connection protocol.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use hop_keys::{Identity, KeyAlgorithm, PrivateKey};
use hop_ssh::auth::{InfoRequest, Offer, Question};
use hop_ssh::connection::{ChannelKind, Limits, Stream};
use hop_ssh::driver::{Answers, ClientLogin, Incoming, ServerLogin};
use hop_ssh::message::CHANNEL_DATA;
use hop_ssh::relay::{PassAll, Relay, Side};
use hop_ssh::{Algorithms, ClientConfig, HostKey, Leg, ServerConfig, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::LocalSet;

use super::{Judged, Measurement, Row, Work};
use crate::error::Error;
use crate::figures::{Goal, median};
use crate::lab::{Cipher, KEX};

/// What one message carries, in bytes: as OpenSSH does.
const BODY: usize = 32 * 1024;
/// Messages that are sealed before one write, as the driver does.
const MESSAGES: usize = 4;
/// Batches of a round, of which the median counts: whoever is interrupted is not slower for it.
const BATCHES: usize = 2048;
/// Bytes through both ends of a connection.
const THROUGH: usize = 512 << 20;

pub(super) fn measurement() -> Measurement {
    Measurement {
        name: "engine",
        title: "engine in memory",
        what: "10^9 bytes of channel data a second on one core: sealed by a transport, opened by one, through a relay \
               (opened and sealed), and through both ends of a connection (written, sealed, copied by a pipe in \
               memory, opened, read)",
        bound: "the cipher itself.",
        work: Work::Own(|_, rounds| run(rounds)),
    }
}

fn run(rounds: usize) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for cipher in Cipher::ALL {
        rows.push(row(cipher, "seal", true, rounds, seal)?);
        rows.push(row(cipher, "open", true, rounds, open)?);
        rows.push(row(cipher, "relay to the server", true, rounds, |cipher| relay(cipher, Side::Client))?);
        rows.push(row(cipher, "relay to the client", true, rounds, |cipher| relay(cipher, Side::Server))?);
        rows.push(row(cipher, "both ends of a connection", false, rounds, connection)?);
    }
    Ok(rows)
}

fn row(
    cipher: Cipher,
    figure: &str,
    has_goal: bool,
    rounds: usize,
    run: impl Fn(Cipher) -> Result<f64, Error>,
) -> Result<Row, Error> {
    let mut ours = Vec::new();
    for _ in 0..rounds {
        ours.push(run(cipher)?);
    }
    Ok(Row {
        variant: cipher.short().to_owned(),
        figure: figure.to_owned(),
        unit: " GB/s",
        ours,
        theirs: Vec::new(),
        goal: has_goal.then_some(Goal::AtLeast(3.0)),
        judged: Judged::Value,
    })
}

/// Two transports in the state after a login, client and server.
fn pair(cipher: Cipher) -> Result<(Transport, Transport), Error> {
    let now = Instant::now();
    let algorithms = Algorithms::default().with_ciphers(&[cipher.name()]).with_kex(&[KEX]);
    let mut server = ServerConfig::new(vec![HostKey::new(key()?)]);
    server.algorithms = algorithms.clone();
    let mut client = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
    client.algorithms = algorithms;
    let failed = Error::ssh("a key exchange in memory");
    let made = Transport::client(Arc::new(client), now)
        .and_then(|client| Ok((client, Transport::server(Arc::new(server), now)?)));
    let (mut client, mut server) = made.map_err(failed)?;
    loop {
        let moved = pass(&mut client, &mut server) + pass(&mut server, &mut client);
        for transport in [&mut client, &mut server] {
            if transport.next(now).map_err(Error::ssh("a key exchange in memory"))?.is_some() {
                return Err(Error::Unexpected("a payload before there were keys"));
            }
        }
        if moved == 0 {
            break;
        }
    }
    client.set_authenticated();
    server.set_authenticated();
    Ok((client, server))
}

fn key() -> Result<PrivateKey, Error> {
    PrivateKey::generate(KeyAlgorithm::Ed25519).map_err(|_| Error::Unexpected("no key could be made"))
}

/// What moves bytes between two legs of whatever kind; how many it moved.
macro_rules! pass_bytes {
    ($from:expr, $to:expr) => {{
        let mut moved = 0;
        while !$from.output().is_empty() {
            let pending = $from.output().pending();
            let spare = $to.input().spare();
            let count = pending.len().min(spare.len());
            if let (Some(room), Some(bytes)) = (spare.get_mut(..count), pending.get(..count)) {
                room.copy_from_slice(bytes);
            }
            $to.input().commit(count);
            $from.output().consume(count);
            moved += count;
        }
        moved
    }};
}

fn pass(from: &mut Transport, to: &mut Transport) -> usize {
    pass_bytes!(from, to)
}

/// The front of a data message for channel 0.
fn head() -> Vec<u8> {
    let length = u32::try_from(BODY).unwrap_or_default();
    [&[CHANNEL_DATA][..], &0u32.to_be_bytes(), &length.to_be_bytes()].concat()
}

fn send_batch(transport: &mut Transport, head: &[u8], body: &[u8]) -> Result<(), Error> {
    for _ in 0..MESSAGES {
        transport.send(head, body).map_err(Error::ssh("sealing"))?;
    }
    Ok(())
}

fn receive_batch(transport: &mut Transport, now: Instant) -> Result<(), Error> {
    let mut messages = 0;
    while let Some(payload) = transport.next(now).map_err(Error::ssh("opening"))? {
        black_box(transport.payload(&payload));
        messages += 1;
    }
    if messages == MESSAGES { Ok(()) } else { Err(Error::Unexpected("messages were lost in memory")) }
}

/// GB/s when each batch took this many seconds.
fn rate(batches: &[f64]) -> f64 {
    (MESSAGES * BODY) as f64 / median(batches) / 1e9
}

fn seal(cipher: Cipher) -> Result<f64, Error> {
    let (mut client, _server) = pair(cipher)?;
    let (head, body) = (head(), vec![7; BODY]);
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let start = Instant::now();
        send_batch(&mut client, &head, &body)?;
        batches.push(start.elapsed().as_secs_f64());
        let output = client.output();
        output.consume(output.len());
    }
    Ok(rate(&batches))
}

fn open(cipher: Cipher) -> Result<f64, Error> {
    let (mut client, mut server) = pair(cipher)?;
    let (head, body, now) = (head(), vec![7; BODY], Instant::now());
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        send_batch(&mut client, &head, &body)?;
        pass(&mut client, &mut server);
        let start = Instant::now();
        receive_batch(&mut server, now)?;
        batches.push(start.elapsed().as_secs_f64());
    }
    Ok(rate(&batches))
}

fn relay(cipher: Cipher, from: Side) -> Result<f64, Error> {
    let (mut client, near) = pair(cipher)?;
    let (far, mut server) = pair(cipher)?;
    let (head, body, now) = (head(), vec![7; BODY], Instant::now());
    let failed = |error: hop_ssh::relay::RelayError| Error::Relay(error.error);
    let mut relay = Relay::new(near, far, Box::new(PassAll), None, now).map_err(failed)?;
    // The relay announces its host keys.
    pass_from_leg(relay.leg(Side::Client), &mut client);
    client.next(now).map_err(Error::ssh("opening"))?;
    let (source, sink, to) = match from {
        Side::Client => (&mut client, &mut server, Side::Server),
        Side::Server => (&mut server, &mut client, Side::Client),
    };
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        send_batch(source, &head, &body)?;
        pass_to_leg(source, relay.leg(from));
        let start = Instant::now();
        relay.process(now).map_err(failed)?;
        batches.push(start.elapsed().as_secs_f64());
        pass_from_leg(relay.leg(to), sink);
        receive_batch(sink, now)?;
    }
    Ok(rate(&batches))
}

fn pass_to_leg(from: &mut Transport, to: &mut Leg) -> usize {
    pass_bytes!(from, to)
}

fn pass_from_leg(from: &mut Leg, to: &mut Transport) -> usize {
    pass_bytes!(from, to)
}

/// Both ends on this thread; its processor time counts.
fn connection(cipher: Cipher) -> Result<f64, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::system("starting a runtime"))?;
    LocalSet::new().block_on(&runtime, transfer(cipher))
}

async fn transfer(cipher: Cipher) -> Result<f64, Error> {
    let algorithms = Algorithms::default().with_ciphers(&[cipher.name()]).with_kex(&[KEX]);
    let mut server = ServerConfig::new(vec![HostKey::new(key()?)]);
    server.algorithms = algorithms.clone();
    let mut client = ClientConfig::new(Arc::new(|_: &Identity| Ok(())));
    client.algorithms = algorithms;
    let (near, far) = tokio::io::duplex(256 * 1024);
    let serving = tokio::task::spawn_local(serve(far, Arc::new(server)));
    let key = key()?;
    let login = ClientLogin::connect(near, Arc::new(client)).await.map_err(Error::ssh("connecting"))?;
    let offer = Offer::Key(Identity::Key(key.public().clone()));
    let login = login.log_in("user", [offer], &mut Signer(key), Limits::default()).await;
    let (connection, _arrivals, driver) = login.map_err(Error::ssh("logging in"))?;
    let driver = tokio::task::spawn_local(driver.run());
    let channel = connection.open(ChannelKind::Session).await;
    let channel = channel.map_err(|_| Error::Unexpected("no channel in memory"))?;
    let mut reader = channel.reader(Stream::Data);
    let mut room = vec![0; 256 * 1024];
    let before = thread_cpu()?;
    let mut got = 0;
    while got < THROUGH {
        match reader.read(&mut room).await.map_err(Error::system("reading from a channel"))? {
            0 => return Err(Error::Short { what: "a channel", wanted: THROUGH as u64, got: got as u64 }),
            count => got += count,
        }
    }
    let cost = thread_cpu()? - before;
    driver.abort();
    serving.abort();
    Ok(got as f64 / cost / 1e9)
}

/// Lets anybody in and writes for ever.
async fn serve(stream: tokio::io::DuplexStream, config: Arc<ServerConfig>) -> Result<(), hop_ssh::Error> {
    let mut login = ServerLogin::accept(stream, config, 6).await?;
    let client = loop {
        match login.next_question().await? {
            Question::Probe(_) => login.encourage().await?,
            Question::Login(key) => break login.admit(key).await?,
        }
    };
    let (_connection, mut arrivals, driver) = client.serve(Limits::default());
    let _driver = tokio::task::spawn_local(driver.run());
    if let Some(Incoming::Open(open)) = arrivals.next().await {
        let mut writer = open.accept().writer(Stream::Data);
        let block = vec![7; 256 * 1024];
        while writer.write_all(&block).await.is_ok() {}
    }
    Ok(())
}

/// Signs with the one key.
struct Signer(PrivateKey);

impl Answers for Signer {
    async fn sign(
        &mut self,
        _: &Identity,
        algorithm: hop_keys::SignatureAlgorithm,
        message: &[u8],
    ) -> Option<Vec<u8>> {
        self.0.sign(algorithm, message).ok()
    }

    async fn answer(&mut self, _: &InfoRequest) -> Option<Vec<String>> {
        None
    }

    async fn banner(&mut self, _: &str) {}
}

/// Processor time of this thread in seconds: the first field of schedstat, in nanoseconds.
fn thread_cpu() -> Result<f64, Error> {
    let path = std::path::Path::new("/proc/thread-self/schedstat");
    let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
    let nanoseconds = text.split(' ').next().and_then(|field| field.parse::<u64>().ok());
    nanoseconds.map(|count| count as f64 / 1e9).ok_or(Error::Unexpected("schedstat has no time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_carries_what_it_is_given() {
        // The rates of a debug build mean nothing; that batches arrive whole is checked on the way.
        let (mut client, mut server) = pair(Cipher::Aes256Gcm).unwrap();
        for (from, to) in [(true, false), (false, true)] {
            assert_ne!(from, to);
            let (source, sink) = if from { (&mut client, &mut server) } else { (&mut server, &mut client) };
            send_batch(source, &head(), &vec![1; BODY]).unwrap();
            assert!(pass(source, sink) > MESSAGES * BODY);
            receive_batch(sink, Instant::now()).unwrap();
        }
        assert!(thread_cpu().unwrap() > 0.0);
    }
}
