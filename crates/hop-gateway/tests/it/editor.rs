//! The flow of VS Code's Remote-SSH, imitated: a shell that reads its script on standard input and marks what it says, with
//! a dynamic forward beside it; a server that it leaves behind; a second connection that finds both the server and the
//! agent of the first.

use crate::between::{Agent, with_agent};
use crate::site::{FIRST, Site, text};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// After this long VS Code gives up, the start of the project included.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection of the editor: `ssh -T -D PORT host bash`, kept open by its standard input.
struct Editor {
    ssh: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Where SOCKS is.
    port: u16,
}

impl Editor {
    fn connect(site: &Site, agent: &Agent, words: &[&str]) -> Self {
        // ssh knows no port 0 here. Nobody else is given this one in the moment between.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let to = format!("{FIRST}@127.0.0.1");
        let forward = port.to_string();
        let mut ssh = with_agent(site, agent, words);
        ssh.args(["-T", "-D", &forward, "-o", "ExitOnForwardFailure=yes", &to, "bash"]);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut ssh = ssh.spawn().expect("install the Debian package openssh-client");
        let (input, output) = (ssh.stdin.take().unwrap(), BufReader::new(ssh.stdout.take().unwrap()));
        Self { ssh, input, output, port }
    }

    /// Sends a script; the lines between its markers.
    fn run(&mut self, marker: &str, script: &str) -> Vec<String> {
        let script = format!("echo '{marker}: start'\n{script}\necho '{marker}: end'\n");
        self.input.write_all(script.as_bytes()).unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).unwrap() == 0 {
                let mut why = String::new();
                self.ssh.stderr.take().unwrap().read_to_string(&mut why).unwrap();
                panic!("it ended after {lines:?}: {why}");
            }
            match line.trim_end() {
                end if end == format!("{marker}: end") => break,
                other => lines.push(other.to_owned()),
            }
        }
        let first = lines.remove(0);
        assert_eq!(first, format!("{marker}: start"), "something was said before the script");
        lines
    }

    /// What the project's server answers on this port, through SOCKS.
    fn fetch(&self, port: u16) -> String {
        let mut socks = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        // RFC 1928: version 5, one method, no authentication; then CONNECT by an IPv4 address.
        socks.write_all(&[5, 1, 0]).unwrap();
        socks.read_exact(&mut [0; 2]).unwrap();
        socks.write_all(&[&[5, 1, 0, 1, 127, 0, 0, 1][..], &port.to_be_bytes()].concat()).unwrap();
        let mut reply = [0; 10];
        socks.read_exact(&mut reply).unwrap();
        assert!(reply.starts_with(&[5, 0]), "SOCKS refused: {reply:?}");
        socks.write_all(b"GET /version HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        socks.read_to_string(&mut answer).unwrap();
        answer.rsplit("\r\n\r\n").next().unwrap().to_owned()
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        self.ssh.kill().unwrap();
        self.ssh.wait().unwrap();
    }
}

/// The value of `name==value==` in what was said.
fn value<'a>(lines: &'a [String], name: &str) -> &'a str {
    let found = lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix("==")?.strip_suffix("=="));
    found.unwrap_or_else(|| panic!("no {name} in {lines:?}"))
}

/// Unpacks a "server", starts it in the background on a port of its own choice, and tells where it and the agent are.
const INSTALL: &str = r#"
set -e
umask 077
mkdir -p ~/.editor-server && cd ~/.editor-server
test -x /usr/bin/python3 || echo 'missing==the Debian package python3=='
base64 -d > version <<'PACKED'
dGhlIHNlcnZlcidzIHZlcnNpb24K
PACKED
if ! test -s log; then
  nohup setsid /usr/bin/python3 -u -m http.server --bind 127.0.0.1 0 > log 2>&1 < /dev/null &
fi
for i in $(seq 200); do grep -q ' port [0-9]' log && break; sleep 0.05; done
printf 'listeningOn==%s==\n' "$(sed -n 's/.* port \([0-9]*\) .*/\1/p' log)"
printf 'SSH_AUTH_SOCK==%s==\n' "$SSH_AUTH_SOCK"
printf 'arch==%s==\n' "$(uname -m)"
set +e
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vs_code_remote_ssh_installs_its_server_comes_back_and_finds_the_agent() {
    let site = Site::start().await;
    assert!(!site.is_running(site.first).await);
    let agent = Agent::start(&site);
    let added = agent.add(&[site.ada.private.to_str().unwrap()]);
    assert!(added.status.success(), "{}", text(&added.stderr));
    let known = format!("[127.0.0.1]:{} {}\n", site.address.port(), site.host_key_line);
    std::fs::write(site.directory.path().join("known"), known).unwrap();
    let flow = move || {
        let start = Instant::now();
        let mut first = Editor::connect(&site, &agent, &["-A"]);
        let said = first.run("5f1e7a", INSTALL);
        let took = start.elapsed();
        eprintln!("from a stopped project to the editor's server: {} ms", took.as_millis());
        assert!(took < PATIENCE, "it took {took:?}");
        let port: u16 = value(&said, "listeningOn").parse().unwrap_or_else(|_| panic!("{said:?}"));
        let socket = value(&said, "SSH_AUTH_SOCK").to_owned();
        assert!(socket.starts_with('/'), "{said:?}");
        assert_eq!(first.fetch(port), "the server's version\n");

        // A second window, or the same editor without its local server: it asks for no agent, and uses the one it knows of.
        let mut second = Editor::connect(&site, &agent, &["-a"]);
        let said = second.run("90c2", INSTALL);
        assert_eq!(value(&said, "listeningOn"), port.to_string(), "there is one server");
        assert_eq!(value(&said, "SSH_AUTH_SOCK"), "");
        let list = format!("SSH_AUTH_SOCK={socket} ssh-add -l 2>&1");
        let listed = second.run("a1", &list).concat();
        assert!(listed.contains("ED25519"), "{listed}");
        assert_eq!(second.fetch(port), "the server's version\n");

        // The first window closes: its agent is gone, the server stays.
        drop(first);
        let gone = format!(
            "for i in $(seq 200); do test -e {socket} || break; sleep 0.05; done; test -e {socket}; echo $?"
        );
        assert_eq!(second.run("a2", &gone), ["1"]);
        assert_eq!(second.fetch(port), "the server's version\n");
    };
    tokio::task::spawn_blocking(flow).await.unwrap();
}
