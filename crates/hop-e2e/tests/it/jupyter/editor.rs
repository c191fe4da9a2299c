//! Editors: VS Code's Remote-SSH as it uses ssh, and its forks, which speak SSH themselves (npm's ssh2) and run the
//! ProxyCommand of the user's configuration.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hop_e2e::hub::{Hub, Options};
use hop_e2e::program::{node_folder, scripts_folder};
use hop_e2e::sshd::Release;
use hop_e2e::{Run, Scratch};
use serde_json::{Value, json};

use super::ACCESS;
use crate::forwardings::{Echo, assert_echo, socks};

/// After this long VS Code gives up (`remote.SSH.connectTimeout`).
const PATIENCE: Duration = Duration::from_secs(15);

/// A Hub whose servers come up only when a file is there, and ssh's configuration for the first of them.
fn gated() -> (Hub, std::path::PathBuf, Scratch) {
    let gate = Scratch::new();
    let hub_config = format!(
        "plain = c.Spawner.cmd\nc.Spawner.cmd = [\"sh\", \"-c\", \"until test -e {}; do sleep 0.1; done; exec \\\"$@\\\"\", \
         \"sh\"] + plain\n",
        gate.join("go").display()
    );
    let hub = Hub::start(&Options { hub_config, ..Options::default() });
    let token = hub.token(&[ACCESS, "servers!user=alice"]);
    let command = hub.hop_proxy(&token, &hub.url("")).replace(" proxy ", " proxy --start ");
    let config = hub.ssh_config(&command);
    (hub, config, gate)
}

/// `ssh -T -D PORT host bash`, which reads its script on standard input.
struct Editor {
    ssh: Child,
    dynamic: u16,
}

impl Editor {
    fn connect(config: &std::path::Path) -> Self {
        let dynamic = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let words = Release::V9_2.words("ssh");
        let mut ssh = Command::new(&words[0]);
        ssh.args(&words[1..]).arg("-F").arg(config);
        ssh.args(["-T", "-D", &dynamic.to_string(), "-o", "ConnectTimeout=15", "hub", "bash"]);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { ssh: ssh.spawn().unwrap(), dynamic }
    }

    /// Sends a script; the lines between its markers.
    fn run(&mut self, script: &str) -> Vec<String> {
        let mut input = self.ssh.stdin.take().unwrap();
        input.write_all(format!("echo 5f1e: start\n{script}\necho 5f1e: end\n").as_bytes()).unwrap();
        let lines = BufReader::new(self.ssh.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
        let said: Vec<_> = lines.take_while(|line| line != "5f1e: end").collect();
        self.ssh.stdin = Some(input);
        assert_eq!(said.first().map(String::as_str), Some("5f1e: start"), "{said:?}");
        said[1..].to_vec()
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        self.ssh.kill().unwrap();
        self.ssh.wait().unwrap();
    }
}

#[test]
fn vs_code_remote_ssh_hears_what_it_waits_for_and_comes_back() {
    let (hub, config, gate) = gated();
    // It asks ssh itself what the host means.
    let asked =
        Run::from_words(&Release::V9_2.words("ssh")).arg("-G").arg("-F").arg(&config).arg("hub").success();
    let asked = asked.stdout();
    assert!(asked.contains("\nproxycommand ") && asked.contains("hostkeyalias hub\n"), "{asked}");

    // The server is stopped and takes longer than the editor waits: what it waits for is said in time.
    let start = Instant::now();
    let mut first = Editor::connect(&config);
    let mut said = String::new();
    let _ = BufReader::new(first.ssh.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said.trim_end(), "starting the server of alice");
    assert!(start.elapsed() < PATIENCE, "said after {:?}", start.elapsed());
    // It gives up. The server goes on starting, and the next try finds it.
    drop(first);
    let _ = gate.write("go", "");
    let mut second = Editor::connect(&config);
    assert_eq!(second.run("echo $JUPYTERHUB_USER; uname -s"), ["alice", "Linux"]);
    let echo = Echo::on_port();
    let address = [&[1, 127, 0, 0, 1][..], &echo.port().to_be_bytes()].concat();
    assert_echo(hub.scratch(), socks(second.dynamic, &address));
}

/// As open-remote-ssh (VSCodium, Cursor, Positron) does: no ssh at all, but its configuration.
#[test]
fn ssh2_of_npm_runs_the_proxy_command_itself() {
    let (hub, config, gate) = gated();
    let _ = gate.write("go", "");
    let asked =
        Run::from_words(&Release::V9_2.words("ssh")).arg("-G").arg("-F").arg(&config).arg("hub").success();
    let asked = asked.stdout();
    let command = asked.lines().find_map(|line| line.strip_prefix("proxycommand ")).unwrap();
    let wanted = json!({
        "proxy_command": command,
        "user": "jovyan",
        "key": hub.user_key.private,
        "command": "echo $JUPYTERHUB_USER; cat; exit 7",
        "input": "x".repeat(3_000_000),
    });
    let request = hub.scratch().write("request", wanted.to_string());
    let run = Run::new("node").arg(scripts_folder().join("ssh2_proxy_command.js")).arg(request);
    let report = run.env("NODE_PATH", node_folder().join("node_modules")).success();
    let report: Value = serde_json::from_str(&report.stdout()).unwrap();
    assert_eq!(report, json!({"status": 7, "stdout_bytes": 3_000_006, "first": "alice"}));
}
