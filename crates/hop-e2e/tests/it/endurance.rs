//! Much, many and often: 4 GiB through one channel, 10,000 sessions on one connection, 1,000 idle connections, keys
//! replaced all the time by everybody.
//!
//! They run in full size. `HOP_E2E_ENDURANCE=PERCENT` makes the first three smaller, for a quick look.

use std::time::Duration;

use hop_e2e::program::program;
use hop_e2e::server::{Kind, Options};
use hop_e2e::sshd::Release;
use hop_e2e::{Run, payload};
use hop_ssh::connection::{ChannelKind, ChannelRequest, Limits, Stream};
use hop_ssh::{ClientConfig, RekeyLimits};
use hop_testkit::client::{Client, exit_status};
use hop_testkit::{Memory, memory};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::relay::site::{Choice, Place, Site};

const MIB: u64 = 1 << 20;

/// This many, less when a smaller run is asked for.
fn scaled(full: u64) -> u64 {
    match std::env::var("HOP_E2E_ENDURANCE") {
        Ok(percent) => full * percent.parse::<u64>().expect("HOP_E2E_ENDURANCE is a percentage") / 100,
        Err(_) => full,
    }
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(280), test).await.expect("it hangs") });
}

#[test]
fn endpoint_carries_4_gib_down_one_channel_across_rekeys() {
    carries_4_gib_down(Place::Endpoint);
}

#[test]
fn relay_carries_4_gib_down_one_channel_across_rekeys() {
    carries_4_gib_down(Place::Relay);
}

/// A file of 64 MiB, again and again, each byte of it compared.
fn carries_4_gib_down(place: Place) {
    let choice = Choice::arguments(&["--rekey-bytes", "500000000"])
        .relay(|config| config.rekey_bytes = Some(600_000_000));
    let mut site = Site::with(place, &choice);
    let file = site.scratch().join("file");
    payload::write(&file, 64 * MIB, 4);
    let contents = std::fs::read(&file).unwrap();
    let times = scaled(64);
    block_on(async {
        let mut config = ClientConfig::new(Arc::new(|_: &hop_keys::Identity| Ok(())));
        config.rekey = RekeyLimits { bytes: Some(700_000_000), ..RekeyLimits::default() };
        let (address, key) = (site.address, &site.key.private);
        let client = Client::log_in_with(address, &site.user, key, Limits::default(), config).await.unwrap();
        let idle: Vec<_> = site.processes().iter().map(|(_, id)| Memory::of(*id).unwrap().resident).collect();
        let command = format!("for i in $(seq {times}); do cat {}; done", file.display());
        let channel = client.exec(&command).await.unwrap();
        let mut reader = channel.reader(Stream::Data);
        let mut block = vec![0; 256 << 10];
        let mut offset = 0_u64;
        loop {
            let count = reader.read(&mut block).await.unwrap();
            if count == 0 {
                break;
            }
            let mut got = &block[..count];
            while !got.is_empty() {
                let at = usize::try_from(offset % (64 * MIB)).unwrap();
                let wanted = &contents[at..contents.len().min(at + got.len())];
                assert!(got[..wanted.len()] == *wanted, "another byte near {offset}");
                offset += wanted.len() as u64;
                got = &got[wanted.len()..];
            }
        }
        assert_eq!(offset, times * 64 * MIB);
        assert_eq!(exit_status(&channel).await, Some(0));
        for ((name, id), idle) in site.processes().into_iter().zip(idle) {
            let used = Memory::of(id).unwrap().peak.saturating_sub(idle);
            eprintln!("{} MiB down: the {name} used {} KiB more than idle", offset >> 20, used >> 10);
            assert!(used < 8 * MIB, "the {name} used {} KiB", used >> 10);
        }
    });
}

