//! Whatever a client is doing, it hears within two seconds that its access is gone, and why. The change is made by a
//! store of its own, as another process would make it.

use crate::site::{FIRST, Site, change, ended, first_line, now, said};
use hop_store::{EndCause, Store};
use std::io::BufReader;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Generous: the machine may be building something else. What it took is printed.
const BOUND: Duration = Duration::from_secs(6);

async fn remove_bobs_key(site: &Site, store: &Store) {
    let mut change = change(store).await;
    change.keys().remove(site.bob.key).await.unwrap();
    change.commit().await.unwrap();
}

/// Waits for the end of a client that is told by words.
async fn hears(what: &str, client: Child, words: &str) {
    let (status, heard, took) = ended(client).await;
    eprintln!("{what}: ended after {} ms", took.as_millis());
    assert_eq!(status.code(), Some(255), "{what}: {heard}");
    assert!(heard.contains(words), "{what}: {heard}");
    assert!(took < BOUND, "{what}: {took:?}");
}

const REMOVED: &str = "the key \"bob's laptop\" was removed";

#[tokio::test]
async fn a_running_shell() {
    let site = Site::start().await;
    let store = site.other_process().await;
    let mut client = site.running("ssh", &site.bob, &["-tt", &format!("{FIRST}@gateway")]);
    let (_, _output) = first_line_after(&mut client, "echo in\n").await;
    remove_bobs_key(&site, &store).await;
    hears("running shell", client, REMOVED).await;
}

/// Types something and waits for a first line of whatever comes.
async fn first_line_after(client: &mut Child, typed: &str) -> (String, BufReader<std::process::ChildStdout>) {
    use std::io::Write;
    let mut input = client.stdin.take().unwrap();
    input.write_all(typed.as_bytes()).unwrap();
    client.stdin = Some(input);
    first_line(client).await
}

#[tokio::test]
async fn an_sftp_session() {
    let site = Site::start().await;
    let store = site.other_process().await;
    let mut client = site.running("sftp", &site.bob, &[&format!("{FIRST}@gateway")]);
    let (_, _output) = first_line_after(&mut client, "pwd\n").await;
    remove_bobs_key(&site, &store).await;
    // sftp itself waits for its next command; its connection does not.
    let start = Instant::now();
    said(&mut client, REMOVED).await;
    eprintln!("sftp: ended after {} ms", start.elapsed().as_millis());
    assert!(start.elapsed() < BOUND);
    drop(client.stdin.take());
    client.wait().unwrap();
}

#[tokio::test]
async fn an_idle_connection_without_a_session_and_a_remote_listener() {
    for (what, words) in
        [("idle -N", &["-v", "-N"][..]), ("-R listener", &["-v", "-N", "-R", "0:127.0.0.1:1"])]
    {
        let site = Site::start().await;
        let store = site.other_process().await;
        let to = format!("{FIRST}@gateway");
        let words = [words, &[&to]].concat();
        let mut client = site.running("ssh", &site.bob, &words);
        let up = if what == "idle -N" { "Entering interactive session" } else { "Allocated port" };
        let (_, errors) = said(&mut client, up).await;
        while site.live(site.first).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        remove_bobs_key(&site, &store).await;
        client.stderr = Some(errors.into_inner());
        hears(what, client, REMOVED).await;
    }
}

#[tokio::test]
async fn a_control_master_with_five_sessions() {
    let site = Site::start().await;
    let store = site.other_process().await;
    let socket = site.directory.path().join("m");
    let path = format!("ControlPath={}", socket.display());
    let to = format!("{FIRST}@gateway");
    let mut master = site.running("ssh", &site.bob, &["-o", &path, "-M", &to, "echo in; sleep 1000"]);
    let (_, _output) = first_line(&mut master).await;
    let mut riders = Vec::new();
    for _ in 0..5 {
        let mut rider = site.running("ssh", &site.bob, &["-o", &path, &to, "echo in; sleep 1000"]);
        let (line, output) = first_line(&mut rider).await;
        assert_eq!(line, "in\n");
        riders.push((rider, output));
    }
    remove_bobs_key(&site, &store).await;
    let start = Instant::now();
    hears("ControlMaster", master, REMOVED).await;
    for (rider, _output) in riders {
        let (status, heard, _) = ended(rider).await;
        assert_eq!(status.code(), Some(255), "{heard}");
    }
    eprintln!("ControlMaster: all five sessions ended after {} ms", start.elapsed().as_millis());
    assert!(start.elapsed() < BOUND);
}

