//! What strangers cost, and whom it does not concern.

use crate::site::{FIRST, Options, Person, Site, output, text};
use hop_gateway::{DoorLimits, Limits, PenaltyLimits};
use std::io::Read;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn from(site: &Site, address: &str, person: &Person, user: &str) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(site.config_of(person, person)).args([
        "-b",
        address,
        &format!("{user}@gateway"),
        "echo in",
    ]);
    ssh.stdin(Stdio::null());
    ssh
}

async fn timed(command: Command) -> (bool, Duration) {
    let start = Instant::now();
    let output = output(command).await;
    (text(&output.stdout) == "in\n", start.elapsed())
}

#[tokio::test]
async fn whoever_fails_often_is_slowed_and_nobody_else() {
    let penalties = PenaltyLimits {
        room: 4,
        project_room: 2,
        trust: 1,
        step: Duration::from_millis(500),
        longest: Duration::from_secs(1),
        ..PenaltyLimits::default()
    };
    let site =
        Site::start_with(Options { limits: Limits { penalties, ..Limits::default() }, ..Options::default() })
            .await;
    assert!(timed(from(&site, "127.0.0.3", &site.ada, FIRST)).await.0);
    let (_, quiet) = timed(from(&site, "127.0.0.3", &site.ada, FIRST)).await;
    let (_, first) = timed(from(&site, "127.0.0.2", &site.eve, FIRST)).await;
    for _ in 0..7 {
        assert!(!timed(from(&site, "127.0.0.2", &site.eve, FIRST)).await.0);
    }
    let (is_in, last) = timed(from(&site, "127.0.0.2", &site.eve, FIRST)).await;
    let (other_is_in, other) = timed(from(&site, "127.0.0.3", &site.ada, FIRST)).await;
    let (same_is_in, same) = timed(from(&site, "127.0.0.2", &site.ada, FIRST)).await;
    eprintln!(
        "refused: first {first:?}, ninth {last:?}; let in: quiet {quiet:?}, elsewhere {other:?}, same address {same:?}"
    );
    assert!(!is_in && other_is_in && same_is_in);
    assert!(last >= Duration::from_secs(1), "{last:?}");
    // Members get in as if nothing were, even from the same address: only refusals are put off.
    assert!(other < Duration::from_secs(1) && same < Duration::from_secs(1), "{other:?} {same:?}");
}

#[tokio::test]
async fn strangers_wait_at_the_door_in_turn() {
    let door = DoorLimits { inside: 2, waiting: 30, ..DoorLimits::default() };
    let limits = Limits { door, login_grace: Duration::from_secs(20), ..Limits::default() };
    let site = Site::start_with(Options { limits, ..Options::default() }).await;
    // Two who say nothing have both places.
    let silent: Vec<_> = (0..2).map(|_| TcpStream::connect(site.address).unwrap()).collect();
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let command = from(&site, "127.0.0.1", &site.ada, FIRST);
        logins.spawn(timed(command));
    }
    let waited = tokio::time::timeout(Duration::from_millis(800), logins.join_next()).await;
    assert!(waited.is_err(), "one came in past the limit");
    drop(silent);
    let mut count = 0;
    while let Some(login) = logins.join_next().await {
        assert!(login.unwrap().0);
        count += 1;
    }
    assert_eq!(count, 20);
}

#[tokio::test]
async fn a_full_queue_turns_away() {
    let door = DoorLimits { inside: 1, waiting: 1, ..DoorLimits::default() };
    let site =
        Site::start_with(Options { limits: Limits { door, ..Limits::default() }, ..Options::default() })
            .await;
    let address = site.address;
    let silent: Vec<_> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
    let turned_away = tokio::task::spawn_blocking(move || {
        let mut third = TcpStream::connect(address).unwrap();
        third.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        third.read(&mut [0; 1]).unwrap()
    });
    assert_eq!(turned_away.await.unwrap(), 0);
    drop(silent);
    assert!(timed(from(&site, "127.0.0.1", &site.ada, FIRST)).await.0);
}
