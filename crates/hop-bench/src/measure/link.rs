//! What a WebSocket costs: `hop proxy` straight to `hop endpoint --websocket`, beside ssh's own TCP to the same endpoint, and
//! beside TCP by way of a program that does nothing but copy.

use std::process::{Command, Stdio};

use hop_e2e::program::program;
use serde::Deserialize;

use super::jupyter::{Direction, connections, copy_files, copy_payload, make_files, make_payload};
use super::out::in_turns;
use super::{Judged, Measurement, Row, Work};
use crate::error::Error;
use crate::figures::Goal;
use crate::hub::common;
use crate::lab::Lab;
use crate::server::Kind;
use crate::site::Program;

/// Connections of one round of one side, one after the other.
const CONNECTIONS: usize = 20;
/// The hosts of the clients' configuration: through a WebSocket, without, and without but by a program that only copies.
const HOSTS: [&str; 3] = ["websocket", "tcp", "copied"];

pub(super) fn measurements() -> [Measurement; 5] {
    let measurement =
        |name, title, what, bound, run| Measurement { name, title, what, bound, work: Work::Own(run) };
    const COPIES: &str = "that there is a program between ssh and the endpoint, which fill two cores already; for small files it is two \
         wake-ups more for each question and its answer. socat, which copies and does nothing else, shows what that takes.";
    [
        measurement(
            "link-connect",
            "connect through a WebSocket",
            "`ssh server true`, 20 times one after the other; per connection",
            "ssh's starting a shell for its ProxyCommand, and the start of a program there: see socat's.",
            |lab, rounds| {
                compared(
                    lab,
                    rounds,
                    "link-connect",
                    (" ms", 1000.0 / CONNECTIONS as f64),
                    |endpoint, host| {
                        let mut command = endpoint.client("ssh");
                        command.args([host, "true"]);
                        connections(&mut command, CONNECTIONS)
                    },
                )
            },
        ),
        measurement("link-get", "sftp get through a WebSocket", "200 MB by `sftp`", COPIES, |lab, rounds| {
            large(lab, rounds, "link-get", Direction::Get)
        }),
        measurement("link-put", "sftp put through a WebSocket", "200 MB by `sftp`", COPIES, |lab, rounds| {
            large(lab, rounds, "link-put", Direction::Put)
        }),
        measurement(
            "link-get-many",
            "sftp get -r through a WebSocket",
            "1,000 files of 4 KiB",
            COPIES,
            |lab, rounds| small(lab, rounds, "link-get-many", Direction::Get),
        ),
        measurement(
            "link-put-many",
            "sftp put -r through a WebSocket",
            "1,000 files of 4 KiB",
            COPIES,
            |lab, rounds| small(lab, rounds, "link-put-many", Direction::Put),
        ),
    ]
}

fn large(lab: &Lab, rounds: usize, name: &str, direction: Direction) -> Result<Vec<Row>, Error> {
    make_payload(lab)?;
    compared(lab, rounds, name, (" s", 1.0), |endpoint, host| {
        copy_payload(lab, endpoint.client("sftp"), host, direction)
    })
}

fn small(lab: &Lab, rounds: usize, name: &str, direction: Direction) -> Result<Vec<Row>, Error> {
    make_files(lab)?;
    compared(lab, rounds, name, (" s", 1.0), |endpoint, host| {
        copy_files(lab, endpoint.client("sftp"), host, direction)
    })
}

/// `run` is one round of one side: its wall, in seconds.
fn compared(
    lab: &Lab,
    rounds: usize,
    name: &str,
    (unit, factor): (&'static str, f64),
    run: impl Fn(&Endpoint, &str) -> Result<f64, Error>,
) -> Result<Vec<Row>, Error> {
    let endpoint = Endpoint::start(lab)?;
    let [websocket, tcp, copied] =
        in_turns(name, rounds, HOSTS, |host| run(&endpoint, host).map(|wall| wall * factor))?;
    let row = |variant: &str, ours: &[f64], theirs: &[f64], goal| Row {
        variant: variant.to_owned(),
        figure: "wall".to_owned(),
        unit,
        ours: ours.to_vec(),
        theirs: theirs.to_vec(),
        goal,
        judged: Judged::Ratio,
    };
    Ok(vec![
        row("plain TCP", &websocket, &tcp, Some(Goal::AtMost(1.1))),
        row("plain TCP by socat", &websocket, &copied, None),
    ])
}

/// What `hop endpoint --json` prints: addresses of TCP, URLs of WebSockets.
#[derive(Deserialize)]
struct Listening {
    listen: Vec<String>,
}

/// An endpoint that listens for both; it ends with this.
struct Endpoint {
    _running: Program,
    config: std::path::PathBuf,
}

impl Endpoint {
    fn start(lab: &Lab) -> Result<Self, Error> {
        let mut command = lab.server_command(Kind::Hop, 0);
        command.args(["--websocket", "127.0.0.1:0"]);
        let (running, listening) =
            Program::start(command, |line| serde_json::from_str::<Listening>(line).ok())?;
        let (urls, addresses): (Vec<_>, Vec<_>) =
            listening.listen.into_iter().partition(|place| place.starts_with("ws://"));
        let (Some(url), Some(address)) = (urls.first(), addresses.first()) else {
            return Err(Error::Unexpected("an endpoint that listens nowhere"));
        };
        let port = address.rsplit(':').next().unwrap_or_default();
        let config = lab.path("link_config");
        let text = format!(
            "Host websocket\n  ProxyCommand {} proxy {url}\nHost copied\n  ProxyCommand {} - TCP:127.0.0.1:{port},nodelay\nHost *\n  HostName 127.0.0.1\n  Port {port}\n  User {}\n{}",
            lab.path("bin/hop").display(),
            program("socat").display(),
            lab.account.name,
            common(lab),
        );
        std::fs::write(&config, text).map_err(Error::file(&config))?;
        Ok(Self { _running: running, config })
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_remove("SSH_AUTH_SOCK").arg("-F").arg(&self.config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}
