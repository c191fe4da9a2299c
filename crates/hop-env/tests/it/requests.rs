//! Who may ask a keeper, and what.

use crate::site::{FIRST_UID, Site, eventually, folder, key, root, settings, uids};
use hop_env::socket::SocketAccess;
use hop_env::{AskError, Environments, Keeper, KeeperError};
use std::process::{Child, Command};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_stranger_is_hung_up_on() {
    let folder = folder();
    let settings = settings(folder.path()).await;
    let own = rustix::process::geteuid().as_raw();
    // Open to all, so that only the keeper's own look at its peer is between.
    let listener =
        hop_env::socket::bind(&folder.path().join("socket"), SocketAccess { mode: 0o666, owner: None })
            .unwrap();
    let keeper = Keeper::new(settings).unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(async move { keeper.serve(listener, &[own + 1], stop).await });
    let environments = Environments::at(folder.path().join("socket"));
    for _ in 0..2 {
        let error = environments.enter(&key(1)).await.unwrap_err();
        assert!(matches!(error, AskError::HungUp), "{error}");
    }
    assert!(!folder.path().join("projects").join(key(1).as_str()).exists());
}

#[tokio::test]
async fn what_is_not_a_request_is_refused_in_words() {
    let site = Site::new().await;
    let id = key(1);
    for (sent, answer) in [
        ("hello\n".to_owned(), "not a message"),
        (
            format!("{{\"version\":2,\"request\":{{\"enter\":{{\"project\":\"{id}\"}}}}}}\n"),
            "version 1, not 2",
        ),
        (
            format!(
                "{{\"version\":1,\"request\":{{\"enter\":{{\"project\":\"../{}\"}}}}}}\n",
                &id.as_str()[3..]
            ),
            "not a project's id",
        ),
        (
            format!("{{\"version\":1,\"request\":{{\"enter\":{{\"project\":\"{id}\",\"uid\":0}}}}}}\n"),
            "unknown field",
        ),
        ("x".repeat(70_000), "more than 65536 bytes"),
    ] {
        let mut stream = hop_env::socket::connect(&site.folder.path().join("keeper.sock")).await.unwrap();
        let _refused_before_the_end = stream.write_all(sent.as_bytes()).await;
        let mut said = Vec::new();
        let reading =
            tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await.unwrap();
        let said = String::from_utf8_lossy(&said);
        // What was not read when it hung up makes the end a reset; the words came before.
        assert!(said.contains(answer) && said.contains("\"kind\":\"request\""), "{reading:?}: {said}");
    }
    assert!(!site.folder.path().join("projects").join(id.as_str()).exists());
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused() {
    let folder = folder();
    let good = settings(folder.path()).await;
    let error = |change: &dyn Fn(&mut hop_env::KeeperSettings)| {
        let mut settings = good.clone();
        change(&mut settings);
        Keeper::new(settings).unwrap_err()
    };
    if root() {
        assert!(matches!(error(&|settings| settings.uids = None), KeeperError::NoUids));
        assert!(matches!(error(&|settings| settings.uids = Some(0..=9)), KeeperError::NoUids));
    } else {
        assert!(matches!(error(&|settings| settings.uids = Some(1..=9)), KeeperError::NotRoot));
    }
    let refused = error(&|settings| settings.gateway_host_keys = vec!["ssh-ed25519 A\n* B C".to_owned()]);
    assert!(matches!(refused, KeeperError::HostKey(_)), "{refused}");
    let keeper = Keeper::new(good.clone()).unwrap();
    let refused = Keeper::new(good.clone()).unwrap_err();
    assert!(matches!(refused, KeeperError::Taken { .. }), "{refused}");
    drop(keeper);
    Keeper::new(good).unwrap();
}

/// Not a test: the keeper of the next one, in a process of its own.
#[tokio::test]
#[ignore = "a keeper for another test to kill"]
async fn keeper_until_killed() {
    let Some(folder) = std::env::var_os("HOP_ENV_KEEPER") else { return };
    let folder = std::path::PathBuf::from(folder);
    let settings = settings(&folder).await;
    let listener = hop_env::socket::bind(&folder.join("keeper.sock"), SocketAccess::PRIVATE).unwrap();
    let own = rustix::process::geteuid().as_raw();
    Keeper::new(settings).unwrap().serve(listener, &[own], CancellationToken::new()).await.unwrap();
}

#[tokio::test]
async fn a_killed_keeper_takes_its_environments_along_and_the_next_starts_afresh() {
    let folder = folder();
    let start = || {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "requests::keeper_until_killed", "--ignored"])
            .env("HOP_ENV_KEEPER", folder.path())
            .env(FIRST_UID, uids().map_or(0, |range| *range.start()).to_string())
            .stdout(std::process::Stdio::null())
            .spawn();
        Killed(child.unwrap())
    };
    let environments = Environments::at(folder.path().join("keeper.sock"));
    let mut starts = 0;
    for project in [key(1), key(1), key(2)] {
        let mut keeper = start();
        let mut held = loop {
            match environments.enter(&project).await {
                Ok(held) => break held,
                Err(AskError::Unreachable { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => panic!("{error}"),
            }
        };
        starts += 1;
        let mark = format!("sleep 31337{}", std::process::id());
        let script = format!("setsid nohup {mark} > /dev/null 2>&1 & echo well");
        assert_eq!(crate::site::run(environments.enter(&project).await.unwrap(), &script).await, "well\n");
        eventually("it runs", async || running(&mark)).await;
        keeper.0.kill().unwrap();
        keeper.0.wait().unwrap();
        // The kernel ends the sandbox, and with it the connection.
        let ended = tokio::time::timeout(Duration::from_secs(10), held.read(&mut [0; 1])).await.unwrap();
        assert_eq!(ended.unwrap_or(0), 0);
        eventually("it is gone with its keeper", async || !running(&mark)).await;
    }
    assert_eq!(starts, 3);
}

/// Goes with the test, however that ends.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
    }
}

/// Whether any process of this machine has this command line.
fn running(line: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
        let said = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&said).replace('\0', " ").trim() == line
    })
}
