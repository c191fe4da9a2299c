//! A Hub in whose image nothing of ours is: SSH through a terminal of the Jupyter server.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use hop_e2e::hub::{Hub, Options, USER};
use hop_e2e::payload;
use hop_e2e::server::hop_binary;
use serde_json::Value;

use super::ACCESS;
use crate::expected::{EXEC, assert_exec};
use crate::forwardings::{Echo, assert_echo, forward};

/// Both locks, and the right to start the server.
const SCOPES: [&str; 3] = [ACCESS, "servers!user=alice", "read:servers!user=alice"];
/// What ends, ends within this.
const SOON: Duration = Duration::from_secs(30);

/// A Hub without the wheel; `hop` was put into the home by its owner, and the shell is a talkative one.
fn hub() -> Hub {
    // As an image has it that was made by pip.
    let server_config = "c.ServerApp.jpserver_extensions = {'jupyter_server_terminals': True}\n".to_owned();
    let options = Options { has_wheel: false, server_config, ..Options::default() };
    let hub = Hub::start(&options);
    let folder = hub.home().join(".local/share/hop/bin");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(hop_binary(), folder.join("hop")).unwrap();
    let noise = "echo 'Welcome! ~hop1:AAAA'; printf '~hop1:SGVsbG8\\n\\033[1;32m'; PS1='~hop1:$ '\n";
    for name in [".bashrc", ".bash_profile", ".profile"] {
        std::fs::write(hub.home().join(name), noise).unwrap();
    }
    hub
}

fn command(hub: &Hub, more: &str) -> String {
    let token = hub.token(&SCOPES);
    format!(
        "{} proxy --start {more} --token-file {} {}",
        hop_binary().display(),
        token.display(),
        hub.url("")
    )
}

fn terminals(hub: &Hub) -> Vec<Value> {
    let (status, answer) = hub.ask("GET", &format!("user/{USER}/api/terminals"), hub.admin_token(), None);
    answer.as_array().unwrap_or_else(|| panic!("no list: {status} {answer}")).clone()
}

/// The processes of the far end, which carries SSH in lines.
fn far_ends(hub: &Hub) -> usize {
    let program = hub.home().join(".local/share/hop/bin/hop");
    let program = program.to_str().unwrap().to_owned();
    let is_one = |path: &Path| {
        let words = std::fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        words.starts_with(&program) && words.contains("\0--framed\0")
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter(|entry| entry.as_ref().is_ok_and(|e| is_one(&e.path())))
        .count()
}

fn wait_for_nothing_left(hub: &Hub) {
    let deadline = Instant::now() + SOON;
    loop {
        let (left, running) = (terminals(hub), far_ends(hub));
        if left.is_empty() && running == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{left:?} and {running} processes are left\n{}", hub.log());
        // Nobody tells; it can only be asked.
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn tools_work_through_a_terminal_and_leave_nothing() {
    let hub = hub();
    let command = command(&hub, "--through-terminal");
    // The server is stopped.
    let ssh = || hub.openssh("ssh", &command);
    let first = ssh().args(["hub", "echo $JUPYTERHUB_USER"]).limit(Duration::from_secs(120)).success();
    assert_eq!(first.stdout(), format!("{USER}\n"), "{first}");
    assert_exec(&ssh().arg("hub").arg(EXEC).finish());
    let (from, to) = (hub.scratch().join("medium"), hub.scratch().join("copy"));
    payload::write(&from, 8 << 20, 23);
    let started = Instant::now();
    let _ = ssh().arg("hub").arg(format!("cat > {}", to.display())).stdin_file(&from).success();
    let up = started.elapsed();
    payload::assert_same(&from, &to);
    let started = Instant::now();
    let _ = ssh().arg("hub").arg(format!("cat {}", from.display())).stdout_file(&to).success();
    println!("8 MiB up in {up:?}, down in {:?}", started.elapsed());
    payload::assert_same(&from, &to);
    std::fs::remove_file(&to).unwrap();
    let remote = format!("hub:{}", to.display());
    let _ = hub.openssh("scp", &command).arg(&from).arg(remote).success();
    payload::assert_same(&from, &to);
    let remote = format!("hub:{}", from.display());
    let _ = hub.openssh("scp", &command).args(["-O", &remote]).arg(&to).success();
    payload::assert_same(&from, &to);
    wait_for_nothing_left(&hub);

    // Two at once, one of which forwards; the other ends first.
    let echo = Echo::on_port();
    let local = hub.scratch().join("local");
    let words = format!("-L{}:127.0.0.1:{}", local.display(), echo.port());
    let mut forwarding = forward(hub.openssh("ssh", &command), "hub", &[&words]);
    assert_eq!(ssh().args(["hub", "echo in"]).success().stdout(), "in\n");
    assert_echo(hub.scratch(), std::os::unix::net::UnixStream::connect(&local).unwrap());
    assert_eq!(terminals(&hub).len(), 1, "that of the forwarding");
    // A client that is killed cannot tidy up; its ProxyCommand can.
    forwarding.signal("KILL");
    let _ = forwarding.wait();
    wait_for_nothing_left(&hub);
}

#[test]
fn a_terminal_that_is_closed_ends_the_session_with_a_sentence() {
    let hub = hub();
    let command = command(&hub, "--through-terminal");
    hub.start_server("");
    let mut ssh = hub.openssh("ssh", &command).args(["hub", "echo ready; sleep 600"]).background();
    ssh.wait_for("the session", |text| text.contains("ready").then_some(()));
    let [terminal] = terminals(&hub).try_into().expect("one terminal");
    let path = format!("user/{USER}/api/terminals/{}", terminal["name"].as_str().unwrap());
    let (status, answer) = hub.ask("DELETE", &path, hub.admin_token(), None);
    assert_eq!(status, 204, "{answer}");
    assert_eq!(ssh.wait(), Some(255));
    wait_for_nothing_left(&hub);
}

#[test]
fn what_is_missing_over_there_is_a_sentence() {
    let hub = hub();
    hub.start_server("");
    let program = hub.home().join(".local/share/hop/bin/none");
    let said =
        |more: &str| hub.openssh("ssh", &command(&hub, more)).args(["hub", "true"]).status(255).stderr();
    let missing = said("--through-terminal --program '~/.local/share/hop/bin/none'");
    assert!(missing.contains("~/.local/share/hop/bin/none must be there, executable"), "{missing}");
    // One that may not be run is no better.
    std::fs::write(&program, "").unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o600)).unwrap();
    let missing = said("--through-terminal --program '~/.local/share/hop/bin/none'");
    assert!(missing.contains("the program in the terminal did not begin"), "{missing}");
    let without = said("");
    assert!(without.contains("nothing at ws://"), "{without}");
    wait_for_nothing_left(&hub);
}
