//! The list of what is measured, and how a comparison is run.

mod connect;
mod echo;
mod engine;
mod forward;
mod gateway;
mod idle;
mod jupyter;
mod link;
mod long_line;
mod out;
mod sftp;
mod stream;

use std::time::Instant;

use crate::error::Error;
use crate::figures::{Cost, Figure, Goal, median, ratio};
use crate::lab::{Cipher, Lab};
use crate::process::children_cpu;
use crate::server::{Kind, Running};

/// Starts and stops that tell what a server costs that serves nobody.
const IDLE_RUNS: usize = 5;

/// Something to measure.
pub(crate) struct Measurement {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    title: &'static str,
    what: &'static str,
    /// Said when a goal is missed.
    bound: &'static str,
    work: Work,
}

/// How it is measured.
enum Work {
    /// Both servers in turns, for each cipher.
    Compared {
        run: fn(&Lab, Kind, Cipher, &Running) -> Result<f64, Error>,
        scale: Scale,
        goals: &'static [(Figure, Goal)],
    },
    /// Anything else.
    Own(fn(&Lab, usize) -> Result<Vec<Row>, Error>),
}

/// In which units a comparison is told.
#[derive(Clone, Copy)]
enum Scale {
    /// Milliseconds for each of so many.
    Each(usize),
    /// Walls in seconds, CPU in seconds for 10^9 bytes.
    Bytes(u64),
    /// The same for the large file's.
    Large,
    /// Seconds.
    Whole,
}

impl Scale {
    /// With what is known of the files.
    fn of(self, lab: &Lab) -> Self {
        match self {
            Self::Large => Self::Bytes(lab.sizes.large),
            Self::Each(_) | Self::Bytes(_) | Self::Whole => self,
        }
    }
}

/// What a measurement found.
pub(crate) struct Outcome {
    pub(crate) title: &'static str,
    pub(crate) what: &'static str,
    pub(crate) bound: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// One figure, all rounds.
pub(crate) struct Row {
    /// The cipher, or what else differs.
    pub(crate) variant: String,
    pub(crate) figure: String,
    /// With the space before it.
    pub(crate) unit: &'static str,
    pub(crate) ours: Vec<f64>,
    /// Nothing where there is nothing to compare with.
    pub(crate) theirs: Vec<f64>,
    pub(crate) goal: Option<Goal>,
    pub(crate) judged: Judged,
}

/// What a goal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    Ratio,
    Value,
}

impl Row {
    /// Whether it has a goal and reaches it.
    pub(crate) fn is_met(&self) -> bool {
        let value = match self.judged {
            Judged::Ratio => ratio(&self.ours, &self.theirs),
            Judged::Value => median(&self.ours),
        };
        self.goal.is_some_and(|goal| goal.is_met(value))
    }

    /// Whether it has a goal and does not.
    pub(crate) fn is_missed(&self) -> bool {
        self.goal.is_some() && !self.is_met()
    }
}

/// A part of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chapter {
    /// `hop endpoint` beside sshd, and the engine.
    Endpoint,
    /// A gateway beside what it stands between.
    Gateway,
    /// `hop exec` beside ssh over its own ControlMaster.
    Out,
    /// SSH into a Jupyter server beside jupyter-sshd-proxy, and WebSockets beside TCP.
    Jupyter,
}

impl Chapter {
    pub(crate) const ALL: [Self; 4] = [Self::Endpoint, Self::Gateway, Self::Out, Self::Jupyter];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Gateway => "gateway",
            Self::Out => "out",
            Self::Jupyter => "jupyter",
        }
    }

    /// What is in it, in the order of the page.
    pub(crate) fn measurements(self) -> Vec<Measurement> {
        match self {
            Self::Endpoint => of_endpoint(),
            Self::Gateway => gateway::measurements(),
            Self::Out => out::measurements(),
            Self::Jupyter => jupyter::measurements().into_iter().chain(link::measurements()).collect(),
        }
    }
}

/// Everything.
pub(crate) fn all() -> Vec<Measurement> {
    Chapter::ALL.iter().flat_map(|chapter| chapter.measurements()).collect()
}

fn of_endpoint() -> Vec<Measurement> {
    let mut all = vec![connect::measurement()];
    all.extend(stream::measurements());
    all.push(forward::measurement());
    all.extend(sftp::measurements());
    all.push(long_line::measurement());
    all.push(echo::measurement());
    all.push(idle::measurement());
    all.push(engine::measurement());
    all
}

