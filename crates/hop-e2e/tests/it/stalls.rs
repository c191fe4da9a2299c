//! One reader that stops, beside others that go on; and what that costs in memory, at the endpoint, at a relay, and at the
//! gateway of a whole site.
//!
//! Bytes are counted, not seconds: a slow machine makes these tests slow, not red. The numbers below are the documented
//! ones; CONTRIBUTING says how each guard was broken once to see its test fail.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hop_e2e::Server;
use hop_e2e::server::{Kind, Options};
use hop_e2e::sshd::Release;
use hop_ssh::connection::{ChannelKind, Limits, Stream};
use hop_ssh::driver::{Channel, OpenError};
use hop_ssh::message::OpenFailure;
use hop_testkit::client::{Client, exit_status};
use hop_testkit::{Delay, DelayLine, Memory, memory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::relay::site::{Place, Site};

const MIB: u64 = 1 << 20;

/// What all receive windows of one connection may hold (ARCHITECTURE.md, "Memory of one connection").
const BUDGET: u64 = 64 * MIB;
/// What one open channel may hold besides: 128 KiB to be sent, and 64 KiB on their way in each direction between it and
/// its socket or pipe; 132 KiB from a pipe.
const PER_CHANNEL: u64 = 256 << 10;
const PER_SESSION: u64 = (128 + 64 + 132) << 10;
/// Buffers of the connection itself, and what the allocator keeps.
const PER_CONNECTION: u64 = 8 * MIB;
/// What one relayed connection may hold: 256 KiB for each direction, a packet and a read ahead for each leg, and what
/// the allocator keeps.
const RELAYED: u64 = 3 * MIB;
/// What the process of a site may use besides: each of its threads keeps buffers for the connection that it served last.
const PER_THREAD: u64 = MIB;

/// What each of the channels that go on carries.
const SHARE: u64 = 16 * MIB;
/// What is thrown at a channel whose reader has stopped: four times all that may be held.
const FLOOD: u64 = 4 * BUDGET;

#[test]
fn endpoint_nine_uploads_go_on_beside_one_whose_reader_stopped() {
    block_on(nine_uploads_go_on(Site::at(Place::Endpoint)));
}

#[test]
fn relay_nine_uploads_go_on_beside_one_whose_reader_stopped() {
    block_on(nine_uploads_go_on(Site::at(Place::Relay)));
}

#[test]
fn endpoint_nine_downloads_go_on_beside_one_whose_reader_stopped() {
    block_on(nine_downloads_go_on(Site::at(Place::Endpoint)));
}

#[test]
fn relay_nine_downloads_go_on_beside_one_whose_reader_stopped() {
    block_on(nine_downloads_go_on(Site::at(Place::Relay)));
}

#[test]
fn endpoint_downloads_over_a_slow_line_leave_nothing_behind() {
    downloads_over_a_slow_line(Site::at(Place::Endpoint));
}

#[test]
fn relay_downloads_over_a_slow_line_leave_nothing_behind() {
    downloads_over_a_slow_line(Site::at(Place::Relay));
}

#[test]
fn endpoint_a_thousand_flooded_channels_cost_what_is_documented() {
    block_on(a_thousand_flooded_channels(Site::at(Place::Endpoint)));
}

#[test]
fn relay_a_thousand_flooded_channels_cost_what_is_documented() {
    block_on(a_thousand_flooded_channels(Site::at(Place::Relay)));
}

#[test]
fn gateway_nine_uploads_go_on_beside_one_whose_reader_stopped() {
    block_on(nine_uploads_go_on(Site::behind_a_gateway()));
}

#[test]
fn gateway_nine_downloads_go_on_beside_one_whose_reader_stopped() {
    block_on(nine_downloads_go_on(Site::behind_a_gateway()));
}

#[test]
fn gateway_downloads_over_a_slow_line_leave_nothing_behind() {
    downloads_over_a_slow_line(Site::behind_a_gateway());
}

#[test]
fn gateway_a_thousand_flooded_channels_cost_what_is_documented() {
    block_on(a_thousand_flooded_channels(Site::behind_a_gateway()));
}

/// On one thread: the client is no faster than the server that way, and nothing depends on luck.
fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(240), test).await.expect("it hangs") });
}

