//! Who gets in, and what happens then.

use crate::site::{Site, text};

#[tokio::test]
async fn members_enter_their_project_by_its_id() {
    let site = Site::start().await;
    let first = site.first.to_string();
    let output = site.ssh(&site.ada, &first, &["echo $HOP_PROJECT $HOP_ACCOUNT; id -un; pwd; exit 6"]).await;
    assert_eq!(
        text(&output.stdout),
        format!("{first} ada\nproject\n/home/project\n"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(6));
    // The form with hyphens is the same project, and a collaborator enters too.
    let hyphened = format!(
        "{}-{}-{}-{}-{}",
        first.get(..8).unwrap(),
        first.get(8..12).unwrap(),
        first.get(12..16).unwrap(),
        first.get(16..20).unwrap(),
        first.get(20..).unwrap()
    );
    let output = site.ssh(&site.bob, &hyphened, &["echo $HOP_ACCOUNT"]).await;
    assert_eq!(text(&output.stdout), "bob\n", "{}", text(&output.stderr));
}

#[tokio::test]
async fn strangers_and_unknown_projects_get_the_same_answer() {
    let site = Site::start().await;
    let first = site.first.to_string();
    let second = site.second.to_string();
    let nowhere = "00112233445566778899aabbccddeeff";
    let mut answers = Vec::new();
    for (person, user) in
        [(&site.eve, first.as_str()), (&site.bob, &second), (&site.ada, nowhere), (&site.ada, "no-such-name")]
    {
        let output = site.ssh(person, user, &["true"]).await;
        assert_eq!(output.status.code(), Some(255));
        answers.push(text(&output.stderr).replace(user, "USER"));
    }
    answers.iter_mut().for_each(|answer| *answer = answer.lines().last().unwrap().to_owned());
    assert_eq!(answers[0], "USER@127.0.0.1: Permission denied (publickey).");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert!(!site.is_running(site.first).await, "a stranger started an environment");
}

#[tokio::test]
async fn twenty_logins_to_a_stopped_project_all_get_in() {
    let site = Site::start().await;
    let first = site.first.to_string();
    let logins = (0..20).map(|number| {
        let word = format!("echo {number}");
        let (site, first) = (&site, first.as_str());
        async move { (number, site.ssh(&site.ada, first, &[&word]).await) }
    });
    let mut set = Vec::new();
    for login in logins {
        set.push(login);
    }
    for (number, output) in futures_all(set).await {
        assert_eq!(text(&output.stdout), format!("{number}\n"), "{}", text(&output.stderr));
    }
}

/// Runs futures at the same time, without a crate for it.
async fn futures_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, result) in &mut running {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, result)| result).collect()
}

#[tokio::test]
async fn files_bytes_and_terminals_pass_and_stay_in_the_project() {
    let site = Site::start().await;
    let first = site.first.to_string();
    let local = site.directory.path().join("local");
    std::fs::write(&local, vec![7; 3_000_000]).unwrap();
    let batch = format!("put {} there\nls -l there\n", local.display());
    let output = site.sftp(&site.ada, &first, &batch).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = site.ssh(&site.ada, &first, &["wc -c < there; cat there there there"]).await;
    assert_eq!(output.stdout.len(), 9_000_000 + "3000000\n".len());
    let output = site.ssh(&site.ada, &first, &["-tt", "tty"]).await;
    assert!(text(&output.stdout).starts_with("/dev/pts/"), "{}", text(&output.stdout));
    // The other project is another world.
    let output = site.ssh(&site.ada, &site.second.to_string(), &["ls -a; ls /home"]).await;
    assert!(!text(&output.stdout).contains("there"), "{}", text(&output.stdout));
}

#[tokio::test]
async fn the_records_say_who_came_with_which_key() {
    let site = Site::start().await;
    let first = site.first.to_string();
    site.ssh(&site.bob, &first, &["echo hello"]).await;
    let key = site.store.keys().find_by_id(site.bob.key).await.unwrap().unwrap();
    let used = key.last_use.unwrap();
    assert_eq!((used.address.to_string().as_str(), used.project), ("127.0.0.1", Some(site.first)));
    let sessions = site.sessions_of(site.first).await;
    let session = sessions.first().unwrap();
    assert_eq!((session.account, session.key_title.as_str()), (site.bob.account, "bob's laptop"));
    assert_eq!(session.end.as_ref().unwrap().cause, hop_store::EndCause::Client);
    assert!(session.bytes_from_client > 0 && session.bytes_to_client > 6, "{session:?}");
}
