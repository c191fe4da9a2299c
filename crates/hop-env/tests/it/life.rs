//! The life of an environment: started by the first who enters, held, stopped, started again.

use crate::site::{Site, eventually, folder, key, root, run, settings, uids};
use hop_env::{AskError, EnterStep, FailureKind, State};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn twenty_who_enter_a_stopped_project_start_it_once() {
    let site = Site::new().await;
    let project = key(1);
    assert_eq!(site.environments.state(&project).await.unwrap(), State::Stopped);
    let mut entering = Vec::new();
    for _ in 0..20 {
        let (environments, project) = (site.environments.clone(), project.clone());
        entering.push(tokio::spawn(async move {
            let mut entering = environments.begin_to_enter(&project).await.unwrap();
            let mut heard = 0;
            loop {
                match entering.step().await.unwrap() {
                    EnterStep::Starting => heard += 1,
                    EnterStep::Entered(stream) => return (heard, run(stream, "echo here").await),
                }
            }
        }));
    }
    for entered in entering {
        assert_eq!(entered.await.unwrap(), (1, "here\n".to_owned()));
    }
    assert_eq!(site.starts(&project), 1);
    // Whoever enters now hears nothing of a start.
    let mut entering = site.environments.begin_to_enter(&project).await.unwrap();
    assert!(matches!(entering.step().await.unwrap(), EnterStep::Entered(_)));
    let listed = site.environments.list().await.unwrap();
    assert!(
        matches!(listed.as_slice(), [(listed, State::Running { .. })] if *listed == project),
        "{listed:?}"
    );

    site.environments.stop(&project).await.unwrap();
    assert_eq!(site.environments.state(&project).await.unwrap(), State::Stopped);
    assert_eq!(site.environments.list().await.unwrap(), []);
    // Its home is kept, and it starts again.
    assert_eq!(site.run(&project, "cat ~/starts").await, "started\nstarted\n");
}

#[tokio::test]
async fn one_that_died_is_started_again() {
    let site = Site::new().await;
    let project = key(1);
    for life in 1..=2 {
        let died = site.run(&project, "kill -9 $PPID").await;
        assert_eq!(died, "");
        assert_eq!(site.starts(&project), life);
        let state = async || site.environments.state(&project).await.unwrap() == State::Stopped;
        eventually("it is known to be dead", state).await;
    }
}

#[tokio::test]
async fn a_keeper_that_ends_leaves_nothing_behind() {
    let mut site = Site::new().await;
    let mut held = Vec::new();
    for number in 1..=3 {
        held.push(site.environments.enter(&key(number)).await.unwrap());
    }
    site.run(
        &key(1),
        "(trap 'sleep 0.2; echo asked > ~/asked; exit' TERM; touch ~/trap; sleep 1000 & wait) >/dev/null 2>&1 &
         until [ -e ~/trap ]; do sleep 0.01; done",
    )
    .await;
    site.end().await;
    // Connections to it read as ended, and its processes were asked before they were killed.
    for mut stream in held {
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
    let error = site.environments.enter(&key(1)).await.unwrap_err();
    assert!(matches!(error, AskError::Unreachable { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(site.home(&key(1)).join("asked")).unwrap(), "asked\n");
}

#[tokio::test]
async fn one_that_nobody_is_connected_to_is_stopped_and_its_home_kept() {
    let idle_stop = Duration::from_millis(600);
    let site = Site::with(|settings| settings.idle_stop = Some(idle_stop)).await;
    let project = key(1);
    let held = site.environments.enter(&project).await.unwrap();
    let state = || async { site.environments.state(&project).await.unwrap() };
    // It counts as connected for as long as the descriptor is open here, whatever else comes and goes.
    site.run(&project, "echo kept > ~/kept").await;
    let until = Instant::now() + 2 * idle_stop;
    while Instant::now() < until {
        assert!(matches!(state().await, State::Running { .. }));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(state().await, State::Running { connections: 1, .. }));
    drop(held);
    let alone = Instant::now();
    eventually("it is stopped", async || state().await == State::Stopped).await;
    assert!(alone.elapsed() >= idle_stop, "{:?}", alone.elapsed());
    assert_eq!(site.run(&project, "cat ~/kept").await, "kept\n");
    assert_eq!(site.starts(&project), 2);
}

#[tokio::test]
async fn the_real_endpoint_is_held_and_ends_when_it_is_asked() {
    let folder = folder();
    let mut settings = settings(folder.path()).await;
    // Where the projects' users get to it, whatever the modes on the way to the build.
    std::fs::remove_file(&settings.hop).unwrap();
    std::fs::copy(hop_e2e::server::hop_binary(), &settings.hop).unwrap();
    settings.stop_patience = Duration::from_secs(20);
    let site = Site::serve(folder, settings);
    let project = key(1);
    let mut held = site.environments.enter(&project).await.unwrap();
    // What says no word is hung up on.
    held.shutdown().await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), held.read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    assert!(matches!(site.environments.state(&project).await.unwrap(), State::Running { .. }));
    drop(held);
    let asked = Instant::now();
    site.environments.stop(&project).await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10), "it was killed, not asked");
    assert_eq!(site.environments.state(&project).await.unwrap(), State::Stopped);
}

