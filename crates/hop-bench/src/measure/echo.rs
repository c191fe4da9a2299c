//! A keystroke beside a download: how long its echo takes on a narrow line that another session keeps full.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use hop_testkit::{Delay, DelayLine};

use super::forward::Client;
use super::{Judged, Measurement, Row, Work, compare};
use crate::error::Error;
use crate::figures::Goal;
use crate::lab::{Cipher, Lab};
use crate::server::{Kind, Running};

/// Keystrokes that are timed, after as many that are not as fill the line.
const KEYSTROKES: usize = 100;
const WARM_UP: usize = 10;
/// Between an echo and the next keystroke: a fast typist.
const PAUSE: Duration = Duration::from_millis(30);

pub(super) fn measurement() -> Measurement {
    Measurement {
        name: "echo",
        title: "echo beside a download",
        what: "one byte there and back through `cat` in a second session, while the first downloads over a line of \
               10 MB/s and 20 ms there and back",
        bound: "what is already on its way: the line's own buffers and the kernel's.",
        work: Work::Own(run),
    }
}

fn run(lab: &Lab, rounds: usize) -> Result<Vec<Row>, Error> {
    let (ours, theirs) = compare(rounds, |kind| one(lab, kind))?;
    let at =
        |times: &[Vec<f64>], share: f64| times.iter().map(|all| percentile(all, share)).collect::<Vec<_>>();
    Ok([("p50", 0.5, None), ("p95", 0.95, Some(Goal::AtMost(1.5)))]
        .map(|(figure, share, goal)| Row {
            variant: Cipher::ALL.first().map_or("", |cipher| cipher.short()).to_owned(),
            figure: figure.to_owned(),
            unit: " ms",
            ours: at(&ours, share),
            theirs: at(&theirs, share),
            goal,
            judged: Judged::Ratio,
        })
        .into())
}

/// The times of one run, in milliseconds.
fn one(lab: &Lab, kind: Kind) -> Result<Vec<f64>, Error> {
    let cipher = *Cipher::ALL.first().ok_or(Error::Unexpected("there is no cipher"))?;
    let server = Running::start(lab, kind)?;
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    let line =
        DelayLine::start(target, Delay::wide_area()).map_err(Error::system("starting a delay line"))?;
    lab.remove("master")?;
    let start = |command: &mut std::process::Command| {
        command.spawn().map(Client).map_err(|source| Error::Start { program: "ssh".into(), source })
    };
    let mut master = lab.client_at("ssh", line.address().port(), cipher)?;
    master.arg("-S").arg(lab.path("master"));
    master.args(["-M", "-N", "-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo ready", "server"]);
    let mut held = start(master.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let said = held.0.stdout.take().ok_or(Error::Unexpected("ssh has no standard output"))?;
    let mut word = String::new();
    BufReader::new(said).read_line(&mut word).map_err(Error::system("reading what ssh says"))?;

    let mut download = lab.client_at("ssh", line.address().port(), cipher)?;
    download.arg("-S").arg(lab.path("master")).args(["server", "cat /dev/zero"]);
    let null = File::create("/dev/null").map_err(Error::system("opening /dev/null"))?;
    let _download = start(download.stdin(Stdio::null()).stdout(null))?;

    let mut typing = lab.client_at("ssh", line.address().port(), cipher)?;
    typing.arg("-S").arg(lab.path("master")).args(["server", "cat"]);
    let mut typing = start(typing.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let mut keys = typing.0.stdin.take().ok_or(Error::Unexpected("ssh has no standard input"))?;
    let mut screen = typing.0.stdout.take().ok_or(Error::Unexpected("ssh has no standard output"))?;
    let mut times = Vec::new();
    for keystroke in 0..WARM_UP + KEYSTROKES {
        let pressed = Instant::now();
        keys.write_all(b"x").map_err(Error::system("typing"))?;
        let mut echo = [0];
        screen.read_exact(&mut echo).map_err(Error::system("reading the echo"))?;
        if keystroke >= WARM_UP {
            times.push(pressed.elapsed().as_secs_f64() * 1000.0);
        }
        std::thread::sleep(PAUSE);
    }
    drop((typing, held));
    server.stop()?;
    eprintln!("echo {kind}: p50 {:.1} ms, p95 {:.1} ms", percentile(&times, 0.5), percentile(&times, 0.95));
    Ok(times)
}

fn percentile(times: &[f64], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(index.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_by_rank() {
        let times: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((percentile(&times, 0.5), percentile(&times, 0.95)), (50.0, 95.0));
        assert_eq!(percentile(&[7.0], 0.95), 7.0);
    }
}
