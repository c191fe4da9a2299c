//! SSH into a server of a real JupyterHub, with the wheel installed and nothing else done.

mod beside;
mod editor;
mod fronts;
mod nobody;
mod terminal;
mod tokens;
mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hop_e2e::hub::{Hub, Options, USER};
use hop_e2e::program::{hub_program, program};
use hop_e2e::sshd::Release;
use hop_e2e::{Run, payload};
use serde_json::Value;

use crate::expected::{EXEC, assert_exec};

/// The least that reaches SSH.
const ACCESS: &str = "access:servers!user=alice";

fn large(hub: &Hub) -> (PathBuf, PathBuf) {
    let from = hub.scratch().join("large");
    payload::write(&from, payload::LARGE, 23);
    (from, hub.scratch().join("copy"))
}

fn streams_and_64_mib_both_ways(hub: &Hub, command: &str) {
    let ssh = || hub.openssh("ssh", command).arg("hub");
    assert_exec(&ssh().arg(EXEC).finish());
    let (from, to) = large(hub);
    let _ = ssh().arg(format!("cat > {}", to.display())).stdin_file(&from).success();
    payload::assert_same(&from, &to);
    std::fs::remove_file(&to).unwrap();
    let _ = ssh().arg(format!("cat {}", from.display())).stdout_file(&to).success();
    payload::assert_same(&from, &to);
    std::fs::remove_file(&to).unwrap();
}

/// The recipe of jupyter-sshd-proxy's users, word for word.
#[test]
fn the_stock_recipe_with_websocat_works_unchanged() {
    let hub = Hub::with_server();
    let token = std::fs::read_to_string(hub.token(&[ACCESS])).unwrap();
    let command = format!(
        "{} --binary -H=\"Authorization: token {token}\" asyncstdio: {}",
        hub_program("websocat").display(),
        hub.url("")
    );
    streams_and_64_mib_both_ways(&hub, &command);
}

/// How many connections to the socket on which Python passes bytes on are open. Those that were handed over are none.
fn passed_on(hub: &Hub) -> usize {
    let log = hub.log();
    let (_, line) = log.rsplit_once("endpoint --unix ").expect("the server said how it starts hop");
    let path = line.split_whitespace().next().expect("a path");
    // proc(5): a connected socket is in state 03; that of the accepting side has the path.
    let sockets = std::fs::read_to_string("/proc/net/unix").expect("read /proc/net/unix");
    sockets.lines().filter(|line| line.ends_with(path) && line.contains(" 0001 03 ")).count()
}

#[test]
fn python_passes_bytes_on_only_where_a_connection_is_not_handed_over() {
    for (settings, through_python) in [
        ("", 0),
        ("c.GrasshopperSSH.hand_over = False\n", 1),
        ("c.GrasshopperSSH.count_idle_connections = True\n", 1),
    ] {
        let hub = Hub::start(&Options { server_config: settings.to_owned(), ..Options::default() });
        hub.start_server("");
        let command = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
        let mut session = hub.openssh("ssh", &command).args(["hub", "echo here; exec cat"]).background();
        session.wait_for("the session", |text| text.contains("here").then_some(()));
        assert_eq!(passed_on(&hub), through_python, "{settings}");
        session.signal("TERM");
        let _ended = session.wait();
        streams_and_64_mib_both_ways(&hub, &command);
    }
}

