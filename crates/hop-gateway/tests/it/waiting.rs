//! Clients whose project is being started.

use crate::site::{FIRST, Options, Site, ended, said, text};
use hop_gateway::Limits;
use std::io::Read;
use std::time::{Duration, Instant};

fn impatient(patience: u64, start_timeout: u64) -> Options {
    let limits = Limits {
        patience: Duration::from_millis(patience),
        tell: Duration::from_millis(300),
        start_timeout: Duration::from_millis(start_timeout),
        ..Limits::default()
    };
    Options { limits, ..Options::default() }
}

#[tokio::test]
async fn a_client_hears_at_once_that_it_waits_and_is_let_in_to_what_is_there() {
    let site = Site::start_with(impatient(20_000, 60_000)).await;
    site.ssh(&site.ada, FIRST, &["true"]).await;
    site.slow_down(site.first).await;
    let start = Instant::now();
    let mut client = site.running("ssh", &site.ada, &[&format!("{FIRST}@gateway"), "echo in"]);
    let (heard, _errors) = said(&mut client, "Still starting First").await;
    eprintln!("two banners after {} ms", start.elapsed().as_millis());
    assert!(heard.contains("Starting First"), "{heard}");
    std::fs::write(site.in_home(site.first, "go"), "").unwrap();
    let output = tokio::task::spawn_blocking(move || client.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(text(&output.stdout), "in\n");
    // One that runs is entered without a word.
    let output = site.ssh(&site.ada, FIRST, &["echo in"]).await;
    assert!(!text(&output.stderr).contains("tarting"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_slow_start_lets_the_client_in_and_answers_it_meanwhile() {
    let site = Site::start_with(impatient(700, 60_000)).await;
    site.ssh(&site.ada, FIRST, &["true"]).await;
    site.slow_down(site.first).await;
    // Given up after 2 s without an answer to its questions; and asks for things that must wait.
    let words = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1", "-R", "0:127.0.0.1:1"];
    let to = format!("{FIRST}@gateway");
    let words = [&words[..], &[&to, "cat; echo done"]].concat();
    let mut client = site.running("ssh", &site.ada, &words);
    let (_, errors) = said(&mut client, "You are connected and wait").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(client.try_wait().unwrap().is_none(), "it gave up");
    assert_eq!(site.live(site.first).await, 1, "a client that was let in has a row");
    std::fs::write(site.in_home(site.first, "go"), "").unwrap();
    let talk = move || {
        use std::io::Write;
        client.stdin.take().unwrap().write_all(&vec![b'x'; 1_000_000]).unwrap();
        let output = client.wait_with_output().unwrap();
        drop(errors);
        output
    };
    let output = tokio::task::spawn_blocking(talk).await.unwrap();
    assert_eq!(output.stdout.len(), 1_000_000 + "done\n".len());
    assert!(output.status.success());
}

#[tokio::test]
async fn a_start_that_fails_is_told_with_a_reason() {
    let site = Site::start_with(impatient(700, 2_000)).await;
    site.ssh(&site.ada, FIRST, &["true"]).await;
    site.replace_hop(site.first, "echo no space left on device >&2; exit 1\n").await;
    let output = site.ssh(&site.ada, FIRST, &["true"]).await;
    assert_eq!(output.status.code(), Some(255));
    let said = text(&output.stderr);
    assert!(said.contains("the project could not be started") && said.contains("no space left"), "{said}");
    // After the client was let in, too, and nothing of it is left open.
    site.slow_down(site.first).await;
    let output = site.ssh(&site.ada, FIRST, &["true"]).await;
    assert_eq!(output.status.code(), Some(255));
    let said = text(&output.stderr);
    assert!(said.contains("You are connected and wait"), "{said}");
    assert!(said.contains("did not start within 2 s") && said.contains("try again"), "{said}");
    let sessions = site.sessions_of(site.first).await;
    let end = sessions.first().unwrap().end.clone().unwrap();
    assert_eq!(end.cause, hop_store::EndCause::Environment, "{end:?}");
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_is_noticed() {
    let site = Site::start_with(impatient(60_000, 60_000)).await;
    site.ssh(&site.ada, FIRST, &["true"]).await;
    let before = site.sessions_of(site.first).await.len();
    site.slow_down(site.first).await;
    let mut client = site.running("ssh", &site.ada, &[&format!("{FIRST}@gateway"), "echo in"]);
    let (_, mut errors) = said(&mut client, "Starting First").await;
    client.kill().unwrap();
    tokio::task::spawn_blocking(move || {
        let mut rest = String::new();
        errors.read_to_string(&mut rest).unwrap();
        client.wait().unwrap()
    })
    .await
    .unwrap();
    std::fs::write(site.in_home(site.first, "go"), "").unwrap();
    // Somebody else's login goes through when it is up; nobody took the first one's place.
    let output = site.ssh(&site.bob, FIRST, &["echo in"]).await;
    assert_eq!(text(&output.stdout), "in\n", "{}", text(&output.stderr));
    assert_eq!(site.sessions_of(site.first).await.len(), before + 1);
}

#[tokio::test]
async fn a_login_in_flight_ends_with_its_access() {
    for patience in [60_000, 300] {
        let site = Site::start_with(impatient(patience, 60_000)).await;
        site.ssh(&site.bob, FIRST, &["true"]).await;
        site.slow_down(site.first).await;
        let mut client = site.running("ssh", &site.bob, &[&format!("{FIRST}@gateway"), "echo in"]);
        let words = if patience < 1000 { "You are connected and wait" } else { "Still starting" };
        let (_, errors) = said(&mut client, words).await;
        let store = site.other_process().await;
        let mut change = crate::site::change(&store).await;
        change.keys().remove(site.bob.key).await.unwrap();
        change.commit().await.unwrap();
        client.stderr = Some(errors.into_inner());
        let (status, heard, took) = ended(client).await;
        eprintln!("login in flight ({words}): ended after {} ms", took.as_millis());
        assert_eq!(status.code(), Some(255));
        assert!(heard.contains("the key \"bob's laptop\" was removed"), "{heard}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}
