//! The life of an environment: started by the first who enters, held, stopped, started again.

use crate::site::{Site, key, run};
use hop_env::{AskError, EnterStep, State};
use std::time::Duration;
use tokio::io::AsyncReadExt;

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
        while site.environments.state(&project).await.unwrap() != State::Stopped {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
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