/// What websocat 1.x does now and then on a busy machine: the last bytes of a session wait in it for more to come. ssh
/// itself asks after five minutes.
#[test]
fn last_bytes_that_are_held_back_on_the_way_are_pushed_on() {
    let hub = Hub::with_server();
    let holder = hub.scratch().write(
        "holder.py",
        "import os\nheld, count = b'', 0\nwhile piece := os.read(0, 65536):\n    count += len(piece)\n    \
         keep = min(100, len(piece)) if count > 1000000 else 0\n    os.write(1, held + piece[:len(piece) - keep])\n    \
         held = piece[len(piece) - keep:]\nos.write(1, held)\n",
    );
    let proxy = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
    let held = format!("sh -c '{proxy} | {} {}'", hub_program("python").display(), holder.display());
    let started = Instant::now();
    let said = hub.openssh("ssh", &held).args(["hub", "head -c 2000000 /dev/zero; exit 7"]).status(7);
    assert_eq!(said.stdout.len(), 2_000_000);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn hop_proxy_carries_every_tool() {
    let hub = Hub::with_server();
    let command = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
    streams_and_64_mib_both_ways(&hub, &command);
    let config = hub.ssh_config(&command);
    let tool = |name: &str| hub.openssh(name, &command);
    let (from, to) = large(&hub);
    let remote = |path: &Path| format!("hub:{}", path.display());
    let same = |run: Run| {
        let _ = run.success();
        payload::assert_same(&from, &to);
        std::fs::remove_file(&to).unwrap();
    };
    same(tool("scp").arg(&from).arg(remote(&to)));
    same(tool("scp").arg("-O").arg(remote(&from)).arg(&to));
    same(tool("sftp").args(["-b", "-", "hub"]).stdin(format!("get {} {}\n", from.display(), to.display())));
    let shell = format!("ssh -F {}", config.display());
    same(Run::new(program("rsync")).args(["-e", &shell]).arg(&from).arg(remote(&to)));
    // git, into a repository of the server.
    let bare = hub.scratch().join("bare.git");
    let work = hub.scratch().join("work");
    let git = |arguments: &[&str]| {
        let run = Run::new(program("git")).args(arguments).env("GIT_SSH_COMMAND", &shell);
        run.env("HOME", hub.scratch().path()).current_dir(hub.scratch().path()).success()
    };
    let _ = git(&["init", "-q", "--bare", bare.to_str().unwrap()]);
    let _ = git(&["clone", "-q", &remote(&bare), work.to_str().unwrap()]);
    assert!(work.join(".git").is_dir());
}

#[test]
fn a_session_finds_what_a_terminal_of_jupyter_finds() {
    let hub = Hub::with_server();
    let command = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
    let asked =
        "pwd; echo $HOME; echo $JUPYTERHUB_USER; echo $JUPYTERHUB_SERVICE_PREFIX; command -v hop; echo $TERM";
    let said = hub.openssh("ssh", &command).args(["hub", asked]).success().stdout();
    let home = hub.home();
    let home = home.to_str().unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[..4], [home, home, USER, "/user/alice/"]);
    // Host keys are the person's own and stay.
    assert!(hub.home().join(".local/share/hop/host-keys/ssh_host_ed25519_key").is_file());
}

/// What people see where ssh alone says "Connection closed".
#[test]
fn every_refusal_is_a_sentence() {
    let hub = Hub::with_server();
    let good = hub.token(&[ACCESS]);
    let small = hub.token(&["read:users:name!user=alice"]);
    let wrong = hub.token_file("feedfeedfeedfeed");
    let failed = |command: &str| {
        let failed = hub.openssh("ssh", command).args(["hub", "true"]).status(255);
        failed.stderr()
    };
    let with = |token: &Path, url: &str| failed(&hub.hop_proxy(token, url));
    let without = format!("{} proxy {}", hop_e2e::server::hop_binary().display(), hub.url(""));
    let said = failed(&without);
    assert!(said.contains("error: the server of alice wants a token, and there is none\n"), "{said}");
    assert!(said.contains("/hub/token; it needs the scope access:servers!user=alice"), "{said}");
    for token in [&small, &wrong] {
        let said = with(token, &hub.url(""));
        assert!(said.contains("error: the token does not open the server of alice"), "{said}");
    }
    let said = with(&good, &hub.url("").replace("sshd", "nothing"));
    assert!(said.contains("there is nothing at"), "{said}");
    let stranger = hub.url("").replace("alice", "bob");
    let said = with(&good, &stranger);
    assert!(said.contains("error: the server of bob is not running\n"), "{said}");
    // Without the slash at its end the path is the same; websocat and a page's request end differently there.
    let url = hub.url("");
    let _ =
        hub.openssh("ssh", &hub.hop_proxy(&good, url.trim_end_matches('/'))).args(["hub", "true"]).success();
    hub.stop_server();
    let said = with(&good, &url);
    assert!(said.contains("error: the server of alice is not running\n"), "{said}");
}

