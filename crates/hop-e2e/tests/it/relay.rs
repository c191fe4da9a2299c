//! The relay between real peers: its policy, its bare second leg, and live connections that move to another process.

pub(crate) mod site;

use std::sync::Arc;

use hop_e2e::server::{Kind, Options, hop_binary};
use hop_e2e::sshd::Release;
use hop_e2e::{Run, Scratch, payload, program};
use hop_ssh::connection::{Limits, Stream};
use hop_ssh::driver::Channel;
use hop_ssh::{ClientConfig, message};
use hop_testkit::client::{Client, exit_status};
use hop_testkit::raw::messages;
use hop_testkit::{RelayEvent, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::expected::Large;
use site::{Choice, Place, RawPair, Site, events};

const MIB: u64 = 1 << 20;

#[test]
fn openssh_downloads_and_uploads_64_mib_to_an_sshd() {
    for release in [Release::V9_2, Release::V10_0] {
        let site = Site::with(Place::Relay, &Choice { kind: Kind::Sshd(release), ..Choice::default() });
        let large = Large::new();
        let _ = site.ssh(release).arg(large.sink()).stdin_file(&large.original).success();
        large.assert_copied();
        std::fs::remove_file(&large.copy).unwrap();
        let _ = site.ssh(release).arg(large.source()).stdout_file(&large.copy).success();
        large.assert_copied();
        // The sshd behind was spoken to in the client's own words.
        let software = events(&site.relay().output()).find_map(|event| match event {
            RelayEvent::Relaying { software } => Some(software),
            _ => None,
        });
        assert!(software.as_deref().is_some_and(|line| line.starts_with("SSH-2.0-OpenSSH")), "{software:?}");
    }
}

#[test]
fn sftp_and_scp_move_files_to_an_sshd() {
    let choice = Choice { kind: Kind::Sshd(Release::V10_0), ..Choice::default() };
    let site = Site::with(Place::Relay, &choice);
    let large = Large::new();
    let batch =
        format!("put {} {0}.there\nget {0}.there {}\n", large.original.display(), large.copy.display());
    let batch = site.scratch().write("batch", batch);
    let _ = site.openssh(Release::V9_2, "sftp").arg("-b").arg(batch).arg("hop").success();
    large.assert_copied();
    std::fs::remove_file(&large.copy).unwrap();
    let _ = site
        .openssh(Release::V9_2, "scp")
        .args(["-O"])
        .arg(large.remote_original())
        .arg(&large.copy)
        .success();
    large.assert_copied();
}

/// What is refused is said as the far side would say it, and the rest goes on.
#[test]
fn the_policy_refuses_terminals_and_forwardings() {
    let refuse = ["pty-req", "direct-tcpip", "tcpip-forward"].map(str::to_owned).to_vec();
    let site =
        Site::with(Place::Relay, &Choice::default().relay(move |config| config.refuse = refuse.clone()));
    let pty = site.openssh(Release::V9_2, "ssh").args(["-tt", "hop", "echo in"]).finish();
    assert!(pty.stderr().contains("PTY allocation request failed"), "{pty}");
    let stdio = site.openssh(Release::V9_2, "ssh").args(["-v", "-W", "127.0.0.1:9", "hop"]).status(255);
    assert!(stdio.stderr().contains("administratively prohibited: refused by the relay"), "{stdio}");
    let forward = ["-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:0:127.0.0.1:9", "hop"];
    let forward = site.openssh(Release::V9_2, "ssh").args(forward).status(255);
    assert!(forward.stderr().contains("remote port forwarding failed"), "{forward}");
    let exec = site.ssh(Release::V9_2).arg("echo in; exit 3").status(3);
    assert_eq!(exec.stdout(), "in\n");
}

#[test]
fn the_second_leg_may_be_bare() {
    let site = Site::with(Place::Relay, &Choice::default().relay(|config| config.target = Target::Bare));
    let (sent, back) = (site.scratch().join("sent"), site.scratch().join("back"));
    payload::write(&sent, payload::LARGE, 9);
    let limited = ["-o", "RekeyLimit=4M", "hop", "cat"];
    let ssh = site.openssh(Release::V9_2, "ssh").args(limited);
    let _ = ssh.stdin_file(&sent).stdout_file(&back).success();
    payload::assert_same(&sent, &back);
    let word = site.ssh(Release::V10_0).arg("word").success().stdout();
    assert!(word.contains("\"client_identification\":\"SSH-2.0-OpenSSH_10"), "{word}");
}

/// As a site will do it: the endpoint inherits its listener, the relay vouches for who comes.
#[test]
fn an_endpoint_takes_the_relays_word() {
    let folder = Scratch::new();
    let socket = folder.join("site");
    let choice = Choice::default().relay(move |config| {
        config.target = Target::Site { program: hop_binary().to_owned(), socket: socket.clone() };
    });
    let site = Site::with(Place::Relay, &choice);
    let large = Large::new();
    let _ = site.ssh(Release::V9_2).arg(large.sink()).stdin_file(&large.original).success();
    large.assert_copied();
    std::fs::remove_file(&large.copy).unwrap();
    let rekeying = ["-o", "RekeyLimit=4M", "hop", &large.source()];
    let _ = site.openssh(Release::V10_0, "ssh").args(rekeying).stdout_file(&large.copy).success();
    large.assert_copied();
    // The session is told of the client, not of the relay.
    let mut raw = site.raw();
    let from = raw.local_address();
    let told = raw.run("echo $SSH_CONNECTION; echo $HOP_PROJECT $HOP_SESSION").text();
    let port = site.address.port();
    assert_eq!(told, format!("127.0.0.1 {} 127.0.0.1 {port}\n{} session\n", from.port(), site.user));
    let terminal = site.openssh(Release::V9_2, "ssh").args(["-tt", "hop", "tty; exit 4"]).status(4);
    assert!(terminal.stdout().starts_with("/dev/pts/"), "{terminal}");
}

#[test]
fn an_unreachable_target_is_said_before_success() {
    let choice = Choice::default().relay(|config| {
        if let Target::Ssh { host_key, .. } = &mut config.target {
            // Pinned: another key than the server has.
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
                .clone_into(host_key);
        }
    });
    let site = Site::with(Place::Relay, &choice);
    let finished = site.openssh(Release::V9_2, "ssh").args(["-v", "hop", "echo in"]).status(255);
    let told = finished.stderr();
    assert!(told.contains("it is not the target's") && !told.contains("Authenticated to"), "{finished}");
}

/// One connection, while it runs, moves to another process with its sockets: in the midst of a transfer each way, with a
/// channel open whose data waits unread, after several exchanges of keys; nothing is lost and keys go on being replaced.
fn moves_to_another_process(cipher: &str, kind: Kind) {
    let choice = Choice { kind, server: Options::default(), ..Choice::default() };
    let names = vec![cipher.to_owned()];
    let choice = choice.relay(move |config| {
        config.ciphers = names.clone();
        config.rekey_bytes = Some(6_000_000);
        config.keepalive_ms = Some(5_000);
        config.hand_over_after = Some(40 * MIB);
    });
    let site = Site::with(Place::Relay, &choice);
    let file = site.scratch().join("file");
    payload::write(&file, 64 * MIB, 3);
    let contents = std::fs::read(&file).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let process = site.relay().id();
    runtime.block_on(async {
        let mut config = ClientConfig::new(Arc::new(|_: &hop_keys::Identity| Ok(())));
        config.rekey.bytes = Some(9_000_000);
        let (address, key) = (site.address, &site.key.private);
        let client = Client::log_in_with(address, &site.user, key, Limits::default(), config).await.unwrap();
        let unread = client.exec(&format!("cat {}; exit 5", file.display())).await.unwrap();
        let download = client.exec(&format!("cat {}", file.display())).await.unwrap();
        let upload = client.exec("sha256sum").await.unwrap();
        let (got, ()) = tokio::join!(read_all(&download), write_all(&upload, &contents));
        assert!(got == contents, "the download differs");
        let sum = String::from_utf8(read_all(&upload).await).unwrap();
        let wanted = Run::new(program::program("sha256sum")).arg(&file).success().stdout();
        assert_eq!(sum.split(' ').next(), wanted.split(' ').next(), "the upload differs");
        let successor = site.relay().wait_for("the successor's process id", |text| {
            events(text).find_map(|event| match event {
                RelayEvent::HandedOver { process } => Some(process),
                _ => None,
            })
        });
        assert_ne!(successor, process);
        assert!(is_running(successor), "the successor runs");
        assert!(!is_running(process), "the first process is gone");
        // It was there all the while, full and unread.
        assert!(read_all(&unread).await == contents, "what waited unread differs");
        assert_eq!(exit_status(&unread).await, Some(5));
        // And the connection does everything still.
        let late = client.exec("echo late").await.unwrap();
        assert_eq!(read_all(&late).await, b"late\n");
    });
}

/// What is half-way when it happens: a packet of which one half has come, and a reply that is owed.
#[test]
fn half_a_packet_and_an_owed_reply_move_along() {
    let pair = RawPair::new(|config| config.hand_over_after = Some(20_000));
    let (mut client, mut server) = (pair.client, pair.server);
    client.send(&messages::open("session", 4, 1 << 20, 32 << 10, &[]));
    server.expect(message::CHANNEL_OPEN);
    server.send(&messages::confirm(4, 9, 1 << 20, 32 << 10));
    client.expect(message::CHANNEL_OPEN_CONFIRMATION);
    // Asked, and answered only by the successor's leave; the one between is the relay's own to answer, in its turn.
    client.send(&messages::global("first@test", true, &[]));
    client.send(&messages::global("keepalive@openssh.com", true, &[]));
    client.send(&messages::global("second@test", true, &[]));
    server.expect(message::GLOBAL_REQUEST);
    server.expect(message::GLOBAL_REQUEST);
    let bytes: Vec<u8> = (0..30_000_u32).map(|number| (number % 251) as u8).collect();
    client.send(&messages::data(9, &bytes[..8_000]));
    client.send_in_halves(&messages::data(9, &bytes), || {
        pair.relay.wait_for("the hand-over", |text| {
            events(text).find(|event| matches!(event, RelayEvent::HandedOver { .. }))
        });
    });
    for length in [8_000, 30_000] {
        let data = server.expect(message::CHANNEL_DATA);
        assert_eq!(messages::data_in(&data), Some(&bytes[..length]));
    }
    server.send(&[message::REQUEST_SUCCESS, 1, 2, 3, 4]);
    server.send(&[message::REQUEST_FAILURE]);
    assert_eq!(client.message(), [message::REQUEST_SUCCESS, 1, 2, 3, 4]);
    assert_eq!(client.message(), [message::REQUEST_FAILURE], "the relay's own answer");
    assert_eq!(client.message(), [message::REQUEST_FAILURE]);
    // The successor has the keys to make new ones, on both legs.
    client.rekey();
    client.send(&messages::data(9, b"after"));
    server.expect(message::CHANNEL_DATA);
    server.rekey();
    server.send(&messages::data(4, b"back"));
    client.expect(message::CHANNEL_DATA);
}

async fn read_all(channel: &Channel) -> Vec<u8> {
    let mut all = Vec::new();
    channel.reader(Stream::Data).read_to_end(&mut all).await.unwrap();
    all
}

async fn write_all(channel: &Channel, bytes: &[u8]) {
    let mut writer = channel.writer(Stream::Data);
    writer.write_all(bytes).await.unwrap();
    writer.shutdown().await.unwrap();
}

/// A process that has ended and is not waited for yet does not run.
fn is_running(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn aes256_gcm_moves_to_another_process() {
    moves_to_another_process("aes256-gcm@openssh.com", Kind::Hop);
}

#[test]
fn aes128_gcm_moves_to_another_process() {
    moves_to_another_process("aes128-gcm@openssh.com", Kind::Sshd(Release::V10_0));
}

#[test]
fn chacha20_poly1305_moves_to_another_process() {
    moves_to_another_process("chacha20-poly1305@openssh.com", Kind::Hop);
}

#[test]
fn aes256_ctr_moves_to_another_process() {
    moves_to_another_process("aes256-ctr", Kind::Hop);
}

#[test]
fn aes128_ctr_moves_to_another_process() {
    moves_to_another_process("aes128-ctr", Kind::Sshd(Release::V9_2));
}

/// OpenSSH's client does not notice, either.
#[test]
fn openssh_goes_on_through_a_hand_over() {
    let choice = Choice { kind: Kind::Sshd(Release::V9_2), ..Choice::default() }.relay(|config| {
        config.rekey_bytes = Some(6_000_000);
        config.hand_over_after = Some(30 * MIB);
    });
    let site = Site::with(Place::Relay, &choice);
    let large = Large::new();
    let ssh = site.openssh(Release::V10_0, "ssh").args(["-o", "RekeyLimit=7M", "hop", "cat"]);
    let _ = ssh.stdin_file(&large.original).stdout_file(&large.copy).success();
    large.assert_copied();
    assert!(events(&site.relay().output()).any(|event| matches!(event, RelayEvent::HandedOver { .. })));
}