#[tokio::test]
async fn an_inner_session_of_a_jump() {
    let site = Site::start().await;
    let store = site.other_process().await;
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(site.config_of(&site.ada, &site.bob)).args(["-J", "jump@gateway"]);
    ssh.arg(format!("{FIRST}@{FIRST}")).arg("echo in; sleep 1000");
    let mut client = ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (_, _output) = first_line(&mut client).await;
    remove_bobs_key(&site, &store).await;
    hears("inner session of -J", client, REMOVED).await;
}

#[tokio::test]
async fn a_key_whose_time_is_over() {
    let site = Site::start().await;
    let store = site.other_process().await;
    let mut client = site.running("ssh", &site.bob, &[&format!("{FIRST}@gateway"), "echo in; sleep 1000"]);
    let (_, _output) = first_line(&mut client).await;
    let lasts = Duration::from_secs(2);
    let mut change = change(&store).await;
    change.keys().set_expiry(site.bob.key, Some(now().plus(lasts))).await.unwrap();
    change.commit().await.unwrap();
    let start = Instant::now();
    let (status, heard, took) = ended(client).await;
    eprintln!("expired key: ended {} ms after its time", took.saturating_sub(lasts).as_millis());
    assert_eq!(status.code(), Some(255));
    assert!(heard.contains("the key \"bob's laptop\" has expired"), "{heard}");
    assert!(start.elapsed() < lasts + BOUND);
    assert!(took > lasts / 2, "it ended before its time");
}

#[tokio::test]
async fn a_suspended_account() {
    let site = Site::start().await;
    let store = site.other_process().await;
    let mut client = site.running("ssh", &site.bob, &[&format!("{FIRST}@gateway"), "echo in; sleep 1000"]);
    let (_, _output) = first_line(&mut client).await;
    let mut change = change(&store).await;
    change.accounts().suspend(site.bob.account).await.unwrap();
    change.commit().await.unwrap();
    hears("suspended account", client, "opens nothing: the account is suspended").await;
}

#[tokio::test]
async fn a_client_that_does_not_read() {
    let site = Site::start().await;
    let store = site.other_process().await;
    let flood = "echo in; cat /dev/zero & while :; do echo x >> beat; sleep 0.05; done";
    let mut client = site.running("ssh", &site.bob, &[&format!("{FIRST}@gateway"), flood]);
    let (line, _output) = first_line(&mut client).await;
    assert_eq!(line, "in\n");
    let pid = i32::try_from(client.id()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    // It reads nothing any more, and neither does its socket.
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    remove_bobs_key(&site, &store).await;
    let start = Instant::now();
    let beat = site.in_home(site.first, "beat");
    let length = || std::fs::metadata(&beat).unwrap().len();
    let (mut last, mut since) = (length(), Instant::now());
    while since.elapsed() < Duration::from_millis(500) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if length() != last {
            (last, since) = (length(), Instant::now());
        }
        assert!(start.elapsed() < BOUND, "its processes go on");
    }
    eprintln!("stalled client: its processes were hung up on after {} ms", (since - start).as_millis());
    let sessions = site.sessions_of(site.first).await;
    eprintln!("stalled client: its socket was cut after {} ms", start.elapsed().as_millis());
    assert!(start.elapsed() < BOUND);
    assert_eq!(sessions.first().unwrap().end.as_ref().unwrap().cause, EndCause::Revoked);
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    client.kill().unwrap();
    client.wait().unwrap();
}

/// Removed when the key was judged, before the session was on the list: only another look can see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_is_taken_away_between_judgement_and_admission() {
    use crate::site::Options;
    use std::sync::{Arc, Mutex};
    type Hook = Box<dyn FnOnce() + Send>;
    let hook: Arc<Mutex<Option<Hook>>> = Arc::default();
    let running = hook.clone();
    let at_new_session = Arc::new(move || {
        if let Some(hook) = running.lock().unwrap().take() {
            hook();
        }
    });
    let site = Site::start_with(Options { at_new_session, ..Options::default() }).await;
    let store = site.other_process().await;
    let key = site.bob.key;
    *hook.lock().unwrap() = Some(Box::new(move || {
        // The rest of the gateway goes on meanwhile.
        tokio::task::block_in_place(move || {
            tokio::runtime::Handle::current().block_on(async {
                let mut change = change(&store).await;
                change.keys().remove(key).await.unwrap();
                change.commit().await.unwrap();
                // The follower has seen it, and found no session that it concerns.
                tokio::time::sleep(Duration::from_millis(600)).await;
            });
        });
    }));
    let output = site.ssh(&site.bob, FIRST, &["echo in"]).await;
    assert!(hook.lock().unwrap().is_none(), "nothing was taken away");
    let said = crate::site::text(&output.stderr);
    assert_eq!(output.status.code(), Some(255), "{said}");
    assert!(said.contains("access was taken away during the login"), "{said}");
}
