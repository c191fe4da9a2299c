//! SSH through a WebSocket: OpenSSH by `hop proxy`, by real websocat, and a stock WebSocket library without any SSH.

use std::path::Path;

use hop_e2e::program::{hub_program, program};
use hop_e2e::server::{Kind, Options, hop_binary};
use hop_e2e::sshd::Release;
use hop_e2e::{Run, Server, payload};

use crate::expected::{EXEC, assert_exec};

/// An endpoint that also takes WebSockets, and an ssh_config whose host `hop` goes through one.
struct Site {
    server: Server,
    url: String,
    config: std::path::PathBuf,
}

/// How ssh gets there.
#[derive(Clone, Copy)]
enum Way {
    HopProxy,
    Websocat,
}

impl Site {
    fn start(way: Way) -> Self {
        let hop_arguments = ["--websocket", "127.0.0.1:0", "--user", "*"].map(str::to_owned).to_vec();
        let options = Options { hop_arguments, ..Options::default() };
        let server = Server::start_kind(Kind::Hop, &options);
        let said = server.log();
        let start = said.find("ws://").expect("the place of the WebSocket is announced");
        let url = said[start..].split('"').next().unwrap().to_owned();
        let command = match way {
            Way::HopProxy => format!("{} proxy {url}", hop_binary().display()),
            // The recipe of jupyter-sshd-proxy's users, word for word.
            Way::Websocat => format!(
                "{} --binary -H=\"Authorization: token 0123\" asyncstdio: {url}",
                hub_program("websocat").display()
            ),
        };
        let plain = std::fs::read_to_string(&server.ssh_config).unwrap();
        let config = format!("Host hop\n  ProxyCommand {command}\n{plain}");
        let config = server.scratch().write("ssh_config.websocket", config);
        Self { server, url, config }
    }

    fn openssh(&self, command: &str) -> Run {
        Run::from_words(&Release::V9_2.words(command)).arg("-F").arg(&self.config)
    }

    fn ssh(&self) -> Run {
        self.openssh("ssh").arg("hop")
    }

    fn large(&self) -> (std::path::PathBuf, std::path::PathBuf) {
        let from = self.server.scratch().join("large");
        payload::write(&from, payload::LARGE, 11);
        (from, self.server.scratch().join("copy"))
    }
}

fn both_ways_intact(way: Way) {
    let site = Site::start(way);
    assert_exec(&site.ssh().arg(EXEC).finish());
    let (from, to) = site.large();
    let up = format!("cat > {}", to.display());
    let _ = site.ssh().arg(up).stdin_file(&from).success();
    payload::assert_same(&from, &to);
    std::fs::remove_file(&to).unwrap();
    let _ = site.ssh().arg(format!("cat {}", from.display())).stdout_file(&to).success();
    payload::assert_same(&from, &to);
}

#[test]
fn hop_proxy_passes_streams_and_64_mib_both_ways() {
    both_ways_intact(Way::HopProxy);
}

#[test]
fn websocat_passes_streams_and_64_mib_both_ways() {
    both_ways_intact(Way::Websocat);
}

#[test]
fn both_directions_at_once() {
    let site = Site::start(Way::HopProxy);
    let (from, to) = site.large();
    let _ = site.ssh().arg("cat").stdin_file(&from).stdout_file(&to).success();
    payload::assert_same(&from, &to);
}

#[test]
fn file_clients_copy_intact() {
    let site = Site::start(Way::HopProxy);
    let (from, to) = site.large();
    let remote = |path: &Path| format!("hop:{}", path.display());
    let again = |run: Run| {
        let _ = run.success();
        payload::assert_same(&from, &to);
        std::fs::remove_file(&to).unwrap();
    };
    for old in [&[][..], &["-O"]] {
        again(site.openssh("scp").args(old).arg(&from).arg(remote(&to)));
        again(site.openssh("scp").args(old).arg(remote(&from)).arg(&to));
    }
    let batch = format!("put {} {}\n", from.display(), to.display());
    again(site.openssh("sftp").args(["-b", "-", "hop"]).stdin(batch));
    let shell = format!("ssh -F {}", site.config.display());
    again(Run::new(program("rsync")).args(["-e", &shell]).arg(&from).arg(remote(&to)));
    again(Run::new(program("rsync")).args(["-e", &shell]).arg(remote(&from)).arg(&to));
}

