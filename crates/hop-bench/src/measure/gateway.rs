//! The gateway beside what it stands between: the project reached directly, and through an sshd as a jump host.

use std::fs::File;
use std::process::{Command, Stdio};

use hop_ssh::connection::Limits;
use hop_testkit::client::Client;

use super::{Judged, Measurement, Row, Work, timed};
use crate::error::Error;
use crate::figures::Goal;
use crate::lab::Lab;
use crate::process::finish;
use crate::site::{PROJECT, Site, Way, Ways};

/// Logins of one round of one way.
const LOGINS: usize = 20;
/// Sessions that are made, and ended, before memory is read for the first time.
const WARM_UP: usize = 8;

pub(super) fn measurements() -> Vec<Measurement> {
    vec![
        Measurement {
            name: "gateway-download",
            title: "download",
            what: "`ssh project cat FILE > /dev/null` of 1 GiB. The relay is the gateway's engine with a second leg that is \
                   SSH, too, as a test program: the gateway itself has no such legs yet",
            bound: "processor time: on two cores no wall is below half of the CPU of all. The gateway reads the program's pipe itself, \
                    so that what the direct endpoint does (AES, TCP over loopback, waking the client) is done once, by the \
                    gateway in its place; what comes on top is the first megabyte, which passes through the endpoint. \
                    Where the system's congestion control is BBR, ours is Reno on loopback, both in the gateway and in the \
                    direct endpoint, but not in sshd, which keeps the system's: BBR's timers cost a third of a relay's processor time.",
            work: Work::Own(download),
        },
        Measurement {
            name: "gateway-upload",
            title: "upload",
            what: "`ssh project 'cat > /dev/null' < FILE` of 1 GiB",
            bound: "processor time, as with the download: see `CPU of all`.",
            work: Work::Own(upload),
        },
        Measurement {
            name: "gateway-connect",
            title: "connect and `true`",
            what: "`ssh project true`, 20 times one after the other, the project running; per connection. What is between is \
                   the site's whole process, its records and their log included",
            bound: "three questions to the records and one row, each a change of thread and back, and the way to the keeper and \
                    the endpoint: 2 ms of wall, 1.7 ms of processor time.",
            work: Work::Own(connect),
        },
        Measurement {
            name: "gateway-idle",
            title: "idle session",
            what: "growth of the resident memory of the site's process over 200 sessions in which a command waits, per \
                   session; each on a connection of its own",
            bound: "",
            work: Work::Own(idle),
        },
        Measurement {
            name: "gateway-cold",
            title: "cold start",
            what: "`ssh project true` when the project is stopped: its sandbox is built and its endpoint started",
            bound: "",
            work: Work::Own(cold),
        },
        Measurement {
            name: "gateway-lookup",
            title: "key lookup",
            what: "the one question that a login asks the records, on SQLite: a member's key, and a key and a project that \
                   are not known; medians of 500 with 300,000 keys of 100,000 accounts beside 300 keys of 100 accounts",
            bound: "",
            work: Work::Own(lookup),
        },
    ]
}

/// One run: its wall time, and the processor time of what is between, and of everything.
struct Run {
    wall: f64,
    between: Option<f64>,
    all: Option<f64>,
}

/// Every way in turns; whoever was first goes last in the next round.
fn in_turns(
    name: &str,
    ways: &Ways<'_>,
    rounds: usize,
    mut run: impl FnMut(Way) -> Result<f64, Error>,
) -> Result<Vec<(Way, Vec<Run>)>, Error> {
    let mut order = ways.all();
    let mut found: Vec<(Way, Vec<Run>)> = order.iter().map(|way| (*way, Vec::new())).collect();
    for _ in 0..rounds {
        for &way in &order {
            let before = [ways.cpu_between(way)?, ways.cpu_of_all(way)?];
            let wall = run(way)?;
            let after = [ways.cpu_between(way)?, ways.cpu_of_all(way)?];
            let [between, all] =
                [0, 1].map(|of: usize| Some(after.get(of)?.as_ref()? - before.get(of)?.as_ref()?));
            eprintln!(
                "{name} {}: wall {wall:.3} s, between {:.3} s, all {:.3} s",
                way.name(),
                between.unwrap_or_default(),
                all.unwrap_or_default()
            );
            if let Some((_, runs)) = found.iter_mut().find(|(of, _)| *of == way) {
                runs.push(Run { wall, between, all });
            }
        }
        order.rotate_left(1);
    }
    Ok(found)
}

