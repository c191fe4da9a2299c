//! OpenSSH's client against our server.

use crate::support::{TempDir, key, run, start_server};
use hop_keys::KeyAlgorithm;
use hop_ssh::RekeyLimits;
use std::net::SocketAddr;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

fn ssh(dir: &TempDir, address: SocketAddr, options: &[&str]) -> Command {
    let mut command = Command::new("ssh");
    command
        .args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
        .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "LogLevel=ERROR"])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", dir.0.join("known_hosts").display()))
        .arg("-i")
        .arg(dir.0.join("id"))
        .args(["-p", &address.port().to_string()])
        .args(options)
        .arg("someone@127.0.0.1")
        .kill_on_drop(true);
    command
}

async fn start(dir: &TempDir, algorithm: KeyAlgorithm, rekey: RekeyLimits) -> SocketAddr {
    let user = key(algorithm);
    dir.write("id", &user.to_openssh("test"));
    start_server(&user, rekey).await
}

#[test]
fn commands_give_their_output_and_status_with_every_kind_of_key() {
    for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::EcdsaNistp256, KeyAlgorithm::Rsa] {
        run(async {
            let dir = TempDir::new(&format!("exec-{}", algorithm.name()));
            let address = start(&dir, algorithm, RekeyLimits::default()).await;
            let output = ssh(&dir, address, &[]).arg("echo hello").output().await.unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), "");
            assert_eq!(output.stdout, b"hello");
            let status = ssh(&dir, address, &[]).arg("status 42").status().await.unwrap();
            assert_eq!(status.code(), Some(42));
        });
    }
}

#[test]
fn megabytes_cross_both_ways_through_rekeys_of_both_sides() {
    for cipher in ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"] {
        run(async {
            let dir = TempDir::new(&format!("bulk-{cipher}"));
            let rekey = RekeyLimits { bytes: Some(3 << 20), ..Default::default() };
            let address = start(&dir, KeyAlgorithm::Ed25519, rekey).await;
            let options = ["-c", cipher, "-o", "RekeyLimit=5M"];
            let output = ssh(&dir, address, &options).arg("zeros 40000000").output().await.unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), "");
            assert_eq!(output.stdout.len(), 40_000_000);

            let mut upload = ssh(&dir, address, &options)
                .arg("count")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = upload.stdin.take().unwrap();
            let feed = tokio::task::spawn_local(async move {
                stdin.write_all(&vec![1; 40_000_000]).await.unwrap();
            });
            let output = upload.wait_with_output().await.unwrap();
            feed.await.unwrap();
            assert_eq!(output.stdout, b"40000000");
        });
    }
}

#[test]
fn a_wrong_key_is_refused() {
    run(async {
        let dir = TempDir::new("wrong-key");
        let address = start(&dir, KeyAlgorithm::Ed25519, RekeyLimits::default()).await;
        dir.write("id", &key(KeyAlgorithm::Ed25519).to_openssh("other"));
        let output = ssh(&dir, address, &[]).arg("echo hello").output().await.unwrap();
        assert_eq!(output.status.code(), Some(255));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("Permission denied (publickey)"), "{said}");
    });
}
