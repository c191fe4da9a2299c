//! The door `jump`, forwards from inside a project, and the doors of projects.

use crate::site::{FIRST, Person, Site, ended, first_line, output, text};
use hop_store::EndCause;
use std::process::{Command, Stdio};

/// `ssh -J jump@gateway USER@HOST COMMAND` with one key for the door and another behind it.
fn jump(site: &Site, outer: &Person, inner: &Person, to: &str, command: &str) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(site.config_of(outer, inner)).args(["-J", "jump@gateway", to, command]);
    ssh.stdin(Stdio::null());
    ssh
}

#[tokio::test]
async fn a_jump_enters_a_project_by_id_and_alias() {
    let site = Site::start().await;
    let first = site.first.to_string();
    let command = "echo $HOP_PROJECT $HOP_ACCOUNT ${SSH_CLIENT%% *}; head -c 3000000 /dev/zero; exit 3";
    for name in [first.as_str(), FIRST] {
        let to = format!("{name}@{name}");
        let output = output(jump(&site, &site.ada, &site.bob, &to, command)).await;
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        let line = format!("{first} bob 127.0.0.1\n");
        assert!(output.stdout.starts_with(line.as_bytes()), "{}", text(&output.stderr));
        assert_eq!(output.stdout.len(), line.len() + 3_000_000);
    }
    // The records are about the inner key; the outer one was used, and entered nothing.
    let sessions = site.sessions_of(site.first).await;
    assert_eq!(sessions.len(), 2);
    for session in sessions {
        assert_eq!((session.account, session.key_title.as_str()), (site.bob.account, "bob's laptop"));
        assert_eq!((session.client.ip().to_string(), session.source_project), ("127.0.0.1".to_owned(), None));
        assert!(session.bytes_to_client > 3_000_000, "{session:?}");
        assert!(matches!(session.end.unwrap().cause, EndCause::Client | EndCause::Environment));
    }
    let outer = site.store.keys().find_by_id(site.ada.key).await.unwrap().unwrap();
    assert_eq!(outer.last_use.unwrap().project, None);
    let inner = site.store.keys().find_by_id(site.bob.key).await.unwrap().unwrap();
    assert_eq!(inner.last_use.unwrap().project, Some(site.first));
}

