//! What a WebSocket costs: `hop proxy` straight to `hop endpoint --websocket`, beside ssh's own TCP to the same endpoint.

use std::process::{Command, Stdio};

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
/// The hosts of the clients' configuration: through a WebSocket, and without.
const HOSTS: [&str; 2] = ["websocket", "tcp"];

/// What passes in one round of one side; the wall, in seconds.
type Run = fn(&Lab, &Endpoint, &str) -> Result<f64, Error>;

pub(super) fn measurements() -> [Measurement; 5] {
    let measurement =
        |name, title, what, bound, run| Measurement { name, title, what, bound, work: Work::Own(run) };
    const COPIES: &str = "`hop proxy`, a process more between ssh and the endpoint: every byte passes a pipe and a socket more. That takes 0.1 s \
         (get) to 0.2 s (put, masked) of processor time for 200 MB, most of it in the kernel's copies, on cores that ssh and \
         the endpoint fill already; for small files it is two wake-ups more for each question and its answer.";
    [
        measurement(
            "link-connect",
            "connect through a WebSocket",
            "`ssh server true`, 20 times one after the other; per connection",
            "ssh's starting a shell for its ProxyCommand, and the start of `hop proxy`.",
            |lab, rounds| {
                let run: Run = |_, endpoint, host| {
                    let mut command = endpoint.client("ssh");
                    command.args([host, "true"]);
                    connections(&mut command, CONNECTIONS)
                };
                compared(lab, rounds, "link-connect", (" ms", 1000.0 / CONNECTIONS as f64), run)
            },
        ),
        measurement("link-get", "sftp get through a WebSocket", "200 MB by `sftp`", COPIES, |lab, rounds| {
            make_payload(lab)?;
            let run: Run =
                |lab, endpoint, host| copy_payload(lab, endpoint.client("sftp"), host, Direction::Get);
            compared(lab, rounds, "link-get", (" s", 1.0), run)
        }),
        measurement("link-put", "sftp put through a WebSocket", "200 MB by `sftp`", COPIES, |lab, rounds| {
            make_payload(lab)?;
            let run: Run =
                |lab, endpoint, host| copy_payload(lab, endpoint.client("sftp"), host, Direction::Put);
            compared(lab, rounds, "link-put", (" s", 1.0), run)
        }),
        measurement(
            "link-get-many",
            "sftp get -r through a WebSocket",
            "1,000 files of 4 KiB",
            COPIES,
            |lab, rounds| {
                make_files(lab)?;
                let run: Run =
                    |lab, endpoint, host| copy_files(lab, endpoint.client("sftp"), host, Direction::Get);
                compared(lab, rounds, "link-get-many", (" s", 1.0), run)
            },
        ),
        measurement(
            "link-put-many",
            "sftp put -r through a WebSocket",
            "1,000 files of 4 KiB",
            COPIES,
            |lab, rounds| {
                make_files(lab)?;
                let run: Run =
                    |lab, endpoint, host| copy_files(lab, endpoint.client("sftp"), host, Direction::Put);
                compared(lab, rounds, "link-put-many", (" s", 1.0), run)
            },
        ),
    ]
}

fn compared(
    lab: &Lab,
    rounds: usize,
    name: &str,
    (unit, factor): (&'static str, f64),
    run: Run,
) -> Result<Vec<Row>, Error> {
    let endpoint = Endpoint::start(lab)?;
    let [ours, theirs] =
        in_turns(name, rounds, HOSTS, |host| run(lab, &endpoint, host).map(|wall| wall * factor))?;
    Ok(vec![Row {
        variant: "plain TCP".to_owned(),
        figure: "wall".to_owned(),
        unit,
        ours,
        theirs,
        goal: Some(Goal::AtMost(1.1)),
        judged: Judged::Ratio,
    }])
}

/// What `hop endpoint --json` prints: addresses of TCP, URLs of WebSockets.
#[derive(Deserialize)]
struct Listening {
    listen: Vec<String>,
}

/// An endpoint that listens for both; it ends with this.
struct Endpoint {
    _program: Program,
    config: std::path::PathBuf,
}

impl Endpoint {
    fn start(lab: &Lab) -> Result<Self, Error> {
        let mut command = lab.server_command(Kind::Hop, 0);
        command.args(["--websocket", "127.0.0.1:0"]);
        let (program, listening) =
            Program::start(command, |line| serde_json::from_str::<Listening>(line).ok())?;
        let (urls, addresses): (Vec<_>, Vec<_>) =
            listening.listen.into_iter().partition(|place| place.starts_with("ws://"));
        let (Some(url), Some(address)) = (urls.first(), addresses.first()) else {
            return Err(Error::Unexpected("an endpoint that listens nowhere"));
        };
        let port = address.rsplit(':').next().unwrap_or_default();
        let config = lab.path("link_config");
        let text = format!(
            "Host websocket\n  ProxyCommand {} proxy {url}\nHost *\n  HostName 127.0.0.1\n  Port {port}\n  User {}\n{}",
            lab.path("bin/hop").display(),
            lab.account.name,
            common(lab),
        );
        std::fs::write(&config, text).map_err(Error::file(&config))?;
        Ok(Self { _program: program, config })
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_remove("SSH_AUTH_SOCK").arg("-F").arg(&self.config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}
