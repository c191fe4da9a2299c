//! SSH into a Jupyter server, ours with `hop proxy` beside jupyter-sshd-proxy with websocat, through one Hub.

use std::path::Path;
use std::process::Command;

use super::out::in_turns;
use super::{Judged, Measurement, Row, Work, timed};
use crate::error::Error;
use crate::figures::Goal;
use crate::hub::{Beside, Side};
use crate::lab::Lab;
use crate::process::finish;

/// Connections of one round of one side, one after the other.
const CONNECTIONS: usize = 5;
/// How many small files there are, each of 4 KiB.
const FILES: usize = 1000;

const TRANSFER_BOUND: &str = "the Hub's proxy, which both ways have in common: one thread of JavaScript, see its CPU; beside it ssh, `hop proxy` and \
     the SSH server want a core each. The Jupyter server carries nothing on our side. A run of the other that takes seconds \
     longer is one in which websocat kept the last bytes to itself.";
const FILES_BOUND: &str = "`sftp` waits for four or five answers for each file, one after the other. Each question and answer passes five processes, \
     of which ours are `hop proxy` and the SSH server; ssh, sftp and the Hub's proxy, one thread of JavaScript, are the same for \
     both ways. The Jupyter server's Python, which the connection has left, is no longer among them on our side.";

pub(super) fn measurements() -> Vec<Measurement> {
    let measurement =
        |name, title, what, bound, run| Measurement { name, title, what, bound, work: Work::Own(run) };
    vec![
        measurement(
            "jupyter-connect",
            "connect through the Hub",
            "`ssh server true`, 5 times one after the other; per connection",
            "the Hub's proxy and the Jupyter server, which asks the Hub who comes; ssh's own start and cryptography.",
            connect,
        ),
        measurement(
            "jupyter-get",
            "sftp get through the Hub",
            "200 MB by `sftp`",
            TRANSFER_BOUND,
            |lab, rounds| large(lab, rounds, "jupyter-get", Direction::Get),
        ),
        measurement(
            "jupyter-put",
            "sftp put through the Hub",
            "200 MB by `sftp`",
            TRANSFER_BOUND,
            |lab, rounds| large(lab, rounds, "jupyter-put", Direction::Put),
        ),
        measurement(
            "jupyter-get-many",
            "sftp get -r through the Hub",
            "1,000 files of 4 KiB",
            FILES_BOUND,
            |lab, rounds| many(lab, rounds, "jupyter-get-many", Direction::Get),
        ),
        measurement(
            "jupyter-put-many",
            "sftp put -r through the Hub",
            "1,000 files of 4 KiB",
            FILES_BOUND,
            |lab, rounds| many(lab, rounds, "jupyter-put-many", Direction::Put),
        ),
    ]
}

/// Which way files go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Direction {
    Get,
    Put,
}

impl Direction {
    fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
        }
    }
}

/// What one run took, in seconds.
#[derive(Debug, Clone, Copy)]
struct Took {
    wall: f64,
    proxy: f64,
    jupyter: f64,
    ssh: f64,
}

/// A run with the processor times beside it.
fn took(beside: &Beside, side: Side, run: impl FnOnce() -> Result<f64, Error>) -> Result<Took, Error> {
    let before = beside.clocks(side)?;
    let wall = run()?;
    let after = beside.clocks(side)?;
    Ok(Took {
        wall,
        proxy: after.proxy - before.proxy,
        jupyter: after.jupyter - before.jupyter,
        ssh: after.ssh - before.ssh,
    })
}

fn connect(lab: &Lab, rounds: usize) -> Result<Vec<Row>, Error> {
    let beside = Beside::open(lab)?;
    let found = in_turns("jupyter-connect", rounds, Side::BOTH, |side| {
        took(&beside, *side, || {
            let mut command = beside.client("ssh");
            command.args([side.name(), "true"]);
            connections(&mut command, CONNECTIONS)
        })
    })?;
    let each = 1000.0 / CONNECTIONS as f64;
    let mut rows = vec![row("wall", " ms", &found, |took| took.wall * each, Some(Goal::AtMost(0.6)))];
    rows.extend(processors(&found, " ms", each));
    Ok(rows)
}

fn large(lab: &Lab, rounds: usize, name: &str, direction: Direction) -> Result<Vec<Row>, Error> {
    let size = make_payload(lab)?;
    let beside = Beside::open(lab)?;
    let found = in_turns(name, rounds, Side::BOTH, |side| {
        took(&beside, *side, || copy_payload(lab, beside.client("sftp"), side.name(), direction))
    })?;
    let megabytes = size as f64 / 1e6;
    let mut rows = vec![row("rate", " MB/s", &found, |took| megabytes / took.wall, Some(Goal::AtLeast(1.5)))];
    rows.extend(processors(&found, " s", 1.0));
    Ok(rows)
}

