//! A chapter of the page: ratios first, then what bounds the misses, then every number. A chapter that is written takes its
//! own place; whatever else is on the page stays.

use std::fmt::Write;

use crate::figures::{Goal, median, ratio};
use crate::machine::Machine;
use crate::measure::{Chapter, Judged, Outcome, Row};

/// Titles of the columns that differ: what varies, whose numbers are judged, beside whose.
fn columns(chapter: Chapter) -> [&'static str; 3] {
    match chapter {
        Chapter::Endpoint => ["cipher", "hop", "sshd"],
        Chapter::Gateway => ["what : beside", "first", "second"],
        Chapter::Out => ["cipher", "hop", "ssh"],
        Chapter::Jupyter => ["beside", "hop", "the other"],
    }
}

fn head(chapter: Chapter) -> String {
    let [variant, ours, theirs] = columns(chapter);
    format!(
        "| measurement | {variant} | figure | {ours} | {theirs} | ratio | goal | |\n\
         |---|---|---|---:|---:|---:|---|---|\n"
    )
}

fn introduction(chapter: Chapter, rounds: usize) -> String {
    match chapter {
        Chapter::Endpoint => format!(
            "## The endpoint beside sshd\n\n`hop endpoint` beside OpenSSH's sshd: same machine, same OpenSSH client, same cipher, same key exchange \
         (curve25519-sha256), same account. The two take turns; {rounds} rounds; numbers are medians, ratios are \
         medians of the ratios within a round. CPU is user and system time of the server and everything that it \
         started, less what starting and stopping it costs. sshd: UsePAM no, UseDNS no, one ed25519 key."
        ),
        Chapter::Out => format!(
            "## The way out\n\n`hop exec` over a login that hop holds, beside OpenSSH's `ssh` over a ControlMaster of its own: the \
             same sshd, account and command (`true`), each master an `ssh` with the same configuration. They take turns; {rounds} \
             rounds after one that does not count; numbers are medians, ratios are medians of the ratios within a round."
        ),
        Chapter::Jupyter => format!(
            "## SSH into Jupyter\n\nOne JupyterHub (configurable-http-proxy, simple spawner) with two servers of one person and the \
             same packages: one has our extension and is reached by `hop proxy`, the other has jupyter-sshd-proxy with OpenSSH's \
             sshd and is reached by websocat. Then, without a Hub, one `hop endpoint`: `hop proxy` to its WebSocket beside \
             plain TCP. The same OpenSSH client, cipher (aes256-gcm), key exchange (curve25519-sha256), kind of host key (ed25519), \
             account, login shell without start-up files, and files in memory. They take turns; {rounds} rounds after one that \
             does not count; numbers are medians, ratios are medians of the ratios within a round. CPU is user and system time of \
             one process."
        ),
        Chapter::Gateway => format!(
            "## Through the gateway\n\nA whole site (`hop serve`) with one project that runs. The same OpenSSH client, \
             cipher (aes256-gcm) and key exchange (curve25519-sha256) reach the same sandbox, shell and files: through \
             the gateway, whose second leg is the bare transport; directly, at a `hop endpoint` in the project that \
             listens by itself; and at that endpoint by `ssh -J` through OpenSSH's sshd. They take turns; {rounds} \
             rounds; numbers are medians, ratios are medians of the ratios within a round. CPU between is user and \
             system time of the gateway's process (or the relay's) alone."
        ),
    }
}

/// A chapter.
pub(crate) fn chapter(chapter: Chapter, machine: &Machine, rounds: usize, outcomes: &[Outcome]) -> String {
    let [before, after] = &machine.load;
    let introduction = introduction(chapter, rounds);
    let mut text = format!(
        "{introduction}\n\n\
         - machine: {}, {} cores, Linux {}\n\
         - programs: {}, {}; login shell {}; files in memory: {}\n\
         - {}; load average {before} before and {after} after: anything above 2 on two cores means that other \
         programs were disturbing, and that walls say less than CPU\n\n\
         ### Goals\n\n",
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.hop,
        machine.openssh,
        machine.shell,
        if machine.in_memory { "yes" } else { "no" },
        machine.date,
    );
    text += &head(chapter);
    for outcome in outcomes {
        lines(&mut text, outcome);
    }
    text += "\n### What is measured\n\n";
    for outcome in outcomes {
        let _ = writeln!(text, "- **{}**: {}", outcome.title, outcome.what);
    }
    misses(&mut text, outcomes);
    let [variant, ours, theirs] = columns(chapter);
    let _ = writeln!(
        text,
        "\n### All numbers\n\n<details>\n\n| measurement | {variant} | figure | side | values |\n|---|---|---|---|---|"
    );
    for outcome in outcomes {
        for row in &outcome.rows {
            raw(&mut text, outcome, row, ours, &row.ours);
            raw(&mut text, outcome, row, theirs, &row.theirs);
        }
    }
    text += "\n</details>\n";
    text
}

