//! New keys in the middle of transfers: wanted by us, by the server, by both.

use hop_e2e::foreign::Software;
use hop_e2e::sshd::Release;
use hop_e2e::{Foreign, Identity};
use hop_ssh::RekeyLimits;
use hop_ssh::connection::Stream;
use tokio::io::AsyncReadExt;

use super::client::{Person, config_for, log_in, log_in_with, private, run};
use super::servers::against;
use super::sshd::Setup;

against! {
    sshd_9_2 = Software::Sshd(Release::V9_2) => [replaces_keys_in_both_directions];
    sshd_10_0 = Software::Sshd(Release::V10_0) => [replaces_keys_in_both_directions];
    dropbear = Software::Dropbear => [replaces_keys_in_both_directions, follows_when_dropbear_wants_new_keys];
    tinysshd = Software::Tinysshd => [replaces_keys_in_both_directions];
}

const LIMIT: u64 = 256 << 10;

/// Twenty times the limit: dropbear, with its window of 24 KiB, needs seconds for it.
fn payload() -> Vec<u8> {
    (0..20 * LIMIT).map(|n| (n % 251) as u8).collect()
}

fn every(bytes: u64) -> RekeyLimits {
    RekeyLimits { bytes: Some(bytes), ..RekeyLimits::default() }
}

/// There and back at once, with new keys after each [`LIMIT`].
fn replaces_keys_in_both_directions(software: Software) {
    let server = Foreign::start(software);
    run(async {
        let mut config = config_for(&server);
        config.rekey = every(LIMIT);
        let client = log_in_with(&server, config).await;
        let ended = client.exec("cat", &payload()).await;
        assert_eq!((ended.status, ended.stdout.len()), (Some(0), payload().len()));
        assert!(ended.stdout == payload());
    });
}

/// dropbear wants new keys after 1 GiB and cannot be told otherwise. We want none before.
fn follows_when_dropbear_wants_new_keys(software: Software) {
    const TOTAL: u64 = 1200 << 20;
    let server = Foreign::start(software);
    run(async {
        let mut config = config_for(&server);
        config.rekey = every(1 << 40);
        let client = log_in_with(&server, config).await;
        let channel = client.start(&format!("head -c {TOTAL} /dev/zero; exit 3")).await;
        let mut reader = channel.reader(Stream::Data);
        let (mut part, mut total) = (vec![0; 1 << 18], 0);
        loop {
            match reader.read(&mut part).await.unwrap() {
                0 => break,
                count => {
                    assert!(part[..count].iter().all(|byte| *byte == 0), "after {total} bytes");
                    total += count as u64;
                }
            }
        }
        assert_eq!(total, TOTAL);
    });
}

#[test]
fn sshd_9_2_wants_new_keys() {
    follows_sshd(Release::V9_2, every(1 << 40), "RekeyLimit 256K");
}

#[test]
fn sshd_10_0_wants_new_keys() {
    follows_sshd(Release::V10_0, every(1 << 40), "RekeyLimit 256K");
}

#[test]
fn sshd_9_2_and_we_want_new_keys() {
    follows_sshd(Release::V9_2, every(LIMIT), "RekeyLimit 256K");
}

#[test]
fn sshd_10_0_and_we_want_new_keys() {
    follows_sshd(Release::V10_0, every(LIMIT), "RekeyLimit 256K");
}

fn follows_sshd(release: Release, ours: RekeyLimits, theirs: &str) {
    let setup = Setup::new(release);
    let key = Identity::ed25519(&setup.scratch, "user_key");
    let server = setup.line(theirs).allow(&key).start();
    run(async {
        let mut config = server.config();
        config.rekey = ours;
        let mut person = Person::with(private(&key));
        let offers = person.offers();
        let client = log_in(server.address, config, &server.user, offers, &mut person).await.unwrap();
        let ended = client.exec("cat", &payload()).await;
        assert!(ended.status == Some(0) && ended.stdout == payload());
        // The first exchange is not one that anybody's limit asked for.
        let exchanges = server.count("SSH2_MSG_KEXINIT received") - 1;
        assert!(exchanges >= 10, "{exchanges} exchanges");
    });
}
