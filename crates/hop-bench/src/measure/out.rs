//! The way out: commands over a login that is held, by `hop exec` and by ssh over its own ControlMaster.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Judged, Measurement, Row, Work, timed};
use crate::error::Error;
use crate::figures::{Goal, median};
use crate::held::Held;
use crate::lab::Lab;
use crate::process::finish;

/// Commands of one round of one side, one after the other.
const COUNT: usize = 20;
/// Commands of one round of one side, and how many of them at once.
const MANY: usize = 200;
const AT_ONCE: usize = 50;

/// Runs `true` on the server once.
type Run<'r> = &'r (dyn Fn() -> Result<(), Error> + Sync);

pub(super) fn measurements() -> Vec<Measurement> {
    vec![
        Measurement {
            name: "out-exec",
            title: "`hop exec`",
            what: "`hop exec server -- true` beside `ssh -o ControlPath=… server true`, each over a master of its own to the same sshd, \
                   20 times one after the other; the median of each round",
            bound: "the start of a program, on top of what the session takes without one (below). Of the 2 ms that `hop --version` takes here, \
                    0.8 are what any program takes (on a virtual machine the loader's questions to the processor are slow), and 145 of \
                    the 321 page faults of `hop exec` are the relocation of a program whose place in memory is left to chance, which \
                    is not given up for speed.",
            work: Work::Own(exec),
        },
        Measurement {
            name: "out-many",
            title: "200 commands, 50 at once",
            what: "the same, 50 at a time; the wall of all",
            bound: "the session itself, which both wait for (below), and the start of a program: what the goal leaves beyond the session \
                    is no more than the start of `/bin/true` takes.",
            work: Work::Own(many),
        },
        Measurement {
            name: "out-floor",
            title: "sessions without a program",
            what: "the same two with nothing in the place of `hop exec`: the benchmark itself asks ssh's own master for the sessions \
                   (PROTOCOL.mux). What is left is ssh's master, sshd and the command: no program that is started for each command, \
                   and uses a session for each, can take less",
            bound: "",
            work: Work::Own(floor),
        },
        Measurement {
            name: "out-ensure",
            title: "`ssh` that asks `hop ensure`",
            what: "what the block of `hop ssh-config` adds to `ssh server true` on a held connection: the same ssh with the block, less \
                   the same ssh with its ControlPath alone (both started by bwrap, which shows them their configuration); medians of 20 in each round",
            bound: "starting a shell and hop.",
            work: Work::Own(ensure),
        },
    ]
}

fn exec(lab: &Lab, rounds: usize) -> Result<Vec<Row>, Error> {
    let held = Held::open(lab)?;
    let sides: [Run<'_>; 2] = [&|| by_hop(&held), &|| by_openssh(&held)];
    let [ours, theirs] = in_turns("out-exec", rounds, sides, one_by_one)?;
    Ok(vec![compared("p50", " ms", ours, theirs, Some(Goal::AtMost(0.6)))])
}

fn many(lab: &Lab, rounds: usize) -> Result<Vec<Row>, Error> {
    let held = Held::open(lab)?;
    let sides: [Run<'_>; 2] = [&|| by_hop(&held), &|| by_openssh(&held)];
    let [ours, theirs] = in_turns("out-many", rounds, sides, at_once)?;
    Ok(vec![compared("wall", " s", ours, theirs, Some(Goal::AtMost(0.4)))])
}

fn floor(lab: &Lab, rounds: usize) -> Result<Vec<Row>, Error> {
    let held = Held::open(lab)?;
    let sides: [Run<'_>; 2] = [&|| held.by_nothing(), &|| by_openssh(&held)];
    let [one, by_ssh] = in_turns("out-floor, one by one", rounds, sides, one_by_one)?;
    let [many, many_by_ssh] = in_turns("out-floor, 50 at once", rounds, sides, at_once)?;
    Ok(vec![
        compared("p50", " ms", one, by_ssh, None),
        compared("wall of 200, 50 at once", " s", many, many_by_ssh, None),
    ])
}

fn by_hop(held: &Held<'_>) -> Result<(), Error> {
    finish(&mut held.by_hop()).map(drop)
}

fn by_openssh(held: &Held<'_>) -> Result<(), Error> {
    finish(&mut held.by_openssh()).map(drop)
}

fn ensure(lab: &Lab, rounds: usize) -> Result<Vec<Row>, Error> {
    let held = Held::open(lab)?;
    let (with, without) = (held.write_block(true)?, held.write_block(false)?);
    let run = |folder: &Path| finish(&mut held.by_openssh_over_ours(folder)?).map(drop);
    let sides: [Run<'_>; 2] = [&|| run(&with), &|| run(&without)];
    let [with, without] = in_turns("out-ensure", rounds, sides, one_by_one)?;
    let added = with.iter().zip(&without).map(|(with, without)| with - without).collect();
    Ok(vec![Row {
        variant: "aes256-gcm".to_owned(),
        figure: "p50".to_owned(),
        unit: " ms",
        ours: added,
        theirs: Vec::new(),
        goal: Some(Goal::AtMost(10.0)),
        judged: Judged::Value,
    }])
}

fn compared(figure: &str, unit: &'static str, ours: Vec<f64>, theirs: Vec<f64>, goal: Option<Goal>) -> Row {
    Row {
        variant: "aes256-gcm".to_owned(),
        figure: figure.to_owned(),
        unit,
        ours,
        theirs,
        goal,
        judged: Judged::Ratio,
    }
}

/// All sides in each round; whoever was second goes first in the next. Once before, uncounted: what is read from disk is
/// read then, and how many sessions fit is found out.
pub(super) fn in_turns<S, T: std::fmt::Debug, const N: usize>(
    name: &str,
    rounds: usize,
    mut sides: [S; N],
    mut run: impl FnMut(&mut S) -> Result<T, Error>,
) -> Result<[Vec<T>; N], Error> {
    let mut found = [const { Vec::new() }; N];
    for side in &mut sides {
        run(side)?;
    }
    for round in 0..rounds {
        for turn in 0..N {
            let which = (round + turn) % N;
            let (Some(side), Some(values)) = (sides.get_mut(which), found.get_mut(which)) else { continue };
            let value = run(side)?;
            eprintln!("{name}, side {}: {value:.3?}", which + 1);
            values.push(value);
        }
    }
    Ok(found)
}

/// The median of some runs, in milliseconds.
fn one_by_one(run: &mut Run<'_>) -> Result<f64, Error> {
    let mut walls = Vec::new();
    for _ in 0..COUNT {
        walls.push(timed(*run)? * 1000.0);
    }
    Ok(median(&walls))
}

/// The wall of many runs, some at a time, in seconds.
fn at_once(run: &mut Run<'_>) -> Result<f64, Error> {
    let (begun, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let work = || {
        while begun.fetch_add(1, Ordering::Relaxed) < MANY {
            if let Err(error) = run() {
                *failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
            }
        }
    };
    let wall = timed(|| {
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(work);
            }
        });
        Ok(())
    })?;
    match failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(wall),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_take_turns_after_a_round_that_does_not_count() {
        let mut order = Vec::new();
        let [ours, theirs] = in_turns("test", 3, [1, 2], |side| {
            order.push(*side);
            Ok(f64::from(*side))
        })
        .unwrap();
        assert_eq!(order, [1, 2, 1, 2, 2, 1, 1, 2]);
        assert_eq!((ours, theirs), (vec![1.0; 3], vec![2.0; 3]));
    }
}