#[test]
fn a_forwarding_and_twelve_sessions_share_one_connection() {
    let site = Site::start(Way::HopProxy);
    let socket = site.server.scratch().join("m");
    let control = format!("ControlPath={}", socket.display());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let forward = format!("127.0.0.1:{port}:127.0.0.1:{}", site.server.port());
    let master = site
        .openssh("ssh")
        .args([
            "-o",
            &control,
            "-o",
            "ControlMaster=yes",
            "-o",
            "ExitOnForwardFailure=yes",
            "-N",
            "-L",
            &forward,
            "-v",
        ])
        .arg("hop")
        .background();
    master.wait_for("the master", |_| socket.exists().then_some(()));
    let sessions: Vec<_> = (0..12)
        .map(|number| {
            let run = site
                .openssh("ssh")
                .args(["-o", &control, "hop"])
                .arg(format!("head -c 100000 /dev/zero; exit {number}"));
            std::thread::spawn(move || run.finish())
        })
        .collect();
    for (number, session) in sessions.into_iter().enumerate() {
        let finished = session.join().unwrap();
        assert_eq!(finished.status, Some(number as i32), "{finished}");
        assert_eq!(finished.stdout.len(), 100_000);
    }
    // The endpoint's plain port, through the forwarding: SSH inside of SSH inside of a WebSocket.
    let inner = Run::from_words(&Release::V9_2.words("ssh")).arg("-F").arg(&site.server.ssh_config);
    let inner = inner.args(["-o", &format!("Port={port}"), "hop", "echo inside"]).success();
    assert_eq!(inner.stdout(), "inside\n");
    let logins = site.server.log().matches(" login user=").count();
    assert_eq!(logins, 2, "one for the master, one inside");
}

#[test]
fn twenty_logins_at_once() {
    let site = Site::start(Way::HopProxy);
    let logins: Vec<_> = (0..20)
        .map(|_| {
            let run = site.ssh().arg("true");
            std::thread::spawn(move || run.finish())
        })
        .collect();
    for login in logins {
        let finished = login.join().unwrap();
        assert_eq!(finished.status, Some(0), "{finished}");
    }
}

/// A client from a stock library: what every implementation may do. It prints what it found.
const STOCK: &str = r#"
import asyncio, sys
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
async def main(url):
    async with connect(url, compression=None, max_size=None) as ws:
        line = await ws.recv()
        assert isinstance(line, bytes) and line.startswith(b"SSH-2.0-"), line
        await (await ws.ping())
        # Bytes of any split, in parts of one message, empty ones too.
        await ws.send([b"SSH-", b"", b"2.0-stock\r"])
        await ws.send(b"\n")
        kex = line.split(b"\n", 1)[1] or await ws.recv()
        assert kex[5] == 20, kex[:8]
        await ws.close()
        print("closed", ws.close_code)
    async with connect(url) as ws:
        print("compression", ws.protocol.extensions)
        await ws.recv()
        await ws.send("SSH-2.0-text\r\n")
        try:
            while True: await ws.recv()
        except ConnectionClosed as e:
            print("text", e.rcvd.code, "--binary" in e.rcvd.reason)
    for other in (url[:-1], url + "else"):
        try:
            async with connect(other): print("open")
        except InvalidStatus as e: print("status", e.response.status_code)
asyncio.run(main(sys.argv[1]))
"#;

#[test]
fn a_stock_library_gets_what_the_standard_says() {
    let site = Site::start(Way::HopProxy);
    let said = Run::new(hub_program("python")).args(["-c", STOCK, &site.url]).success().stdout();
    let wanted = ["closed 1000", "compression []", "text 1003 True", "open", "status 404"];
    assert_eq!(said.lines().collect::<Vec<_>>(), wanted);
}

/// Asks for a long answer and never reads a byte of it; other connections go on, and nothing piles up.
#[test]
fn a_client_that_stops_reading_holds_back_the_server_only() {
    let mut site = Site::start(Way::HopProxy);
    let fifo = site.server.scratch().join("fifo");
    let _ = Run::new("mkfifo").arg(&fifo).success();
    let command = format!(
        "exec {} -F {} hop 'head -c 2000000000 /dev/zero' > {}",
        Release::V9_2.words("ssh")[0].to_string_lossy(),
        site.config.display(),
        fifo.display()
    );
    let ssh = Run::new("sh").args(["-c", &command]).background();
    // Opened, read once, and then left.
    let mut reader = std::fs::File::open(&fifo).unwrap();
    let mut some = [0; 4096];
    std::io::Read::read_exact(&mut reader, &mut some).unwrap();
    let before = memory(site.server.process().id());
    let (from, to) = site.large();
    let _ = site.ssh().arg("cat").stdin_file(&from).stdout_file(&to).success();
    payload::assert_same(&from, &to);
    let after = memory(site.server.process().id());
    assert!(after < before + 60_000, "the server used {after} KiB, {before} KiB before");
    drop(ssh);
}

fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What people see of it.
#[test]
fn what_stands_in_the_way_is_said_beside_the_words_of_ssh() {
    let site = Site::start(Way::HopProxy);
    let wrong = site.url.replace("/sshd/", "/nothing/");
    let config = std::fs::read_to_string(&site.config).unwrap().replace(&site.url, &wrong);
    let config = site.server.scratch().write("ssh_config.wrong", config);
    let failed =
        Run::from_words(&Release::V9_2.words("ssh")).arg("-F").arg(config).args(["hop", "true"]).status(255);
    assert!(failed.stderr().contains(&format!("error: there is nothing at {wrong}\n")), "{failed}");
}