async fn log_in(site: &Site) -> Client {
    Client::log_in(site.address, &site.user, &site.key.private, Limits::default()).await.unwrap()
}

/// The memory of our processes before and at most during something.
struct Watch {
    processes: Vec<(&'static str, u32, u64)>,
}

impl Watch {
    /// From now on.
    fn start(site: &mut Site) -> Self {
        let processes = site.processes().into_iter().map(|(name, id)| {
            let idle = Memory::of(id).unwrap().resident;
            memory::reset_peak(id).unwrap();
            (name, id, idle)
        });
        Self { processes: processes.collect() }
    }

    /// Compares the peaks with the idle memory: `server` for the server, [`RELAYED`] for a relay, and for a gateway what
    /// its threads keep on top.
    fn assert_below(&self, server: u64, what: &str) {
        for (name, id, idle) in &self.processes {
            let used = Memory::of(*id).unwrap().peak.saturating_sub(*idle);
            let limit = match *name {
                "relay" => RELAYED,
                "gateway" => {
                    RELAYED + PER_THREAD * std::thread::available_parallelism().unwrap().get() as u64
                }
                _ => server,
            };
            eprintln!("{what}: the {name} used {} KiB more than idle, of {} KiB", used >> 10, limit >> 10);
            assert!(
                used <= limit,
                "{what}: the {name} used {} KiB, more than {} KiB",
                used >> 10,
                limit >> 10
            );
        }
    }
}

/// Writes zeros until `count` are written or the channel is closed, and counts them on the way.
async fn flood(channel: Channel, count: u64, written: Arc<AtomicU64>) {
    let block = vec![0; 64 << 10];
    let mut writer = channel.writer(Stream::Data);
    let mut left = count;
    while left > 0 {
        let part = &block[..block.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        let Ok(taken) = writer.write(part).await else { return };
        left -= taken as u64;
        written.fetch_add(taken as u64, Ordering::Relaxed);
    }
    channel.send_eof();
}

/// Reads to the end; how many bytes, counted on the way, too.
async fn drain(channel: &Channel, read: &AtomicU64) -> u64 {
    let mut reader = channel.reader(Stream::Data);
    let mut block = vec![0; 64 << 10];
    let mut all = 0;
    loop {
        match reader.read(&mut block).await.unwrap() {
            0 => return all,
            count => {
                all += count as u64;
                read.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
    }
}

async fn text(channel: &Channel) -> String {
    let mut text = String::new();
    channel.reader(Stream::Data).read_to_string(&mut text).await.unwrap();
    text
}

/// The tenth command does not read its input before a file appears.
async fn nine_uploads_go_on(mut site: Site) {
    let go = site.scratch().join("go");
    let client = log_in(&site).await;
    let stalled = format!("until test -e {}; do sleep 0.05; done; wc -c", go.display());
    let stalled = client.exec(&stalled).await.unwrap();
    let mut others = Vec::new();
    for _ in 0..9 {
        others.push(client.exec("wc -c").await.unwrap());
    }
    let watch = Watch::start(&mut site);
    let taken = Arc::new(AtomicU64::new(0));
    let flooding = tokio::spawn(flood(stalled.clone(), FLOOD, Arc::clone(&taken)));
    let mut floods = JoinSet::new();
    for channel in &others {
        floods.spawn(flood(channel.clone(), SHARE, Arc::default()));
    }
    while floods.join_next().await.is_some() {}
    for channel in &others {
        assert_eq!(text(channel).await.trim(), SHARE.to_string());
    }
    // Nothing of the flood that nobody reads is kept beyond the channel's share.
    watch.assert_below(BUDGET + 10 * PER_SESSION + PER_CONNECTION, "nine uploads and a stalled one");
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken < BUDGET, "{taken} bytes were taken for a command that does not read");
    site.scratch().write("go", "");
    flooding.await.unwrap();
    assert_eq!(text(&stalled).await.trim(), FLOOD.to_string());
    assert_eq!(exit_status(&stalled).await, Some(0));
}

/// The client does not read the tenth channel before all others have had their share.
async fn nine_downloads_go_on(mut site: Site) {
    let client = log_in(&site).await;
    let watch = Watch::start(&mut site);
    let stalled = client.exec(&format!("head -c {FLOOD} /dev/zero")).await.unwrap();
    let counts: Vec<_> = (0..9).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let mut drains = JoinSet::new();
    for count in &counts {
        let (channel, count) = (client.exec("cat /dev/zero").await.unwrap(), Arc::clone(count));
        drains.spawn(async move { drain(&channel, &count).await });
    }
    let read = || -> Vec<u64> { counts.iter().map(|count| count.load(Ordering::Relaxed)).collect() };
    // From when all have begun until together they have had nine shares.
    while read().contains(&0) {
        tokio::task::yield_now().await;
    }
    let before = read();
    let since = || -> Vec<u64> { read().iter().zip(&before).map(|(now, then)| now - then).collect() };
    while since().iter().sum::<u64>() < 9 * SHARE {
        tokio::task::yield_now().await;
    }
    let shares = since();
    eprintln!("KiB each: {:?}", shares.iter().map(|share| share >> 10).collect::<Vec<_>>());
    assert!(shares.iter().all(|share| *share >= SHARE / 2), "no fair turns: {shares:?} bytes");
    watch.assert_below(10 * PER_SESSION + PER_CONNECTION, "nine downloads and a stalled one");
    drains.shutdown().await;
    assert_eq!(drain(&stalled, &AtomicU64::new(0)).await, FLOOD);
}

/// A line that is slower than the server: its queues never run empty, and must not keep what has left them.
fn downloads_over_a_slow_line(mut site: Site) {
    let delay =
        Delay { one_way: Duration::from_millis(1), bytes_per_second: Some(40_000_000), buffer: 128 << 10 };
    let line = DelayLine::start(site.address, delay).unwrap();
    block_on(async {
        let client =
            Client::log_in(line.address(), &site.user, &site.key.private, Limits::default()).await.unwrap();
        let watch = Watch::start(&mut site);
        let mut drains = JoinSet::new();
        for _ in 0..4 {
            let channel = client.exec(&format!("head -c {} /dev/zero", 2 * SHARE)).await.unwrap();
            drains.spawn(async move { drain(&channel, &AtomicU64::new(0)).await });
        }
        while let Some(count) = drains.join_next().await {
            assert_eq!(count.unwrap(), 2 * SHARE);
        }
        watch.assert_below(4 * PER_SESSION + PER_CONNECTION, "four downloads over a slow line");
    });
}

/// Connections to a socket that takes nothing and never stops sending, as many as are granted, both ways full.
async fn a_thousand_flooded_channels(mut site: Site) {
    let path = site.scratch().join("flood");
    flooding_socket(&path);
    site.server().give(&path);
    let client = log_in(&site).await;
    let watch = Watch::start(&mut site);
    let kind = ChannelKind::DirectStreamlocal { path: path.as_os_str().as_encoded_bytes().to_vec() };
    let mut channels = Vec::new();
    let mut refused = 0;
    for _ in 0..1000 {
        match client.connection.open(kind.clone()).await {
            Ok(channel) => channels.push(channel),
            Err(OpenError::Refused(why)) => {
                assert_eq!(why.reason, OpenFailure::ResourceShortage, "{why}");
                refused += 1;
            }
            // Our own side has as many as it keeps.
            Err(OpenError::TooMany) => refused += 1,
            Err(error @ OpenError::Ended) => panic!("{error}"),
        }
    }
    eprintln!("{} channels granted, {refused} refused", channels.len());
    assert!(channels.len() >= 500, "only {} channels were granted", channels.len());
    let written = Arc::new(AtomicU64::new(0));
    for channel in &channels {
        tokio::spawn(flood(channel.clone(), FLOOD, Arc::clone(&written)));
    }
    // Full when nothing more is taken while commands come and go: they do, in the midst of it.
    let (mut before, mut quiet) = (u64::MAX, 0);
    while quiet < 20 {
        let channel = client.exec("echo through").await.unwrap();
        assert_eq!(text(&channel).await, "through\n");
        let now = written.load(Ordering::Relaxed);
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }
    eprintln!("{} KiB taken of all", before >> 10);
    let limit = BUDGET + channels.len() as u64 * PER_CHANNEL + PER_CONNECTION;
    watch.assert_below(limit, &format!("{} flooded channels", channels.len()));
}

/// A listener whose connections are never read and written to for ever.
fn flooding_socket(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            kept.push(stream.try_clone().unwrap());
            let endless = move || while stream.write(&[0; 16 << 10]).is_ok() {};
            std::thread::Builder::new().stack_size(64 << 10).spawn(endless).unwrap();
        }
    });
}

