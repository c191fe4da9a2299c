//! Taking access away ends what it opened.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use crate::site::{Site, text};
use hop_store::{Change, ProjectId, Revoked, SessionFilter};

/// What takes access away, and the words that the client must hear.
#[derive(Clone, Copy, Debug)]
enum Taken {
    Key,
    Member,
    Account,
    Project,
    Session,
}

async fn take(taken: Taken, site: &Site, change: &mut Change, project: ProjectId) {
    match taken {
        Taken::Key => change.keys().remove(site.bob.key).await.unwrap(),
        Taken::Member => change.members().remove(project, site.bob.account).await.unwrap(),
        Taken::Account => change.accounts().suspend(site.bob.account).await.unwrap(),
        Taken::Project => change.projects().suspend(project).await.unwrap(),
        Taken::Session => {
            let live =
                site.store.ssh_sessions().list_live(SessionFilter::Account(site.bob.account), 10).await;
            for session in live.unwrap() {
                change.revoke(Revoked::Session { session: session.id }).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn an_open_session_ends_with_the_access_that_opened_it() {
    for (taken, words) in [
        (Taken::Key, "the key \"bob's laptop\" was removed"),
        (Taken::Member, "the key \"bob's laptop\" no longer opens this project"),
        (Taken::Account, "the account is suspended"),
        (Taken::Project, "the project is closed"),
        (Taken::Session, "this session was ended"),
    ] {
        let site = Site::start().await;
        let first = site.first.to_string();
        let mut client = site.ssh_running(&site.bob, &first, &["echo in; sleep 1000"]);
        let mut output = BufReader::new(client.stdout.take().unwrap());
        let mut errors = client.stderr.take().unwrap();
        let output = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            assert_eq!(line, "in\n");
            output
        })
        .await
        .unwrap();
        // A member whose access stays is not touched.
        let mut other = site.ssh_running(&site.ada, &site.second.to_string(), &["sleep 1000"]);

        let mut change = site.change().await;
        take(taken, &site, &mut change, site.first).await;
        change.commit().await.unwrap();
        let waiting = tokio::task::spawn_blocking(move || {
            let status = client.wait().unwrap();
            let mut said = String::new();
            errors.read_to_string(&mut said).unwrap();
            (status, said)
        });
        let (status, said) =
            tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it goes on").unwrap();
        assert_eq!(status.code(), Some(255), "{taken:?}");
        assert!(said.contains(words), "{taken:?}: {said}");
        drop(output);
        assert!(other.try_wait().unwrap().is_none(), "{taken:?} ended somebody else's session");
        other.kill().unwrap();
        other.wait().unwrap();

        let again = site.ssh(&site.bob, &first, &["echo in"]).await;
        match taken {
            Taken::Session => assert_eq!(text(&again.stdout), "in\n", "{}", text(&again.stderr)),
            _ => assert_eq!(again.status.code(), Some(255), "{taken:?} lets in"),
        }
    }
}