#[tokio::test]
async fn one_that_cannot_start_says_why() {
    let folder = folder();
    let mut settings = settings(folder.path()).await;
    let script = "#!/bin/sh\necho 'the roof\tis missing' >&2\nexit 3\n";
    std::fs::write(&settings.hop, script).unwrap();
    settings.start_timeout = Duration::from_secs(20);
    let site = Site::serve(folder, settings);
    match site.environments.enter(&key(1)).await {
        Err(AskError::Failed(failure)) => {
            assert_eq!(failure.kind, FailureKind::Ended, "{failure}");
            assert_eq!(failure.tail, ["the roof\\tis missing"]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(site.environments.state(&key(1)).await.unwrap(), State::Stopped);
}

#[tokio::test]
async fn one_that_never_answers_is_killed_in_time_and_a_stop_ends_the_wait() {
    let folder = folder();
    let mut settings = settings(folder.path()).await;
    std::fs::write(&settings.hop, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    settings.start_timeout = Duration::from_secs(1);
    let site = Site::serve(folder, settings);
    let kind = |error: AskError| match error {
        AskError::Failed(failure) => failure.kind,
        other => panic!("{other}"),
    };
    assert_eq!(kind(site.environments.enter(&key(1)).await.unwrap_err()), FailureKind::TimedOut);

    let mut entering = site.environments.begin_to_enter(&key(2)).await.unwrap();
    assert!(matches!(entering.step().await.unwrap(), EnterStep::Starting));
    let starting = async || site.environments.state(&key(2)).await.unwrap() == State::Starting;
    eventually("it is being started", starting).await;
    site.environments.stop(&key(2)).await.unwrap();
    assert_eq!(kind(entering.step().await.unwrap_err()), FailureKind::Stopped);
}

#[tokio::test]
async fn what_a_former_keeper_left_running_ends_before_the_next_start() {
    if !root() {
        // Nothing tells a user's strays from the rest of that user's processes.
        return assert_eq!(uids(), None);
    }
    let site = Site::new().await;
    site.run(&key(1), "true").await;
    site.environments.stop(&key(1)).await.unwrap();
    let uid = site.home(&key(1)).metadata().unwrap().uid();
    let start = |words: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={uid}"), &format!("--regid={uid}")]).args(["--clear-groups", "--"]);
        command.args(words).args(["sh", "-c", "echo; exec sleep 1000"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It is where it should be.
        child.stdout.take().unwrap().read_exact(&mut [0; 1]).unwrap();
        child
    };
    let mut stray = start(&["bwrap", "--unshare-all", "--ro-bind", "/", "/"]);
    // One of that uid in our own namespace was not started by a keeper.
    let mut bystander = start(&[]);
    assert_eq!(site.run(&key(1), "echo well").await, "well\n");
    eventually("the stray is gone", async || stray.try_wait().unwrap().is_some()).await;
    assert!(bystander.try_wait().unwrap().is_none());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}
