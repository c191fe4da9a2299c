//! An upload over a long way, through a connection that is held: where windows count.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use super::forward::Client;
use super::{Measurement, Scale, Work, timed};
use crate::error::Error;
use crate::figures::{Figure, Goal};
use crate::lab::{Cipher, LONG_LINE, Lab};
use crate::process::finish;
use crate::server::{Kind, Running};

const ONE_WAY: Duration = Duration::from_millis(10);

pub(super) fn measurement() -> Measurement {
    Measurement {
        name: "long-line",
        title: "upload at 20 ms",
        what: "512 MiB through a held ControlMaster over a delay line with 20 ms there and back and no other limit",
        bound: "the client, and how soon the window has grown.",
        // Three times the rate is a third of the time.
        work: Work::Compared {
            run,
            scale: Scale::Bytes(LONG_LINE),
            goals: &[(Figure::Wall, Goal::AtMost(0.333))],
        },
    }
}

fn run(lab: &Lab, _: Kind, cipher: Cipher, server: &Running) -> Result<f64, Error> {
    let line = crate::line::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())), ONE_WAY)?;
    lab.remove("master")?;
    let mut master = lab.client_at("ssh", line.port(), cipher)?;
    master.arg("-S").arg(lab.path("master"));
    master.args(["-M", "-N", "-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo ready", "server"]);
    master.stdin(Stdio::null()).stdout(Stdio::piped());
    let child = master.spawn().map_err(|source| Error::Start { program: "ssh".into(), source })?;
    let mut held = Client(child);
    let said = held.0.stdout.take().ok_or(Error::Unexpected("ssh has no standard output"))?;
    let mut word = String::new();
    BufReader::new(said).read_line(&mut word).map_err(Error::system("reading what ssh says"))?;
    if word.trim() != "ready" {
        return Err(Error::Unexpected("the master ended before it could be used"));
    }
    let source = lab.path("half");
    if !source.exists() {
        make_source(lab)?;
    }
    let mut command = lab.client_at("ssh", line.port(), cipher)?;
    command.arg("-S").arg(lab.path("master")).args(["server", "cat > /dev/null"]);
    command.stdin(File::open(&source).map_err(Error::file(&source))?);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    timed(|| finish(&mut command).map(drop))
}

fn make_source(lab: &Lab) -> Result<(), Error> {
    let path = lab.path("half");
    let file = File::create(&path).map_err(Error::file(&path))?;
    // A hole reads as zeros, which an uncompressed stream does not mind.
    file.set_len(LONG_LINE).map_err(Error::file(&path))
}