/// The page with this chapter in its place, or at the end if it had none.
pub(crate) fn with_chapter(page: &str, chapter: Chapter, text: &str) -> String {
    let name = chapter.name();
    let (begin, end) = (format!("<!-- chapter {name} -->\n"), format!("<!-- end of chapter {name} -->\n"));
    let whole = format!("{begin}{}\n{end}", text.trim_end());
    let found = page.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    match found {
        Some((before, after)) => format!("{before}{whole}{after}"),
        None => format!("{}\n\n{whole}", page.trim_end()),
    }
}

/// The table alone, for the terminal.
pub(crate) fn summary(chapter: Chapter, outcomes: &[Outcome]) -> String {
    let mut text = head(chapter);
    for outcome in outcomes {
        lines(&mut text, outcome);
    }
    text
}

fn lines(text: &mut String, outcome: &Outcome) {
    for row in &outcome.rows {
        let theirs =
            if row.theirs.is_empty() { String::new() } else { number(median(&row.theirs)) + row.unit };
        let compared =
            if row.theirs.is_empty() { String::new() } else { number(ratio(&row.ours, &row.theirs)) };
        let (goal, verdict) = match row.goal {
            None => (String::new(), ""),
            Some(goal) => (goal_text(row, goal), if row.is_met() { "met" } else { "**missed**" }),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {}{} | {theirs} | {compared} | {goal} | {verdict} |",
            outcome.title,
            row.variant,
            row.figure,
            number(median(&row.ours)),
            row.unit,
        );
    }
}

fn misses(text: &mut String, outcomes: &[Outcome]) {
    let missed: Vec<_> = outcomes.iter().filter(|outcome| outcome.rows.iter().any(Row::is_missed)).collect();
    if missed.is_empty() {
        return;
    }
    *text += "\n### Misses, and what bounds them\n\n";
    for outcome in missed {
        let bound = if outcome.bound.is_empty() { "not known yet." } else { outcome.bound };
        let _ = writeln!(text, "- **{}**: {bound}", outcome.title);
    }
}

fn raw(text: &mut String, outcome: &Outcome, row: &Row, side: &str, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    let values: Vec<_> = values.iter().map(|value| number(*value)).collect();
    let (title, variant, figure, unit) = (outcome.title, &row.variant, &row.figure, row.unit);
    let _ = writeln!(text, "| {title} | {variant} | {figure}{unit} | {side} | {} |", values.join(" "));
}

fn goal_text(row: &Row, goal: Goal) -> String {
    match row.judged {
        Judged::Ratio => goal.text(""),
        Judged::Value => goal.text(row.unit),
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chapter_takes_its_place_and_no_other() {
        let page = "# Benchmarks\n\nkept\n\n<!-- chapter endpoint -->\nold\n<!-- end of chapter endpoint -->\n\ntail\n";
        let page = with_chapter(page, Chapter::Gateway, "first\n");
        let page = with_chapter(&page, Chapter::Endpoint, "new\n");
        let page = with_chapter(&page, Chapter::Gateway, "second\n\n");
        assert_eq!(
            page,
            "# Benchmarks\n\nkept\n\n<!-- chapter endpoint -->\nnew\n<!-- end of chapter endpoint -->\n\ntail\n\n\
             <!-- chapter gateway -->\nsecond\n<!-- end of chapter gateway -->\n"
        );
    }

    #[test]
    fn a_miss_is_listed_as_a_miss() {
        let row = |goal, ours: f64| Row {
            variant: "aes256-gcm".into(),
            figure: "wall".into(),
            unit: " s",
            ours: vec![ours],
            theirs: vec![2.0],
            goal: Some(goal),
            judged: Judged::Ratio,
        };
        let outcome = Outcome {
            title: "download",
            what: "a file",
            bound: "the client",
            rows: vec![row(Goal::AtMost(0.5), 1.0), row(Goal::AtMost(0.4), 1.0)],
        };
        let text = summary(Chapter::Endpoint, std::slice::from_ref(&outcome));
        assert!(text.contains("| 1.00 s | 2.00 s | 0.500 | ≤ 0.5 | met |"), "{text}");
        assert!(text.contains("| ≤ 0.4 | **missed** |"), "{text}");
        let mut listed = String::new();
        misses(&mut listed, &[outcome]);
        assert!(listed.contains("**download**: the client"), "{listed}");
    }
}