/// From OpenSSH's client, which counts the exchanges of keys.
#[test]
fn endpoint_takes_4_gib_up_one_channel_across_rekeys() {
    let mut site = Site::with(Place::Endpoint, &Choice::arguments(&["--rekey-bytes", "500000000"]));
    let times = scaled(64);
    let (file, pipe) = (site.scratch().join("file"), site.scratch().join("pipe"));
    payload::write(&file, 64 * MIB, 5);
    let (file, pipe) = (file.display(), pipe.display());
    let (_, id) = site.processes()[0];
    let idle = Memory::of(id).unwrap().resident;
    // Each byte is compared over there, with a pipe that gives the same file as often.
    let again = format!("for i in $(seq {times}); do cat {file}; done");
    let judge = format!("mkfifo {pipe}; ({again} > {pipe}) & cmp - {pipe} && echo same");
    let ssh = program("ssh").display().to_string();
    let config = site.ssh_config.display();
    let line = format!("({again}) | {ssh} -F {config} -v -o RekeyLimit=600M hop '{judge}'");
    let finished = Run::new("sh").args(["-c", &line]).limit(Duration::from_secs(280)).success();
    assert_eq!(finished.stdout(), "same\n", "{finished}");
    let rekeys = finished.stderr().matches("SSH2_MSG_NEWKEYS received").count();
    let used = Memory::of(id).unwrap().peak.saturating_sub(idle);
    eprintln!(
        "{} MiB up: {rekeys} key exchanges, the server used {} KiB more than idle",
        times * 64,
        used >> 10
    );
    assert!(rekeys as u64 >= times / 8, "only {rekeys} key exchanges");
    assert!(used < 72 * MIB, "the server used {} KiB", used >> 10);
}

#[test]
fn endpoint_runs_10_000_sessions_on_one_connection() {
    runs_10_000_sessions(Place::Endpoint);
}

#[test]
fn relay_passes_10_000_sessions_on_one_connection() {
    runs_10_000_sessions(Place::Relay);
}

/// Sixteen at a time; what they leave behind shows in memory and descriptors.
fn runs_10_000_sessions(place: Place) {
    let mut site = Site::at(place);
    let all = scaled(10_000);
    block_on(async {
        let client =
            Client::log_in(site.address, &site.user, &site.key.private, Limits::default()).await.unwrap();
        let client = Arc::new(client);
        let state = |site: &mut Site| -> Vec<_> {
            let processes = site.processes().into_iter();
            processes
                .map(|(name, id)| (name, Memory::of(id).unwrap().resident, memory::descriptors(id).unwrap()))
                .collect()
        };
        sessions(&client, all / 10).await;
        let before = state(&mut site);
        sessions(&client, all - all / 10).await;
        let after = state(&mut site);
        for ((name, before, open_before), (_, after, open_after)) in before.into_iter().zip(after) {
            eprintln!(
                "{all} sessions: the {name} has {} KiB after the first tenth and {} KiB after all",
                before >> 10,
                after >> 10
            );
            // What the allocator keeps comes and goes by some MiB; a session that leaves a KiB behind makes nine.
            assert!(after < before + 6 * MIB, "the {name} grew from {before} to {after} bytes");
            assert!(open_after <= open_before + 8, "{name}: {open_before} descriptors, then {open_after}");
        }
        assert_eq!(client.connection.channel_count(), 0);
    });
}