#[tokio::test]
async fn a_jump_leads_only_where_the_key_is_a_members() {
    let site = Site::start().await;
    let second = site.second.to_string();
    let mut answers = Vec::new();
    // Bob is no member of the second; the others do not exist, or are no projects at all.
    for host in
        [second.as_str(), "00112233445566778899aabbccddeeff", "no-such-name", "127.0.0.1", "localhost"]
    {
        let output = output(jump(&site, &site.bob, &site.ada, &format!("{host}@{host}"), "true")).await;
        assert_eq!(output.status.code(), Some(255));
        let said = text(&output.stderr);
        answers.push(said.lines().find(|line| line.contains("open failed")).unwrap_or(&said).to_owned());
    }
    assert!(answers[0].contains("no project of this name opens to this key"), "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert!(!site.is_running(site.second).await, "a stranger started an environment");
    // Nothing else is had there.
    let output = site.ssh(&site.ada, "jump", &["true"]).await;
    assert!(text(&output.stderr).contains("this door leads to projects only"), "{}", text(&output.stderr));
    let output =
        site.ssh(&site.ada, "jump", &["-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"]).await;
    assert!(text(&output.stderr).contains("remote port forwarding failed"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn the_inner_key_must_be_a_members_too() {
    let site = Site::start().await;
    for (to, inner) in [
        (format!("{FIRST}@{FIRST}"), &site.eve),
        // A name that is not this project's.
        (format!("second-one@{FIRST}"), &site.bob),
        (format!("second-one@{FIRST}"), &site.ada),
        (format!("root@{FIRST}"), &site.ada),
    ] {
        let output = output(jump(&site, &site.ada, inner, &to, "true")).await;
        assert_eq!(output.status.code(), Some(255), "{to}");
        assert!(
            text(&output.stderr).contains("Permission denied (publickey)"),
            "{to}: {}",
            text(&output.stderr)
        );
    }
    assert!(site.sessions_of(site.first).await.is_empty());
}

#[tokio::test]
async fn an_inner_session_ends_with_the_inner_key_and_with_the_outer() {
    for (taken, words) in [("inner", "the key \"bob's laptop\" was removed"), ("outer", "")] {
        let site = Site::start().await;
        let mut ssh = jump(&site, &site.ada, &site.bob, &format!("{FIRST}@{FIRST}"), "echo in; sleep 1000");
        let mut client = ssh.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (line, _output) = first_line(&mut client).await;
        assert_eq!(line, "in\n");
        let mut change = site.change().await;
        let key = if taken == "inner" { site.bob.key } else { site.ada.key };
        change.keys().remove(key).await.unwrap();
        change.commit().await.unwrap();
        let (status, said, took) = ended(client).await;
        eprintln!("{taken} key removed: the inner session ended after {} ms", took.as_millis());
        assert_eq!(status.code(), Some(255), "{taken}");
        assert!(said.contains(words), "{taken}: {said}");
        let sessions = site.sessions_of(site.first).await;
        let end = sessions.first().unwrap().end.clone().unwrap();
        assert_eq!(end.cause, EndCause::Revoked, "{taken}: {end:?}");
    }
}

#[tokio::test]
async fn a_jump_through_a_project_is_a_forward_from_inside_it() {
    let site = Site::start().await;
    let public = Command::new("ssh-keygen").arg("-yf").arg(&site.ada.private).output().unwrap();
    // A second server in the project, on its own loopback, with a port of its own choice.
    let serve = format!(
        "umask 077; echo '{}' > keys; exec /run/grasshopper/hop endpoint --listen 127.0.0.1:0 --host-key-dir hk \
         --authorized-keys keys --user project --json",
        text(&public.stdout).trim()
    );
    let mut server = site.ssh_running(&site.ada, FIRST, &[&serve]);
    let (line, _output) = first_line(&mut server).await;
    let announced: serde_json::Value = serde_json::from_str(&line).unwrap();
    let port = announced["listen"][0].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let words = ["-J", &format!("{FIRST}@gateway"), "-p", &port, "project@127.0.0.1", "echo $HOME; exit 4"];
    let output = site.ssh_words(&site.ada, &words).await;
    assert_eq!(text(&output.stdout), "/home/project\n", "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(4));
    server.kill().unwrap();
    server.wait().unwrap();
}

#[tokio::test]
async fn one_project_reaches_another_by_a_key_and_never_by_what_it_is() {
    let site = Site::start().await;
    let first = site.first.to_string();
    let (ada, bob) = (site.ada.private.display(), site.bob.private.display());
    let batch = format!("put {ada} ada\nput {bob} bob\nchmod 600 ada\nchmod 600 bob\n");
    let output = site.sftp(&site.ada, &first, &batch).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let go = |key: &str, to: &str| {
        format!("ssh -o BatchMode=yes -i {key} {to}@ssh 'echo $HOP_PROJECT $HOP_ACCOUNT ${{SSH_CLIENT%% *}}'")
    };
    let second = site.second.to_string();
    let output = site.ssh(&site.bob, &first, &[&go("ada", "second-one")]).await;
    assert_eq!(text(&output.stdout), format!("{second} ada 127.0.0.1\n"), "{}", text(&output.stderr));
    let sessions = site.sessions_of(site.second).await;
    let session = sessions.first().unwrap();
    assert_eq!((session.source_project, session.account), (Some(site.first), site.ada.account));
    // Bob is in the first, and that counts for nothing.
    let output = site.ssh(&site.bob, &first, &[&go("bob", "second-one")]).await;
    assert!(text(&output.stderr).contains("Permission denied"), "{}", text(&output.stderr));
    assert_eq!(site.sessions_of(site.second).await.len(), 1);
}