/// The walls of the gateway beside those of the other ways, then the processor times of what is between.
fn rows(
    found: &[(Way, Vec<Run>)],
    (scale, unit): (f64, &'static str),
    (scale_cpu, unit_cpu): (f64, &'static str),
    goals: &[(Way, Way, &'static str, Goal)],
) -> Vec<Row> {
    let runs = |way: Way| found.iter().find(|(of, _)| *of == way).map_or(&[][..], |(_, runs)| runs);
    let walls = |way| runs(way).iter().map(|run| run.wall * scale).collect::<Vec<_>>();
    let goal = |of: Way, beside: Way, figure: &str| {
        let found = goals.iter().find(|(a, b, name, _)| (*a, *b, *name) == (of, beside, figure));
        found.map(|(_, _, _, goal)| *goal)
    };
    let mut rows = Vec::new();
    for (of, beside) in [(Way::Gateway, Way::Direct), (Way::Gateway, Way::Jump), (Way::Relay, Way::Direct)] {
        if runs(of).is_empty() {
            continue;
        }
        rows.push(Row {
            variant: format!("{} : {}", in_words(of), in_words(beside)),
            figure: "wall".to_owned(),
            unit,
            ours: walls(of),
            theirs: walls(beside),
            goal: goal(of, beside, "wall"),
            judged: Judged::Ratio,
        });
    }
    // What no order of work on the machine's cores can make up for.
    let of_all =
        |way| runs(way).iter().filter_map(|run| run.all).map(|cpu| cpu * scale_cpu).collect::<Vec<_>>();
    if !of_all(Way::Gateway).is_empty() {
        rows.push(Row {
            variant: format!("{} : {}", in_words(Way::Gateway), in_words(Way::Direct)),
            figure: "CPU of all".to_owned(),
            unit: unit_cpu,
            ours: of_all(Way::Gateway),
            theirs: of_all(Way::Direct),
            goal: None,
            judged: Judged::Ratio,
        });
    }
    for way in [Way::Gateway, Way::Relay] {
        let ours: Vec<f64> =
            runs(way).iter().filter_map(|run| run.between).map(|cpu| cpu * scale_cpu).collect();
        if ours.is_empty() {
            continue;
        }
        rows.push(Row {
            variant: in_words(way).to_owned(),
            figure: "CPU between".to_owned(),
            unit: unit_cpu,
            ours,
            theirs: Vec::new(),
            goal: goal(way, way, "cpu"),
            judged: Judged::Value,
        });
    }
    rows
}

fn in_words(way: Way) -> &'static str {
    match way {
        Way::Direct => "direct",
        Way::Gateway => "gateway",
        Way::Jump => "`-J`",
        Way::Relay => "relay, second leg SSH",
    }
}

const OF_STREAMS: &[(Way, Way, &str, Goal)] = &[
    (Way::Gateway, Way::Direct, "wall", Goal::AtMost(1.15)),
    (Way::Gateway, Way::Jump, "wall", Goal::AtMost(0.6)),
    (Way::Gateway, Way::Gateway, "cpu", Goal::AtMost(0.6)),
    (Way::Relay, Way::Relay, "cpu", Goal::AtMost(0.9)),
];

fn stream(
    name: &str,
    lab: &Lab,
    rounds: usize,
    prepare: impl Fn(&mut Command) -> Result<(), Error>,
) -> Result<Vec<Row>, Error> {
    let ways = Ways::open(lab)?;
    let once = |way| {
        let mut command = ways.client("ssh", way);
        prepare(&mut command)?;
        timed(|| finish(&mut command).map(drop))
    };
    // The first connection of each way pays for what is made once.
    for way in ways.all() {
        finish(ways.client("ssh", way).arg("true"))?;
    }
    let found = in_turns(name, &ways, rounds, once)?;
    ways.close()?;
    Ok(rows(&found, (1.0, " s"), (1e9 / lab.sizes.large as f64, " s/GB"), OF_STREAMS))
}

fn download(lab: &Lab, rounds: usize) -> Result<Vec<Row>, Error> {
    stream("download", lab, rounds, |command| {
        command.arg("cat").arg(lab.path("large"));
        Ok(())
    })
}

fn upload(lab: &Lab, rounds: usize) -> Result<Vec<Row>, Error> {
    let path = lab.path("large");
    stream("upload", lab, rounds, |command| {
        command.arg("cat > /dev/null").stdin(File::open(&path).map_err(Error::file(&path))?);
        Ok(())
    })
}

fn connect(lab: &Lab, rounds: usize) -> Result<Vec<Row>, Error> {
    let ways = Ways::open(lab)?;
    let once = |way| {
        let mut command = ways.client("ssh", way);
        command.arg("true");
        timed(|| (0..LOGINS).try_for_each(|_| finish(&mut command).map(drop)))
    };
    for way in ways.all() {
        finish(ways.client("ssh", way).arg("true"))?;
    }
    let found = in_turns("connect", &ways, rounds, once)?;
    ways.close()?;
    let each = (1000.0 / LOGINS as f64, " ms");
    Ok(rows(&found, each, each, &[(Way::Gateway, Way::Direct, "wall", Goal::AtMost(1.15))]))
}

fn idle(lab: &Lab, rounds: usize) -> Result<Vec<Row>, Error> {
    let count = lab.sizes.sessions;
    let mut ours = Vec::new();
    for _ in 0..rounds {
        let site = Site::start(lab, "")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::system("starting a runtime"))?;
        let key = lab.path("user_key");
        let sessions = |count: usize| {
            runtime.block_on(async {
                let mut held = Vec::new();
                for _ in 0..count {
                    let limits = Limits::default();
                    let client = Client::log_in(site.ssh, PROJECT, &key, limits).await;
                    let client = client.map_err(|error| Error::Client(error.to_string()))?;
                    let channel = client.exec("exec cat").await;
                    held.push((channel.map_err(|error| Error::Client(error.to_string()))?, client));
                }
                Ok::<_, Error>(held)
            })
        };
        drop(sessions(WARM_UP)?);
        let before = site.memory()?;
        let held = sessions(count)?;
        let grown = site.memory()?.saturating_sub(before) as f64 / 1024.0 / count as f64;
        eprintln!("idle: {grown:.1} KiB");
        ours.push(grown);
        drop(held);
        drop(runtime);
        site.stop()?;
    }
    Ok(vec![Row {
        variant: String::new(),
        figure: "memory".to_owned(),
        unit: " KiB",
        ours,
        theirs: Vec::new(),
        goal: Some(Goal::AtMost(80.0)),
        judged: Judged::Value,
    }])
}

fn cold(lab: &Lab, rounds: usize) -> Result<Vec<Row>, Error> {
    let site = Site::start(lab, "stop_after = \"1s\"")?;
    let mut ours = Vec::new();
    let login = || {
        let mut command = Ways::to_gateway(lab, &site)?;
        command.arg("true");
        timed(|| finish(&mut command).map(drop))
    };
    // The first makes the home.
    login()?;
    for _ in 0..rounds {
        site.wait_for_quiet()?;
        ours.push(login()? * 1000.0);
    }
    site.stop()?;
    Ok(vec![Row {
        variant: "gateway".to_owned(),
        figure: "wall".to_owned(),
        unit: " ms",
        ours,
        theirs: Vec::new(),
        goal: None,
        judged: Judged::Value,
    }])
}

/// Which questions, as the store's own measurement names them.
const QUESTIONS: [&str; 2] = ["member, project by id", "both unknown"];

fn lookup(lab: &Lab, rounds: usize) -> Result<Vec<Row>, Error> {
    let program = lab.lookup.as_ref().ok_or(Error::Unexpected("--lookup names no program"))?;
    let [few, many] = [100.to_string(), lab.sizes.accounts.to_string()];
    let mut command = Command::new(program);
    command.args(["--sqlite-only", "--rounds", &rounds.to_string(), &few, &many]);
    // Its databases lie in memory, as all files of these measurements.
    command.env("TMPDIR", lab.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let said = finish(&mut command)?;
    let medians =
        QUESTIONS.map(|question| [&few, &many].map(|accounts| medians_of(&said, accounts, question)));
    if medians.iter().flatten().any(|medians| medians.len() != rounds) {
        return Err(Error::Unexpected("the lookup's table lacks a row"));
    }
    let rows = QUESTIONS.iter().zip(medians).map(|(question, [few, many])| Row {
        variant: (*question).to_owned(),
        figure: "100,000 : 100 accounts".to_owned(),
        unit: " µs",
        ours: many,
        theirs: few,
        goal: Some(Goal::AtMost(1.5)),
        judged: Judged::Ratio,
    });
    Ok(rows.collect())
}

/// The medians of a question in the table that the store's measurement prints, round by round.
fn medians_of(said: &str, accounts: &str, question: &str) -> Vec<f64> {
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim).skip(2);
        let is_it = cells.next() == Some(accounts) && cells.nth(1) == Some(question);
        if is_it { cells.next()?.parse().ok() } else { None }
    };
    said.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_found_in_the_table() {
        let said = "| database | accounts | keys | question | median µs | 95 % µs |\n|---|---|---|---|---|---|\n\
                    | SQLite | 100 | 300 | unknown key | 41 | 50 |\n| SQLite | 100 | 300 | both unknown | 43 | 51 |\n";
        assert_eq!(medians_of(said, "100", "both unknown"), [43.0]);
        assert!(medians_of(said, "1000", "both unknown").is_empty());
    }

    #[test]
    fn every_comparison_has_its_row_and_its_goal() {
        let run = |wall, between, all| vec![Run { wall, between, all }];
        let found = [
            (Way::Direct, run(1.0, None, Some(1.9))),
            (Way::Gateway, run(1.1, Some(0.5), Some(2.1))),
            (Way::Jump, run(2.0, None, None)),
            (Way::Relay, run(1.3, Some(0.8), Some(2.3))),
        ];
        let rows = rows(&found, (1.0, " s"), (2.0, " s/GB"), OF_STREAMS);
        let told: Vec<_> =
            rows.iter().map(|row| (row.variant.as_str(), row.is_met(), row.is_missed())).collect();
        let expected = [
            ("gateway : direct", true, false),
            ("gateway : `-J`", true, false),
            ("relay, second leg SSH : direct", false, false),
            ("gateway : direct", false, false),
            ("gateway", false, true),
            ("relay, second leg SSH", false, true),
        ];
        assert_eq!(told, expected);
    }
}