impl Measurement {
    /// Runs it.
    pub(crate) fn run(&self, lab: &Lab, rounds: usize) -> Result<Outcome, Error> {
        let rows = match &self.work {
            Work::Own(run) => run(lab, rounds)?,
            Work::Compared { run, scale, goals } => {
                let mut rows = Vec::new();
                let idle = [idle_cost(lab, Kind::Hop)?, idle_cost(lab, Kind::Sshd)?];
                for cipher in Cipher::ALL {
                    let (ours, theirs) = compare(rounds, |kind| {
                        let idle = if kind == Kind::Hop { idle[0] } else { idle[1] };
                        let cost = cost(lab, kind, idle, |server| run(lab, kind, cipher, server))?;
                        eprintln!(
                            "{} {} {kind}: wall {:.3} s, server {:.3} s, client {:.3} s",
                            self.name,
                            cipher.short(),
                            cost.wall,
                            cost.server,
                            cost.client
                        );
                        Ok(cost)
                    })?;
                    rows.extend(
                        Figure::ALL.map(|figure| row(figure, cipher, scale.of(lab), goals, &ours, &theirs)),
                    );
                }
                rows
            }
        };
        Ok(Outcome { title: self.title, what: self.what, bound: self.bound, rows })
    }
}

fn row(
    figure: Figure,
    cipher: Cipher,
    scale: Scale,
    goals: &[(Figure, Goal)],
    ours: &[Cost],
    theirs: &[Cost],
) -> Row {
    let (factor, unit) = match (scale, figure) {
        (Scale::Each(count), _) => (1000.0 / count as f64, " ms"),
        (Scale::Bytes(count), Figure::ServerCpu | Figure::ClientCpu) => (1e9 / count as f64, " s/GB"),
        (Scale::Bytes(_), Figure::Wall) | (Scale::Whole | Scale::Large, _) => (1.0, " s"),
    };
    let scaled = |costs: &[Cost]| costs.iter().map(|cost| figure.of(cost) * factor).collect();
    Row {
        variant: cipher.short().to_owned(),
        figure: figure.name().to_owned(),
        unit,
        ours: scaled(ours),
        theirs: scaled(theirs),
        goal: goals.iter().find(|(of, _)| *of == figure).map(|(_, goal)| *goal),
        judged: Judged::Ratio,
    }
}

/// Both kinds in turns; whoever was second goes first in the next round.
fn compare<T>(
    rounds: usize,
    mut run: impl FnMut(Kind) -> Result<T, Error>,
) -> Result<(Vec<T>, Vec<T>), Error> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut order = Kind::BOTH;
        order.rotate_left(round % 2);
        for kind in order {
            let result = run(kind)?;
            match kind {
                Kind::Hop => ours.push(result),
                Kind::Sshd => theirs.push(result),
            }
        }
    }
    Ok((ours, theirs))
}

/// Runs something against a server of its own. `run` returns its wall time, since some of what it does is preparation.
fn cost(
    lab: &Lab,
    kind: Kind,
    idle: f64,
    run: impl FnOnce(&Running) -> Result<f64, Error>,
) -> Result<Cost, Error> {
    let server = Running::start(lab, kind)?;
    let before = children_cpu()?;
    let wall = run(&server)?;
    let client = children_cpu()? - before;
    Ok(Cost { wall, server: server.stop()? - idle, client })
}

/// The processor time of a server that is started and stopped, in seconds.
fn idle_cost(lab: &Lab, kind: Kind) -> Result<f64, Error> {
    let mut costs = Vec::new();
    for _ in 0..IDLE_RUNS {
        costs.push(Running::start(lab, kind)?.stop()?);
    }
    Ok(median(&costs))
}

/// How long it takes, in seconds.
fn timed(run: impl FnOnce() -> Result<(), Error>) -> Result<f64, Error> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_take_turns() {
        let mut order = Vec::new();
        let (ours, theirs) = compare(3, |kind| {
            order.push(kind);
            Ok(())
        })
        .unwrap();
        use Kind::{Hop, Sshd};
        assert_eq!(order, [Hop, Sshd, Sshd, Hop, Hop, Sshd]);
        assert_eq!((ours.len(), theirs.len()), (3, 3));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = all().iter().map(|m| m.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