/// Every fiftieth is a command, the others are SFTP sessions: those cost what *we* do for a session, and not the start-up
/// files of the account's shell.
async fn sessions(client: &Arc<Client>, count: u64) {
    let mut running = JoinSet::new();
    for number in 0..count {
        if running.len() >= 16 {
            running.join_next().await.unwrap().unwrap();
        }
        let client = Arc::clone(client);
        running.spawn(async move {
            match number % 50 {
                0 => command(&client, number).await,
                _ => file_session(&client).await,
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

async fn command(client: &Client, number: u64) {
    let status = u32::try_from(number % 100).unwrap();
    let channel = client.exec(&format!("echo {number}; exit {status}")).await.unwrap();
    let mut text = String::new();
    channel.reader(Stream::Data).read_to_string(&mut text).await.unwrap();
    assert_eq!(text, format!("{number}\n"));
    assert_eq!(exit_status(&channel).await, Some(status));
}

/// SSH_FXP_INIT there, SSH_FXP_VERSION back.
async fn file_session(client: &Client) {
    let channel = client.connection.open(ChannelKind::Session).await.unwrap();
    assert!(channel.request(&ChannelRequest::Subsystem(b"sftp".to_vec())).await);
    let mut writer = channel.writer(Stream::Data);
    writer.write_all(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).await.unwrap();
    writer.shutdown().await.unwrap();
    let mut answer = Vec::new();
    channel.reader(Stream::Data).read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.get(4..9), Some(&[2, 0, 0, 0, 3][..]));
    assert_eq!(exit_status(&channel).await, Some(0));
}

#[test]
fn endpoint_keeps_1_000_idle_connections() {
    keeps_1_000_idle_connections(Place::Endpoint);
}

#[test]
fn relay_keeps_1_000_idle_connections() {
    keeps_1_000_idle_connections(Place::Relay);
}

fn keeps_1_000_idle_connections(place: Place) {
    let mut site = Site::at(place);
    let all = scaled(1_000);
    let processes = site.processes();
    block_on(async {
        let log_in = || Client::log_in(site.address, &site.user, &site.key.private, Limits::default());
        // The first few bring what all of them share.
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(log_in().await.unwrap());
        }
        let before: Vec<_> = processes.iter().map(|(_, id)| Memory::of(*id).unwrap().resident).collect();
        for _ in 0..all {
            clients.push(log_in().await.unwrap());
        }
        for ((name, id), before) in processes.iter().zip(before) {
            let each = (Memory::of(*id).unwrap().resident - before) / all;
            eprintln!("{all} idle connections: {each} bytes each at the {name}");
            assert!(each <= 40 << 10, "{each} bytes for one idle connection at the {name}");
        }
        // All of them live.
        for client in clients.iter().rev().step_by(97) {
            let channel = client.exec("exit 7").await.unwrap();
            assert_eq!(exit_status(&channel).await, Some(7));
        }
    });
}

/// OpenSSH's client, the relay's two legs and OpenSSH's sshd replace keys after each megabyte, while eight channels carry
/// data both ways.
#[test]
fn relay_survives_a_storm_of_rekeys_by_all_four_sides() {
    let server = Options { sshd_config: "RekeyLimit 1M\n".to_owned(), ..Options::default() };
    let choice = Choice { server, kind: Kind::Sshd(Release::V9_2), ..Choice::default() };
    let site = Site::with(Place::Relay, &choice.relay(|config| config.rekey_bytes = Some(1_000_000)));
    let log = site.scratch().join("client.log");
    let control = format!("ControlPath={}", site.scratch().join("control").display());
    let options = ["-o", &control, "-o", "RekeyLimit=1M", "-o", "LogLevel=DEBUG1"];
    let ssh = || site.openssh(Release::V9_2, "ssh").args(options);
    let _ = ssh().args(["-M", "-f", "-N", "-E"]).arg(&log).arg("hop").success();
    let file = site.scratch().join("file");
    payload::write(&file, 8 * MIB, 6);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (site, file) = (&site, &file);
            let ssh = ssh().args(["hop", "cat"]);
            scope.spawn(move || {
                let back = site.scratch().join(format!("back_{number}"));
                let _ = ssh.stdin_file(file).stdout_file(&back).success();
                payload::assert_same(file, &back);
            });
        }
    });
    let rekeys = std::fs::read_to_string(&log).unwrap().matches("SSH2_MSG_NEWKEYS received").count();
    eprintln!("{rekeys} key exchanges on the client's leg in 64 MiB each way");
    // Either side asks after a megabyte of its own; where both ask at once they share one exchange.
    assert!(rekeys >= 60, "only {rekeys} key exchanges");
    let _ = ssh().args(["-O", "exit", "hop"]).success();
}