#[test]
fn the_first_ssh_starts_a_stopped_server() {
    let hub = Hub::start(&Options::default());
    let starting = |token: &Path, url: &str| hub.hop_proxy(token, url).replace(" proxy ", " proxy --start ");
    // Who may not start it is told what the token lacks.
    let small = hub.token(&[ACCESS]);
    let refused = hub.openssh("ssh", &starting(&small, &hub.url(""))).args(["hub", "true"]).status(255);
    let said = refused.stderr();
    assert!(said.contains("error: the token may not start the server of alice\n"), "{said}");
    assert!(said.contains("servers!user=alice"), "{said}");
    // Three at once, one start.
    let token = hub.token(&[ACCESS, "servers!user=alice"]);
    let config = hub.ssh_config(&starting(&token, &hub.url("")));
    let logins: Vec<_> = (0..3)
        .map(|_| {
            let run =
                Run::from_words(&Release::V9_2.words("ssh")).arg("-F").arg(&config).args(["hub", "echo in"]);
            std::thread::spawn(move || run.finish())
        })
        .collect();
    for login in logins {
        let finished = login.join().unwrap();
        assert_eq!((finished.status, finished.stdout().as_str()), (Some(0), "in\n"), "{finished}");
        assert!(finished.stderr().contains("starting the server of alice\n"), "{finished}");
    }
    // A named server is another; one that runs is left alone.
    let named = starting(&token, &hub.url("lab"));
    let said = hub.openssh("ssh", &named).args(["hub", "echo $JUPYTERHUB_SERVER_NAME"]).success();
    assert_eq!(said.stdout(), "lab\n");
    let again = hub.openssh("ssh", &named).args(["hub", "true"]).success();
    assert_eq!(again.stderr(), "");
}

#[test]
fn a_server_that_stops_ends_its_sessions_and_comes_back_with_its_keys() {
    let hub = Hub::start(&Options { base: "/base/".to_owned(), ..Options::default() });
    hub.start_server("");
    hub.start_server("lab");
    let token = hub.token(&[ACCESS]);
    let command = hub.hop_proxy(&token, &hub.url(""));
    let said = hub
        .openssh("ssh", &hub.hop_proxy(&token, &hub.url("lab")))
        .args(["hub", "echo $JUPYTERHUB_SERVER_NAME"]);
    assert_eq!(said.success().stdout(), "lab\n");
    let session = hub.openssh("ssh", &command).args(["hub", "echo $$ > process; echo here; exec sleep 1000"]);
    let mut session = session.background();
    session.wait_for("the session", |text| text.contains("here").then_some(()));
    let process = std::fs::read_to_string(hub.home().join("process")).unwrap();
    hub.stop_server();
    assert_eq!(session.wait(), Some(255));
    let said = session.output();
    assert!(said.contains("error: the "), "{said}");
    // It hears of it at the same time as the client.
    let gone =
        Command::new("timeout").args(["30", "tail", "--pid", process.trim(), "-f", "/dev/null"]).status();
    assert!(gone.unwrap().success(), "what ran in the session goes on");
    // The same host keys: known_hosts, which was written by then, is asked strictly.
    hub.start_server("");
    let strict = hub.openssh("ssh", &command).args(["-o", "StrictHostKeyChecking=yes", "hub", "true"]);
    let _ = strict.success();
}

/// A real culler with a limit of some seconds.
fn culled_after_15_s() -> Options {
    let culler = hub_program("python");
    Options {
        server_config: "c.GrasshopperSSH.beat = 1\n".to_owned(),
        hub_config: format!(
            r#"
c.JupyterHub.last_activity_interval = 1
c.Spawner.environment["JUPYTERHUB_ACTIVITY_INTERVAL"] = "1"
c.JupyterHub.load_roles.append({{"name": "culler", "services": ["culler"],
    "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"]}})
c.JupyterHub.services.append({{"name": "culler", "command": ["{}", "-m", "jupyterhub_idle_culler",
    "--timeout=15", "--cull-every=1"]}})
"#,
            culler.display()
        ),
        ..Options::default()
    }
}

#[test]
fn an_idle_connection_does_not_keep_a_server_from_being_culled() {
    let hub = Hub::start(&culled_after_15_s());
    hub.start_server("");
    let command = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
    let mut idle = hub.openssh("ssh", &command).args(["hub", "echo here; sleep 1000"]).background();
    idle.wait_for("the session", |text| text.contains("here").then_some(()));
    hub.wait_for_server("culled", Value::is_null, "");
    assert_eq!(idle.wait(), Some(255));
}

#[test]
fn a_session_with_data_keeps_its_server() {
    let hub = Hub::start(&culled_after_15_s());
    hub.start_server("");
    let command = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
    // Longer than twice the culler's limit; output only, as of a download.
    let work = "for i in $(seq 35); do echo $i; sleep 1; done; echo done";
    let said = hub.openssh("ssh", &command).args(["hub", work]).success().stdout();
    assert!(said.ends_with("35\ndone\n"), "{said}");
}