/// Echoes of single keys beside a full download, over 10 MB/s and 20 ms, at ours and at OpenSSH's sshd by turns.
#[test]
fn endpoint_an_echo_during_a_download_takes_no_longer_than_at_sshd() {
    an_echo_during_a_download_takes_no_longer_than_at_sshd(Kind::Hop);
}

#[test]
fn gateway_an_echo_during_a_download_takes_no_longer_than_at_sshd() {
    an_echo_during_a_download_takes_no_longer_than_at_sshd(Kind::Gateway);
}

fn an_echo_during_a_download_takes_no_longer_than_at_sshd(ours: Kind) {
    let servers = [ours, Kind::Sshd(Release::V9_2)].map(|kind| Server::start_kind(kind, &Options::default()));
    let lines =
        servers.each_ref().map(|server| DelayLine::start(server.address, Delay::wide_area()).unwrap());
    block_on(async {
        let mut samples = [Vec::new(), Vec::new()];
        for _round in 0..3 {
            for ((server, line), samples) in servers.iter().zip(&lines).zip(&mut samples) {
                samples.extend(echoes_during_a_download(server, line, 25).await);
            }
        }
        let [ours, theirs] = samples.map(|mut samples| {
            samples.sort_unstable();
            samples[samples.len() * 95 / 100]
        });
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        eprintln!("p95 of an echo: {ours:?}, at sshd {theirs:?}: {ratio:.2}");
        assert!(ratio <= 1.5, "p95 of an echo: {ours:?}, at sshd {theirs:?}: {ratio:.2}");
    });
}

async fn echoes_during_a_download(server: &Server, line: &DelayLine, count: usize) -> Vec<Duration> {
    let key = &server.user_key.private;
    let client = Client::log_in(line.address(), &server.user, key, Limits::default()).await.unwrap();
    let download = client.exec("cat /dev/zero").await.unwrap();
    let read = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&read);
    let downloading = tokio::spawn(async move { drain(&download, &counter).await });
    let echo = client.exec("cat").await.unwrap();
    let (mut reader, mut writer) = (echo.reader(Stream::Data), echo.writer(Stream::Data));
    // The line is full when it has carried what its queue and both windows hold.
    while read.load(Ordering::Relaxed) < 4 * MIB {
        tokio::task::yield_now().await;
    }
    let mut taken = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        writer.write_all(b"k").await.unwrap();
        let mut key = [0];
        reader.read_exact(&mut key).await.unwrap();
        taken.push(start.elapsed());
    }
    // The download was there all the while.
    let before = read.load(Ordering::Relaxed);
    writer.write_all(b"k").await.unwrap();
    reader.read_exact(&mut [0]).await.unwrap();
    assert!(read.load(Ordering::Relaxed) > before, "the download has stopped");
    downloading.abort();
    taken
}