fn many(lab: &Lab, rounds: usize, name: &str, direction: Direction) -> Result<Vec<Row>, Error> {
    make_files(lab)?;
    let beside = Beside::open(lab)?;
    let found = in_turns(name, rounds, Side::BOTH, |side| {
        took(&beside, *side, || copy_files(lab, beside.client("sftp"), side.name(), direction))
    })?;
    let files = FILES as f64;
    let mut rows = vec![row("rate", " files/s", &found, |took| files / took.wall, Some(Goal::AtLeast(3.0)))];
    rows.extend(processors(&found, " s", 1.0));
    Ok(rows)
}

fn processors(found: &[Vec<Took>; 2], unit: &'static str, factor: f64) -> [Row; 3] {
    [
        row("CPU of the Hub's proxy", unit, found, |took| took.proxy * factor, None),
        row("CPU of the Jupyter server", unit, found, |took| took.jupyter * factor, None),
        row("CPU of the SSH server", unit, found, |took| took.ssh * factor, None),
    ]
}

fn row(
    figure: &str,
    unit: &'static str,
    [ours, theirs]: &[Vec<Took>; 2],
    of: impl Fn(&Took) -> f64,
    goal: Option<Goal>,
) -> Row {
    Row {
        variant: "jupyter-sshd-proxy, websocat".to_owned(),
        figure: figure.to_owned(),
        unit,
        ours: ours.iter().map(&of).collect(),
        theirs: theirs.iter().map(&of).collect(),
        goal,
        judged: Judged::Ratio,
    }
}

/// So many runs, one after the other; their wall, in seconds.
pub(super) fn connections(command: &mut Command, count: usize) -> Result<f64, Error> {
    timed(|| {
        for _ in 0..count {
            finish(command)?;
        }
        Ok(())
    })
}

/// The large file of this chapter, 200 MB or, in a quick run, what there is; its size.
pub(super) fn make_payload(lab: &Lab) -> Result<u64, Error> {
    let path = lab.path("payload");
    std::fs::copy(lab.path("large"), &path).map_err(Error::file(&path))?;
    let size = lab.sizes.large.min(200_000_000);
    let file = std::fs::File::options().write(true).open(&path).map_err(Error::file(&path))?;
    file.set_len(size).map_err(Error::file(&path))?;
    Ok(size)
}

/// Copies it by sftp, over nothing; the wall, in seconds.
pub(super) fn copy_payload(lab: &Lab, sftp: Command, host: &str, direction: Direction) -> Result<f64, Error> {
    let _ = lab.empty_folder("copied", true)?;
    let wall = batch(
        lab,
        sftp,
        host,
        &format!("{} {} {}\n", direction.word(), shown(lab, "payload"), shown(lab, "copied/payload")),
    )?;
    let size = |path: &Path| std::fs::metadata(path).map(|data| data.len()).map_err(Error::file(path));
    let (wanted, got) = (size(&lab.path("payload"))?, size(&lab.path("copied/payload"))?);
    if got == wanted { Ok(wall) } else { Err(Error::Short { what: "sftp", wanted, got }) }
}

/// The small files of this chapter.
pub(super) fn make_files(lab: &Lab) -> Result<(), Error> {
    let folder = lab.empty_folder("files", false)?;
    for number in 0..FILES {
        let path = folder.join(format!("file-{number:04}"));
        std::fs::write(&path, [b'x'; 4096]).map_err(Error::file(&path))?;
    }
    Ok(())
}

/// Copies them by sftp, over nothing; the wall, in seconds.
pub(super) fn copy_files(lab: &Lab, sftp: Command, host: &str, direction: Direction) -> Result<f64, Error> {
    let _ = lab.empty_folder("copied", true)?;
    let wall = batch(
        lab,
        sftp,
        host,
        &format!("{} -r {} {}\n", direction.word(), shown(lab, "files"), shown(lab, "copied")),
    )?;
    let copied = lab.path("copied/files");
    let got = std::fs::read_dir(&copied).map_err(Error::file(&copied))?.count();
    if got == FILES { Ok(wall) } else { Err(Error::Unexpected("sftp did not copy all files")) }
}

fn batch(lab: &Lab, mut sftp: Command, host: &str, lines: &str) -> Result<f64, Error> {
    let path = lab.path("batch");
    std::fs::write(&path, lines).map_err(Error::file(&path))?;
    sftp.arg("-b").arg(&path).arg(host);
    timed(|| finish(&mut sftp).map(drop))
}

fn shown(lab: &Lab, name: &str) -> String {
    lab.path(name).display().to_string()
}
